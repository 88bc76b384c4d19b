package hl7v2

import (
	"strings"
	"testing"
)

// message builds a message from segment names: the grammar looks at nothing else.
func message(version, names string) string {
	var b strings.Builder
	b.WriteString("MSH|^~\\&|||||||ORU^R01^ORU_R01|1|P|" + version + "\r")
	for _, n := range strings.Fields(names) {
		b.WriteString(n + "|1\r")
	}
	return b.String()
}

func TestGroupsOfORU(t *testing.T) {
	const both = "PATIENT_RESULT(PATIENT(PID) ORDER_OBSERVATION(OBR OBSERVATION(OBX)))"
	tests := []struct {
		name, version, segments, want, findings string
	}{
		{"the smallest", "2.5", "PID OBR OBX", both, ""},
		{"no patient", "2.5", "OBR OBX", "PATIENT_RESULT(ORDER_OBSERVATION(OBR OBSERVATION(OBX)))", ""},
		{"software segments", "2.5.1", "SFT SFT PID OBR OBX", "SFT SFT " + both, ""},
		{"everything of 2.5", "2.5", "PID PD1 NTE NK1 NK1 PV1 PV2 ORC OBR NTE NTE TQ1 TQ2 TQ1 CTD OBX NTE OBX FT1 CTI SPM OBX OBX SPM DSC",
			"PATIENT_RESULT(PATIENT(PID PD1 NTE NK1 NK1 VISIT(PV1 PV2)) ORDER_OBSERVATION(ORC OBR NTE NTE TIMING_QTY(TQ1 TQ2) TIMING_QTY(TQ1) CTD " +
				"OBSERVATION(OBX NTE) OBSERVATION(OBX) FT1 CTI SPECIMEN(SPM OBX OBX) SPECIMEN(SPM))) DSC", ""},
		{"two orders, ORC only on the first", "2.5", "PID ORC OBR OBX OBR OBX",
			"PATIENT_RESULT(PATIENT(PID) ORDER_OBSERVATION(ORC OBR OBSERVATION(OBX)) ORDER_OBSERVATION(OBR OBSERVATION(OBX)))", ""},
		{"two patients", "2.3", "PID OBR OBX PID OBR OBX", both + " " + both, ""},
		{"next of kin before notes until 2.4", "2.4", "PID NK1 NTE OBR OBX", "PATIENT_RESULT(PATIENT(PID NK1 NTE) ORDER_OBSERVATION(OBR OBSERVATION(OBX)))", ""},
		{"2.8: participation and observations about the patient", "2.8", "PID PRT NTE ARV OBX PRT OBX PV1 PRT ORC PRT OBR PRT OBX PRT NTE SPM OBX PRT OBX",
			"PATIENT_RESULT(PATIENT(PID PRT NTE ARV PATIENT_OBSERVATION(OBX PRT) PATIENT_OBSERVATION(OBX) VISIT(PV1 PRT)) " +
				"ORDER_OBSERVATION(ORC PRT OBR PRT OBSERVATION(OBX PRT NTE) SPECIMEN(SPM OBX PRT OBX)))", ""},

		{"Z segments stay where they stand", "2.5", "ZZ1 PID ZPI OBR ZBR OBX ZBX NTE ZZ9",
			"ZZ1 PATIENT_RESULT(PATIENT(PID ZPI) ORDER_OBSERVATION(OBR ZBR OBSERVATION(OBX ZBX NTE ZZ9)))", ""},
		{"an unknown segment stays where it stands", "2.5", "PID OBR OBX AL1 OBX",
			"PATIENT_RESULT(PATIENT(PID) ORDER_OBSERVATION(OBR OBSERVATION(OBX AL1) OBSERVATION(OBX)))", CodeSegmentUnexpected},
		{"a note after PV1 belongs to the patient", "2.5", "PID PV1 NTE OBR OBX",
			"PATIENT_RESULT(PATIENT(PID VISIT(PV1) NTE) ORDER_OBSERVATION(OBR OBSERVATION(OBX)))", CodeSegmentOrder},
		{"timing after results belongs to the order", "2.5", "PID OBR OBX TQ1 TQ2 OBX",
			"PATIENT_RESULT(PATIENT(PID) ORDER_OBSERVATION(OBR OBSERVATION(OBX) TIMING_QTY(TQ1 TQ2) OBSERVATION(OBX)))", CodeSegmentOrder},
		{"results without an order", "2.5", "PID OBX OBX",
			"PATIENT_RESULT(PATIENT(PID) ORDER_OBSERVATION(OBSERVATION(OBX) OBSERVATION(OBX)))", CodeSegmentMissing},
		{"an order of which OBR is missing", "2.5", "PID ORC OBX",
			"PATIENT_RESULT(PATIENT(PID) ORDER_OBSERVATION(ORC OBSERVATION(OBX)))", CodeSegmentMissing},
		{"a visit without a patient", "2.5", "PV1 OBR OBX",
			"PATIENT_RESULT(PATIENT(VISIT(PV1)) ORDER_OBSERVATION(OBR OBSERVATION(OBX)))", CodeSegmentMissing},
		{"the patient after the order begins another result", "2.5", "OBR OBX PID",
			"PATIENT_RESULT(ORDER_OBSERVATION(OBR OBSERVATION(OBX))) PATIENT_RESULT(PATIENT(PID))", ""},
		{"a specimen in 2.4", "2.4", "PID OBR OBX SPM",
			"PATIENT_RESULT(PATIENT(PID) ORDER_OBSERVATION(OBR OBSERVATION(OBX) SPECIMEN(SPM)))", CodeSegmentVersion},
		{"specimen before results, as the grammar reads it", "2.5", "PID OBR SPM OBX OBX",
			"PATIENT_RESULT(PATIENT(PID) ORDER_OBSERVATION(OBR SPECIMEN(SPM OBX OBX)))", CodeSpecimenResults},
		{"a version of its own", "2.9", "PID OBR OBX", both, CodeVersionUnknown},
		{"no version", "", "PID OBR OBX", both, CodeVersionUnknown},
		{"version 2.2 is read as 2.3", "2.2", "PID OBR OBX", both, ""},
		{"no number", "V2", "PID OBR OBX", both, CodeVersionUnknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree := GroupMessage(mustParse(t, message(tt.version, tt.segments)), GroupOptions{})
			if got, want := shape(tree.Root), "ORU_R01(MSH "+tt.want+")"; got != want {
				t.Errorf("got\n%s, want\n%s", got, want)
			}
			if got := codes(tree.Findings); got != tt.findings {
				t.Errorf("findings %q, want %q", got, tt.findings)
			}
		})
	}
}

