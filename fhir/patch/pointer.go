package patch

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// pointer is a JSON pointer, its tokens unescaped; without any it is the whole document.
// https://www.rfc-editor.org/rfc/rfc6901
type pointer []string

// Errors of a pointer and of what it finds; they name places, never values.
var (
	errPointer   = errors.New("a path is empty or starts with a slash; ~ stands in it as ~0, / as ~1")
	errNoMember  = errors.New("there is no such member")
	errNoItem    = errors.New("the array has no item there")
	errIndex     = errors.New("an index of an array is a decimal number without leading zeros, or - behind the last where something is added")
	errScalar    = errors.New("what is there is neither an object nor an array")
	errNoParent  = errors.New("what it would be added to does not exist, and is not made by the way")
	errRoot      = errors.New("the whole resource cannot be removed")
	errInside    = errors.New("a value cannot be moved into itself")
	errDifferent = errors.New("the test failed: the value there is another one")
)

func parsePointer(s string) (pointer, error) {
	if s == "" {
		return nil, nil
	}
	if s[0] != '/' {
		return nil, errPointer
	}
	tokens := strings.Split(s[1:], "/")
	for i, t := range tokens {
		if strings.Count(t, "~") != strings.Count(t, "~0")+strings.Count(t, "~1") {
			return nil, errPointer
		}
		tokens[i] = strings.ReplaceAll(strings.ReplaceAll(t, "~1", "/"), "~0", "~")
	}
	return tokens, nil
}

// isBelow says that p leads into what q names.
func (p pointer) isBelow(q pointer) bool {
	return len(p) > len(q) && slices.Equal(p[:len(q)], q)
}

// index reads a token as the index of an item; n is the first that there is not.
func index(token string, n int) (int, error) {
	if token == "" || token[0] == '0' && len(token) > 1 {
		return 0, errIndex
	}
	for k := range len(token) {
		if token[k] < '0' || token[k] > '9' {
			return 0, errIndex
		}
	}
	i, err := strconv.Atoi(token)
	if err != nil || i >= n {
		return 0, errNoItem
	}
	return i, nil
}

// find gives the value that p names.
func (d *document) find(p pointer) (*value, error) {
	v := &d.root
	for _, token := range p {
		if !v.isObject() && !v.isArray() {
			return nil, errScalar
		}
		b, err := d.open(v)
		if err != nil {
			return nil, err
		}
		i, err := b.place(v, token)
		if err != nil {
			return nil, err
		}
		v = &b.items[i]
	}
	return v, nil
}

// place gives where token stands in b, the inside of v.
func (b *box) place(v *value, token string) (int, error) {
	if v.isObject() {
		i := b.find(token)
		if i < 0 {
			return 0, errNoMember
		}
		return i, nil
	}
	if token == "-" {
		return 0, errNoItem
	}
	return index(token, len(b.items))
}

// parent opens what holds the value that p names; p is not empty.
func (d *document) parent(p pointer) (*value, *box, error) {
	v, err := d.find(p[:len(p)-1])
	if err != nil {
		return nil, nil, err
	}
	if !v.isObject() && !v.isArray() {
		return nil, nil, errScalar
	}
	b, err := d.open(v)
	return v, b, err
}
