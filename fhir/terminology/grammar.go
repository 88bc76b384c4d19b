package terminology

import (
	"net/url"
	"strings"

	"meridian/fhir/ucum"
)

// grammar is a system whose codes are known by their form and cannot be listed.
type grammar interface {
	valid(code string) bool
	name() string
}

// The systems that R4 uses so. https://hl7.org/fhir/R4/terminologies-systems.html
const (
	systemUCUM      = "http://unitsofmeasure.org"
	systemLanguages = "urn:ietf:bcp:47"
	systemMIME      = "urn:ietf:bcp:13"
	systemURI       = "urn:ietf:rfc:3986"
)

func grammars() map[string]grammar {
	return map[string]grammar{systemUCUM: &units{}, systemLanguages: languages{}, systemMIME: mimeTypes{}, systemURI: uris{}}
}

// units are the codes of UCUM. https://ucum.org/ucum
type units struct{ cache ucum.Cache }

func (*units) name() string { return "UCUM" }

func (u *units) valid(code string) bool {
	_, err := u.cache.Parse(code)
	return err == nil
}

// comparable says that two units measure the same.
func (u *units) comparable(a, b string) bool {
	x, err := u.cache.Parse(a)
	if err != nil {
		return false
	}
	y, err := u.cache.Parse(b)
	return err == nil && x.Comparable(y)
}

// languages are the tags of RFC 5646 section 2.1, by their form.
type languages struct{}

func (languages) name() string { return "Tags for Identifying Languages" }

func (languages) valid(code string) bool {
	first := true
	private := false
	for part := range strings.SplitSeq(code, "-") {
		if len(part) == 0 || len(part) > 8 || !all(part, isAlnum) {
			return false
		}
		if first && !private {
			switch {
			case part == "x" || part == "i" || part == "X":
				private = true
			case len(part) < 2 || !all(part, isAlpha):
				return false
			}
		}
		first = false
	}
	return !private || strings.Contains(code, "-")
}

// mimeTypes are those of RFC 2045 and 6838: type/subtype, with parameters.
type mimeTypes struct{}

func (mimeTypes) name() string { return "MIME types" }

func (mimeTypes) valid(code string) bool {
	head, rest, params := strings.Cut(code, ";")
	typ, sub, ok := strings.Cut(strings.TrimSpace(head), "/")
	if !ok || typ == "" || sub == "" || !all(typ, isToken) || !all(sub, isToken) {
		return false
	}
	if !params {
		return true
	}
	for p := range strings.SplitSeq(rest, ";") {
		name, value, ok := strings.Cut(strings.TrimSpace(p), "=")
		if !ok || name == "" || value == "" || !all(name, isToken) {
			return false
		}
	}
	return true
}

// uris are those of RFC 3986.
type uris struct{}

func (uris) name() string { return "Uniform Resource Identifiers" }

func (uris) valid(code string) bool {
	if code == "" || strings.ContainsAny(code, " \t\r\n<>\"") {
		return false
	}
	_, err := url.Parse(code)
	return err == nil
}

func all(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return true
}

func isAlpha(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isAlnum(c byte) bool { return isAlpha(c) || c >= '0' && c <= '9' }
func isToken(c byte) bool {
	return c > ' ' && c < 0x7f && !strings.ContainsRune(`()<>@,;:\"/[]?=`, rune(c))
}
