package hl7v2

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sampleDir = "../../testdata/hl7v2"

func readSample(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(sampleDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// shape writes the groups of a tree with the names of their segments: PATIENT(PID VISIT(PV1)).
func shape(g *Group) string {
	var parts []string
	for s, c := range g.Children() {
		if c != nil {
			parts = append(parts, shape(c))
		} else {
			parts = append(parts, s.Name())
		}
	}
	return g.Name + "(" + strings.Join(parts, " ") + ")"
}

func times(n int, s string) string { return strings.TrimSuffix(strings.Repeat(s+" ", n), " ") }

const obxGroup = "OBSERVATION(OBX)"

func TestSamples(t *testing.T) {
	patient := "PATIENT(PID VISIT(PV1))"
	cbc := "ORU_R01(MSH PATIENT_RESULT(" + patient + " ORDER_OBSERVATION(ORC OBR " + times(6, obxGroup) + " SPECIMEN(SPM))))"
	electrolytes := strings.Replace(cbc, times(6, obxGroup), times(3, obxGroup), 1)
	liver := "ORU_R01(MSH PATIENT_RESULT(" + patient +
		" ORDER_OBSERVATION(ORC OBR NTE TIMING_QTY(TQ1) " + times(14, obxGroup) + " SPECIMEN(SPM))" +
		" ORDER_OBSERVATION(ORC OBR " + obxGroup + " OBSERVATION(OBX NTE) " + times(4, obxGroup) + " SPECIMEN(SPM ZLR))))"
	tests := []struct {
		file     string
		used     Charset
		name     string // PID-5.1, or PID-5.2
		findings string
		shape    string
	}{
		{"oru_r01.hl7", UTF8, "张三", "", liver},
		{"oru_r01_correction.hl7", UTF8, "张三", "", liver},
		{"oru_r01_withdrawn.hl7", UTF8, "张三", "", liver},
		{"oru_r01_preliminary.hl7", UTF8, "欧阳秀兰", "", electrolytes},
		{"oru_r01_final.hl7", UTF8, "欧阳秀兰", "", electrolytes},
		{"oru_r01_cancelled.hl7", UTF8, "马晓东", "", "ORU_R01(MSH PATIENT_RESULT(" + patient + " ORDER_OBSERVATION(ORC OBR NTE " + times(2, obxGroup) + ")))"},
		{"oru_r01_gbk.hl7", GB18030, "葉瑋珅", "", cbc},
		{"oru_r01_gbk_undeclared.hl7", GB18030, "葉瑋珅", "", cbc},
		{"oru_r01_gbk_ascii.hl7", GB18030, "葉瑋珅", CodeCharsetContradicted, cbc},
		{"oru_r01_bom.hl7", UTF8, "葉瑋珅", "", cbc},
		{"oru_r01_gb18030.hl7", GB18030, "龚䶮𬎆", "", cbc},
		{"oru_r01_same_item.hl7", UTF8, "孙丽华", "", "ORU_R01(MSH PATIENT_RESULT(PATIENT(PID) ORDER_OBSERVATION(ORC OBR " + times(5, obxGroup) + ")))"},
		{"oru_r01_pdf.hl7", UTF8, "孙丽华", "", "ORU_R01(MSH PATIENT_RESULT(PATIENT(PID) ORDER_OBSERVATION(OBR " + times(2, obxGroup) + ")))"},
		{"oru_r01_no_pid3.hl7", UTF8, "无名氏", "", "ORU_R01(MSH PATIENT_RESULT(PATIENT(PID) ORDER_OBSERVATION(OBR OBSERVATION(OBX))))"},
		{"mindray_bc.hl7", UTF8, "王建国", "", "ORU_R01(MSH PATIENT_RESULT(" + patient + " ORDER_OBSERVATION(OBR " + times(32, obxGroup) + ")))"},
		{"mindray_bc_qc.hl7", UTF8, "", "", "ORU_R01(MSH PATIENT_RESULT(ORDER_OBSERVATION(OBR " + times(30, obxGroup) + ")))"},
		{"mindray_bs.hl7", GB18030, "赵桂英", CodeCharsetContradicted, "ORU_R01(MSH PATIENT_RESULT(PATIENT(PID) ORDER_OBSERVATION(OBR " + times(4, obxGroup) + ")))"},
		{"mindray_bs_qc.hl7", GB18030, "", CodeCharsetContradicted, "ORU_R01(MSH PATIENT_RESULT(ORDER_OBSERVATION(OBR)))"},
	}
	seen := map[string]bool{"README.md": true, "garbage.hl7": true}
	for _, tt := range tests {
		seen[tt.file] = true
		t.Run(tt.file, func(t *testing.T) {
			d, err := Decode(readSample(t, tt.file), DecodeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			m := mustParse(t, d.Text)
			if m.Print() != d.Text || len(m.Findings) > 0 {
				t.Errorf("not printed as parsed; findings %v", m.Findings)
			}
			name := m.Segment("PID", 1).Field(5)
			if got := name.Component(1).Text() + name.Component(2).Text(); got != tt.name {
				t.Errorf("PID-5 %q, want %q", got, tt.name)
			}
			tree := GroupMessage(m, GroupOptions{})
			if got := shape(tree.Root); got != tt.shape {
				t.Errorf("groups\n%s, want\n%s", got, tt.shape)
			}
			if got := codes(append(d.Findings, tree.Findings...)); d.Used != tt.used || got != tt.findings {
				t.Errorf("charset %s, findings %q", d.Used, got)
			}
		})
	}
	files, err := os.ReadDir(sampleDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !seen[f.Name()] {
			t.Errorf("%s has no row here", f.Name())
		}
	}
}

func TestSampleWithoutMSHIsRefusedAndAnswered(t *testing.T) {
	raw := readSample(t, "garbage.hl7")
	_, err := Decode(raw, DecodeOptions{})
	wantOffset(t, err, bytes.IndexByte(raw, 0xFF))
	got := string(BuildAck(ScanHeader(raw), Ack{Code: ApplicationReject, ControlID: "M1", Time: ackTime}))
	if want := "MSH|^~\\&|||||20261121083001+0800||ACK|M1|P|2.5\rMSA|AR\r"; got != want {
		t.Errorf("answer %q", got)
	}
}

// corpora is where larger public message collections lie: MERIDIAN_CORPORA, or a folder beside the checkout.
func corpora(t testing.TB, name string) []byte {
	t.Helper()
	dir := os.Getenv("MERIDIAN_CORPORA")
	if dir == "" {
		dir = "../../../shared/corpora"
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		t.Skipf("SKIPPED: corpus %s not found in %s; set MERIDIAN_CORPORA to its folder", name, dir)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// The messages of google/simhospital: 1,013, of which 610 are ORU^R01 with 3,323 OBX, all of version 2.3.
func TestSimulatedHospital(t *testing.T) {
	messages, rest := Split(corpora(t, "simhospital-messages.txt.gz"))
	if len(messages) != 1013 || len(rest) != 0 {
		t.Fatalf("%d messages, %d bytes between them", len(messages), len(rest))
	}
	reports, results := 0, 0
	for i, raw := range messages {
		d, err := Decode(raw, DecodeOptions{})
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		m, err := Parse(d.Text, ParseOptions{Charset: d.Used})
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if m.Print() != d.Text+"\r" || len(m.Findings)+len(d.Findings) > 0 {
			t.Errorf("message %d: not printed as parsed; %v %v", i, d.Findings, m.Findings)
		}
		tree := GroupMessage(m, GroupOptions{})
		if m.Structure() != "ORU_R01" {
			if codes(tree.Findings) != CodeStructureUnknown { // no grammar for ADT and MDM yet
				t.Errorf("message %d, %s: %v", i, m.Structure(), tree.Findings)
			}
			continue
		}
		reports++
		if len(tree.Findings) > 0 {
			t.Errorf("message %d: %v", i, tree.Findings)
		}
		for s := range tree.Root.All() {
			if s.Name() == "OBX" {
				results++
			}
		}
	}
	if reports != 610 || results != 3323 {
		t.Errorf("%d reports with %d results", reports, results)
	}
}
