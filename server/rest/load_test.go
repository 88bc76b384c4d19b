package rest_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"meridian/server/interaction"
	"meridian/server/rest"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

// gaugeStore counts the commits in flight.
type gaugeStore struct {
	store.Store
	now, most atomic.Int64
}

func (g *gaugeStore) Commit(ctx context.Context, p store.CommitParams) error {
	n := g.now.Add(1)
	defer g.now.Add(-1)
	for most := g.most.Load(); n > most && !g.most.CompareAndSwap(most, n); most = g.most.Load() {
	}
	time.Sleep(time.Millisecond) // so that those that may run together meet
	return g.Store.Commit(ctx, p)
}

// Twenty transactions of 2,000 entries that come at once all commit, by a limit on how many run at once.
func TestTwentyLargeTransactionsAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED with -short: it writes 40,000 resources to each store")
	}
	for _, b := range backends(t) {
		t.Run(b.name, func(t *testing.T) {
			if b.name == "map" {
				t.Skip("SKIPPED on the map: the limit is of stores that write to disk")
			}
			gauge := &gaugeStore{}
			srv := newServerWith(t, backend{b.name, func(t testing.TB, c storetest.Config) store.Store {
				gauge.Store = b.open(t, c)
				return gauge
			}}, interaction.Limits{Transactions: 3}, rest.Options{})
			if !srv.store.Transactions() {
				t.Skipf("SKIPPED on %s: it has no transactions", b.name)
			}
			const bundles, entries = 20, 2000
			begun := time.Now()
			var wg sync.WaitGroup
			for n := range bundles {
				wg.Go(func() {
					var body strings.Builder
					body.WriteString(`{"resourceType":"Bundle","type":"transaction","entry":[`)
					for i := range entries {
						if i > 0 {
							body.WriteByte(',')
						}
						fmt.Fprintf(&body, `{"resource":{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]},"effectiveDateTime":"2026-01-01","valueInteger":%d},"request":{"method":"POST","url":"Observation"}}`, i)
					}
					body.WriteString(`]}`)
					rec := ask(srv.handler, "POST", "/fhir", body.String(), fmt.Sprint("Idempotency-Key: bundle-", n))
					if rec.Code != http.StatusOK || strings.Count(rec.Body.String(), "201 Created") != entries {
						t.Errorf("bundle %d: %d %.300s", n, rec.Code, rec.Body)
					}
				})
			}
			wg.Wait()
			t.Logf("%d resources in %s, at most %d commits at once", bundles*entries, time.Since(begun).Round(time.Millisecond), gauge.most.Load())
			if gauge.most.Load() > 3 {
				t.Errorf("%d commits at once", gauge.most.Load())
			}
			if n := countOf(t, srv, "Observation?code=718-7"); n != bundles*entries {
				t.Errorf("%d observations", n)
			}
		})
	}
}

// The entries of a batch answer in their order, and no more than BatchParallel of them run at once.
func TestABatchRunsInParallelAndAnswersInOrder(t *testing.T) {
	gauge := &gaugeStore{}
	srv := newServerWith(t, backend{"map", func(t testing.TB, c storetest.Config) store.Store {
		gauge.Store = storetest.NewMap(c)
		return gauge
	}}, interaction.Limits{BatchParallel: 4}, rest.Options{})
	var body strings.Builder
	body.WriteString(`{"resourceType":"Bundle","type":"batch","entry":[`)
	const entries = 60
	for i := range entries {
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"resource":{"resourceType":"Patient","id":"p%d"},"request":{"method":"PUT","url":"Patient/p%d"}}`, i, i)
	}
	body.WriteString(`]}`)
	rec := ask(srv.handler, "POST", "/fhir", body.String())
	at := 0
	for i := range entries {
		k := strings.Index(rec.Body.String()[at:], fmt.Sprintf(`"Patient/p%d/_history/1"`, i))
		if k < 0 {
			t.Fatalf("entry %d is not in its place: %s", i, rec.Body)
		}
		at += k
	}
	if most := gauge.most.Load(); most < 2 || most > 4 {
		t.Errorf("%d at once", most)
	}
}

// BenchmarkCreate measures what a key and the policies of references cost a create, on the embedded store in memory.
func BenchmarkCreateWith(b *testing.B) {
	body := `{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]},"subject":{"reference":"Patient/p"},"effectiveDateTime":"2026-01-01","valueInteger":1}`
	for _, c := range []struct {
		name   string
		policy interaction.Policy
		key    bool
	}{{"nothing", interaction.PolicyOff, false}, {"warn", interaction.PolicyWarn, false}, {"enforce", interaction.PolicyEnforce, false}, {"key", interaction.PolicyOff, true}} {
		b.Run(c.name, func(b *testing.B) {
			srv := newServerOf(b, backend{"pebble", openPebble}, interaction.Options{Integrity: interaction.Policies{Default: c.policy}}, rest.Options{})
			srv.clock.Set(time.Now())
			ask(srv.handler, "PUT", "/fhir/Patient/p", `{"resourceType":"Patient","id":"p"}`)
			b.ReportAllocs()
			var n int
			for b.Loop() {
				n++
				headers := []string{"Prefer: return=minimal"}
				if c.key {
					headers = append(headers, fmt.Sprint("Idempotency-Key: ", n))
				}
				if rec := ask(srv.handler, "POST", "/fhir/Observation", body, headers...); rec.Code != http.StatusCreated {
					b.Fatal(rec.Body)
				}
			}
		})
	}
}

// BenchmarkDeleteEnforced measures a delete that looks at all types that may refer to a Patient.
func BenchmarkDeleteEnforced(b *testing.B) {
	srv := newServerOf(b, backend{"pebble", openPebble}, interaction.Options{Integrity: interaction.Policies{Default: interaction.PolicyEnforce}}, rest.Options{})
	for b.Loop() {
		ask(srv.handler, "PUT", "/fhir/Patient/p", `{"resourceType":"Patient","id":"p"}`)
		if rec := ask(srv.handler, "DELETE", "/fhir/Patient/p", ""); rec.Code != http.StatusNoContent {
			b.Fatal(rec.Body)
		}
	}
}
