package hl7v2

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Unescape resolves the escape sequences of s and says how many it left as written because they are not known here or
// make no sense. HL7 v2.5.1 ch. 2.7:
//
//	\F\ \S\ \T\ \R\ \E\ \P\     the delimiters (field, component, subcomponent, repetition, escape, truncation)
//	\.br\ \.ce\ \.sp\ \.spN\    line feeds (one; one; N, up to 99); \.skN\ N blanks
//	\.in±N\ \.ti±N\ \.fi\ \.nf\ nothing: indentation and filling of a printed page
//	\H\ \N\                     nothing: highlighting on and off
//	\Xhh..\                     the bytes, read in the message's charset: \X0D\ is CR
//	\Cxxyy\ \Mxxyyzz\           ISO 2022: \M2441\ or \M242941\ switches to GB 2312 with seven bits, \C2842\ back to ASCII
//
// Any other sequence, \Z..\ among them, and an escape character without its partner stay as written. Without an escape
// character in MSH-2 s is returned as it is. charset is that of \X..\; empty is UTF-8.
func (d *Delimiters) Unescape(s string, charset Charset) (text string, unknown int) {
	if d.Escape == 0 {
		return s, 0
	}
	i := strings.IndexByte(s, d.Escape)
	if i < 0 {
		return s, 0
	}
	u := unescaper{d: d, charset: charset}
	u.b.Grow(len(s))
	for i >= 0 {
		u.write(s[:i])
		n := strings.IndexByte(s[i+1:], d.Escape)
		if n < 0 {
			break
		}
		body := s[i+1 : i+1+n]
		if n > 0 && u.sequence(body) {
			s = s[i+n+2:]
		} else {
			// The second escape character may open the next sequence: 5\2 mg\.br\.
			u.unknown++
			u.write(s[i : i+n+1])
			s = s[i+n+1:]
			if n == 0 || isSequence(body) {
				u.b.WriteByte(d.Escape)
				s = s[1:]
			}
		}
		i = strings.IndexByte(s, d.Escape)
	}
	if i >= 0 {
		u.unknown++
	}
	u.write(s[max(i, 0):])
	return u.b.String(), u.unknown
}

// isSequence tells a sequence that is unknown here (\Zabc\, \X0\) from text between two stray escape characters.
func isSequence(body string) bool {
	return len(body) == 1 || len(body) <= 32 && strings.IndexByte("CMXZHN.FSTREP", body[0]) >= 0 && !strings.ContainsAny(body, " ")
}

type unescaper struct {
	d       *Delimiters
	charset Charset
	b       strings.Builder
	unknown int
	gb2312  bool // between \M2441\ and \C2842\
}

// write appends text outside sequences.
func (u *unescaper) write(s string) {
	if !u.gb2312 {
		u.b.WriteString(s)
		return
	}
	raw := []byte(s)
	for i := range raw {
		raw[i] |= 0x80
	}
	if text, bad := decodeGB18030(raw, false); bad < 0 {
		u.b.WriteString(text)
		return
	}
	u.unknown++
	u.b.WriteString(s)
}

// sequence appends what body, the part between two escape characters, stands for.
func (u *unescaper) sequence(body string) bool {
	if len(body) == 1 {
		return u.letter(body[0])
	}
	switch body[0] {
	case '.':
		return u.format(body[1:])
	case 'X':
		return u.hex(body[1:])
	case 'M':
		if body == "M2441" || body == "M242941" {
			u.gb2312 = true
			return true
		}
	case 'C':
		if body == "C2842" {
			u.gb2312 = false
			return true
		}
	}
	return false
}

func (u *unescaper) letter(c byte) bool {
	var out byte
	switch c {
	case 'H', 'N':
		return true
	case 'F':
		out = u.d.Field
	case 'S':
		out = u.d.Component
	case 'T':
		out = u.d.Subcomponent
	case 'R':
		out = u.d.Repetition
	case 'E':
		out = u.d.Escape
	case 'P':
		out = u.d.Truncation
	}
	if out == 0 {
		return false
	}
	u.b.WriteByte(out)
	return true
}

// maxFormatCount bounds N of \.spN\ and \.skN\, so that a short message cannot become a long text.
const maxFormatCount = 99

func (u *unescaper) format(body string) bool {
	if len(body) < 2 {
		return false
	}
	command, arg := strings.ToLower(body[:2]), body[2:]
	n := 1
	if arg != "" {
		var err error
		if n, err = strconv.Atoi(arg); err != nil || n > maxFormatCount || n < -maxFormatCount {
			return false
		}
	}
	switch command {
	case "br", "ce", "fi", "nf":
		if arg != "" {
			return false
		}
		if command == "br" || command == "ce" {
			u.b.WriteByte('\n')
		}
		return true
	case "sp", "sk":
		if n < 0 {
			return false
		}
		space := " "
		if command == "sp" {
			space = "\n"
		}
		u.b.WriteString(strings.Repeat(space, n))
		return true
	case "in", "ti":
		return arg != ""
	}
	return false
}

func (u *unescaper) hex(digits string) bool {
	if len(digits)%2 != 0 {
		return false
	}
	raw := make([]byte, 0, len(digits)/2)
	for i := 0; i < len(digits); i += 2 {
		c, err := strconv.ParseUint(digits[i:i+2], 16, 8)
		if err != nil {
			return false
		}
		raw = append(raw, byte(c))
	}
	text, err := decodeAs(raw, u.charset)
	if err != nil && utf8.Valid(raw) {
		text, err = string(raw), nil
	}
	if err != nil {
		return false
	}
	u.b.WriteString(text)
	return true
}

// EscapeText writes text so that it can stand in a field: delimiters become \F\ and its like, LF becomes \.br\, other control
// characters \Xhh\. Unescape gives the text back. A delimiter that cannot be escaped, since the message has no escape
// character, is replaced by a blank.
func (d *Delimiters) EscapeText(text string) string {
	special := func(c byte) bool { return c < ' ' || d.uses(c) }
	i := 0
	for i < len(text) && !special(text[i]) {
		i++
	}
	if i == len(text) {
		return text
	}
	var b strings.Builder
	b.Grow(len(text) + 16)
	for j := range len(text) {
		if c := text[j]; special(c) {
			b.WriteString(d.sequenceOf(c))
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func (d *Delimiters) sequenceOf(c byte) string {
	if d.Escape == 0 {
		return " "
	}
	body := ""
	switch {
	case c == '\n' && !d.uses('.'):
		body = ".br"
	case c < ' ':
		body = "X" + strings.ToUpper(strconv.FormatUint(0x100|uint64(c), 16)[1:])
	case c == d.Field:
		body = "F"
	case c == d.Component:
		body = "S"
	case c == d.Subcomponent:
		body = "T"
	case c == d.Repetition:
		body = "R"
	case c == d.Escape:
		body = "E"
	default:
		body = "P"
	}
	return one(d.Escape) + body + one(d.Escape)
}
