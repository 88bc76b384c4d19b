package hl7v2

import (
	"encoding/binary"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// GB18030 with a table of our own over x/text, because x/text turns what it cannot decode into U+FFFD without an error
// or an offset, and lacks 2,149 of the 23,940 two-byte codes that the standard assigns: the user-defined areas, where
// hospitals keep glyphs of their own for rare names, and some 80 others.
//
// Bytes, GB 18030-2022: one byte 00–7F; two bytes 81–FE, 40–7E or 80–FE; four bytes 81–FE 30–39 81–FE 30–39.
const (
	gbLeads  = 0xFE - 0x81 + 1
	gbTrails = 0xFE - 0x40 // 0x7F is no second byte
)

type gbTable struct {
	decode [gbLeads * gbTrails]uint16 // BMP character of a two-byte code, or 0 for those of gbMissing beyond the BMP
	encode [0x10000]uint16            // two-byte code of a BMP character, or 0
}

// gb18030 is built on the first message that needs it, in about 2 ms.
var gb18030 = sync.OnceValue(buildGB18030)

// gbRun assigns consecutive two-byte codes from first on to consecutive characters.
type gbRun struct {
	first uint16
	n     int
	r     rune
}

// gbMissing are the codes x/text does not have, without the user-defined areas. Where GB 18030-2022 moved a code out of
// the private use area (A6D9–A6F3, A8BC, FE59–FEA0), the character it now means is used. FE51 and five others stand in the
// private use area still, but mean characters that Unicode has since 3.1: those are used, as glibc does.
var gbMissing = [...]gbRun{
	{0xA2AB, 6, 0xE766}, {0xA2E4, 1, 0xE76D}, {0xA2EF, 2, 0xE76E}, {0xA2FD, 2, 0xE770},
	{0xA4F4, 11, 0xE772}, {0xA5F7, 8, 0xE77D}, {0xA6B9, 8, 0xE785},
	{0xA6D9, 1, 0xFE10}, {0xA6DA, 1, 0xFE12}, {0xA6DB, 1, 0xFE11}, {0xA6DC, 4, 0xFE13},
	{0xA6EC, 2, 0xFE17}, {0xA6F3, 1, 0xFE19}, {0xA6F6, 9, 0xE797},
	{0xA7C2, 15, 0xE7A0}, {0xA7F2, 13, 0xE7AF},
	{0xA896, 11, 0xE7BC}, {0xA8BC, 1, 0x1E3F}, {0xA8C1, 4, 0xE7C9}, {0xA8EA, 21, 0xE7CD},
	{0xA958, 1, 0xE7E2}, {0xA95B, 1, 0xE7E3}, {0xA95D, 3, 0xE7E4}, {0xA997, 13, 0xE7F4}, {0xA9F0, 15, 0xE801},
	{0xD7FA, 5, 0xE810},
	{0xFE51, 1, 0x20087}, {0xFE52, 1, 0x20089}, {0xFE53, 1, 0x200CC}, {0xFE59, 1, 0x9FB4}, {0xFE61, 1, 0x9FB5},
	{0xFE66, 2, 0x9FB6}, {0xFE6C, 1, 0x215D7}, {0xFE6D, 1, 0x9FB8}, {0xFE76, 1, 0x2298F}, {0xFE7E, 1, 0x9FB9},
	{0xFE90, 1, 0x9FBA}, {0xFE91, 1, 0x241FE}, {0xFEA0, 1, 0x9FBB},
}

func buildGB18030() *gbTable {
	t := new(gbTable)
	d := simplifiedchinese.GB18030.NewDecoder()
	var dst [8]byte
	for i := range t.decode {
		src := gbCode(i)
		d.Reset()
		n, _, err := d.Transform(dst[:], []byte{byte(src >> 8), byte(src)}, true)
		r, size := utf8.DecodeRune(dst[:n])
		if err != nil || size != n {
			r = utf8.RuneError
		}
		t.decode[i] = uint16(r)
	}
	for _, run := range gbMissing {
		for i := range run.n {
			t.supply(gbIndex(byte(run.first>>8), byte(run.first))+i, run.r+rune(i))
		}
	}
	t.supplyUserDefined()
	for i, r := range t.decode {
		if r != 0 && r != utf8.RuneError && t.encode[r] == 0 {
			t.encode[r] = gbCode(i)
		}
	}
	return t
}

// supplyUserDefined adds the three user-defined areas: AAA1–AFFE, F8A1–FEFE and A140–A7A0 in the order of the private use area.
func (t *gbTable) supplyUserDefined() {
	r := rune(0xE000)
	area := func(leads [2]byte, trails [2]byte) {
		for a := leads[0]; a <= leads[1]; a++ {
			for b := trails[0]; b <= trails[1]; b++ {
				if b != 0x7F {
					t.supply(gbIndex(a, b), r)
					r++
				}
			}
			if a == 0xFE {
				break
			}
		}
	}
	area([2]byte{0xAA, 0xAF}, [2]byte{0xA1, 0xFE})
	area([2]byte{0xF8, 0xFE}, [2]byte{0xA1, 0xFE})
	area([2]byte{0xA1, 0xA7}, [2]byte{0x40, 0xA0})
}

func (t *gbTable) supply(i int, r rune) {
	if t.decode[i] != utf8.RuneError {
		return
	}
	t.decode[i] = 0
	if r < 0x10000 {
		t.decode[i] = uint16(r)
	}
}

// gbWide is the character beyond the BMP that a two-byte code stands for.
func gbWide(code uint16) rune {
	for _, run := range gbMissing {
		if run.first == code {
			return run.r
		}
	}
	return utf8.RuneError
}

func gbIndex(a, b byte) int {
	i := int(a-0x81)*gbTrails + int(b-0x40)
	if b > 0x7F {
		i--
	}
	return i
}

func gbCode(i int) uint16 {
	a, b := i/gbTrails+0x81, i%gbTrails+0x40
	if b >= 0x7F {
		b++
	}
	return uint16(a<<8 | b)
}

// decodeGB18030 gives the text, or the offset of the first byte that begins no character (else -1). euro accepts the lone
// byte 80 as €, as code page 936 does.
func decodeGB18030(raw []byte, euro bool) (text string, bad int) {
	t := gb18030()
	var b strings.Builder
	b.Grow(len(raw) + len(raw)/2 + 3) // two bytes become at most three, four at most four
	var buf [512]byte
	n := 0
	for i := 0; i < len(raw); {
		if n > len(buf)-8 {
			b.Write(buf[:n])
			n = 0
		}
		if i+8 <= len(raw) {
			if w := binary.LittleEndian.Uint64(raw[i:]); w&0x8080808080808080 == 0 {
				binary.LittleEndian.PutUint64(buf[n:], w)
				n += 8
				i += 8
				continue
			}
		}
		if raw[i] < 0x80 {
			buf[n] = raw[i]
			n++
			i++
			continue
		}
		if i+1 < len(raw) && isGBTwoByte(raw[i], raw[i+1]) {
			if r := t.decode[gbIndex(raw[i], raw[i+1])]; r >= 0x800 {
				buf[n], buf[n+1], buf[n+2] = 0xE0|byte(r>>12), 0x80|byte(r>>6)&0x3F, 0x80|byte(r)&0x3F
				n += 3
				i += 2
				continue
			}
		}
		r, size := t.next(raw[i:], euro)
		if size == 0 {
			return "", i
		}
		n += utf8.EncodeRune(buf[n:], r)
		i += size
	}
	b.Write(buf[:n])
	return b.String(), -1
}

func isGBTwoByte(a, b byte) bool {
	return a > 0x80 && a != 0xFF && b >= 0x40 && b != 0x7F && b != 0xFF
}

// asciiPrefix is the number of bytes below 0x80 at the start of raw.
func asciiPrefix(raw []byte) int {
	i := 0
	for ; i+8 <= len(raw); i += 8 {
		if binary.LittleEndian.Uint64(raw[i:])&0x8080808080808080 != 0 {
			break
		}
	}
	for i < len(raw) && raw[i] < 0x80 {
		i++
	}
	return i
}

// next decodes one character that does not start with ASCII; size 0 if there is none.
func (t *gbTable) next(raw []byte, euro bool) (r rune, size int) {
	a := raw[0]
	if a == 0x80 && euro {
		return '€', 1
	}
	if a == 0x80 || a == 0xFF || len(raw) < 2 {
		return 0, 0
	}
	b := raw[1]
	if isGBTwoByte(a, b) {
		if r = rune(t.decode[gbIndex(a, b)]); r == 0 {
			r = gbWide(uint16(a)<<8 | uint16(b))
		}
		return r, 2
	}
	if !isDigit(b) || len(raw) < 4 || raw[2] < 0x81 || raw[2] == 0xFF || !isDigit(raw[3]) {
		return 0, 0
	}
	return decodeGB4(raw[:4])
}

// gbReplacement is how GB18030 writes U+FFFD itself.
const gbReplacement = "\x84\x31\xA4\x37"

// gbPlane1 is the first four-byte code of U+10000, 90 30 81 30, counted in four-byte codes.
const gbPlane1 = (0x90 - 0x81) * 10 * 126 * 10

func decodeGB4(raw []byte) (rune, int) {
	i := ((int(raw[0]-0x81)*10+int(raw[1]-'0'))*126+int(raw[2]-0x81))*10 + int(raw[3]-'0')
	if i >= gbPlane1 {
		r := rune(0x10000 + i - gbPlane1)
		if r > utf8.MaxRune {
			return 0, 0
		}
		return r, 4
	}
	out, err := simplifiedchinese.GB18030.NewDecoder().Bytes(raw)
	r, size := utf8.DecodeRune(out)
	if err != nil || size != len(out) || (r == utf8.RuneError && string(raw) != gbReplacement) {
		return 0, 0
	}
	return r, 4
}

// encodeGB18030 writes text in GB18030. It has a code for every character but some 25 of the private use area, whose codes
// GB 18030-2022 gave to others (E78D, E81E, …) or that are read as what senders mean (E5E5: A3 A0 is a full-width blank).
func encodeGB18030(text string) (raw []byte, ok bool) {
	t := gb18030()
	out := make([]byte, 0, len(text))
	for _, r := range text {
		switch {
		case r < 0x80:
			out = append(out, byte(r))
		case r < 0x10000 && t.encode[r] != 0:
			out = append(out, byte(t.encode[r]>>8), byte(t.encode[r]))
		case r >= 0x10000:
			out = appendGB4(out, gbPlane1+int(r-0x10000))
		case r == utf8.RuneError:
			out = append(out, gbReplacement...)
		default:
			four, err := simplifiedchinese.GB18030.NewEncoder().Bytes(utf8.AppendRune(nil, r))
			if back, _ := t.next(four, false); err != nil || back != r {
				return nil, false
			}
			out = append(out, four...)
		}
	}
	return out, true
}

func appendGB4(out []byte, i int) []byte {
	d := byte(i%10) + '0'
	i /= 10
	c := byte(i%126) + 0x81
	i /= 126
	return append(out, byte(i/10)+0x81, byte(i%10)+'0', c, d)
}
