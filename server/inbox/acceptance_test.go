package inbox

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"meridian/mappings/hl7v2"
	"meridian/server/store"
)

// The rows of research notes 2.14 that ORU^R01 is about, on every store.

// #1: one report with its results, each linked to the other; an order only where the placer has a number.
func TestReportBecomesResources(t *testing.T) {
	onAll(t, func(t *testing.T, on backend) {
		b := newBench(t, on, setup{})
		text := oru(first, issued("0825"), alt, hbsag, "OBX|3|NM|AST^谷草转氨酶^99LIS||41|U/L|13～35|↑|||F")
		text = strings.Replace(text, "OBR|1||", "OBR|1|O77|", 1) + "SPM|1|S1||SER^血清^HL70487\r"
		r, err := b.Receive(context.Background(), "", "test", []byte(text))
		if err != nil || r.Code != hl7v2.ApplicationAccept || !strings.Contains(string(r.Answer), "\rMSA|AA|7\r") {
			t.Errorf("answer %q, %v", r.Answer, err)
		}
		if it := b.wait(t, r.ID); it.Label != "committed" {
			t.Fatalf("outcome %s: %s", it.Label, it.Note)
		}
		for typ, n := range map[string]int{"Patient": 1, "Observation": 3, "DiagnosticReport": 1, "Provenance": 1, "ServiceRequest": 1, "Specimen": 1, "Encounter": 0} {
			if got := b.all(t, typ); len(got) != n {
				t.Errorf("%d of type %s, want %d", len(got), typ, n)
			}
		}
		report := b.one(t, "DiagnosticReport", "")
		if report.text("status") != "final" || len(report.list("result")) != 3 {
			t.Errorf("report: %s, %d results", report.text("status"), len(report.list("result")))
		}
		for i := range 3 {
			ref := report.text("result." + string(rune('0'+i)) + ".reference")
			if b.all(t, "Observation")[strings.TrimPrefix(ref, "Observation/")] == nil {
				t.Errorf("result %s is not there", ref)
			}
		}
	})
}

// #1: without a placer's number there is no order to tell of.
func TestReportWithoutOrder(t *testing.T) {
	b := newBench(t, backend{"map", openMap}, setup{})
	b.must(t, "committed", oru(first, issued("0825"), alt))
	if got := b.all(t, "ServiceRequest"); len(got) != 0 {
		t.Errorf("%d orders were made", len(got))
	}
}

