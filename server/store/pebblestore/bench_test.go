package pebblestore

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"meridian/fhir/search"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

// Size of the store that reading benchmarks use; the figures in
// docs/format/pebble.md are of -resources 100000 and 1000000.
var resources = flag.Int("resources", 20_000, "resources in the store of the reading benchmarks")

// observation is the i-th of a made population: bundles of 70 of one patient
// and visit, 60 codes, 97 % final, dates over five years; 1.3 kB and 30 postings.
func observation(i int) storetest.Sample {
	visit := i / 70
	patient := fmt.Sprintf("patient-%06d", visit/4)
	status := "final"
	if i%33 == 0 {
		status = "amended"
	}
	day := time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(visit*7919%(5*365*24)) * time.Hour).Add(time.Duration(i%70) * time.Second)
	lo, value := day.Format("060102150405"), 10+i*31%900
	code := fmt.Sprintf("%d-%d", 1000+i%60*37, i%60%10)
	return storetest.Sample{Type: "Observation", ID: fmt.Sprintf("obs-%08d-0000-4000-8000-000000000000", i), At: day, Facts: []storetest.Fact{
		storetest.Token("code", "http://loinc.org", code), storetest.Token("code", "urn:lis", "L"+code),
		storetest.Token("status", "http://hl7.org/fhir/observation-status", status),
		storetest.Token("category", "http://terminology.hl7.org/CodeSystem/observation-category", "laboratory"),
		storetest.Token("identifier", "urn:lis:result", fmt.Sprint("R", i)),
		storetest.Token("interpretation", "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "N"),
		storetest.Token("method", "urn:method", "M1"),
		storetest.Ref("subject", "Patient", patient), storetest.Ref("encounter", "Encounter", fmt.Sprintf("visit-%06d", visit)),
		storetest.Ref("performer", "Organization", fmt.Sprint("org-", i%5)), storetest.Ref("specimen", "Specimen", fmt.Sprintf("s-%06d", visit)),
		storetest.Ref("based-on", "ServiceRequest", fmt.Sprintf("sr-%06d", visit)), storetest.Ref("device", "Device", fmt.Sprint("d-", i%3)),
		storetest.Span("date", lo, lo+"9"), storetest.Span("_lastUpdated", lo, lo+"1"),
		storetest.Span("value-quantity", fmt.Sprintf("%05d", value), fmt.Sprintf("%05d5", value), "http://unitsofmeasure.org|mmol/L", "mmol/L"),
		storetest.Text("value-string", fmt.Sprint("text ", i%100)),
	}}
}

// observationWrite has a body as a laboratory report's are, which names the
// observation; indexObservation finds its facts by that.
func observationWrite(i int) store.Write {
	sm := observation(i)
	w := sm.Write()
	visit, code := i/70, fmt.Sprintf("%d-%d", 1000+i%60*37, i%60%10)
	hash := func(k int) uint64 { return uint64(k+1) * 0x9e3779b97f4a7c15 }
	at := sm.At.Format("2006-01-02T15:04:05+08:00")
	w.Body = fmt.Appendf(nil, `{"resourceType":"Observation","id":"%s","meta":{"versionId":"%d","lastUpdated":"%s","profile":["http://example.org/fhir/StructureDefinition/laboratory-result"]},"number":%d,`+
		`"identifier":[{"system":"urn:lis:result","value":"R%016X"}],"basedOn":[{"reference":"ServiceRequest/sr-%016x"}],"status":"final",`+
		`"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory"}]}],`+
		`"code":{"coding":[{"system":"http://loinc.org","code":"%s","display":"Analyte %s in Serum or Plasma"},{"system":"urn:lis","code":"L%s"}],"text":"检验项目%d"},`+
		`"subject":{"reference":"Patient/patient-%06d"},"encounter":{"reference":"Encounter/visit-%06d"},"effectiveDateTime":"%s","issued":"%s",`+
		`"performer":[{"reference":"Organization/org-%d"}],"valueQuantity":{"value":%d.%d,"unit":"mmol/L","system":"http://unitsofmeasure.org","code":"mmol/L"},`+
		`"interpretation":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation","code":"N"}]}],`+
		`"specimen":{"reference":"Specimen/s-%016x"},"device":{"reference":"Device/d-%d"},"referenceRange":[{"low":{"value":%d,"unit":"mmol/L"},"high":{"value":%d,"unit":"mmol/L"},"text":"%d-%d"}]}`,
		sm.ID, w.Version, at, i, hash(i), hash(visit), code, code, code, i%60, visit/4, visit, at, at, i%5, i*31%900, i%100, hash(visit+1), i%3, i%60, i%60+9, i%60, i%60+9)
	return w
}

