//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// mixedConnections work at once. Each owns a patient and knows what it wrote of it, so that every answer is checked to the letter while
// the others write.
const (
	mixedConnections = 64
	mixedFirst       = 20 // Observations of each patient before the load begins
	mixedReads       = 60 // of a hundred operations
	mixedSearches    = 30
)

// mixedTime is how long the load lasts: MERIDIAN_MIXED, such as 5m.
func mixedTime(t *testing.T) time.Duration {
	s := os.Getenv("MERIDIAN_MIXED")
	if s == "" {
		return 5 * time.Second
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		t.Fatalf("MERIDIAN_MIXED is a time such as 5m, not %q", s)
	}
	return d
}

// Sixty-four connections read, search and write at once: no answer is a 5xx, and no total is wrong.
//
//	MERIDIAN_MIXED=5m go test -run TestMixedLoad -v -timeout 10m ./server/
func TestMixedLoad(t *testing.T) {
	t.Run("embedded", func(t *testing.T) { mixedLoad(t, serveGate(t, gateDir(t))) })
	t.Run("mongodb", func(t *testing.T) {
		uri := os.Getenv("MERIDIAN_TEST_MONGODB")
		if uri == "" {
			t.Skip("SKIPPED: MERIDIAN_TEST_MONGODB is not set")
		}
		mixedLoad(t, serveGate(t, gateDir(t), "--mongodb", uri, "--database", mixedDatabase(t, uri)))
	})
}

// mixedDatabase is a database that goes with t.
func mixedDatabase(t *testing.T, uri string) string {
	name := fmt.Sprintf("meridian_mixed_%d", os.Getpid())
	t.Cleanup(func() {
		client, err := mongo.Connect(options.Client().ApplyURI(uri))
		if err == nil {
			err = errors.Join(client.Database(name).Drop(context.Background()), client.Disconnect(context.Background()))
		}
		if err != nil {
			t.Errorf("drop %s: %v", name, err)
		}
	})
	return name
}

// mixed is the load on one server. Of each item it counts the creates and deletes begun and done, which bound what a search over all
// patients may find while they go on.
type mixed struct {
	created, deleted [3]struct{ begun, done atomic.Int64 }
	failed           atomic.Pointer[error]
}

// mixedItems are what is measured.
var mixedItems = [3]string{"718-7", "2345-7", "2160-0"}

func mixedLoad(t *testing.T, s *gateServer) {
	m := &mixed{}
	wires := dialAll(t, s.addr, mixedConnections)
	workers := make([]*mixedWorker, mixedConnections)
	for i := range workers {
		workers[i] = &mixedWorker{m: m, wire: wires[i], random: rand.New(rand.NewPCG(gateSeed, uint64(i))), number: i, times: map[string][]time.Duration{}}
	}
	inTurn := func(step func(*mixedWorker) error) time.Duration {
		begun := time.Now()
		var all sync.WaitGroup
		for _, w := range workers {
			all.Go(func() {
				if err := step(w); err != nil {
					err = fmt.Errorf("connection %d: %w", w.number, err)
					m.failed.CompareAndSwap(nil, &err)
				}
			})
		}
		all.Wait()
		if err := m.failed.Load(); err != nil {
			t.Fatal(*err)
		}
		return time.Since(begun)
	}
	inTurn((*mixedWorker).begin)
	end := time.Now().Add(mixedTime(t))
	took := inTurn(func(w *mixedWorker) error {
		for time.Now().Before(end) && m.failed.Load() == nil {
			if err := w.operate(); err != nil {
				return err
			}
		}
		return nil
	})
	inTurn((*mixedWorker).final)
	t.Log(mixedTable(workers, took))
}

// mixedWorker is one connection. It alone writes about its patient.
type mixedWorker struct {
	m      *mixed
	wire   *wire
	random *rand.Rand
	number int
	own    []*mixedObservation // all that it created, in the order of their dates
	times  map[string][]time.Duration
}

// mixedObservation is what the server must answer for one.
type mixedObservation struct {
	id                   string
	item, value, version int
	deleted              bool
}

func (o *mixedObservation) status() string {
	if o.version > 1 {
		return "amended"
	}
	return "final"
}

func (w *mixedWorker) patient() string { return fmt.Sprintf("mixed-%02d", w.number) }

// ask does a request that has to be answered with want, and keeps how long it took under kind.
func (w *mixedWorker) ask(kind string, want int, method, path string, body []byte) ([]byte, error) {
	begun := time.Now()
	status, answer, err := w.wire.do(method, "/fhir/"+path, body)
	w.times[kind] = append(w.times[kind], time.Since(begun))
	if err == nil && status != want {
		err = fmt.Errorf("answered %d, want %d: %.500s", status, want, answer)
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w", method, path, err)
	}
	return answer, err
}