// #2 and #3: a resend makes no version, neither byte for byte nor under a new control id and time.
func TestResendChangesNothing(t *testing.T) {
	onAll(t, func(t *testing.T, on backend) {
		b := newBench(t, on, setup{})
		text := oru(first, issued("0825"), alt, hbsag)
		one, err := b.Receive(context.Background(), "", "test", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		b.wait(t, one.ID)
		two, err := b.Receive(context.Background(), "", "test", []byte(text))
		if err != nil || two.ID != one.ID || !two.Duplicate || two.Code != hl7v2.ApplicationAccept {
			t.Errorf("resend: %+v, %v", two, err)
		}
		msa := func(r Receipt) string { return strings.Split(string(r.Answer), "\r")[1] }
		if msa(one) != msa(two) {
			t.Errorf("answers %q and %q", msa(one), msa(two))
		}
		b.must(t, "unchanged", oru(header("0930", "8"), issued("0825"), alt, hbsag))
		for key, v := range b.versions(t) {
			if v != 1 {
				t.Errorf("%s has version %d", key, v)
			}
		}
	})
}

// #4 and #5: a correction is a new version of the same Observation and leaves
// the others alone; the earlier state, coming late, changes nothing.
func TestCorrectionThenStale(t *testing.T) {
	onAll(t, func(t *testing.T, on backend) {
		b := newBench(t, on, setup{})
		b.must(t, "committed", oru(first, issued("0825"), alt, hbsag))
		b.must(t, "committed", strings.Replace(oru(header("1030", "8"), issued("1025"), altC, hbsag), "||CH|F", "||CH|C", 1))
		if got := b.one(t, "Observation", "ALT"); got.state() != "2 corrected" || got.text("valueQuantity.value") != "27.50" {
			t.Errorf("the corrected Observation: %s %s", got.state(), got.text("valueQuantity.value"))
		}
		if got := b.one(t, "Observation", "HBSAG"); got.state() != "1 final" {
			t.Errorf("the other Observation: %s", got.state())
		}
		if got := b.one(t, "DiagnosticReport", ""); got.state() != "2 corrected" {
			t.Errorf("the report: %s", got.state())
		}
		before := b.versions(t)
		b.must(t, "stale", strings.Replace(oru(header("1100", "9"), issued("0825"), alt, hbsag), "张三", "张山", 1))
		for key, v := range b.versions(t) {
			if before[key] != v {
				t.Errorf("after the late message %s has version %d, before %d", key, v, before[key])
			}
		}
	})
}

// #6: a withdrawn result stays with its value and its history, as entered in error.
func TestWithdrawnResult(t *testing.T) {
	onAll(t, func(t *testing.T, on backend) {
		b := newBench(t, on, setup{})
		b.must(t, "committed", oru(first, issued("0825"), alt, hbsag))
		b.must(t, "committed", oru(header("1030", "8"), issued("1025"), strings.Replace(alt, "|||F", "|||W", 1), hbsag))
		got := b.one(t, "Observation", "ALT")
		if got.state() != "2 entered-in-error" || got.text("valueQuantity.value") != "72.50" {
			t.Errorf("%s %s", got.state(), got.text("valueQuantity.value"))
		}
		old, err := b.store.ReadVersion(context.Background(), store.Key{Type: "Observation", ID: got.text("id")}, 1)
		if err != nil || parse(t, old.Body).text("status") != "final" {
			t.Errorf("version 1: %v", err)
		}
	})
}

// #7: preliminary, final, and final again: two versions.
func TestPreliminaryThenFinal(t *testing.T) {
	onAll(t, func(t *testing.T, on backend) {
		b := newBench(t, on, setup{})
		b.must(t, "committed", strings.Replace(oru(header("0800", "1"), issued("0755"), strings.Replace(alt, "|||F", "|||P", 1)), "||CH|F", "||CH|P", 1))
		if o, r := b.one(t, "Observation", ""), b.one(t, "DiagnosticReport", ""); o.state() != "1 preliminary" || r.state() != "1 preliminary" {
			t.Errorf("first: %s, %s", o.state(), r.state())
		}
		b.must(t, "committed", oru(header("0900", "2"), issued("0855"), alt))
		b.must(t, "unchanged", oru(header("0910", "3"), issued("0855"), alt))
		if o, r := b.one(t, "Observation", ""), b.one(t, "DiagnosticReport", ""); o.state() != "2 final" || r.state() != "2 final" {
			t.Errorf("then: %s, %s", o.state(), r.state())
		}
	})
}

// #8: a cancelled order cancels its report, and its results that have no value.
func TestCancelledReport(t *testing.T) {
	b := newBench(t, backend{"map", openMap}, setup{})
	text := oru(first, issued("0825"), "OBX|1|NM|ALT^谷丙转氨酶^99LIS|||U/L|7～40||||X")
	b.must(t, "committed", strings.Replace(text, "||CH|F", "||CH|X", 1))
	if o, r := b.one(t, "Observation", ""), b.one(t, "DiagnosticReport", ""); o.state() != "1 cancelled" || r.state() != "1 cancelled" {
		t.Errorf("%s, %s", o.state(), r.state())
	}
}

// #9: results of one item told apart by OBX-4 keep their ids when their order changes.
func TestSameItemBySubID(t *testing.T) {
	onAll(t, func(t *testing.T, on backend) {
		b := newBench(t, on, setup{})
		zero, sixty := "OBX|1|NM|GLU^葡萄糖^99LIS|0|5.1|mmol/L|||||F", "OBX|2|NM|GLU^葡萄糖^99LIS|60|8.9|mmol/L|||||F"
		b.must(t, "committed", oru(header("0800", "1"), issued("0755"), zero, sixty))
		b.take(t, oru(header("0810", "2"), issued("0755"), sixty, zero))
		got := append(b.find(t, "Observation", "GLU"), b.one(t, "DiagnosticReport", ""))
		if len(got) != 3 || got[0].state() != "1 final" || got[1].state() != "1 final" || got[2].state() != "1 final" {
			t.Errorf("results and report: %v", got)
		}
	})
}

// #10: results of one item that nothing tells apart are told apart by their order, and a finding says so.
func TestSameItemByOrder(t *testing.T) {
	b := newBench(t, backend{"map", openMap}, setup{})
	env := b.must(t, "committed", oru(first, issued("0825"), "OBX|1|NM|INS^胰岛素^99LIS||9.8|mU/L|||||F", "OBX|2|NM|INS^胰岛素^99LIS||66.0|mU/L|||||F"))
	if got := b.find(t, "Observation", "INS"); len(got) != 2 {
		t.Errorf("%d results", len(got))
	}
	if !hasFinding(env, "obx.ambiguous") {
		t.Errorf("findings: %v", env.Findings)
	}
}

func hasFinding(env Envelope, code string) bool {
	for _, f := range env.Findings {
		if f.Code == code {
			return true
		}
	}
	return false
}

// #11: an explicit null in OBX-5 takes the value away and says that it is absent.
func TestDeletedValue(t *testing.T) {
	b := newBench(t, backend{"map", openMap}, setup{})
	b.must(t, "committed", oru(header("0800", "1"), issued("0755"), alt))
	b.must(t, "committed", oru(header("0900", "2"), issued("0855"), `OBX|1|NM|ALT^*谷丙转氨酶^99LIS||""|U/L|7～40||||C`))
	got := b.one(t, "Observation", "ALT")
	if got.at("valueQuantity") != nil || got.at("dataAbsentReason") == nil || got.state() != "2 corrected" {
		t.Errorf("%s value %v, absent %v", got.state(), got.at("valueQuantity"), got.at("dataAbsentReason"))
	}
}

// #12: a PDF in OBX is the report's presented form; where its base64 is broken the message is parked with the place.
func TestReportAsPDF(t *testing.T) {
	b := newBench(t, backend{"map", openMap}, setup{})
	pdf := "%PDF-1.4\n1 0 obj\nendobj\n%%EOF\n"
	obx := "OBX|2|ED|PDF^检验报告单^99LIS||LIS^application^PDF^Base64^" + base64.StdEncoding.EncodeToString([]byte(pdf)) + "||||||F"
	b.must(t, "committed", oru(header("0800", "1"), issued("0755"), alt, obx))
	form := b.one(t, "DiagnosticReport", "")
	if form.text("presentedForm.0.contentType") != "application/pdf" || form.text("presentedForm.0.data") != base64.StdEncoding.EncodeToString([]byte(pdf)) || form.text("presentedForm.0.hash") == "" {
		t.Errorf("presented form: %v", form.at("presentedForm"))
	}
	broken := strings.Replace(obx, "Base64^", "Base64^§§", 1)
	it := b.take(t, oru(header("0900", "2"), issued("0855"), alt, broken))
	env, _ := readEnvelope(it.Note)
	if it.State != store.Parked || env.Parked == nil || !strings.HasPrefix(env.Parked.Path, "OBX[2].5.5") {
		t.Errorf("%s %s %+v", it.State, it.Label, env.Parked)
	}
}

// #22: without a patient's number nothing is created, the message stands parked, the sender has its AA (ack: stored).
func TestUnidentifiedPatientParks(t *testing.T) {
	onAll(t, func(t *testing.T, on backend) {
		b := newBench(t, on, setup{})
		text := strings.Replace(oru(first, issued("0825"), alt), "P0001^^^H001^MR", "", 1)
		r, err := b.Receive(context.Background(), "", "test", []byte(text))
		if err != nil || r.Code != hl7v2.ApplicationAccept {
			t.Fatalf("%+v %v", r, err)
		}
		it := b.wait(t, r.ID)
		if it.State != store.Parked || it.Label != "patient.unidentified" {
			t.Errorf("%s %s", it.State, it.Label)
		}
		if len(b.versions(t)) != 0 {
			t.Errorf("resources were made: %v", b.versions(t))
		}
	})
}

// #23: bytes that are no message are kept and rejected.
func TestNoMessageIsKeptAndRejected(t *testing.T) {
	onAll(t, func(t *testing.T, on backend) {
		b := newBench(t, on, setup{})
		r, err := b.Receive(context.Background(), "", "test", []byte("GET / HTTP/1.1\r\n"))
		if err != nil || r.Code != hl7v2.ApplicationReject || !strings.Contains(string(r.Answer), "MSA|AR") {
			t.Fatalf("%+v %v", r, err)
		}
		if it := b.wait(t, r.ID); it.State != store.Parked || string(it.Body) != "GET / HTTP/1.1\r\n" {
			t.Errorf("%s %q", it.State, it.Body)
		}
	})
}

// Quality control is no patient data (MSH-11 Q).
func TestQualityControlIsFiltered(t *testing.T) {
	b := newBench(t, backend{"map", openMap}, setup{})
	b.must(t, "filtered", strings.Replace(oru(first, issued("0825"), alt), "|7|P|", "|7|Q|", 1))
	if len(b.versions(t)) != 0 {
		t.Errorf("resources were made: %v", b.versions(t))
	}
}

// Of two states with the same OBR-22 the one whose message is later stands, in whichever order they come.
func TestSameStateTimeIsDecidedByTheMessage(t *testing.T) {
	onAll(t, func(t *testing.T, on backend) {
		b := newBench(t, on, setup{})
		final := oru(header("0900", "1"), issued("0755"), alt)
		corrected := strings.Replace(oru(header("1000", "2"), issued("0755"), altC), "||CH|F", "||CH|C", 1)
		b.must(t, "committed", final)
		b.must(t, "committed", corrected)
		b.must(t, "stale", strings.Replace(final, "|1|P|", "|3|P|", 1))
		if o := b.one(t, "Observation", ""); o.state() != "2 corrected" {
			t.Errorf("%s", o.state())
		}
	})
}

// A sample number that an analyzer uses again the next day is another person's report, not a change of the first one's.
func TestSampleNumberUsedAgainIsAnotherReport(t *testing.T) {
	b := newBench(t, backend{"map", openMap}, setup{})
	one := oru(header("0900", "1"), issued("0855"), alt)
	b.must(t, "committed", one)
	other := strings.Replace(strings.Replace(oru(header("1000", "2"), issued("0955"), altC), "P0001^^^H001^MR", "P0002^^^H001^MR", 1), "张三", "李四", 1)
	b.must(t, "committed", other)
	if got := b.find(t, "DiagnosticReport", ""); len(got) != 2 || got[0].state() != "1 final" || got[1].state() != "1 final" {
		t.Errorf("%v", got)
	}
}

// A message that names fewer numbers of a person takes none away.
func TestIdentifiersStay(t *testing.T) {
	b := newBench(t, backend{"map", openMap}, setup{})
	both := strings.Replace(oru(header("0900", "1"), issued("0855"), alt), "P0001^^^H001^MR", "P0001^^^H001^MR~11010519491231002X^^^^NI", 1)
	b.must(t, "committed", both)
	b.must(t, "committed", oru(header("1000", "2"), issued("0955"), altC))
	if p := b.find(t, "Patient", "11010519491231002X"); len(p) != 1 {
		t.Errorf("the citizen id is gone: %v", p)
	}
}
