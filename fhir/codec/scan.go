package codec

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// The scanner: every function takes the offset where its token starts and
// gives the offset behind it, or -1 after it has recorded a syntax error.
// https://www.rfc-editor.org/rfc/rfc8259, and RFC 7493 for UTF-8 and surrogates.

// peek gives the byte at i, 0 behind the end (which is no JSON anywhere).
func (p *Parser) peek(i int) byte {
	if i < len(p.src) {
		return p.src[i]
	}
	return 0
}

func (p *Parser) space(i int) int {
	if i < len(p.src) && p.src[i] > ' ' {
		return i
	}
	return p.spaces(i)
}

func (p *Parser) spaces(i int) int {
	for ; i < len(p.src); i++ {
		switch p.src[i] {
		case ' ', '\t', '\r', '\n':
		default:
			return i
		}
	}
	return i
}

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// stops marks, by the high bit of its byte, the first byte of x that is a
// quote, a backslash or a control character. Marks above the first may be wrong.
func stops(x uint64) uint64 {
	quote := x ^ lowBits*'"'
	slash := x ^ lowBits*'\\'
	return ((quote-lowBits)&^quote | (slash-lowBits)&^slash | (x-lowBits*' ')&^x) & highBits
}

// stringEnd takes the offset behind the opening quote and gives that of the
// closing one, -1 after a syntax error.
func (p *Parser) stringEnd(i int) (end int, escaped bool) {
	s, start, high := p.src, i, uint64(0)
	for {
		for i+8 <= len(s) {
			x := binary.LittleEndian.Uint64(s[i:])
			if m := stops(x); m != 0 {
				k := bits.TrailingZeros64(m) &^ 7
				high |= x & (1<<k - 1)
				i += k >> 3
				break
			}
			high |= x
			i += 8
		}
		if i >= len(s) {
			return p.fail(len(s), idSyntax, "the body ends inside a string"), false
		}
		switch c := s[i]; {
		case c == '"':
			if high&highBits != 0 && !utf8.Valid(s[start:i]) {
				return p.badUTF8(start), false
			}
			return i, escaped
		case c == '\\':
			escaped = true
			if i = p.escape(i); i < 0 {
				return -1, false
			}
		case c < ' ':
			return p.fail(i, idSyntax, "a control character stands in a string without an escape"), false
		default:
			high |= uint64(c)
			i++
		}
	}
}

func (p *Parser) badUTF8(i int) int {
	return p.fail(i+invalidAt(p.src[i:]), idUTF8, "the text is not valid UTF-8")
}

// escape takes the offset of a backslash.
func (p *Parser) escape(i int) int {
	switch p.peek(i + 1) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		r := p.hex4(i + 2)
		if r < 0 {
			return p.fail(i, idSyntax, "\\u needs four hexadecimal digits")
		}
		if r < 0xD800 || r > 0xDFFF {
			return i + 6
		}
		// A surrogate alone is no character; jsontext and I-JSON refuse it too.
		if lo := p.hex4(i + 8); r < 0xDC00 && p.peek(i+6) == '\\' && p.peek(i+7) == 'u' && lo >= 0xDC00 && lo <= 0xDFFF {
			return i + 12
		}
		return p.fail(i, idUTF8, "half of a surrogate pair stands alone")
	}
	return p.fail(i, idSyntax, "no such escape in JSON")
}

// hex4 gives the four hexadecimal digits at i, -1 when they are none.
func (p *Parser) hex4(i int) int {
	r := 0
	for k := i; k < i+4; k++ {
		c := p.peek(k)
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | int(c)
	}
	return r
}

func (p *Parser) digits(i int) int {
	for i < len(p.src) && p.src[i]-'0' <= 9 {
		i++
	}
	return i
}

// number checks -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?, which is also
// FHIR's pattern of decimal.
func (p *Parser) number(i int) int {
	if p.peek(i) == '-' {
		i++
	}
	k := p.digits(i)
	if k == i {
		return p.expected(i, "a digit is expected")
	}
	if p.src[i] == '0' && k > i+1 {
		return p.fail(i, idSyntax, "a number starts with a superfluous 0")
	}
	i = k
	if p.peek(i) == '.' {
		if k = p.digits(i + 1); k == i+1 {
			return p.expected(k, "a digit is expected behind the decimal point")
		}
		i = k
	}
	if c := p.peek(i); c == 'e' || c == 'E' {
		i++
		if c = p.peek(i); c == '+' || c == '-' {
			i++
		}
		if k = p.digits(i); k == i {
			return p.expected(k, "a digit is expected in the exponent")
		}
		i = k
	}
	return i
}

func (p *Parser) literal(i int, word string) int {
	if len(p.src)-i < len(word) || string(p.src[i:i+len(word)]) != word {
		return p.expected(i, "a value is expected")
	}
	return i + len(word)
}

// name reads a member's name and gives the offset of its value. The name is
// unescaped; most often it points into the body.
func (p *Parser) name(i int) ([]byte, int) {
	if p.peek(i) != '"' {
		return nil, p.expected(i, "a name in quotes is expected")
	}
	end, escaped := p.stringEnd(i + 1)
	if end < 0 {
		return nil, -1
	}
	name := p.src[i+1 : end]
	if escaped {
		name = unescaped(name)
	}
	if i = p.space(end + 1); p.peek(i) != ':' {
		return nil, p.expected(i, "a colon is expected")
	}
	return name, p.space(i + 1)
}

// next steps over what follows a member or an item: more says that another one
// starts at the offset given, else the offset is behind the closing byte.
func (p *Parser) next(i int, closing byte) (at int, more bool) {
	i = p.space(i)
	switch p.peek(i) {
	case ',':
		return p.space(i + 1), true
	case closing:
		return i + 1, false
	}
	if closing == '}' {
		return p.expected(i, "a comma or a closing brace is expected"), false
	}
	return p.expected(i, "a comma or a closing bracket is expected"), false
}

// skip reads any value for its syntax only.
func (p *Parser) skip(i, depth int) int {
	switch p.peek(i) {
	case '"':
		if end, _ := p.stringEnd(i + 1); end >= 0 {
			return end + 1
		}
		return -1
	case '{', '[':
		return p.skipContainer(i, depth)
	case 't':
		return p.literal(i, "true")
	case 'f':
		return p.literal(i, "false")
	case 'n':
		return p.literal(i, "null")
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return p.number(i)
	}
	return p.expected(i, "a value is expected")
}

func (p *Parser) skipContainer(i, depth int) int {
	if depth > p.opt.MaxDepth {
		return p.tooDeep(i)
	}
	closing := p.src[i] + 2 // in ASCII [ and ], { and } are two apart
	if i = p.space(i + 1); p.peek(i) == closing {
		return i + 1
	}
	for more := true; more; {
		if closing == '}' {
			if _, i = p.name(i); i < 0 {
				return -1
			}
		}
		if i = p.skip(i, depth+1); i < 0 {
			return -1
		}
		i, more = p.next(i, closing)
	}
	return i
}
