package hl7v2

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

const msh = "MSH|^~\\&|LIS|县医院|HIS|县医院|20261121083000||ORU^R01^ORU_R01|1|P|2.5||||||"

// gbk is 葉瑋珅 as GBK writes it: C8 7E, AC 7C, AB 7C.
const gbk = "\xC8\x7E\xAC\x7C\xAB\x7C"

func gbMessage(charset, name string) []byte {
	raw, err := Encode(msh+charset+"\rPID|1||7", GB18030)
	if err != nil {
		panic(err)
	}
	return append(append(raw, "||"...), name...)
}

func TestDecodeChoosesCharset(t *testing.T) {
	utf8Text := func(charset string) []byte { return []byte(msh + charset + "\rPID|1||7||葉瑋珅") }
	tests := []struct {
		name     string
		raw      []byte
		override string
		used     Charset
		findings string
	}{
		{"GBK declared", gbMessage("GBK", gbk), "", GB18030, ""},
		{"alias of table 0211", gbMessage("GB 18030-2000", gbk), "", GB18030, ""},
		{"code page", gbMessage("cp936", gbk), "", GB18030, ""},
		{"nothing declared, not UTF-8", gbMessage("", gbk), "", GB18030, ""},
		{"ASCII declared, GBK sent", gbMessage("ASCII", gbk), "", GB18030, "charset.contradicted"},
		{"UTF-8 declared, GBK sent", gbMessage("UNICODE UTF-8", gbk), "", GB18030, "charset.contradicted"},
		{"bare UNICODE means UTF-8", utf8Text("UNICODE"), "", UTF8, ""},
		{"UTF-8 without declaration", utf8Text(""), "", UTF8, ""},
		{"GBK declared, UTF-8 sent", utf8Text("GBK"), "", UTF8, "charset.contradicted"},
		{"ASCII declared, UTF-8 sent", utf8Text("ASCII"), "", UTF8, "charset.contradicted"},
		{"UTF-16 declared, UTF-8 sent", utf8Text("UNICODE UTF-16"), "", UTF8, "charset.contradicted"},
		{"byte order mark before MSH-18", append([]byte("\xEF\xBB\xBF"), utf8Text("GBK")...), "", UTF8, ""},
		{"override before MSH-18", gbMessage("UTF-8", gbk), "gb2312", GB18030, ""},
		{"unknown name counts as none", gbMessage("KOI8-R", gbk), "", GB18030, "charset.unknown"},
		{"second repetition names the charset", gbMessage("ASCII~GB 18030-2000", gbk), "", GB18030, ""},
		{"declared GBK, plain ASCII sent", []byte("MSH|^~\\&|A|||||||1|P|2.5||||||GBK\r"), "", GB18030, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := Decode(tt.raw, DecodeOptions{Override: tt.override})
			if err != nil {
				t.Fatal(err)
			}
			if d.Used != tt.used {
				t.Errorf("used %q, want %q", d.Used, tt.used)
			}
			if got := codes(d.Findings); got != tt.findings {
				t.Errorf("findings %q, want %q", got, tt.findings)
			}
			if strings.Contains(tt.name, "plain") {
				return
			}
			if !strings.HasSuffix(d.Text, "||葉瑋珅") || !strings.HasPrefix(d.Text, "MSH|^~\\&|LIS|县医院|") {
				t.Errorf("text %q", d.Text)
			}
		})
	}
}

func codes(fs []Finding) string {
	var s []string
	for _, f := range fs {
		s = append(s, f.Code)
	}
	return strings.Join(s, " ")
}

func TestDecodeReadsMSH18PastSecondBytesOfDelimiters(t *testing.T) {
	// 瑋 as MSH-4: its second byte is 7C, so a split by bytes would find MSH-18 one field early, empty.
	raw := []byte("MSH|^~\\&|LIS|\xAC\x7C|HIS||20261121083000||ORU^R01|1|P|2.5||||||GBK\rPID|1\r")
	if got := declaredCharset(raw); got != "GBK" {
		t.Errorf("declared %q", got)
	}
}

