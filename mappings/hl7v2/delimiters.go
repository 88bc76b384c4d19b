package hl7v2

import "strings"

// Delimiters of one message, from MSH-1 and MSH-2. A zero byte means that the message has no such delimiter.
type Delimiters struct {
	Field        byte
	Component    byte
	Repetition   byte
	Escape       byte
	Subcomponent byte
	Truncation   byte // fifth character of MSH-2, since 2.7; marks a value cut short by the sender
}

// DefaultDelimiters are those the standard suggests: |^~\& and no truncation character.
func DefaultDelimiters() Delimiters {
	return Delimiters{Field: '|', Component: '^', Repetition: '~', Escape: '\\', Subcomponent: '&'}
}

// MSH2 is the text of MSH-2 for these delimiters.
func (d Delimiters) MSH2() string {
	b := make([]byte, 0, 5)
	for _, c := range [...]byte{d.Component, d.Repetition, d.Escape, d.Subcomponent, d.Truncation} {
		if c == 0 {
			break
		}
		b = append(b, c)
	}
	return string(b)
}

// uses reports whether c is one of the delimiters.
func (d *Delimiters) uses(c byte) bool {
	return c == d.Field || c == d.Component || c == d.Repetition || c == d.Escape || c == d.Subcomponent || c == d.Truncation
}

// below is the delimiter that separates the parts of a value at level l.
func (d *Delimiters) below(l level) byte {
	switch l {
	case levelField:
		return d.Repetition
	case levelRepetition:
		return d.Component
	case levelComponent:
		return d.Subcomponent
	}
	return 0
}

// one is c as a string, without allocation for ASCII.
func one(c byte) string { return string(rune(c)) }

// readDelimiters reads them from text, which is to start with MSH; offset is where text stands in the input.
func readDelimiters(text string, offset int, fs *findings) (Delimiters, error) {
	bad := func(detail string) (Delimiters, error) {
		return Delimiters{}, &Error{Code: CodeMessageHeader, Offset: offset, Detail: detail}
	}
	if !strings.HasPrefix(text, "MSH") {
		return bad("the message does not start with MSH")
	}
	if len(text) < 4 || !isDelimiter(text[3]) {
		return bad("MSH is not followed by a field separator")
	}
	d := Delimiters{Field: text[3]}
	to := [...]*byte{&d.Component, &d.Repetition, &d.Escape, &d.Subcomponent, &d.Truncation}
	n := 0
	for _, c := range []byte(text[4:]) {
		if c == d.Field || c == '\r' || c == '\n' {
			break
		}
		if n++; n > len(to) {
			break
		}
		if !isDelimiter(c) || d.uses(c) {
			fs.add(CodeDelimiters, Warning, "MSH[1].2", "a delimiter is repeated or is a letter, digit or blank; it is not used")
			continue
		}
		*to[n-1] = c
	}
	if n < 4 || n > len(to) {
		fs.add(CodeDelimiters, Warning, "MSH[1].2", "MSH-2 has not four or five characters; a missing delimiter is not used")
	}
	return d, nil
}

// isDelimiter accepts printable ASCII that is neither letter nor digit.
func isDelimiter(c byte) bool { return c > ' ' && c < 0x7f && !isAlnum(c) && c != '"' }
