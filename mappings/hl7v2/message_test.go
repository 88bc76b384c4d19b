package hl7v2

import (
	"errors"
	"strings"
	"testing"
)

func mustParse(t testing.TB, text string) *Message {
	t.Helper()
	m, err := Parse(text, ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const sample = "MSH|^~\\&|LIS|HOSP|HIS|HOSP|20261121083000+0800||ORU^R01^ORU_R01|42|P|2.5\r" +
	"PID|1||000123^^^HOSP^PI~11010519491231002X^^^^NI||张^三||19491231|M|\"\"\r" +
	"OBR|1\r" +
	"OBX|1|NM|ALT^丙氨酸氨基转移酶^L||52||7～40|H~A\r" +
	"OBX|2|ST|X&Y&Z^b||a\\T\\b||\r" +
	"ZPI|1|自定义\r"

func TestPositionsAreAsPrinted(t *testing.T) {
	m := mustParse(t, sample)
	obx := m.Segment("OBX", 1)
	tests := []struct {
		place string
		got   Value
		want  string
		state State
	}{
		{"MSH-1", m.Header().Field(1), "|", Present},
		{"MSH-2", m.Header().Field(2), "^~\\&", Present},
		{"MSH-2.1 is MSH-2 itself", m.Header().Field(2).Component(1), "^~\\&", Present},
		{"MSH-3", m.Header().Field(3), "LIS", Present},
		{"MSH-9.2", m.Header().Field(9).Component(2), "R01", Present},
		{"MSH-12", m.Header().Field(12), "2.5", Present},
		{"MSH-13", m.Header().Field(13), "", Absent},
		{"PID-3(2).5", m.Segment("PID", 1).Field(3).Repetition(2).Component(5), "NI", Present},
		{"PID-3(3)", m.Segment("PID", 1).Field(3).Repetition(3), "", Absent},
		{"PID-3.1 is of the first repetition", m.Segment("PID", 1).Field(3).Component(1), "000123", Present},
		{"PID-2", m.Segment("PID", 1).Field(2), "", Empty},
		{"PID-3.2", m.Segment("PID", 1).Field(3).Component(2), "", Empty},
		{"PID-9 null", m.Segment("PID", 1).Field(9), `""`, Null},
		{"PID-9.3 null with its field", m.Segment("PID", 1).Field(9).Component(3), `""`, Null},
		{"PID-10 absent", m.Segment("PID", 1).Field(10), "", Absent},
		{"PID-0", m.Segment("PID", 1).Field(0), "", Absent},
		{"OBX-3.2", obx.Field(3).Component(2), "丙氨酸氨基转移酶", Present},
		{"OBX-5.1 of a plain value", obx.Field(5).Component(1), "52", Present},
		{"OBX-5.1.1 of a plain value", obx.Field(5).Component(1).Sub(1), "52", Present},
		{"OBX-5.2", obx.Field(5).Component(2), "", Absent},
		{"OBX-8(2)", obx.Field(8).Repetition(2), "A", Present},
		{"OBX[2]-3.1.3", m.Segment("OBX", 2).Field(3).Component(1).Sub(3), "Z", Present},
		{"OBX[2]-3.1.3 from the field", m.Segment("OBX", 2).Field(3).Sub(3), "Z", Present},
		{"OBX[2]-7 empty at the end", m.Segment("OBX", 2).Field(7), "", Empty},
		{"OBX[3]", m.Segment("OBX", 3).Field(1), "", Absent},
		{"ZPI-2", m.Segment("ZPI", 1).Field(2), "自定义", Present},
	}
	for _, tt := range tests {
		if tt.got.Raw() != tt.want || tt.got.State() != tt.state {
			t.Errorf("%s: got %q %v, want %q %v", tt.place, tt.got.Raw(), tt.got.State(), tt.want, tt.state)
		}
	}
	if got := m.Segment("OBX", 2).Field(5).Text(); got != "a&b" {
		t.Errorf("text %q", got)
	}
	if len(m.Findings) != 0 {
		t.Errorf("findings %v", m.Findings)
	}
}

func TestCounts(t *testing.T) {
	m := mustParse(t, sample)
	pid := m.Segment("PID", 1)
	if n := pid.Field(3).Repetitions(); n != 2 {
		t.Errorf("PID-3 has %d repetitions", n)
	}
	if n := pid.Field(10).Repetitions(); n != 0 {
		t.Errorf("PID-10 has %d repetitions", n)
	}
	if n := pid.Field(3).Components(); n != 5 {
		t.Errorf("PID-3 has %d components", n)
	}
	if n := m.Segment("OBX", 2).Field(3).Subs(); n != 3 {
		t.Errorf("OBX-3.1 has %d subcomponents", n)
	}
	if n := m.Header().Fields(); n != 12 {
		t.Errorf("MSH has %d fields", n)
	}
	if n := m.Header().Field(2).Repetitions(); n != 1 {
		t.Errorf("MSH-2 has %d repetitions", n)
	}
	var reps []string
	for i, r := range pid.Field(3).Each() {
		reps = append(reps, r.Component(5).Text())
		if i != len(reps) {
			t.Errorf("repetition numbered %d", i)
		}
	}
	if strings.Join(reps, " ") != "PI NI" {
		t.Errorf("repetitions %v", reps)
	}
	for field, want := range map[int]string{2: "empty", 5: "present", 9: "null", 10: ""} {
		got := ""
		for _, r := range pid.Field(field).Each() {
			got += r.State().String()
		}
		if got != want {
			t.Errorf("PID-%d repeats as %q, want %q", field, got, want)
		}
	}
}

func TestLongTextsAreReadInTime(t *testing.T) {
	// Quadratic work would take minutes here.
	m := mustParse(t, "MSH|^~\\&|A\n"+strings.Repeat("NTE|1\n", 45_000)+"OBX|1||||"+strings.Repeat("x~", 1<<20)+"\n")
	n := 0
	for range m.Segment("OBX", 1).Field(5).Each() {
		n++
	}
	if m.Len() != 45_002 || n != 1<<20+1 {
		t.Errorf("%d segments, %d repetitions", m.Len(), n)
	}
}

func TestLabelsNameTheOccurrenceInTheMessage(t *testing.T) {
	m := mustParse(t, sample)
	s := m.Segment("OBX", 2)
	tests := []struct{ got, want string }{
		{s.Label(), "OBX[2]"},
		{s.Position(5, 1, 1, 0).String(), "OBX[2].5.1"},
		{s.Position(8, 2, 0, 0).String(), "OBX[2].8[2]"},
		{s.Position(3, 0, 1, 2).String(), "OBX[2].3.1.2"},
		{Segment{}.Label(), ""},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
	var b strings.Builder
	b.WriteString("MSH|^~\\&|\r")
	for i := range 30 { // more names than the small table holds
		b.WriteString("Z" + string(rune('A'+i%26)) + string(rune('0'+i/26)) + "|\r")
	}
	b.WriteString("ZZ0|\rZD1|\rZD1|\r")
	m = mustParse(t, b.String())
	if got := m.At(m.Len() - 1).Label(); got != "ZD1[3]" {
		t.Error(got)
	}
	if got := m.At(m.Len() - 3).Label(); got != "ZZ0[2]" {
		t.Error(got)
	}
}

func TestDelimitersComeFromMSH(t *testing.T) {
	m := mustParse(t, "MSH$%*!@$LIS$$$$$$ORU%R01$1$P$2.5\rPID$1$$7%%%H*8$$a!S!b@c\r")
	if d := m.Delimiters(); d != (Delimiters{'$', '%', '*', '!', '@', 0}) {
		t.Fatalf("%+v", d)
	}
	pid := m.Segment("PID", 1)
	if pid.Field(3).Repetition(2).Raw() != "8" || pid.Field(5).Component(1).Sub(1).Text() != "a%b" || pid.Field(5).Sub(2).Text() != "c" {
		t.Error(pid.Raw())
	}
	if m.Print() != m.Text() {
		t.Error(m.Print())
	}
	m = mustParse(t, "MSH|^~\\&#|LIS\rNTE|1||cut\\P\\#\r")
	if d := m.Delimiters(); d.Truncation != '#' || m.Header().Field(2).Raw() != "^~\\&#" {
		t.Errorf("%+v", d)
	}
	if got := m.Segment("NTE", 1).Field(3).Text(); got != "cut##" {
		t.Error(got)
	}
}

func TestShortMSH2LeavesDelimitersUnused(t *testing.T) {
	m := mustParse(t, "MSH|^~|LIS\rNTE|1||a\\F\\b&c\r")
	if got := m.Segment("NTE", 1).Field(3); got.Text() != "a\\F\\b&c" || got.Sub(1).Raw() != "a\\F\\b&c" {
		t.Errorf("%q", got.Raw())
	}
	if codes(m.Findings) != CodeDelimiters {
		t.Error(m.Findings)
	}
}

func TestSegmentEnds(t *testing.T) {
	tests := []struct{ name, text, print, findings string }{
		{"CR", "MSH|^~\\&|A\rPID|1\r", "MSH|^~\\&|A\rPID|1\r", ""},
		{"no CR at the end", "MSH|^~\\&|A\rPID|1", "MSH|^~\\&|A\rPID|1\r", ""},
		{"LF", "MSH|^~\\&|A\nPID|1\n", "MSH|^~\\&|A\rPID|1\r", CodeSegmentEnding},
		{"CR LF", "MSH|^~\\&|A\r\nPID|1\r\n", "MSH|^~\\&|A\rPID|1\r", CodeSegmentEnding},
		{"blank line", "MSH|^~\\&|A\r\rPID|1\r", "MSH|^~\\&|A\rPID|1\r", ""},
		{"frame bytes left over", "\vMSH|^~\\&|A\rPID|1\r\x1c\r", "MSH|^~\\&|A\rPID|1\r", CodeTextTrimmed},
		{"blanks before MSH", "\n  MSH|^~\\&|A\rPID|1\r", "MSH|^~\\&|A\rPID|1\r", CodeTextTrimmed},
		{"trailing blank of a value", "MSH|^~\\&|A\rNTE|1||x ", "MSH|^~\\&|A\rNTE|1||x \r", ""},
		{"line break in a field", "MSH|^~\\&|A\rOBX|1|FT|A||两肺\r纹理清|||F\rNTE|1\r", "MSH|^~\\&|A\rOBX|1|FT|A||两肺\r纹理清|||F\rNTE|1\r", CodeSegmentContinued},
		{"LF in a field", "MSH|^~\\&|A\rOBX|1|FT|A||两肺\n纹理清|||F\rNTE|1\r", "MSH|^~\\&|A\rOBX|1|FT|A||两肺\n纹理清|||F\rNTE|1\r", CodeSegmentEnding + " " + CodeSegmentContinued},
		{"empty segment by name", "MSH|^~\\&|A\rPID|1\rDSC\r", "MSH|^~\\&|A\rPID|1\rDSC\r", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := mustParse(t, tt.text)
			if got := m.Print(); got != tt.print {
				t.Errorf("printed %q", got)
			}
			if got := codes(m.Findings); got != tt.findings {
				t.Errorf("findings %q, want %q", got, tt.findings)
			}
			if m.Text() != tt.text {
				t.Error("Text is not what was parsed")
			}
		})
	}
	m := mustParse(t, tests[8].text)
	if got := m.Segment("OBX", 1); got.Field(5).Text() != "两肺\r纹理清" || got.Field(8).Text() != "F" {
		t.Errorf("fields after a line break: %q %q", got.Field(5).Raw(), got.Field(8).Raw())
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct {
		name, text string
		opt        ParseOptions
		code       string
		offset     int
	}{
		{"nothing", " \r\n", ParseOptions{}, CodeMessageEmpty, -1},
		{"another format", "H|\\^&|||", ParseOptions{}, CodeMessageHeader, 0},
		{"a batch", "FHS|^~\\&|", ParseOptions{}, CodeMessageHeader, 0},
		{"MSH alone", "\rMSH", ParseOptions{}, CodeMessageHeader, 1},
		{"MSH without separator", "MSHA^~\\&", ParseOptions{}, CodeMessageHeader, 0},
		{"two messages", "MSH|^~\\&|A\rMSH|^~\\&|B\r", ParseOptions{}, CodeMessageSecond, 11},
		{"bytes", "MSH|^~\\&|A\rPID|1\r", ParseOptions{Limits: Limits{MaxBytes: 10}}, CodeLimit, 10},
		{"segments", "MSH|^~\\&|A\rPID|1\r", ParseOptions{Limits: Limits{MaxSegments: 1}}, CodeLimit, 11},
		{"fields", "MSH|^~\\&|A\rPID|1\r", ParseOptions{Limits: Limits{MaxFields: 2}}, CodeLimit, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(tt.text, tt.opt)
			var e *Error
			if !errors.As(err, &e) || e.Code != tt.code || e.Offset != tt.offset {
				t.Errorf("got %v, want %s at %d", err, tt.code, tt.offset)
			}
		})
	}
}

func TestFindingsAreBounded(t *testing.T) {
	m := mustParse(t, "MSH|^~\\&|A\r"+strings.Repeat("NTE|1||x\ny\r", 3*MaxFindings))
	if n := len(m.Findings); n != MaxFindings || m.Findings[n-1].Code != CodeFindingsCut {
		t.Errorf("%d findings, the last %v", n, m.Findings[n-1])
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample)
	f.Add("MSH|^~\\&|A\r\nOBX|1|FT|A||a\nb\\.br\\c|||F\n\x1c\r")
	f.Add("MSH$%*!@#$A\rZZZ$\"\"$!X0D!!M2441!!C2842!!.sp9!!Xff!")
	f.Add("MSH|^~\\&|A||||||ORU^R01|1|P|2.5\rOBX|1\rPID|1\rSPM|1\rOBX|2\rORC|1\rTQ2|\rPRT|\r")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Parse(text, ParseOptions{Limits: Limits{MaxSegments: 1000}})
		if err != nil {
			return
		}
		printed := m.Print()
		if len(m.Findings) == 0 && strings.HasSuffix(text, "\r") && !strings.Contains(text, "\r\r") && printed != text {
			t.Fatalf("%q printed as %q without a finding", text, printed)
		}
		again, err := Parse(printed, ParseOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if p := again.Print(); p != printed {
			t.Fatalf("printed %q, then %q", printed, p)
		}
		n := 0
		for s := range GroupMessage(m, GroupOptions{}).Root.All() {
			if n++; s.Raw() == "" {
				t.Fatal("an empty segment")
			}
		}
		if n != m.Len() {
			t.Fatalf("%d of %d segments in groups", n, m.Len())
		}
		for _, s := range m.Segments() {
			for i := range min(s.Fields(), 20) + 2 {
				v := s.Field(i)
				v.Component(2).Sub(2).Text()
				d := m.Delimiters()
				if text := v.Text(); d.Escape != 0 {
					if back, unknown := d.Unescape(d.EscapeText(text), UTF8); back != text || unknown != 0 {
						t.Fatalf("%q escaped as %q and back %q", text, d.EscapeText(text), back)
					}
				}
			}
		}
	})
}