func TestDecodeUTF16(t *testing.T) {
	for _, cs := range []Charset{UTF16LE, UTF16BE} {
		raw, err := Encode(msh+"UNICODE UTF-16\rPID|1||7||张三", cs)
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range [][]byte{raw, raw[2:]} { // with and without its byte order mark
			d, err := Decode(in, DecodeOptions{})
			if err != nil || !strings.HasSuffix(d.Text, "张三") || d.Used != cs || d.Declared != "UNICODE UTF-16" {
				t.Errorf("%s: %+v %v", cs, d, err)
			}
		}
	}
}

func TestDecodeBig5(t *testing.T) {
	raw, err := Encode("MSH|^~\\&|LIS||||20261121||ORU^R01|1|P|2.5||||||BIG-5\rPID|1||7||陳葉許功蓋", Big5)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Decode(raw, DecodeOptions{})
	if err != nil || d.Used != Big5 || !strings.HasSuffix(d.Text, "陳葉許功蓋") {
		t.Errorf("%+v %v", d, err)
	}
	_, err = Decode(append(raw, 0xFF, 'x'), DecodeOptions{})
	wantOffset(t, err, len(raw))
}

func wantOffset(t *testing.T, err error, offset int) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != CodeCharsetUndecodable || e.Offset != offset {
		t.Errorf("got %v, want %s at byte %d", err, CodeCharsetUndecodable, offset)
	}
}

func TestDecodeNamesTheOffsetOfBadBytes(t *testing.T) {
	head := "MSH|^~\\&|A|||||||1|P|2.5||||||GBK\rPID|1||"
	tests := []struct{ name, tail string }{
		{"lead byte at the end", "\xD5"},
		{"lead byte before a control character", "\xD5\r"},
		{"80 outside code page 936", "\x80|"},
		{"FF", "\xFF|"},
		{"four bytes cut short", "\x81\x30\x81"},
		{"four bytes without a character", "\xFE\x39\xFE\x39"},
		{"four bytes in the unassigned part", "\x84\x31\xA5\x30"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Decode([]byte(head+"\xB0\xA2"+tt.tail), DecodeOptions{})
			wantOffset(t, err, len(head)+2)
		})
	}
	t.Run("UTF-8 cut by a column", func(t *testing.T) {
		text := "MSH|^~\\&|A|||||||1|P|2.5\rPID|1||7||张三丰\rNTE|1||复查建"
		_, err := Decode([]byte(text+"\xE8\xAE\rNTE|2||x"), DecodeOptions{})
		wantOffset(t, err, len(text))
	})
}

func TestGB18030AssignsEveryTwoByteCode(t *testing.T) {
	table := gb18030()
	for i, c := range table.decode {
		r := rune(c)
		if r == 0 {
			r = gbWide(gbCode(i))
		}
		if r == utf8.RuneError {
			t.Errorf("%04X is not assigned", gbCode(i))
		}
		if gbIndex(byte(gbCode(i)>>8), byte(gbCode(i))) != i {
			t.Fatalf("index of %04X", gbCode(i))
		}
	}
}

func TestGB18030Codes(t *testing.T) {
	tests := []struct {
		raw  string
		want rune
	}{
		// GB 18030-2022, and the user-defined areas of the private use area.
		{"\xB0\xA1", '啊'}, {"\xD5\xC5", '张'}, {"\xA8\xBC", 'ḿ'}, {"\xA6\xD9", '︐'}, {"\xA6\xDA", '︒'}, {"\xA6\xDB", '︑'},
		{"\xA6\xF3", '︙'}, {"\xFE\x59", '龴'}, {"\xFE\x61", '龵'}, {"\xFE\xA0", '龻'}, {"\xFE\x51", '𠂇'}, {"\xA8\xBF", 'ǹ'},
		{"\xAA\xA1", 0xE000}, {"\xAF\xFE", 0xE233}, {"\xF8\xA1", 0xE234}, {"\xFE\xFE", 0xE4C5}, {"\xA1\x40", 0xE4C6}, {"\xA7\xA0", 0xE765},
		{"\xA2\xE3", '€'}, {"\xA1\xA4", '·'}, {"\xA1\xC1", '×'}, {"\xFD\x9C", 0xF92C},
		{"\x81\x39\xEE\x39", '㐀'}, {"\x90\x30\x81\x30", 0x10000}, {"\xE3\x32\x9A\x35", 0x10FFFF},
		{"\x84\x31\xA4\x37", 0xFFFD},
	}
	for _, tt := range tests {
		text, bad := decodeGB18030([]byte(tt.raw), false)
		if bad >= 0 || text != string(tt.want) {
			t.Errorf("% X: got %q (bad %d), want %q", tt.raw, text, bad, tt.want)
		}
		if tt.want == '𠂇' {
			continue // also four bytes 95 32 90 31, which is what is written
		}
		if got, _ := encodeGB18030(string(tt.want)); string(got) != tt.raw {
			t.Errorf("%q: encoded % X, want % X", tt.want, got, tt.raw)
		}
	}
}