func indexObservation(body []byte) (*search.Facts, error) {
	var i int
	at := strings.Index(string(body), `"number":`)
	if _, err := fmt.Sscanf(string(body[at:]), `"number":%d`, &i); err != nil {
		return nil, err
	}
	w := observation(i).Write()
	return w.Facts, nil
}

func benchStore(b *testing.B) *Store {
	b.Helper()
	s, err := Open(Options{Dir: b.TempDir(), Index: indexObservation})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

// fill commits n observations in bundles of 70.
func fill(b *testing.B, s *Store, n int) {
	b.Helper()
	var writes []store.Write
	for i := range n {
		writes = append(writes, observationWrite(i))
		if len(writes) == 70 || i == n-1 {
			if err := s.Commit(context.Background(), store.CommitParams{Writes: writes}); err != nil {
				b.Fatal(err)
			}
			writes = writes[:0]
		}
	}
}

// filled is one store for all reading benchmarks of a run.
var filled struct {
	once sync.Once
	s    *Store
	dir  string
}

func TestMain(m *testing.M) {
	code := m.Run()
	if filled.s != nil {
		filled.s.Close()
		os.RemoveAll(filled.dir)
	}
	for i := range denseStores {
		if d := &denseStores[i]; d.s != nil {
			d.s.Close()
			os.RemoveAll(d.dir)
		}
	}
	os.Exit(code)
}

func reading(b *testing.B) *Store {
	b.Helper()
	filled.once.Do(func() {
		dir, err := os.MkdirTemp("", "pebblestore")
		if err != nil {
			b.Fatal(err)
		}
		filled.dir = dir
		s, err := Open(Options{Dir: dir, Index: indexObservation})
		if err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		fill(b, s, *resources)
		took := time.Since(began)
		if err := s.db.Compact(context.Background(), []byte{0}, []byte{0xff}, true); err != nil {
			b.Fatal(err)
		}
		m := s.db.Metrics().Total()
		b.Logf("%d resources written in %v, %d bytes in tables each", *resources, took, m.TablesSize/int64(*resources))
		filled.s = s
	})
	b.ReportAllocs()
	b.ResetTimer()
	return filled.s
}

// loop runs f and reports processor time beside the time that passed.
func loop(b *testing.B, f func(i int) error) {
	b.Helper()
	began := cpuTime(b)
	n := 0
	for ; b.Loop(); n++ {
		if err := f(n); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpuTime(b)-began).Microseconds())/float64(n), "cpu-µs/op")
}

func BenchmarkRead(b *testing.B) {
	for name, span := range map[string]int{"hot": 1000, "any": *resources} {
		b.Run(name, func(b *testing.B) {
			s := reading(b)
			loop(b, func(i int) error {
				_, err := s.Read(b.Context(), store.Key{Type: "Observation", ID: fmt.Sprintf("obs-%08d-0000-4000-8000-000000000000", i*7919%span)})
				return err
			})
		})
	}
}

