package hl7v2

import "testing"

func TestUnescape(t *testing.T) {
	tests := []struct {
		name, in, want string
		unknown        int
		charset        Charset
	}{
		{"delimiters", `a\F\b\S\c\T\d\R\e\E\f`, `a|b^c&d~e\f`, 0, ""},
		{"line feeds", `一\.br\二\.sp2\三\.ce\四`, "一\n二\n\n三\n四", 0, ""},
		{"blanks", `a\.sk3\b`, "a   b", 0, ""},
		{"indentation and filling", `\.in+4\\.ti-2\\.fi\a\.nf\`, "a", 0, ""},
		{"highlighting", `\H\危急值\N\`, "危急值", 0, ""},
		{"hexadecimal", `a\X0D0A\b`, "a\r\nb", 0, ""},
		{"hexadecimal in UTF-8", `\XE5BCA0\`, "张", 0, UTF8},
		{"hexadecimal in GBK", `\XD5C5\`, "张", 0, GB18030},
		{"hexadecimal of no character", `\XFF\`, `\XFF\`, 1, ""},
		{"odd hexadecimal", `\X0\`, `\X0\`, 1, ""},
		{"GB 2312 by ISO 2022", `\M2441\UE\C2842\3`, "张3", 0, ""},
		{"another set", `\M2442\x`, `\M2442\x`, 1, ""},
		{"no truncation character", `\P\`, `\P\`, 1, ""},
		{"local sequence", `\Zabc\\T\`, `\Zabc\&`, 1, ""},
		{"path of a file", `\\srv\报告\a.pdf`, `\\srv\报告\a.pdf`, 3, ""},
		{"stray escape character", `5\2 mg\.br\x`, "5\\2 mg\nx", 1, ""},
		{"at the end", `100\`, `100\`, 1, ""},
		{"too many line feeds", `\.sp100\`, `\.sp100\`, 1, ""},
		{"case of letters matters", `\f\`, `\f\`, 1, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := DefaultDelimiters()
			got, unknown := d.Unescape(tt.in, tt.charset)
			if got != tt.want || unknown != tt.unknown {
				t.Errorf("got %q (%d unknown), want %q (%d)", got, unknown, tt.want, tt.unknown)
			}
		})
	}
}

func TestEscapeTextWritesWhatUnescapeReads(t *testing.T) {
	d := DefaultDelimiters()
	in, want := "a|b^c&d~e\\f\n张\r\v", `a\F\b\S\c\T\d\R\e\E\f\.br\张\X0D\\X0B\`
	got := d.EscapeText(in)
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if back, unknown := d.Unescape(got, ""); back != in || unknown != 0 {
		t.Errorf("back %q", back)
	}
	if got := d.EscapeText("阴性"); got != "阴性" {
		t.Errorf("got %q", got)
	}
	d = Delimiters{Field: '|', Component: '^'}
	if got := d.EscapeText("a|b\nc"); got != "a b c" {
		t.Errorf("without an escape character: %q", got)
	}
}