func TestGB18030RoundTrip(t *testing.T) {
	lacking := 0
	for r := rune(0x80); r <= utf8.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		raw, ok := encodeGB18030(string(r))
		if !ok {
			if lacking++; r < 0xE000 || r > 0xF8FF {
				t.Errorf("U+%04X has no code", r)
			}
			continue
		}
		if text, bad := decodeGB18030(raw, false); bad >= 0 || text != string(r) {
			t.Fatalf("U+%04X: % X gives %q", r, raw, text)
		}
	}
	// Codes taken from the private use area: 18 by GB 18030-2022, A8 BC before it, six by Unicode 3.1, and A3 A0.
	if lacking != 26 {
		t.Errorf("%d characters without a code", lacking)
	}
}

func TestDecodeReportsWhatTheSenderLost(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"UTF-8 read as GBK", "PID|1||7||寮犱笁", CodeCharsetMojibake},
		{"odd number of characters", "PID|1||7||鐜嬪織鏄", CodeCharsetMojibake}, // 王志明, last byte lost
		{"replacement character", "PID|1||7||张\uFFFD", CodeCharsetReplaced},
		{"replacement characters read as GBK", "PID|1||7||锟斤拷", CodeCharsetReplaced},
		{"a glyph of the site's own", "PID|1||7||张\uE000", CodeCharsetPrivate},
		{"ordinary text", "NTE|1||复查肝功能、乙肝两对半，7～40 μmol/L，×10⁹/L；葉瑋珅𬎆䶮", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := Decode([]byte("MSH|^~\\&|A|||||||1|P|2.5\r"+tt.text), DecodeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got := codes(d.Findings); got != tt.want {
				t.Errorf("findings %q, want %q", got, tt.want)
			}
		})
	}
}

func TestEncodeRefusesWhatACharsetLacks(t *testing.T) {
	if _, err := Encode("简", Big5); err == nil {
		t.Error("Big5 has no 简")
	}
	if _, err := Encode("\xFF", UTF8); err == nil {
		t.Error("no UTF-8")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(gbMessage("GBK", gbk))
	f.Add([]byte(msh + "UNICODE UTF-8\rPID|1||7||张三"))
	f.Add([]byte("\xFF\xFEM\x00S\x00H\x00"))
	f.Add([]byte("MSH|^~\\&|A|||||||1|P|2.5||||||BIG-5\r\xA4\x5C"))
	f.Add([]byte(gbReplacement))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := Decode(raw, DecodeOptions{})
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(raw) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if !utf8.ValidString(d.Text) {
			t.Fatal("not UTF-8")
		}
		back, err := Encode(d.Text, d.Used)
		if err != nil {
			if d.Used == Big5 {
				return
			}
			t.Fatal(err)
		}
		// FE51 and five others are written with four bytes, so compare what is read, not the bytes.
		if again, err := decodeAs(trimMark(back), d.Used); err != nil || again != d.Text {
			t.Fatalf("%q is written as % X and read as %q, %v", d.Text, back, again, err)
		}
	})
}

func trimMark(raw []byte) []byte {
	cs, n := byteOrderMark(raw)
	if cs == UTF16LE || cs == UTF16BE {
		return raw[n:]
	}
	return raw
}