func BenchmarkSearch(b *testing.B) {
	point := func(param, scope, value string) search.Expr {
		return search.Point{Key: search.Key{Param: param, Scope: scope, Value: value}}
	}
	and := func(of ...search.Expr) search.Expr { return search.And{Of: of} }
	final := point("status", "", "final")
	code := func(i int) search.Expr {
		return point("code", "", fmt.Sprintf("%d-%d", 1000+i%60*37, i%60%10))
	}
	patient := func(i int) search.Expr {
		return point("subject", "Patient", fmt.Sprintf("patient-%06d", i*7919%(*resources/280)))
	}
	down := []search.Order{{Param: "date", Desc: true}}
	for _, c := range []struct {
		name string
		plan func(i int) search.Plan
	}{
		{"selective: patient, 20", func(i int) search.Plan { return search.Plan{Where: patient(i), Limit: 20} }},
		{"selective: patient and code, 4", func(i int) search.Plan { return search.Plan{Where: and(patient(i), code(i)), Limit: 20} }},
		{"dense: final, 20", func(i int) search.Plan { return search.Plan{Where: final, Limit: 20} }},
		{"dense: final and code, 20", func(i int) search.Plan { return search.Plan{Where: and(final, code(i)), Limit: 20} }},
		{"dense: final, downward by date", func(i int) search.Plan { return search.Plan{Where: final, Sort: down, Limit: 20} }},
		{"patient, downward by date", func(i int) search.Plan { return search.Plan{Where: patient(i), Sort: down, Limit: 20} }},
		{"code, downward by date", func(i int) search.Plan { return search.Plan{Where: code(i), Sort: down, Limit: 20} }},
		{"disjoint: two dense lists without a common hit", func(i int) search.Plan {
			return search.Plan{Where: and(final, point("status", "", "amended")), Limit: 20}
		}},
		{"disjoint: two codes", func(i int) search.Plan { return search.Plan{Where: and(code(i), code(i+1)), Limit: 20} }},
		{"code and value above, 20", func(i int) search.Plan {
			return search.Plan{Where: and(code(i), search.Box{Param: "value-quantity", LoMin: "00500"}), Limit: 20}
		}},
		{"code and month, 20", func(i int) search.Plan {
			return search.Plan{Where: and(code(i), search.Box{Param: "date", LoMin: "2305", LoMax: "2306"}), Limit: 20}
		}},
		{"system", func(i int) search.Plan {
			return search.Plan{Where: search.Prefix{Key: search.Key{Param: "code", Scope: "http://loinc.org"}}, Limit: 20}
		}},
		{"text prefix", func(i int) search.Plan {
			return search.Plan{Where: search.Prefix{Key: search.Key{Param: "identifier", Scope: "urn:lis:result", Value: fmt.Sprint("R", i%1000)}}, Limit: 20}
		}},
		{"or of 20 codes", func(i int) search.Plan {
			var or search.Or
			for n := range 20 {
				or.Of = append(or.Of, code(i+n))
			}
			return search.Plan{Where: or, Limit: 20}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := reading(b)
			p := c.plan(0)
			p.Type = "Observation"
			if page, err := s.Search(store.WithExplain(b.Context()), &p); err == nil {
				b.Logf("%s: read %d, checked %d, found %d", page.Explain.Strategy, page.Explain.Read, page.Explain.Checked, page.Explain.Found)
			}
			b.ResetTimer()
			loop(b, func(i int) error {
				p := c.plan(i)
				p.Type = "Observation"
				_, err := s.Search(b.Context(), &p)
				return err
			})
		})
	}
}

// BenchmarkPage compares the first page of a dense search with the 200th.
func BenchmarkPage(b *testing.B) {
	for _, sort := range [][]search.Order{nil, {{Param: "date", Desc: true}}} {
		for _, page := range []int{1, 200} {
			b.Run(fmt.Sprintf("sort %d, page %d", len(sort), page), func(b *testing.B) {
				s := reading(b)
				p := search.Plan{Type: "Observation", Where: search.Point{Key: search.Key{Param: "status", Value: "final"}}, Sort: sort, Limit: 20}
				for range page - 1 {
					got, err := s.Search(b.Context(), &p)
					if err != nil || !got.More {
						b.Fatal(err, got.More)
					}
					p.After = &got.Rows[19].At
				}
				b.ResetTimer()
				loop(b, func(int) error {
					_, err := s.Search(b.Context(), &p)
					return err
				})
			})
		}
	}
}

func BenchmarkCount(b *testing.B) {
	for name, where := range map[string]search.Expr{
		"final":          search.Point{Key: search.Key{Param: "status", Value: "final"}},
		"code":           search.Point{Key: search.Key{Param: "code", Value: "1000-0"}},
		"code and final": search.And{Of: []search.Expr{search.Point{Key: search.Key{Param: "code", Value: "1000-0"}}, search.Point{Key: search.Key{Param: "status", Value: "final"}}}},
		"month":          search.Box{Param: "date", LoMin: "2305", LoMax: "2306"},
		"code and value": search.And{Of: []search.Expr{search.Point{Key: search.Key{Param: "code", Value: "1000-0"}}, search.Box{Param: "value-quantity", LoMin: "00500"}}},
	} {
		b.Run(name, func(b *testing.B) {
			s := reading(b)
			loop(b, func(int) error {
				_, err := s.Count(b.Context(), &search.Plan{Type: "Observation", Where: where}, 0)
				return err
			})
		})
	}
}

