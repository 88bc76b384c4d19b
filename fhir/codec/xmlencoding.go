package codec

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"meridian/fhir/issue"
)

// encoding is how the body was sent: UTF-8 or UTF-16, by byte order mark, by
// the form of its first characters, or by its declaration.
// https://www.w3.org/TR/xml/#sec-guessing
type encoding struct {
	utf16 binary.ByteOrder // nil for UTF-8
	mark  int              // bytes of the byte order mark
}

// offset gives the place in the body as sent of what stands at n in text.
func (e encoding) offset(text []byte, n int) int {
	if e.utf16 == nil {
		return n + e.mark
	}
	at := e.mark
	for i := 0; i < n && i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		at += 2 * utf16.RuneLen(r)
		i += size
	}
	return at
}

var signatures = []struct {
	start string
	order binary.ByteOrder
	mark  int
}{
	{byteOrderMark, nil, 3},
	{"\xFF\xFE", binary.LittleEndian, 2},
	{"\xFE\xFF", binary.BigEndian, 2},
	{"<\x00", binary.LittleEndian, 0},
	{"\x00<", binary.BigEndian, 0},
}

// decode sets src to the body in UTF-8 and checks that all of it is characters of XML.
func (x *XMLReader) decode(body []byte) bool {
	x.enc, x.src = encoding{}, body
	if len(body) > x.opt.MaxBytes {
		x.report(issue.TooLong, idTooLarge, x.opt.MaxBytes, "", "the body is larger than the limit")
		return false
	}
	for _, s := range signatures {
		if bytes.HasPrefix(body, []byte(s.start)) {
			x.enc = encoding{s.order, s.mark}
			break
		}
	}
	x.src = body[x.enc.mark:]
	if x.enc.utf16 != nil && !x.fromUTF16(x.src) {
		return false
	}
	if !x.declared() {
		return false
	}
	if !utf8.Valid(x.src) {
		return x.fail(invalidAt(x.src), idUTF8, "the text is not valid UTF-8")
	}
	if at := noXMLCharacter(x.src); at >= 0 {
		return x.fail(at, idXMLSyntax, "the text holds a character that XML 1.0 does not have")
	}
	return true
}

func invalidAt(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(b)
}

// noXMLCharacter gives the place of a control character, U+FFFE or U+FFFF, -1
// when there is none. b is valid UTF-8. https://www.w3.org/TR/xml/#charsets
func noXMLCharacter(b []byte) int {
	for i, c := range b {
		if c < ' ' {
			if c != '\n' && c != '\t' && c != '\r' {
				return i
			}
		} else if c == 0xEF && i+2 < len(b) && b[i+1] == 0xBF && b[i+2] >= 0xBE {
			return i
		}
	}
	return -1
}

// fromUTF16 puts the body's text into x.text. Halves of surrogate pairs are refused.
func (x *XMLReader) fromUTF16(body []byte) bool {
	x.text = x.text[:0]
	for i := 0; i+1 < len(body); i += 2 {
		r := rune(x.enc.utf16.Uint16(body[i:]))
		if utf16.IsSurrogate(r) {
			low := rune(0)
			if i+3 < len(body) {
				low = rune(x.enc.utf16.Uint16(body[i+2:]))
			}
			if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
				x.src = x.text
				return x.fail(len(x.text), idUTF8, "half of a surrogate pair stands alone")
			}
			i += 2
		}
		x.text = utf8.AppendRune(x.text, r)
	}
	x.src = x.text
	if len(body)%2 != 0 {
		return x.fail(len(x.text), idUTF8, "the text is not valid UTF-16")
	}
	return true
}

// declared checks the XML declaration, if there is one, and steps over it.
// https://www.w3.org/TR/xml/#NT-XMLDecl
func (x *XMLReader) declared() bool {
	if !bytes.HasPrefix(x.src, []byte("<?xml")) || len(x.src) == 5 || !isSpace(x.src[5]) {
		return true
	}
	end := bytes.Index(x.src[:min(len(x.src), maxDeclaration)], []byte("?>"))
	if end < 0 {
		return x.fail(0, idXMLSyntax, "the XML declaration is not closed")
	}
	rest := string(x.src[5:end])
	version, rest, ok := pseudoAttribute(rest, "version")
	if !ok || version != "1.0" {
		return x.fail(0, idXMLSyntax, "the XML declaration must name version 1.0")
	}
	name, rest, named := pseudoAttribute(rest, "encoding")
	if alone, after, ok := pseudoAttribute(rest, "standalone"); ok && (alone == "yes" || alone == "no") {
		rest = after
	}
	if strings.Trim(rest, " \t\r\n") != "" {
		return x.fail(0, idXMLSyntax, "the XML declaration is not well-formed")
	}
	x.i = end + 2
	return !named || x.knownEncoding(name)
}

const maxDeclaration = 256 // bytes of an XML declaration

// knownEncoding says that the body is in the encoding that it declares.
func (x *XMLReader) knownEncoding(name string) bool {
	switch name := strings.ToLower(name); {
	case name == "utf-16" || name == "utf-16le" || name == "utf-16be" || name == "iso-10646-ucs-2":
		if x.enc.utf16 == nil {
			return x.fail(0, idXMLEncoding, "the body declares UTF-16 but is not in it")
		}
	case x.enc.utf16 != nil:
		return x.fail(0, idXMLEncoding, "the body is in UTF-16 but declares another encoding")
	case name == "utf-8" || name == "us-ascii":
	case x.enc.mark > 0:
		return x.fail(0, idXMLEncoding, "the body has the byte order mark of UTF-8 but declares another encoding")
	default:
		return x.failCode(issue.NotSupported, 0, idXMLEncoding, "the body declares an encoding that is not read; send UTF-8 or UTF-16")
	}
	return true
}

// pseudoAttribute takes name="value" and the white space before it off the start of s.
func pseudoAttribute(s, name string) (value, rest string, ok bool) {
	t := strings.TrimLeft(s, " \t\r\n")
	t, ok = strings.CutPrefix(t, name)
	if !ok || len(t) >= len(s)-len(name) {
		return "", s, false
	}
	t, ok = strings.CutPrefix(strings.TrimLeft(t, " \t\r\n"), "=")
	t = strings.TrimLeft(t, " \t\r\n")
	if !ok || t == "" || t[0] != '"' && t[0] != '\'' {
		return "", s, false
	}
	value, rest, ok = strings.Cut(t[1:], t[:1])
	return value, rest, ok
}