func TestGroupOptions(t *testing.T) {
	m := mustParse(t, message("2.5", "PID OBR SPM OBX NTE OBX OBR OBX SPM"))
	tree := GroupMessage(m, GroupOptions{SpecimenFirst: true})
	want := "ORU_R01(MSH PATIENT_RESULT(PATIENT(PID) ORDER_OBSERVATION(OBR SPECIMEN(SPM) OBSERVATION(OBX NTE) OBSERVATION(OBX))" +
		" ORDER_OBSERVATION(OBR OBSERVATION(OBX) SPECIMEN(SPM))))"
	if got := shape(tree.Root); got != want || len(tree.Findings) > 0 {
		t.Errorf("specimen first: got\n%s, want\n%s; %v", got, want, tree.Findings)
	}
	m = mustParse(t, "MSH|^~\\&|||||||OUL^R99|1|P|2.5\rPID|1\rOBR|1\rOBX|1\r")
	if tree := GroupMessage(m, GroupOptions{Structure: "ORU_R01"}); tree.Structure != "ORU_R01" || len(tree.Findings) > 0 {
		t.Errorf("structure given: %+v", tree)
	}
}

func TestStructureWithoutGrammar(t *testing.T) {
	tests := []struct{ msh9, structure, want, findings string }{
		{"ORU^R01", "ORU_R01", "ORU_R01(MSH PATIENT_RESULT(PATIENT(PID)))", ""},
		{"ORU^R32^ORU_R30", "ORU_R01", "ORU_R01(MSH PATIENT_RESULT(PATIENT(PID)))", CodeStructureUnknown},
		{"ORU", "ORU_R01", "ORU_R01(MSH PATIENT_RESULT(PATIENT(PID)))", CodeStructureUnknown},
		{"ADT^A01", "", "(MSH PID)", CodeStructureUnknown},
		{"", "", "(MSH PID)", CodeStructureUnknown},
		{"ACK", "ACK", "ACK(MSH PID)", CodeStructureUnknown + " " + CodeSegmentUnexpected},
		{"ACK^R01^ACK", "ACK", "ACK(MSH PID)", CodeSegmentUnexpected},
	}
	for _, tt := range tests {
		m := mustParse(t, "MSH|^~\\&|||||||"+tt.msh9+"|1|P|2.5\rPID|1\r")
		tree := GroupMessage(m, GroupOptions{})
		if got := shape(tree.Root); tree.Structure != tt.structure || got != tt.want || codes(tree.Findings) != tt.findings {
			t.Errorf("%q: %q %s %v", tt.msh9, tree.Structure, got, tree.Findings)
		}
	}
}

func TestGroupsAreNumberedAndFound(t *testing.T) {
	tree := GroupMessage(mustParse(t, message("2.5", "PID OBR OBX NTE NTE OBX OBR OBX")), GroupOptions{})
	result := tree.Root.Group("PATIENT_RESULT")
	var numbers []int
	for order := range result.Groups("ORDER_OBSERVATION") {
		for o := range order.Groups("OBSERVATION") {
			numbers = append(numbers, order.Number*10+o.Number)
			if o.Parent != order {
				t.Error("parent")
			}
		}
	}
	if len(numbers) != 3 || numbers[0] != 11 || numbers[1] != 12 || numbers[2] != 21 {
		t.Errorf("numbers %v", numbers)
	}
	o := result.Group("ORDER_OBSERVATION").Group("OBSERVATION")
	notes := 0
	for n := range o.Segments("NTE") {
		if notes++; n.Occurrence() != notes {
			t.Errorf("note %d is %s", notes, n.Label())
		}
	}
	if notes != 2 || o.Segment("OBX").Label() != "OBX[1]" || o.Segment("SPM").Exists() || o.Group("X") != nil {
		t.Error("segments of a group")
	}
	var none *Group
	if none.Group("X") != nil || none.Segment("Y").Exists() {
		t.Error("a nil group has something")
	}
}

func TestManySegmentsAreGroupedInTime(t *testing.T) {
	// 20,000 results below one order: numbering them must not look at all before.
	tree := GroupMessage(mustParse(t, message("2.5", "PID OBR "+strings.Repeat("OBX ", 20_000))), GroupOptions{})
	n := 0
	for o := range tree.Root.Group("PATIENT_RESULT").Group("ORDER_OBSERVATION").Groups("OBSERVATION") {
		if n++; o.Number != n {
			t.Fatalf("group %d has number %d", n, o.Number)
		}
	}
	if n != 20_000 {
		t.Errorf("%d groups", n)
	}
}

func TestGrammarsFitTheirFrames(t *testing.T) {
	var check func(of []element)
	check = func(of []element) {
		if len(of) > maxElements {
			t.Errorf("%d elements on one level", len(of))
		}
		for _, e := range of {
			check(e.of)
		}
	}
	for _, s := range structures {
		check(s.of)
	}
}
