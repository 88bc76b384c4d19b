package hl7v2

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
)

// Charset is one of the encodings that messages come in here; the value is the name HL7 table 0211 gives it.
type Charset string

const (
	UTF8    Charset = "UNICODE UTF-8"
	GB18030 Charset = "GB 18030-2000" // and its subsets GBK, GB2312 and code page 936
	Big5    Charset = "BIG-5"         // with HKSCS
	UTF16LE Charset = "UNICODE UTF-16"
	UTF16BE Charset = "UNICODE UTF-16BE" // not in table 0211, which leaves the byte order to the byte order mark

	undeclared Charset = "" // none named, or one that says nothing: ASCII, 8859/1
)

// LookupCharset finds the charset that a name stands for. Case, blanks, hyphens, underscores and slashes do not count. The
// result is empty for names that Chinese senders write without meaning them (ASCII, 8859/1), and for the empty name; known is false for
// any other name.
func LookupCharset(name string) (cs Charset, known bool) {
	var buf [24]byte
	folded := buf[:0]
	for i := range len(name) {
		c := name[i]
		if isDigit(c) || c >= 'A' && c <= 'Z' {
			folded = append(folded, c)
		} else if isLetter(c) {
			folded = append(folded, c-'a'+'A')
		} else if !strings.ContainsRune(" -_/.\t", rune(c)) || len(folded) == cap(folded) {
			return undeclared, false
		}
	}
	switch string(folded) {
	case "UTF8", "UNICODEUTF8", "UNICODE", "UTF8BOM", "65001", "CP65001":
		return UTF8, true
	case "GBK", "GB2312", "GB231280", "GB23121980", "GB18030", "GB180302000", "GB180302005", "GB180302022",
		"CP936", "936", "MS936", "WINDOWS936", "EUCCN", "XGBK", "CHINESE":
		return GB18030, true
	case "BIG5", "BIG5HKSCS", "CP950", "950", "MS950":
		return Big5, true
	case "UTF16", "UNICODEUTF16", "UTF16LE", "UCS2":
		return UTF16LE, true
	case "UTF16BE", "UNICODEUTF16BE":
		return UTF16BE, true
	case "", "ASCII", "USASCII", "ISOIR6", "88591", "ISO88591", "LATIN1":
		return undeclared, true
	}
	return undeclared, false
}

// DecodeOptions of Decode; the zero value works.
type DecodeOptions struct {
	// Override is the charset a site sets for one source, in any spelling LookupCharset knows. It goes before MSH-18.
	Override string
	// MaxBytes bounds the input; default DefaultMaxBytes.
	MaxBytes int
}

// Decoded is what Decode found.
type Decoded struct {
	Text     string  // valid UTF-8 without byte order mark
	Declared string  // MSH-18 as written, its first repetition that says anything
	Used     Charset // what the bytes were read as
	Findings []Finding
}

// Decode turns the bytes of a message into text. What decides, in this order: a byte order mark; the override; MSH-18; strict
// UTF-8; GB18030. The bytes have the last word: text that is in UTF-8 beyond doubt is not read as GBK whatever was declared, and
// text that is not UTF-8 is read as GB18030 if it can be, with CodeCharsetContradicted. Text that is mostly UTF-8 with some
// broken characters (cut by a column of fixed width) is an error, because GB18030 would read nearly anything.
//
// The error is an *Error with CodeCharsetUndecodable and the offset of the first byte that is no character, or CodeLimit. A character is
// never replaced.
func Decode(raw []byte, opt DecodeOptions) (Decoded, error) {
	limit := opt.MaxBytes
	if limit <= 0 {
		limit = DefaultMaxBytes
	}
	if len(raw) > limit {
		return Decoded{}, &Error{Code: CodeLimit, Offset: limit, Detail: "the message is longer than the limit"}
	}
	d := decoder{raw: raw}
	text, err := d.decode(opt.Override)
	if err != nil {
		return Decoded{Declared: d.declared}, err
	}
	if d.used == UTF16LE || d.used == UTF16BE {
		d.declared = declaredCharset([]byte(text))
	}
	d.inspect(text)
	return Decoded{Text: text, Declared: d.declared, Used: d.used, Findings: d.fs.done()}, nil
}

type decoder struct {
	raw      []byte
	declared string
	used     Charset
	fs       findings
}

func (d *decoder) decode(override string) (string, error) {
	if cs, n := byteOrderMark(d.raw); cs != undeclared {
		d.declared = declaredCharset(d.raw[n:])
		return d.as(cs, n)
	}
	if cs := wideStart(d.raw); cs != undeclared {
		return d.as(cs, 0)
	}
	d.declared = declaredCharset(d.raw)
	cs, named := d.wanted(override)
	u := scanUTF8(d.raw)
	switch {
	case u.bad < 0 && (cs != GB18030 && cs != Big5 || u.cjk >= 2):
		if u.multi && named && cs != UTF8 {
			d.contradicted("the bytes are UTF-8")
		}
		d.used = UTF8
		return string(d.raw), nil
	case cs == Big5:
		return d.as(Big5, 0)
	case u.bad >= 0 && u.cjk >= 2 && u.cjk > u.broken:
		return "", &Error{Code: CodeCharsetUndecodable, Offset: u.bad, Detail: "the text is UTF-8 but for some broken characters"}
	}
	if named && cs != GB18030 {
		d.contradicted("the bytes are not in the declared charset; read as GB18030")
	}
	return d.as(GB18030, 0)
}

