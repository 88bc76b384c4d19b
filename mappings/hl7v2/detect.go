package hl7v2

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

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