// commits gives each of so many clients commits of size writes until b is done.
func commits(b *testing.B, clients, size int, commit func(client int, writes []store.Write) error) {
	b.Helper()
	b.ReportAllocs()
	var next atomic.Int64
	prebuilt := make([]store.Write, b.N*size)
	for i := range prebuilt {
		prebuilt[i] = observationWrite(i)
	}
	b.ResetTimer()
	began := cpuTime(b)
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= b.N {
					return
				}
				if err := commit(c, prebuilt[i*size:(i+1)*size]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "resources/s")
	b.ReportMetric(float64((cpuTime(b)-began).Microseconds())/float64(b.N*size), "cpu-µs/resource")
}

// cpuTime is what the process has used, on all processors; it hardly depends
// on what else the machine does, unlike rates.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCommit compares commits with their floor: the same keys and bytes,
// prebuilt, in synced batches of the same clients.
func BenchmarkCommit(b *testing.B) {
	for _, c := range []struct{ clients, size int }{{1, 1}, {64, 1}, {4, 70}} {
		b.Run(fmt.Sprintf("%d clients, %d writes", c.clients, c.size), func(b *testing.B) {
			s := benchStore(b)
			commits(b, c.clients, c.size, func(_ int, writes []store.Write) error {
				return s.Commit(context.Background(), store.CommitParams{Writes: writes})
			})
		})
		b.Run(fmt.Sprintf("floor of %d clients, %d writes", c.clients, c.size), func(b *testing.B) {
			s := benchStore(b)
			batches := make([][]byte, b.N)
			for i := range batches {
				batches[i] = floorBatch(b, s, i, c.size)
			}
			commits(b, c.clients, c.size, func() func(int, []store.Write) error {
				var next atomic.Int64
				return func(int, []store.Write) error {
					batch := s.db.NewBatch()
					if err := batch.SetRepr(batches[next.Add(1)-1]); err != nil {
						return err
					}
					defer batch.Close()
					return batch.Commit(pebble.Sync)
				}
			}())
		})
	}
}

// floorBatch is the batch of the i-th commit, log included.
func floorBatch(b *testing.B, s *Store, i, size int) []byte {
	var writes []store.Write
	for n := range size {
		writes = append(writes, observationWrite(i*size+n))
	}
	p, err := s.prepare(&store.CommitParams{Writes: writes})
	if err != nil {
		b.Fatal(err)
	}
	defer p.close()
	var index logIndex
	for n := range p.changes {
		seq := uint64(i*size + n + 1)
		if err := errors.Join(p.batch.Set(logKey(nil, seq), appendChange(nil, &p.changes[n]), nil), index.note(p.batch, seq, &p.changes[n])); err != nil {
			b.Fatal(err)
		}
	}
	if err := index.flush(p.batch); err != nil {
		b.Fatal(err)
	}
	return slices.Clone(p.batch.Repr())
}

// BenchmarkUpdate writes next versions that differ in one fact and the time.
func BenchmarkUpdate(b *testing.B) {
	s := benchStore(b)
	fill(b, s, 2000)
	b.ReportAllocs()
	var next atomic.Int64
	b.ResetTimer()
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= b.N {
					return
				}
				r, err := s.Read(context.Background(), store.Key{Type: "Observation", ID: observation(i % 2000).ID})
				if err != nil {
					b.Error(err)
					return
				}
				w := observationWrite(i % 2000)
				w.Version = r.Version + 1
				// Racing clients lose now and then; that is part of it.
				_ = s.Commit(context.Background(), store.CommitParams{Writes: []store.Write{w}})
			}
		})
	}
	wg.Wait()
}

func BenchmarkQueue(b *testing.B) {
	s := benchStore(b)
	q := s.Queue()
	body := []byte(strings.Repeat("OBX|1|NM|", 200))
	b.ReportAllocs()
	var wg sync.WaitGroup
	var next atomic.Int64
	b.ResetTimer()
	for range 16 {
		wg.Go(func() {
			for next.Add(1) <= int64(b.N) {
				if _, err := q.Append(context.Background(), []store.NewItem{{Topic: "m", Body: body}}); err != nil {
					b.Error(err)
				}
				items, err := q.Lease(context.Background(), "m", 1, time.Minute)
				if err != nil {
					b.Error(err)
				}
				for _, it := range items {
					if err := q.Finish(context.Background(), []store.Result{{ID: it.ID, Lease: it.Lease, State: store.Done}}); err != nil {
						b.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
}