func (w *mixedWorker) begin() error {
	defer clear(w.times)
	body := fmt.Appendf(nil, `{"resourceType":"Patient","id":%q,"identifier":[{"system":"urn:mixed","value":%q}]}`, w.patient(), w.patient())
	if _, err := w.ask("", 201, "PUT", "Patient/"+w.patient(), body); err != nil {
		return err
	}
	for range mixedFirst {
		if err := w.create(); err != nil {
			return err
		}
	}
	return nil
}

func (w *mixedWorker) operate() error {
	switch n := w.random.IntN(100); {
	case n < mixedReads:
		return w.read()
	case n < mixedReads+mixedSearches:
		return w.search(w.random.IntN(len(mixedSearchKinds)))
	default:
		return w.write()
	}
}

// read asks for an own Observation, which stands as it was written last or is gone, or for the patient of another.
func (w *mixedWorker) read() error {
	if w.random.IntN(4) == 0 {
		_, err := w.ask("read", 200, "GET", fmt.Sprintf("Patient/mixed-%02d", w.random.IntN(mixedConnections)), nil)
		return err
	}
	o := w.own[w.random.IntN(len(w.own))]
	if o.deleted {
		_, err := w.ask("read", 410, "GET", "Observation/"+o.id, nil)
		return err
	}
	body, err := w.ask("read", 200, "GET", "Observation/"+o.id, nil)
	if err != nil {
		return err
	}
	if !bytes.Contains(body, fmt.Appendf(nil, `"versionId":"%d"`, o.version)) || !bytes.Contains(body, fmt.Appendf(nil, `"value":%d,`, o.value)) {
		return fmt.Errorf("Observation/%s is not version %d with the value %d: %s", o.id, o.version, o.value, body)
	}
	return nil
}

func (w *mixedWorker) write() error {
	live := w.live(func(*mixedObservation) bool { return true })
	switch n := w.random.IntN(10); {
	case n < 6 || len(live) < mixedFirst:
		return w.create()
	case n < 9:
		return w.update(live[w.random.IntN(len(live))])
	default:
		return w.delete(live[w.random.IntN(len(live))])
	}
}

// live are the own Observations that are not deleted and of which the rule is true.
func (w *mixedWorker) live(rule func(*mixedObservation) bool) (list []*mixedObservation) {
	for _, o := range w.own {
		if !o.deleted && rule(o) {
			list = append(list, o)
		}
	}
	return list
}

// body is an Observation as sent. Dates follow the order of creation.
func (w *mixedWorker) body(o *mixedObservation, nth int) []byte {
	id := ""
	if o.id != "" {
		id = fmt.Sprintf(`"id":%q,`, o.id)
	}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(nth) * time.Minute)
	return fmt.Appendf(nil, `{"resourceType":"Observation",%s"status":%q,"code":{"coding":[{"system":"http://loinc.org","code":%q}]},"subject":{"reference":"Patient/%s"},"effectiveDateTime":%q,"valueQuantity":{"value":%d,"unit":"g/L","system":"http://unitsofmeasure.org","code":"g/L"}}`,
		id, o.status(), mixedItems[o.item], w.patient(), at.Format(time.RFC3339), o.value)
}

func (w *mixedWorker) create() error {
	o := &mixedObservation{item: w.random.IntN(len(mixedItems)), value: w.random.IntN(100), version: 1}
	w.m.created[o.item].begun.Add(1)
	if _, err := w.ask("create", 201, "POST", "Observation", w.body(o, len(w.own))); err != nil {
		return err
	}
	w.m.created[o.item].done.Add(1)
	_, o.id, _ = strings.Cut(located(w.wire.location), "/")
	w.own = append(w.own, o)
	return nil
}

func (w *mixedWorker) update(o *mixedObservation) error {
	o.version++
	o.value = (o.value + 1 + w.random.IntN(98)) % 100 // another one
	_, err := w.ask("update", 200, "PUT", "Observation/"+o.id, w.body(o, slices.Index(w.own, o)))
	return err
}

func (w *mixedWorker) delete(o *mixedObservation) error {
	w.m.deleted[o.item].begun.Add(1)
	if _, err := w.ask("delete", 204, "DELETE", "Observation/"+o.id, nil); err != nil {
		return err
	}
	o.deleted = true
	w.m.deleted[o.item].done.Add(1)
	return nil
}

