package inbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"meridian/fhir/codec"
	"meridian/fhir/search"
	"meridian/mappings/engine"
	"meridian/mappings/hl7v2"
	"meridian/mappings/maps"
	"meridian/server/interaction"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

// bench is an inbox over a store, with what a test asks of both.
type bench struct {
	*Inbox
	store   store.Store
	service *interaction.Service
	library *engine.Library
}

func newBench(t testing.TB, sources ...Source) *bench {
	t.Helper()
	registry, err := search.New(search.Options{})
	if err != nil {
		t.Fatal(err)
	}
	index := func(body []byte) (*search.Facts, error) {
		tree, err := codec.Parse(body, codec.Options{})
		if err != nil {
			return nil, err
		}
		facts := new(search.Facts)
		return facts, registry.Index(tree.Root(), facts)
	}
	st := storetest.NewMap(storetest.Config{Index: index, IndexVersion: "1", Clock: time.Now})
	service, err := interaction.New(interaction.Options{Store: st, Registry: registry})
	if err != nil {
		t.Fatal(err)
	}
	library, err := engine.Load(maps.FS)
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) == 0 {
		sources = []Source{{Source: engine.Source{ID: "H001"}}}
	}
	in, err := New(Options{Queue: st.Queue(), Service: service, Library: library, Sources: sources})
	if err != nil {
		t.Fatal(err)
	}
	in.Start()
	t.Cleanup(in.Stop)
	return &bench{in, st, service, library}
}

// take stores a message and waits until it is finished; it gives its state and label.
func (b *bench) take(t testing.TB, text string) store.Item {
	t.Helper()
	r, err := b.Receive(context.Background(), "", "test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return b.wait(t, r.ID)
}

func (b *bench) wait(t testing.TB, id string) store.Item {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		it, err := b.store.Queue().Get(context.Background(), id)
		if err != nil {
			t.Fatal(err)
		}
		if it.State == store.Done || it.State == store.Parked {
			return it
		}
		if time.Now().After(deadline) {
			t.Fatalf("message %s is still %s", id, it.State)
		}
		time.Sleep(time.Millisecond)
	}
}

