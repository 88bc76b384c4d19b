package inbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"meridian/fhir/search"
	"meridian/mappings/engine"
	"meridian/mappings/maps"
	"meridian/server/interaction"
	"meridian/server/store"
	"meridian/server/store/mongostore"
	"meridian/server/store/pebblestore"
	"meridian/server/store/storetest"
)

// backend is one of the stores that the suite runs on.
type backend struct {
	name string
	open func(t testing.TB, c storetest.Config) store.Store
}

func openMap(_ testing.TB, c storetest.Config) store.Store { return storetest.NewMap(c) }

// standalone is the map as a standalone MongoDB is: without transactions.
type standalone struct{ store.Store }

func openStandalone(_ testing.TB, c storetest.Config) store.Store {
	return standalone{storetest.NewMap(c)}
}

func (standalone) Transactions() bool { return false }

func (s standalone) Commit(ctx context.Context, p store.CommitParams) error {
	if len(p.Writes) > 1 {
		return store.ErrNoTransactions
	}
	return s.Store.Commit(ctx, p)
}

func openPebble(t testing.TB, c storetest.Config) store.Store {
	t.Helper()
	return openPebbleOn(t, c, vfs.NewMem())
}

func openPebbleOn(t testing.TB, c storetest.Config, fs vfs.FS) store.Store {
	t.Helper()
	s, err := pebblestore.Open(pebblestore.Options{Dir: "db", FS: fs, Index: c.Index, Adopt: c.Adopt, IndexVersion: c.IndexVersion, Clock: c.Clock, CacheBytes: 8 << 20, MemTableBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// openMongo opens a database of its own, which is dropped at the end of the test.
func openMongo(t testing.TB, uri string, c storetest.Config) store.Store {
	t.Helper()
	s, err := mongostore.Open(t.Context(), mongostore.Options{URI: uri, Database: storetest.NewDatabase(t, uri), Index: c.Index, Adopt: c.Adopt, IndexVersion: c.IndexVersion, Clock: c.Clock,
		Settle: -1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// onAll runs a test on the map, on the map without transactions, on the
// embedded store in memory, and on MongoDB where MERIDIAN_TEST_MONGODB names one.
func onAll(t *testing.T, test func(t *testing.T, on backend)) {
	list := []backend{{"map", openMap}, {"standalone", openStandalone}, {"pebble", openPebble}}
	if uri := os.Getenv("MERIDIAN_TEST_MONGODB"); uri != "" {
		list = append(list, backend{"mongodb", func(t testing.TB, c storetest.Config) store.Store { return openMongo(t, uri, c) }})
	} else {
		t.Log("SKIPPED on MongoDB: MERIDIAN_TEST_MONGODB is not set")
	}
	for _, b := range list {
		t.Run(b.name, func(t *testing.T) { test(t, b) })
	}
}

// shippedMaps are loaded once: compiling them costs more than most tests.
var shippedMaps = sync.OnceValues(func() (*engine.Library, error) { return engine.Load(maps.FS) })

var registry = sync.OnceValues(func() (*search.Registry, error) { return search.New(search.Options{}) })

// setup says how a bench differs from the usual.
type setup struct {
	source   Source
	limits   Limits
	library  *engine.Library
	observer Observer
	log      *slog.Logger
	wrap     func(store.Store) store.Store // around the store that interactions use
	queue    func(store.Queue) store.Queue // around the queue
	idle     bool                          // the inbox is not started
}

// bench is an inbox over a store, with what a test asks of both.
type bench struct {
	*Inbox
	store   store.Store
	service *interaction.Service
	setup   setup
}

func newBench(t testing.TB, on backend, s setup) *bench {
	t.Helper()
	r, err := registry()
	if err != nil {
		t.Fatal(err)
	}
	st := on.open(t, storetest.Config{Index: interaction.Indexer(r), IndexVersion: r.IndexVersion(), Clock: time.Now})
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return benchOver(t, st, s)
}

// benchOver makes an inbox over a store that is there.
func benchOver(t testing.TB, st store.Store, s setup) *bench {
	t.Helper()
	r, err := registry()
	if err != nil {
		t.Fatal(err)
	}
	used, queue := st, st.Queue()
	if s.wrap != nil {
		used = s.wrap(st)
	}
	if s.queue != nil {
		queue = s.queue(queue)
	}
	service, err := interaction.New(interaction.Options{Store: used, Registry: r})
	if err != nil {
		t.Fatal(err)
	}
	library := s.library
	if library == nil {
		if library, err = shippedMaps(); err != nil {
			t.Fatal(err)
		}
	}
	if s.source.ID == "" {
		s.source.ID = "H001"
	}
	in, err := New(Options{Queue: queue, Service: service, Library: library, Sources: []Source{s.source}, Limits: s.limits, Observer: s.observer, Logger: s.log})
	if err != nil {
		t.Fatal(err)
	}
	if !s.idle {
		in.Start()
		t.Cleanup(in.Stop)
	}
	return &bench{in, st, service, s}
}

// give stores a message and gives its id.
func (b *bench) give(t testing.TB, text string) string {
	t.Helper()
	r, err := b.Receive(context.Background(), "", "test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r.ID
}

// take stores a message and waits until it has ended.
func (b *bench) take(t testing.TB, text string) store.Item {
	t.Helper()
	return b.wait(t, b.give(t, text))
}

func (b *bench) wait(t testing.TB, id string) store.Item {
	t.Helper()
	return b.waitFor(t, id, func(it store.Item) bool { return it.State == store.Done || it.State == store.Parked })
}

func (b *bench) waitFor(t testing.TB, id string, is func(store.Item) bool) store.Item {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		it, err := b.store.Queue().Get(context.Background(), id)
		if err != nil {
			t.Fatal(err)
		}
		if is(it) {
			return it
		}
		if time.Now().After(deadline) {
			t.Fatalf("message %s is still %s %s", id, it.State, it.Label)
		}
		time.Sleep(time.Millisecond)
	}
}

// must takes a message and checks how it ends.
func (b *bench) must(t testing.TB, label, text string) Envelope {
	t.Helper()
	it := b.take(t, text)
	env, err := readEnvelope(it.Note)
	if err != nil {
		t.Fatal(err)
	}
	if it.Label != label {
		t.Fatalf("the message ended as %s %s, want %s: %s", it.State, it.Label, label, it.Note)
	}
	return env
}

// fhir is a resource as a test looks at it.
type fhir map[string]any

// at goes down by names and indexes: "valueQuantity.value", "result.0.reference".
func (r fhir) at(path string) any {
	var v any = map[string]any(r)
	for _, name := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[name]
		case []any:
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

func (r fhir) text(path string) string {
	switch v := r.at(path).(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	default:
		return fmt.Sprint(v)
	}
}

func (r fhir) list(path string) []any { l, _ := r.at(path).([]any); return l }

// version and status of a resource: "2 corrected".
func (r fhir) state() string { return r.text("meta.versionId") + " " + r.text("status") }

// all gives the resources of a type, by id.
func (b *bench) all(t testing.TB, typ string) map[string]fhir {
	t.Helper()
	out := map[string]fhir{}
	plan := &search.Plan{Type: typ, Where: search.All{}, Limit: 1000}
	for {
		page, err := b.store.Search(context.Background(), plan)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range page.Rows {
			out[row.ID] = parse(t, row.Body)
		}
		if !page.More {
			return out
		}
		at := page.Rows[len(page.Rows)-1].At
		plan.After = &at
	}
}

func parse(t testing.TB, body []byte) fhir {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var r fhir
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	return r
}

// find gives the resources of a type whose JSON holds a text, in the order of their values.
func (b *bench) find(t testing.TB, typ, containing string) []fhir {
	t.Helper()
	var out []fhir
	for _, r := range b.all(t, typ) {
		raw, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw, []byte(containing)) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(x, y fhir) int {
		return strings.Compare(x.text("valueQuantity.value")+x.text("id"), y.text("valueQuantity.value")+y.text("id"))
	})
	return out
}

// one gives the only such resource.
func (b *bench) one(t testing.TB, typ, containing string) fhir {
	t.Helper()
	list := b.find(t, typ, containing)
	if len(list) != 1 {
		t.Fatalf("%d of type %s with %q, want 1", len(list), typ, containing)
	}
	return list[0]
}

// versions says how many versions there are of all resources of the types of a report.
func (b *bench) versions(t testing.TB) map[string]int {
	t.Helper()
	n := map[string]int{}
	for _, typ := range reportTypes {
		for id, r := range b.all(t, typ) {
			var v int
			if _, err := fmt.Sscan(r.text("meta.versionId"), &v); err != nil {
				t.Fatal(err)
			}
			n[typ+"/"+id] = v
		}
	}
	return n
}

var reportTypes = []string{"Patient", "Encounter", "ServiceRequest", "Specimen", "Observation", "DiagnosticReport", "Provenance"}

// oru is a report of message `header` (from MSH-7 on), with results.
func oru(header, issued string, obx ...string) string {
	return "MSH|^~\\&|LIS|H001|FHIR|HUB|" + header + "\r" +
		"PID|1||P0001^^^H001^MR||张三||19491231|F\r" +
		"OBR|1||R20261121-8|LIVER^肝功能^99LIS|||20261121073000|||||||||||||||" + issued + "||CH|F\r" + strings.Join(obx, "\r") + "\r"
}

const (
	alt   = "OBX|1|NM|ALT^*谷丙转氨酶^99LIS||72.50|U/L|7～40|↑|||F"
	altC  = "OBX|1|NM|ALT^*谷丙转氨酶^99LIS||27.50|U/L|7～40||||C"
	hbsag = "OBX|2|ST|HBSAG^乙肝表面抗原^99LIS||阴性||阴性||||F"
	first = "20261121083000+0800||ORU^R01^ORU_R01|7|P|2.5|||||CHN|UNICODE UTF-8"
)

// header is a header of the time hh:mm and a control id.
func header(clock, control string) string {
	return "20261121" + clock + "00+0800||ORU^R01^ORU_R01|" + control + "|P|2.5|||||CHN|UNICODE UTF-8"
}

// issued is OBR-22 at a time hh:mm.
func issued(clock string) string { return "20261121" + clock + "00" }
