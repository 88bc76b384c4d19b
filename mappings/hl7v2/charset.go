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

func byteOrderMark(raw []byte) (Charset, int) {
	switch {
	case bytes.HasPrefix(raw, []byte("\xEF\xBB\xBF")):
		return UTF8, 3
	case bytes.HasPrefix(raw, []byte("\x84\x31\x95\x33")):
		return GB18030, 4
	case bytes.HasPrefix(raw, []byte("\xFF\xFE")):
		return UTF16LE, 2
	case bytes.HasPrefix(raw, []byte("\xFE\xFF")):
		return UTF16BE, 2
	}
	return undeclared, 0
}

// wideStart recognises UTF-16 without a byte order mark by the first letter of MSH.
func wideStart(raw []byte) Charset {
	switch {
	case bytes.HasPrefix(raw, []byte("M\x00S\x00H\x00")):
		return UTF16LE
	case bytes.HasPrefix(raw, []byte("\x00M\x00S\x00H")):
		return UTF16BE
	}
	return undeclared
}

// declaredCharset is MSH-18 as written: its first repetition that names a multi-byte charset, else its first. It steps over two-byte
// characters in the fields before, whose second byte may be that of a delimiter.
func declaredCharset(raw []byte) string {
	line := bytes.TrimLeft(raw, "\v\r\n \t")
	if i := bytes.IndexAny(line, "\r\n"); i >= 0 {
		line = line[:i]
	}
	if len(line) < 8 || !bytes.HasPrefix(line, []byte("MSH")) {
		return ""
	}
	twoByte := !utf8.Valid(line)
	sep, field, start := line[3], 1, 4
	for i := 4; i <= len(line) && field < 18; i++ {
		if i == len(line) || line[i] == sep {
			if field++; field == 18 {
				return pickCharset(string(line[start:i]), line[5])
			}
			start = i + 1
		} else if twoByte && line[i] >= 0x81 {
			i++
		}
	}
	return ""
}

func pickCharset(field string, repetition byte) string {
	if isAlnum(repetition) || strings.IndexByte(field, repetition) < 0 {
		return strings.TrimSpace(field)
	}
	names := strings.Split(field, one(repetition))
	for _, name := range names {
		if cs, known := LookupCharset(name); known && cs != undeclared {
			return strings.TrimSpace(name)
		}
	}
	return strings.TrimSpace(names[0])
}

// utf8Scan counts what speaks for and against UTF-8, as far as a decision needs it.
type utf8Scan struct {
	bad    int  // offset of the first byte that is no character, or -1
	broken int  // such bytes
	multi  bool // there are characters of two bytes or more
	cjk    int  // characters of three bytes that Chinese text is made of
}

// enoughBroken bytes, twice as many as Chinese characters, say that a text is not in UTF-8.
const enoughBroken = 32

func scanUTF8(raw []byte) utf8Scan {
	u := utf8Scan{bad: -1}
	valid := utf8.Valid(raw)
	for i := 0; i < len(raw); {
		if n := asciiPrefix(raw[i:]); n > 0 {
			i += n
			continue
		}
		r, size := utf8.DecodeRune(raw[i:])
		switch {
		case size == 1:
			if u.bad < 0 {
				u.bad = i
			}
			u.broken++
		case isChinese(r):
			u.multi = true
			u.cjk++
		default:
			u.multi = true
		}
		if valid && u.cjk >= 2 || u.broken >= enoughBroken && u.broken > 2*u.cjk {
			break
		}
		i += size
	}
	return u
}

// isChinese: the unified ideographs, CJK punctuation and full-width forms.
func isChinese(r rune) bool {
	return r >= 0x4E00 && r <= 0x9FFF || r >= 0x3000 && r <= 0x303F || r >= 0xFF00 && r <= 0xFF5E
}

// inspect reports characters that were lost or garbled before the message was sent.
func (d *decoder) inspect(text string) {
	private, replaced := strings.IndexByte(text, 0xEE) >= 0, false
	// U+E000 to U+F8FF are EE 80 80 to EF A3 BF in UTF-8, U+FFFD is EF BF BD.
	for s := text; ; {
		i := strings.IndexByte(s, 0xEF)
		if i < 0 {
			break
		}
		private = private || s[i+1] <= 0xA3
		replaced = replaced || s[i+1] == 0xBF && s[i+2] == 0xBD
		s = s[i+3:]
	}
	if replaced || strings.Contains(text, "锟斤拷") {
		d.fs.add(CodeCharsetReplaced, Serious, "", "the sender lost characters before sending: the text holds replacement characters")
	}
	if private {
		d.fs.add(CodeCharsetPrivate, Information, "", "the text holds characters of a user-defined area")
	}
	if looksGarbled(text) {
		d.fs.add(CodeCharsetMojibake, Serious, "", "the text looks like UTF-8 that was read as GBK before it was sent")
	}
}

// maxGarbleRuns bounds the runs of characters beyond ASCII that looksGarbled examines.
const maxGarbleRuns = 64

// looksGarbled reports whether a run of characters, written in GBK, is UTF-8 of common characters: 寮犱笁 is 张三 read so. Such a run
// starts with a character whose first byte in GBK is E4 to E9, the first byte of Chinese in UTF-8, which few others do.
func looksGarbled(text string) bool {
	var t *gbTable
	for runs, i := 0, 0; runs < maxGarbleRuns; runs++ {
		for i < len(text) && text[i] < 0x80 {
			i++
		}
		if i == len(text) {
			return false
		}
		start := i
		for i < len(text) && text[i] >= 0x80 {
			i++
		}
		if t == nil {
			t = gb18030()
		}
		r, _ := utf8.DecodeRuneInString(text[start:])
		if r >= 0x10000 || t.encode[r] < 0xE400 || t.encode[r] > 0xE9FF {
			continue
		}
		var run [64]byte
		n := 0
		for _, r := range text[start:i] {
			if r >= 0x10000 || n == len(run) {
				break
			}
			run[n], run[n+1] = byte(t.encode[r]>>8), byte(t.encode[r])
			n += 2
		}
		if t.commonUTF8(run[:n]) {
			return true
		}
	}
	return false
}

// commonUTF8 reports whether raw is UTF-8 of at least two characters of level 1 of GB 2312, its last one perhaps cut off.
func (t *gbTable) commonUTF8(raw []byte) bool {
	common := 0
	for len(raw) > 0 {
		r, size := utf8.DecodeRune(raw)
		if size == 1 {
			return common >= 2 && !utf8.FullRune(raw)
		}
		if r >= 0x10000 || t.encode[r] < 0xB0A1 || t.encode[r] > 0xD7F9 {
			return false
		}
		common++
		raw = raw[size:]
	}
	return common >= 2
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
