package fhirpath

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"meridian/fhir/value"
)

type tokenKind uint8

const (
	tokEnd tokenKind = iota
	tokIdent
	tokDelimited // `…`, unescaped
	tokString    // '…', unescaped
	tokNumber
	tokDate
	tokDateTime
	tokTime
	tokSpecial // $this
	tokSymbol  // . , ( ) [ ] { } + - * / & | = != ~ !~ < <= > >= %
)

type token struct {
	kind   tokenKind
	text   string
	offset int
}

// is says that t is the symbol or the bare word s.
func (t token) is(s string) bool {
	return t.text == s && (t.kind == tokSymbol || t.kind == tokIdent)
}

// lexer gives the tokens of src.
// https://hl7.org/fhirpath/N1/#lexical-elements
type lexer struct {
	src string
	at  int
}

func (l *lexer) fail(offset int, text string) error {
	return &Error{Kind: Syntax, Source: l.src, Offset: offset, Text: text}
}

// peek gives the byte i places on, 0 behind the end.
func (l *lexer) peek(i int) byte {
	if l.at+i < len(l.src) {
		return l.src[l.at+i]
	}
	return 0
}

func (l *lexer) next() (token, error) {
	if err := l.skipSpace(); err != nil {
		return token{}, err
	}
	start := l.at
	c := l.peek(0)
	switch {
	case start >= len(l.src):
		return token{kind: tokEnd, offset: start}, nil
	case isLetter(c):
		l.skipWord()
		return token{tokIdent, l.src[start:l.at], start}, nil
	case isDigit(c):
		return l.number(), nil
	case c == '\'':
		return l.quoted('\'', tokString)
	case c == '`':
		return l.quoted('`', tokDelimited)
	case c == '@':
		return l.date()
	case c == '$':
		l.at++
		l.skipWord()
		return token{tokSpecial, l.src[start:l.at], start}, nil
	}
	for _, s := range [...]string{"!=", "!~", "<=", ">="} {
		if strings.HasPrefix(l.src[start:], s) {
			l.at += 2
			return token{tokSymbol, s, start}, nil
		}
	}
	if strings.IndexByte(".,()[]{}+-*/&|=~<>%", c) < 0 {
		return token{}, l.fail(start, "unexpected character")
	}
	l.at++
	return token{tokSymbol, l.src[start:l.at], start}, nil
}

// skipSpace skips white space and comments.
func (l *lexer) skipSpace() error {
	for l.at < len(l.src) {
		switch c := l.src[l.at]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			l.at++
		case c == '/' && l.peek(1) == '/':
			if n := strings.IndexByte(l.src[l.at:], '\n'); n >= 0 {
				l.at += n
			} else {
				l.at = len(l.src)
			}
		case c == '/' && l.peek(1) == '*':
			n := strings.Index(l.src[l.at+2:], "*/")
			if n < 0 {
				return l.fail(l.at, "the comment does not end")
			}
			l.at += n + 4
		default:
			return nil
		}
	}
	return nil
}

func isLetter(c byte) bool { return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

func (l *lexer) skipWord() {
	for isLetter(l.peek(0)) || isDigit(l.peek(0)) {
		l.at++
	}
}

func (l *lexer) skipDigits() {
	for isDigit(l.peek(0)) {
		l.at++
	}
}

func (l *lexer) number() token {
	start := l.at
	l.skipDigits()
	if l.peek(0) == '.' && isDigit(l.peek(1)) {
		l.at++
		l.skipDigits()
	}
	return token{tokNumber, l.src[start:l.at], start}
}

// quoted reads a string or a delimited identifier and resolves its escapes.
// https://hl7.org/fhirpath/N1/#string
func (l *lexer) quoted(quote byte, kind tokenKind) (token, error) {
	start := l.at
	l.at++
	end := strings.IndexByte(l.src[l.at:], quote)
	if end < 0 {
		return token{}, l.fail(start, "the closing quote is missing")
	}
	if plain := l.src[l.at : l.at+end]; strings.IndexByte(plain, '\\') < 0 {
		l.at += end + 1
		return token{kind, plain, start}, nil
	}
	var b strings.Builder
	for l.at < len(l.src) {
		c := l.src[l.at]
		switch c {
		case quote:
			l.at++
			return token{kind, b.String(), start}, nil
		case '\\':
			if !l.escape(&b) {
				return token{}, l.fail(l.at, "unknown escape")
			}
		default:
			b.WriteByte(c)
			l.at++
		}
	}
	return token{}, l.fail(start, "the closing quote is missing")
}

// escape reads one escape from its backslash.
func (l *lexer) escape(b *strings.Builder) bool {
	switch c := l.peek(1); c {
	case '\'', '"', '`', '\\', '/':
		b.WriteByte(c)
	case 'f':
		b.WriteByte('\f')
	case 'n':
		b.WriteByte('\n')
	case 'r':
		b.WriteByte('\r')
	case 't':
		b.WriteByte('\t')
	case 'u':
		r, ok := l.hex(l.at + 2)
		if !ok {
			return false
		}
		if utf16.IsSurrogate(r) && l.peek(6) == '\\' && l.peek(7) == 'u' {
			if low, ok := l.hex(l.at + 8); ok && utf16.DecodeRune(r, low) != utf8.RuneError {
				r = utf16.DecodeRune(r, low)
				l.at += 6
			}
		}
		if utf16.IsSurrogate(r) {
			return false
		}
		b.WriteRune(r)
		l.at += 4
	default:
		return false
	}
	l.at += 2
	return true
}

func (l *lexer) hex(at int) (rune, bool) {
	if at+4 > len(l.src) {
		return 0, false
	}
	n, err := strconv.ParseUint(l.src[at:at+4], 16, 16)
	return rune(n), err == nil && l.src[at] != '+'
}

// date reads @…; whether the fields are in range is asked of fhir/value.
func (l *lexer) date() (token, error) {
	start := l.at
	l.at++
	kind := tokDate
	if l.peek(0) == 'T' {
		l.at++
		kind = tokTime
		l.clock()
		if _, err := value.ParsePartialTime(l.src[start+2 : l.at]); err != nil {
			return token{}, l.fail(start, err.Error())
		}
		return token{kind, l.src[start+2 : l.at], start}, nil
	}
	l.skipDigits()
	for range 2 {
		if l.peek(0) == '-' && isDigit(l.peek(1)) && isDigit(l.peek(2)) {
			l.at += 3
		}
	}
	if l.peek(0) == 'T' {
		kind = tokDateTime
		l.at++
		l.clock()
		l.zone()
	}
	if _, err := value.ParsePartialDateTime(l.src[start+1 : l.at]); err != nil {
		return token{}, l.fail(start, err.Error())
	}
	return token{kind, l.src[start+1 : l.at], start}, nil
}

// clock reads hh(:mm(:ss(.f+)?)?)?.
func (l *lexer) clock() {
	l.skipDigits()
	for range 2 {
		if l.peek(0) == ':' && isDigit(l.peek(1)) {
			l.at++
			l.skipDigits()
		}
	}
	if l.peek(0) == '.' && isDigit(l.peek(1)) {
		l.at++
		l.skipDigits()
	}
}

func (l *lexer) zone() {
	switch c := l.peek(0); {
	case c == 'Z':
		l.at++
	case (c == '+' || c == '-') && isDigit(l.peek(1)) && isDigit(l.peek(2)) && l.peek(3) == ':':
		l.at += 4
		l.skipDigits()
	}
}