// wanted is the charset the override or MSH-18 asks for; named is false if both are silent.
func (d *decoder) wanted(override string) (cs Charset, named bool) {
	for _, n := range [...]struct{ name, place string }{{override, ""}, {d.declared, "MSH[1].18"}} {
		if n.name == "" {
			continue
		}
		cs, known := LookupCharset(n.name)
		if known {
			return cs, true
		}
		d.fs.add(CodeCharsetUnknown, Warning, n.place, "no such charset is known here")
	}
	return undeclared, false
}

func (d *decoder) contradicted(detail string) {
	d.fs.add(CodeCharsetContradicted, Warning, "MSH[1].18", detail)
}

// as reads the bytes after the first skip in cs, or says where that fails.
func (d *decoder) as(cs Charset, skip int) (string, error) {
	d.used = cs
	raw := d.raw[skip:]
	text, bad := "", -1
	switch cs {
	case UTF8:
		text, bad = string(raw), scanUTF8(raw).bad
	case GB18030:
		text, bad = decodeGB18030(raw, isPage936(d.declared))
	default:
		text, bad = decodeOther(raw, cs)
	}
	if bad >= 0 {
		return "", &Error{Code: CodeCharsetUndecodable, Offset: skip + bad, Detail: "no character of " + string(cs)}
	}
	return text, nil
}

func isPage936(name string) bool { return strings.Contains(name, "936") }

// decodeAs reads raw in cs without any guessing.
func decodeAs(raw []byte, cs Charset) (string, error) {
	if cs == undeclared {
		cs = UTF8
	}
	d := decoder{raw: raw}
	return d.as(cs, 0)
}

// decodeOther reads UTF-16 and Big5.
func decodeOther(raw []byte, cs Charset) (text string, bad int) {
	if cs == Big5 {
		return decodeSteps(raw, traditionalchinese.Big5, func(raw []byte) int {
			if raw[0] >= 0x81 {
				return 2
			}
			return 1
		})
	}
	order, high := unicode.LittleEndian, 1
	if cs == UTF16BE {
		order, high = unicode.BigEndian, 0
	}
	return decodeSteps(raw, unicode.UTF16(order, unicode.IgnoreBOM), func(raw []byte) int {
		if len(raw) > high && raw[high]&0xFC == 0xD8 {
			return 4
		}
		return 2
	})
}

// decodeSteps decodes at once, and only if that replaced a character looks for it one by one. Neither Big5 nor unpaired
// UTF-16 has a way to write U+FFFD that could be mistaken, but for the code unit FFFD itself, which decodes to itself again.
func decodeSteps(raw []byte, enc encoding.Encoding, size func([]byte) int) (text string, bad int) {
	d := enc.NewDecoder()
	out, err := d.Bytes(raw)
	if err == nil && !bytes.ContainsRune(out, utf8.RuneError) {
		return string(out), -1
	}
	for i := 0; i < len(raw); {
		n := min(size(raw[i:]), len(raw)-i)
		one, err := d.Bytes(raw[i : i+n])
		if r, w := utf8.DecodeRune(one); err != nil || r == utf8.RuneError && !isFFFD(raw[i:i+n]) || w != len(one) {
			return "", i
		}
		i += n
	}
	return string(out), -1
}

func isFFFD(unit []byte) bool {
	return bytes.Equal(unit, []byte{0xFD, 0xFF}) || bytes.Equal(unit, []byte{0xFF, 0xFD})
}

// Encode writes text in cs, for an answer in the sender's own charset; an empty cs is UTF-8. The GBK family is written as
// GB18030, which has a code for every character but some of the private use area, and UTF-16 with a byte order mark. The
// error is an *Error with CodeCharsetUnencodable: text is not valid UTF-8, or the charset lacks a character of it.
func Encode(text string, cs Charset) ([]byte, error) {
	if !utf8.ValidString(text) {
		return nil, &Error{Code: CodeCharsetUnencodable, Offset: -1, Detail: "the text is not valid UTF-8"}
	}
	var e *encoding.Encoder
	switch cs {
	case undeclared, UTF8:
		return []byte(text), nil
	case GB18030:
		if raw, ok := encodeGB18030(text); ok {
			return raw, nil
		}
		return nil, &Error{Code: CodeCharsetUnencodable, Offset: -1, Detail: "a private use character is not in " + string(cs)}
	case Big5:
		e = traditionalchinese.Big5.NewEncoder()
	case UTF16LE:
		e = unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder()
	case UTF16BE:
		e = unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewEncoder()
	default:
		return nil, &Error{Code: CodeCharsetUnencodable, Offset: -1, Detail: "no such charset"}
	}
	out, err := e.Bytes([]byte(text))
	if err != nil {
		return nil, &Error{Code: CodeCharsetUnencodable, Offset: -1, Detail: "a character is not in " + string(cs)}
	}
	return out, nil
}
