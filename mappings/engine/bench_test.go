package engine

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"meridian/mappings/hl7v2"
	"meridian/mappings/maps"
	"meridian/mappings/source"
)

// benchItems are twenty items of a chemistry panel as a laboratory prints them: codes, names, units, ranges and flags all differ.
var benchItems = [20][5]string{
	{"ALT", "*谷丙转氨酶", "U/L", "7～40", "↑"}, {"AST", "*谷草转氨酶", "U/L", "13-35", ""}, {"GGT", "γ-谷氨酰转肽酶", "U/L", "7-45", "H"},
	{"ALP", "碱性磷酸酶", "U/L", "35～100", ""}, {"TP", "总蛋白", "g/L", "65.0-85.0", ""}, {"ALB", "白蛋白", "g/L", "40.0-55.0", "↓"},
	{"TBIL", "总胆红素", "μmol/L", "≤23.0", ""}, {"DBIL", "直接胆红素", "μmol/L", "<8.0", ""}, {"UREA", "尿素", "mmol/L", "2.6-7.5", ""},
	{"CREA", "肌酐", "umol/L", "男:57-97;女:41-73", ""}, {"UA", "尿酸", "umol/L", "155-357", "↑"}, {"GLU", "葡萄糖", "mmol/L", "3.9--6.1", ""},
	{"TC", "总胆固醇", "mmol/L", "<5.18", ""}, {"TG", "甘油三酯", "mmol/L", "<1.70", "H"}, {"HDL-C", "高密度脂蛋白胆固醇", "mmol/L", ">1.04", ""},
	{"LDL-C", "低密度脂蛋白胆固醇", "mmol/L", "<3.37", ""}, {"K", "钾", "mmol/L", "3.5-5.3", "N"}, {"NA", "钠", "mmol/L", "137-147", ""},
	{"CL", "氯", "mmol/L", "99-110", "L"}, {"CA", "钙", "mmol/L", "2.11-2.52", ""},
}

// benchMessage is an ORU^R01 of twenty results with order, visit and specimen, in the charset named.
func benchMessage(tb testing.TB, charset hl7v2.Charset) []byte {
	var s strings.Builder
	fmt.Fprintf(&s, "MSH|^~\\&|LIS|H001|FHIR|HUB|20261121083000+0800||ORU^R01^ORU_R01|7|P|2.5.1|||||CHN|%s\r", charset)
	s.WriteString("PID|1||P0001^^^H001^MR~11010519491231002X^^^^NI||葉瑋^^^^^^L||19491231|F|||北京市朝阳区^^北京^^100020||13800138000\r")
	s.WriteString("PV1|1|O|内科门诊||||||||||||||||V20261121-3\rORC|RE|A7001|R20261121-8||CM\r")
	s.WriteString("OBR|1|A7001|R20261121-8|LIVER^生化全套^99LIS|||20261121073000|||||||||1023^王医生||||||20261121082500||CH|F|||||||2001&李审核\r")
	for i, it := range benchItems {
		fmt.Fprintf(&s, "OBX|%d|NM|%s^%s^99LIS||%d.%d0|%s|%s|%s|||F|||20261121082000||2002^赵检验\r", i+1, it[0], it[1], 3+i*7, i%10, it[2], it[3], it[4])
	}
	s.WriteString("SPM|1|S55012||SER^血清^HL70487|||||||||||||20261121073000|20261121074000\r")
	raw, err := hl7v2.Encode(s.String(), charset)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

// BenchmarkMap20OBX is the whole way from bytes to the bundle's bytes. Budget: 0.2 ms on one core. The message named "gate" is
// that of the server's Gate, 1.7 times as long as the others: its figure is the one to compare with the budget. The variants named
// "heap" run beside 64 MiB that a server holds anyway (its store's cache): in an empty heap the collector runs every 25 messages, and
// what it costs is that of the program's tables, not of the messages.
func BenchmarkMap20OBX(b *testing.B) {
	l, err := Load(maps.FS)
	if err != nil {
		b.Fatal(err)
	}
	m := l.Find(Input{"hl7v2", "ORU_R01"})
	src := &Source{ID: "H001"}
	for _, c := range []struct {
		name string
		raw  []byte
	}{
		{"utf8", benchMessage(b, hl7v2.UTF8)}, {"gb18030", benchMessage(b, hl7v2.GB18030)}, {"gate", files(b)["oru_r01"]},
	} {
		raw := c.raw
		for _, heap := range []int{0, 64 << 20} {
			name := c.name
			if heap > 0 {
				name += "-heap"
			}
			b.Run(name, func(b *testing.B) {
				held := make([]byte, heap)
				b.ReportAllocs()
				b.SetBytes(int64(len(raw)))
				for b.Loop() {
					res, err := m.Run(record(b, raw), src, benchTime)
					if err != nil || len(res.Resources) < 26 || len(res.Bundle()) == 0 {
						b.Fatal(err, len(res.Resources))
					}
				}
				runtime.KeepAlive(held)
			})
		}
	}
}

// BenchmarkStages shows where the time of BenchmarkMap20OBX goes.
func BenchmarkStages(b *testing.B) {
	l, err := Load(maps.FS)
	if err != nil {
		b.Fatal(err)
	}
	m := l.Find(Input{"hl7v2", "ORU_R01"})
	src := &Source{ID: "H001"}
	raw := benchMessage(b, hl7v2.GB18030)
	d, err := hl7v2.Decode(raw, hl7v2.DecodeOptions{})
	if err != nil {
		b.Fatal(err)
	}
	msg, err := hl7v2.Parse(d.Text, hl7v2.ParseOptions{})
	if err != nil {
		b.Fatal(err)
	}
	g := hl7v2.GroupMessage(msg, hl7v2.GroupOptions{})
	tree := source.FromV2(msg, g)
	res, err := m.Run(tree, src, benchTime)
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range []struct {
		name string
		f    func()
	}{
		{"decode", func() { _, _ = hl7v2.Decode(raw, hl7v2.DecodeOptions{}) }},
		{"parse", func() { _, _ = hl7v2.Parse(d.Text, hl7v2.ParseOptions{}) }},
		{"group", func() { hl7v2.GroupMessage(msg, hl7v2.GroupOptions{}) }},
		{"record", func() { source.FromV2(msg, g) }},
		{"run", func() { _, _ = m.Run(tree, src, benchTime) }},
		{"bundle", func() { res.Bundle() }},
	} {
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.f()
			}
		})
	}
}

// benchTime is when the messages of the tests are received.
var benchTime = time.Date(2026, 11, 21, 0, 30, 2, 0, time.UTC)

func record(tb testing.TB, raw []byte) *source.Tree {
	t, err := tree(raw)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}