// versions gives the version of every resource of a type, by a text in its body.
func (b *bench) versions(t testing.TB, typ, containing string) []string {
	t.Helper()
	page, err := b.store.Search(context.Background(), &search.Plan{Type: typ, Where: search.All{}, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, row := range page.Rows {
		if bytes.Contains(row.Body, []byte(containing)) {
			var r struct{ Status string }
			_ = json.Unmarshal(row.Body, &r)
			out = append(out, fmt.Sprintf("%d %s", row.Version, r.Status))
		}
	}
	return out
}

func oru(header, issued string, obx ...string) string {
	s := "MSH|^~\\&|LIS|H001|FHIR|HUB|" + header + "\r" +
		"PID|1||P0001^^^H001^MR||张三||19491231|F\r" +
		"OBR|1||R20261121-8|LIVER^肝功能^99LIS|||20261121073000|||||||||||||||" + issued + "||CH|F\r"
	return s + strings.Join(obx, "\r") + "\r"
}

const (
	alt   = "OBX|1|NM|ALT^*谷丙转氨酶^99LIS||72.50|U/L|7～40|↑|||F"
	altC  = "OBX|1|NM|ALT^*谷丙转氨酶^99LIS||27.50|U/L|7～40||||C"
	hbsag = "OBX|2|ST|HBSAG^乙肝表面抗原^99LIS||阴性||阴性||||F"
	first = "20261121083000+0800||ORU^R01^ORU_R01|7|P|2.5|||||CHN|UNICODE UTF-8"
)

// Research notes 2.14 #1: one report with its results, each linked to the other.
func TestReportBecomesResources(t *testing.T) {
	b := newBench(t)
	if it := b.take(t, oru(first, "20261121082500", alt, hbsag)); it.Label != "committed" {
		t.Fatalf("outcome %s: %s", it.Label, it.Note)
	}
	for typ, n := range map[string]int{"Patient": 1, "Observation": 2, "DiagnosticReport": 1, "Provenance": 1} {
		if got := b.versions(t, typ, ""); len(got) != n {
			t.Errorf("%d of type %s, want %d", len(got), typ, n)
		}
	}
}

// 2.14 #2 and #3: a resend makes no version, neither byte for byte nor under a new control id and time.
func TestResendChangesNothing(t *testing.T) {
	b := newBench(t)
	text := oru(first, "20261121082500", alt, hbsag)
	one, err := b.Receive(context.Background(), "", "test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	b.wait(t, one.ID)
	two, err := b.Receive(context.Background(), "", "test", []byte(text))
	if err != nil || two.ID != one.ID || !two.Duplicate || two.Code != hl7v2.ApplicationAccept {
		t.Errorf("resend: %+v, %v", two, err)
	}
	again := strings.Replace(strings.Replace(text, "|7|P|", "|8|P|", 1), "20261121083000", "20261121093000", 1)
	if it := b.take(t, again); it.Label != "unchanged" {
		t.Errorf("the same content under a new control id: %s", it.Label)
	}
	for _, typ := range []string{"Patient", "Observation", "DiagnosticReport", "Provenance"} {
		for _, v := range b.versions(t, typ, "") {
			if !strings.HasPrefix(v, "1 ") {
				t.Errorf("%s has version %s", typ, v)
			}
		}
	}
}

// 2.14 #4 and #5: a correction is a new version of the same Observation and
// leaves the others alone; the earlier state, coming late, changes nothing.
func TestCorrectionThenStale(t *testing.T) {
	b := newBench(t)
	b.take(t, oru(first, "20261121082500", alt, hbsag))
	corrected := strings.Replace(oru(strings.Replace(first, "083000", "103000", 1), "20261121102500", altC, hbsag), "||CH|F", "||CH|C", 1)
	if it := b.take(t, corrected); it.Label != "committed" {
		t.Fatalf("correction: %s %s", it.Label, it.Note)
	}
	if got := b.versions(t, "Observation", "ALT"); len(got) != 1 || got[0] != "2 corrected" {
		t.Errorf("the corrected Observation: %v", got)
	}
	if got := b.versions(t, "Observation", "HBSAG"); len(got) != 1 || got[0] != "1 final" {
		t.Errorf("the other Observation: %v", got)
	}
	if got := b.versions(t, "DiagnosticReport", ""); len(got) != 1 || got[0] != "2 corrected" {
		t.Errorf("the report: %v", got)
	}
	late := oru(strings.Replace(first, "|7|P|", "|9|P|", 1), "20261121082500", alt, hbsag)
	if it := b.take(t, late); it.Label != "stale" {
		t.Errorf("the late message: %s", it.Label)
	}
	if got := b.versions(t, "Observation", "ALT"); got[0] != "2 corrected" {
		t.Errorf("after the late message: %v", got)
	}
}

// 2.14 #22: without PID-3 nothing is created, the message stands parked, the sender has its AA (ack: stored).
func TestUnidentifiedPatientParks(t *testing.T) {
	b := newBench(t)
	text := strings.Replace(oru(first, "20261121082500", alt), "P0001^^^H001^MR", "", 1)
	r, err := b.Receive(context.Background(), "", "test", []byte(text))
	if err != nil || r.Code != hl7v2.ApplicationAccept {
		t.Fatalf("%+v %v", r, err)
	}
	it := b.wait(t, r.ID)
	if it.State != store.Parked || it.Label != "patient.unidentified" {
		t.Errorf("%s %s", it.State, it.Label)
	}
	if got := b.versions(t, "Observation", ""); got != nil {
		t.Errorf("resources were made: %v", got)
	}
}

// 2.14 #23: bytes that are no message are kept and rejected.
func TestNoMessageIsKeptAndRejected(t *testing.T) {
	b := newBench(t)
	r, err := b.Receive(context.Background(), "", "test", []byte("GET / HTTP/1.1\r\n"))
	if err != nil || r.Code != hl7v2.ApplicationReject {
		t.Fatalf("%+v %v", r, err)
	}
	if it := b.wait(t, r.ID); it.State != store.Parked || string(it.Body) != "GET / HTTP/1.1\r\n" {
		t.Errorf("%s %q", it.State, it.Body)
	}
}

// Quality control is no patient data (MSH-11 Q).
func TestQualityControlIsFiltered(t *testing.T) {
	b := newBench(t)
	it := b.take(t, strings.Replace(oru(first, "20261121082500", alt), "|7|P|", "|7|Q|", 1))
	if it.Label != "filtered" || b.versions(t, "Patient", "") != nil {
		t.Errorf("%s %v", it.Label, b.versions(t, "Patient", ""))
	}
}

// What another source or a person added to a Patient stays when a report names him.
func TestMergeKeepsWhatTheMessageDoesNotSay(t *testing.T) {
	b := newBench(t)
	b.take(t, oru(first, "20261121082500", alt))
	page, _ := b.store.Search(context.Background(), &search.Plan{Type: "Patient", Where: search.All{}, Limit: 1})
	body := bytes.Replace(page.Rows[0].Body, []byte(`"gender":"female"`), []byte(`"gender":"female","maritalStatus":{"text":"已婚"}`), 1)
	if _, err := b.service.Apply(context.Background(), []interaction.Put{{Key: page.Rows[0].Key, Revise: func(*store.Resource) ([]byte, bool, error) { return body, false, nil }}}); err != nil {
		t.Fatal(err)
	}
	next := strings.Replace(oru(strings.Replace(first, "|7|P|", "|8|P|", 1), "20261121102500", altC), "19491231", "19491230", 1)
	if it := b.take(t, next); it.Label != "committed" {
		t.Fatalf("%s %s", it.Label, it.Note)
	}
	page, _ = b.store.Search(context.Background(), &search.Plan{Type: "Patient", Where: search.All{}, Limit: 1})
	if got := string(page.Rows[0].Body); !strings.Contains(got, "已婚") || !strings.Contains(got, "1949-12-30") || page.Rows[0].Version != 3 {
		t.Errorf("version %d: %s", page.Rows[0].Version, got)
	}
}

// Over a real connection: frames in, acknowledgments out, matched by MSA-2.
func TestMLLP(t *testing.T) {
	b := newBench(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	door := b.Listen(l, "")
	conn, err := net.Dial("tcp", door.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := hl7v2.NewClient(conn, hl7v2.ClientOptions{AckTimeout: 5 * time.Second})
	for i := range 5 {
		a, err := c.Send(context.Background(), []byte(strings.Replace(oru(first, "20261121082500", alt), "|7|P|", fmt.Sprintf("|7%d|P|", i), 1)))
		if err != nil || !a.Positive() {
			t.Fatalf("%+v %v", a, err)
		}
	}
	if err := door.Close(); err != nil {
		t.Error(err)
	}
}