// mixedSearchKinds are searches by an own item; each with what it must find of the own Observations.
var mixedSearchKinds = []struct {
	name, query string // $P the patient, $C the item
	rule        func(o *mixedObservation, item int) bool
	page        int // entries on the page at most; 0: only the total
}{
	{"subject", "subject=Patient/$P&_count=10", func(*mixedObservation, int) bool { return true }, 10},
	{"subject and code", "subject=Patient/$P&code=http://loinc.org|$C&_count=20", func(o *mixedObservation, item int) bool { return o.item == item }, 20},
	{"subject and status", "subject=Patient/$P&status=amended&_count=20", func(o *mixedObservation, _ int) bool { return o.version > 1 }, 20},
	{"subject and value", "subject=Patient/$P&value-quantity=ge50&_count=20", func(o *mixedObservation, _ int) bool { return o.value >= 50 }, 20},
	{"count", "subject=Patient/$P&code=$C&_summary=count", func(o *mixedObservation, item int) bool { return o.item == item }, 0},
	{"chain", "patient.identifier=urn:mixed|$P&code=$C&_count=5", func(o *mixedObservation, item int) bool { return o.item == item }, 5},
	{"sorted", "subject=Patient/$P&_sort=-date&_count=5", func(*mixedObservation, int) bool { return true }, 5},
	{"_include", "subject=Patient/$P&code=$C&_count=5&_include=Observation:subject", func(o *mixedObservation, item int) bool { return o.item == item }, 5},
	{"of all patients", "code=$C&_count=20", nil, 20},
}

// search asks and checks the total, and the resources of the page where their order is asked for.
func (w *mixedWorker) search(kind int) error {
	k, item := &mixedSearchKinds[kind], w.random.IntN(len(mixedItems))
	query := "Observation?_total=accurate&" + strings.NewReplacer("$P", w.patient(), "$C", mixedItems[item]).Replace(k.query)
	least, most := w.m.created[item].done.Load(), -w.m.deleted[item].done.Load()
	answer, err := w.ask("search "+k.name, 200, "GET", query, nil)
	if err != nil {
		return err
	}
	least, most = least-w.m.deleted[item].begun.Load(), most+w.m.created[item].begun.Load()
	var expected []*mixedObservation
	if k.rule != nil {
		expected = w.live(func(o *mixedObservation) bool { return k.rule(o, item) })
		least, most = int64(len(expected)), int64(len(expected))
	}
	if err := checkPage(answer, least, most, k.page, expected, strings.Contains(k.query, "_sort")); err != nil {
		return fmt.Errorf("%s: %w: %.2000s", query, err, answer)
	}
	return nil
}

// checkPage holds a page to the total, to the number of its matches and, where it is sorted by date downward, to their order.
func checkPage(answer []byte, least, most int64, page int, expected []*mixedObservation, sorted bool) error {
	var r struct {
		Total *int64
		Entry []struct {
			Resource struct{ ID string }
			Search   struct{ Mode string }
		}
	}
	if err := json.Unmarshal(answer, &r); err != nil {
		return err
	}
	if r.Total == nil || *r.Total < least || *r.Total > most {
		return fmt.Errorf("the total is not in %d to %d", least, most)
	}
	matches := 0
	for _, e := range r.Entry {
		if e.Search.Mode != "match" {
			continue
		}
		if sorted && e.Resource.ID != expected[len(expected)-1-matches].id {
			return fmt.Errorf("match %d is not %s", matches, expected[len(expected)-1-matches].id)
		}
		matches++
	}
	if want := min(int64(page), *r.Total); int64(matches) != want {
		return fmt.Errorf("%d matches, want %d", matches, want)
	}
	return nil
}

// final asks everything once more when no one writes: then the search over all patients is exact too.
func (w *mixedWorker) final() error {
	times := w.times
	w.times = map[string][]time.Duration{}
	defer func() { w.times = times }()
	for range 3 { // the items are drawn
		for kind := range mixedSearchKinds {
			if err := w.search(kind); err != nil {
				return err
			}
		}
	}
	return nil
}

// mixedTable is what each kind of operation took.
func mixedTable(workers []*mixedWorker, took time.Duration) string {
	kinds := map[string][]time.Duration{}
	for _, w := range workers {
		for kind, times := range w.times {
			kinds[kind] = append(kinds[kind], times...)
			group, _, parts := strings.Cut(kind, " ")
			if !parts && group != "read" {
				group = "write"
			}
			if group != kind {
				kinds["all: "+group] = append(kinds["all: "+group], times...)
			}
			kinds["all"] = append(kinds["all"], times...)
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s, %d connections, clients in the same process; load average %s\n\n| operation | number | per second | p50 ms | p99 ms | longest ms |\n|--|--|--|--|--|--|\n",
		took.Round(time.Second), len(workers), loadAverage())
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		times := kinds[kind]
		slices.Sort(times)
		ms := func(d time.Duration) string { return short(float64(d) / 1e6) }
		fmt.Fprintf(&out, "| %s | %d | %.0f | %s | %s | %s |\n", kind, len(times), float64(len(times))/took.Seconds(),
			ms(times[len(times)/2]), ms(times[len(times)*99/100]), ms(times[len(times)-1]))
	}
	return out.String()
}
