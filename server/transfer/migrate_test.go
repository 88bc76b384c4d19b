package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meridian/fhir/search"
	"meridian/server/store"
	"meridian/server/store/storetest"
	"meridian/server/transfer"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// config is that of a store of samples with a clock that the test moves.
func config(clock *storetest.Clock) storetest.Config {
	return storetest.Config{Index: storetest.Index, IndexVersion: "transfer-1", Clock: clock.Now}
}

// fill writes a random past: creates, updates, deletes, undeletes, purges, receipts and work items.
func fill(t testing.TB, st store.Store, clock *storetest.Clock, seed uint64, operations int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	versions := map[store.Key]uint64{}
	for n := range operations {
		clock.Add(time.Duration(1+r.IntN(5000)) * time.Millisecond)
		sm := storetest.Sample{Type: []string{"Observation", "Patient"}[r.IntN(2)], ID: fmt.Sprint("r", r.IntN(operations/4+1)), At: clock.Now(), Note: strings.Repeat("病", r.IntN(40)) + fmt.Sprint(n),
			Facts: []storetest.Fact{storetest.Token("code", "s", fmt.Sprint(r.IntN(5))), storetest.Span("date", fmt.Sprint(1000+n), fmt.Sprint(1001+n))}}
		key := sm.Key()
		versions[key]++
		sm.Version = versions[key]
		w := sm.Write()
		if kind := r.IntN(10); sm.Version > 1 && kind < 3 {
			w.Body, w.Facts, w.Method, w.Purge = nil, nil, store.DELETE, kind == 0
		}
		p := store.CommitParams{Writes: []store.Write{w}}
		if r.IntN(10) == 0 {
			p.Receipt = &store.Receipt{Key: fmt.Sprint("receipt", n), Hash: "h", Answer: []byte(fmt.Sprint("answer ", n)), Until: clock.Now().Add(1e6 * time.Hour)}
		}
		if err := st.Commit(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	fillQueue(t, st.Queue(), clock, r, operations/4)
}

func fillQueue(t testing.TB, q store.Queue, clock *storetest.Clock, r *rand.Rand, n int) {
	t.Helper()
	for i := range n {
		clock.Add(time.Duration(r.IntN(3)) * time.Millisecond)
		item := store.NewItem{Topic: []string{"message", "job/export"}[r.IntN(2)], Body: fmt.Append(nil, "MSH|\xb2\xa1|", i), Note: []byte(`{"n":1}`)}
		if r.IntN(2) == 0 {
			item.Key = fmt.Sprint("key", i)
		}
		if _, err := q.Append(t.Context(), []store.NewItem{item}); err != nil {
			t.Fatal(err)
		}
		if r.IntN(3) > 0 {
			continue
		}
		held, err := q.Lease(t.Context(), item.Topic, 1, time.Hour)
		if err != nil || len(held) == 0 {
			continue
		}
		state := []store.State{store.Done, store.Parked, store.Pending, store.Leased}[r.IntN(4)]
		if state == store.Leased {
			continue
		}
		if err := q.Finish(t.Context(), []store.Result{{ID: held[0].ID, Lease: held[0].Lease, State: state, Label: "label", Due: clock.Now().Add(time.Hour), Note: []byte(`{"n":2}`)}}); err != nil {
			t.Fatal(err)
		}
	}
}

// shown is all that a store shows of itself: histories, the log, items, receipts and what a search finds. Ids of items are its own.
func shown(t testing.TB, st store.Store) string {
	t.Helper()
	var b strings.Builder
	for after := store.Position(""); ; {
		page, err := st.History(t.Context(), store.HistoryParams{Limit: 100, After: after})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Rows {
			v, err := st.ReadVersion(t.Context(), r.Key, r.Version)
			if err != nil || !bytes.Equal(v.Body, r.Body) {
				t.Fatalf("%s/%s version %d by itself: %v", r.Type, r.ID, r.Version, err)
			}
			fmt.Fprintf(&b, "%s/%s/%d %d %s deleted %t %s\n", r.Type, r.ID, r.Version, r.Method, r.LastUpdated.Format(time.RFC3339Nano), r.Deleted, r.Body)
		}
		if after = page.Next; after == "" {
			break
		}
	}
	for after := store.Position(""); ; {
		changes, next, err := st.Changes(t.Context(), after, 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(changes) == 0 {
			break
		}
		for _, c := range changes {
			fmt.Fprintf(&b, "change %s/%s/%d deleted %t\n", c.Type, c.ID, c.Version, c.Deleted)
		}
		after = next
	}
	showQueue(t, &b, st)
	return b.String()
}

func showQueue(t testing.TB, b *strings.Builder, st store.Store) {
	t.Helper()
	for _, topic := range []string{"message", "job/export"} {
		items, err := st.Queue().List(t.Context(), store.ListParams{Topic: topic, Limit: 10_000})
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range items {
			if it, err = st.Queue().Get(t.Context(), it.ID); err != nil {
				t.Fatal(err)
			}
			if it.State == store.Leased {
				it.State = store.Pending
			}
			fmt.Fprintf(b, "%s %q %s %q %s %s %d %q %q\n", it.Topic, it.Key, it.State, it.Label, it.Appended.Truncate(time.Millisecond), it.Due.Truncate(time.Millisecond), it.Attempts, it.Body, it.Note)
		}
	}
	receipts, err := st.Receipts(t.Context(), "", 10_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range receipts {
		fmt.Fprintf(b, "receipt %s %s %s %s\n", r.Key, r.Hash, r.Answer, r.Until.UTC())
	}
}

// A migration keeps versions, times, methods, deletions, purges, items and receipts, there and back, between any two stores.
func TestMigrateKeepsEverything(t *testing.T) {
	for from, openFrom := range backends(t) {
		for to, openTo := range backends(t) {
			t.Run(from+" to "+to+" and back", func(t *testing.T) {
				clock := &storetest.Clock{}
				clock.Set(start)
				a, b, c := openFrom(t, config(clock)), openTo(t, config(clock)), openFrom(t, config(clock))
				fill(t, a, clock, 7, 1200)
				clock.Add(time.Minute)
				sum, err := (&transfer.Migration{From: a, To: b, Index: storetest.Index}).Run(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if sum.Versions+sum.Purged != 1200 || sum.Copied != 1200 || sum.Purged == 0 || sum.Receipts == 0 || sum.Items["message"]+sum.Items["job/export"] != 300 {
					t.Errorf("summary %+v", sum)
				}
				if _, err := (&transfer.Migration{From: b, To: c, Index: storetest.Index}).Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				want := shown(t, a)
				if d := cmp.Diff(want, shown(t, b)); d != "" {
					t.Errorf("there (-want +got):\n%s", d)
				}
				if d := cmp.Diff(want, shown(t, c)); d != "" {
					t.Errorf("and back (-want +got):\n%s", d)
				}
			})
		}
	}
}

// torn is a store that fails now and then in the middle of a write: the first writes, or items, of it stand.
type torn struct {
	store.Store
	r    *rand.Rand
	left int // writes until it fails
}

var errTorn = errors.New("cut off")

func (s *torn) CommitOrdered(ctx context.Context, p store.CommitParams) error {
	if s.left -= len(p.Writes); s.left > 0 {
		return s.Store.CommitOrdered(ctx, p)
	}
	p.Writes = p.Writes[:s.r.IntN(len(p.Writes)+1)]
	return errors.Join(s.Store.CommitOrdered(ctx, p), errTorn)
}

func (s *torn) Queue() store.Queue { return &tornQueue{s.Store.Queue(), s} }

type tornQueue struct {
	store.Queue
	s *torn
}

func (q *tornQueue) Restore(ctx context.Context, items []store.Item) error {
	if q.s.left -= len(items); q.s.left > 0 {
		return q.Queue.Restore(ctx, items)
	}
	return errors.Join(q.Queue.Restore(ctx, items[:q.s.r.IntN(len(items)+1)]), errTorn)
}

// A migration that was cut off, wherever, goes on when it is run again, and writes nothing twice.
func TestMigrateGoesOn(t *testing.T) {
	for to, openTo := range backends(t) {
		t.Run("to "+to, func(t *testing.T) {
			clock := &storetest.Clock{}
			clock.Set(start)
			a, b := openPebble(t, config(clock)), openTo(t, config(clock))
			fill(t, a, clock, 11, 1500)
			r := rand.New(rand.NewPCG(3, 3))
			cuts := 0
			for {
				clock.Add(10 * time.Second)
				_, err := (&transfer.Migration{From: a, To: &torn{b, r, 100 + r.IntN(400)}, Index: storetest.Index}).Run(t.Context())
				if err == nil {
					break
				}
				if !errors.Is(err, errTorn) {
					t.Fatalf("after %d cuts: %v", cuts, err)
				}
				if cuts++; cuts > 100 {
					t.Fatal("it does not come to its end")
				}
			}
			if cuts < 3 {
				t.Errorf("cut off %d times only", cuts)
			}
			if d := cmp.Diff(shown(t, a), shown(t, b)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			sum, err := (&transfer.Migration{From: a, To: b, Index: storetest.Index}).Run(t.Context())
			if err != nil || sum.Copied != 0 {
				t.Errorf("once more: %+v, %v", sum, err)
			}
		})
	}
}

// A target that holds anything else is refused and stays as it is.
func TestMigrateRefusesAnotherTarget(t *testing.T) {
	other := storetest.Sample{Type: "Patient", ID: "other", At: start}
	for rule, prepare := range map[string]func(t testing.TB, a, b store.Store, clock *storetest.Clock){
		"another resource": func(t testing.TB, _, b store.Store, _ *storetest.Clock) {
			if err := b.Commit(t.Context(), store.CommitParams{Writes: []store.Write{other.Write()}}); err != nil {
				t.Fatal(err)
			}
		},
		"another past of the same resources": func(t testing.TB, _, b store.Store, clock *storetest.Clock) { fill(t, b, clock, 2, 30) },
		"what was written to the copy since": func(t testing.TB, a, b store.Store, _ *storetest.Clock) {
			if _, err := (&transfer.Migration{From: a, To: b, Index: storetest.Index}).Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := b.Commit(t.Context(), store.CommitParams{Writes: []store.Write{other.Write()}}); err != nil {
				t.Fatal(err)
			}
		},
		"an item of its own": func(t testing.TB, a, b store.Store, _ *storetest.Clock) {
			if _, err := b.Queue().Append(t.Context(), []store.NewItem{{Topic: "message", Body: []byte("x")}}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(rule, func(t *testing.T) {
			clock := &storetest.Clock{}
			clock.Set(start)
			a, b := openPebble(t, config(clock)), openPebble(t, config(clock))
			fill(t, a, clock, 1, 40)
			prepare(t, a, b, clock)
			before := shown(t, b)
			if _, err := (&transfer.Migration{From: a, To: b, Index: storetest.Index}).Run(t.Context()); !errors.Is(err, transfer.ErrNotACopy) {
				t.Fatalf("got %v", err)
			}
			if rule == "an item of its own" {
				return // its resources were copied before
			}
			if d := cmp.Diff(before, shown(t, b)); d != "" {
				t.Errorf("it was changed:\n%s", d)
			}
		})
	}
}

// careless changes a body, or an item, on its way.
type careless struct{ store.Store }

func (s careless) CommitOrdered(ctx context.Context, p store.CommitParams) error {
	for i := range p.Writes {
		if w := &p.Writes[i]; w.ID == "r0" && w.Body != nil {
			w.Body = bytes.Replace(w.Body, []byte(`"note":"`), []byte(`"note":"x`), 1)
		}
	}
	return s.Store.CommitOrdered(ctx, p)
}

// A copy is not called complete when a byte of it differs; the error names the place and no value.
func TestMigrateVerifies(t *testing.T) {
	clock := &storetest.Clock{}
	clock.Set(start)
	a, b := openPebble(t, config(clock)), openPebble(t, config(clock))
	fill(t, a, clock, 5, 60)
	_, err := (&transfer.Migration{From: a, To: careless{b}, Index: storetest.Index}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "/r0 version ") || !strings.Contains(err.Error(), "the body differs") || strings.Contains(err.Error(), "病") {
		t.Errorf("got %v", err)
	}
}

// adopting is an index of samples under a catalog: a parameter with an @ is given only when it was added.
type adopting struct{ catalog atomic.Pointer[store.Catalog] }

func (x *adopting) adopt(c store.Catalog) error {
	x.catalog.Store(&c)
	return nil
}

func (x *adopting) index(body []byte) (*search.Facts, error) {
	facts, err := storetest.Index(body)
	if err != nil {
		return nil, err
	}
	c := x.catalog.Load()
	if c == nil {
		c = &store.Catalog{}
	}
	facts.Generation = c.Generation
	absent := func(param string) bool {
		return strings.Contains(param, "@") && !slices.Contains(c.Added, store.Added{Type: "Observation", Param: param})
	}
	facts.Keys = slices.DeleteFunc(facts.Keys, func(k search.Key) bool { return absent(k.Param) })
	facts.Forward = slices.DeleteFunc(facts.Forward, func(f search.Forward) bool { return absent(f.Param) })
	return facts, nil
}

// Search parameters that were added are added to the copy, and find what they found.
func TestMigrateKeepsAddedParameters(t *testing.T) {
	for to, openTo := range backends(t) {
		t.Run("to "+to, func(t *testing.T) {
			clock := &storetest.Clock{}
			clock.Set(start)
			x, y := &adopting{}, &adopting{}
			c := config(clock)
			c.Index, c.Adopt = x.index, x.adopt
			a := openPebble(t, c)
			c.Index, c.Adopt = y.index, y.adopt
			b := openTo(t, c)
			catalog := store.Catalog{Revision: 1, Generation: 3, Added: []store.Added{{Type: "Observation", Param: "shoe@1"}}, Body: []byte(`{"state":"ready"}`)}
			if err := a.PutCatalog(t.Context(), catalog); err != nil {
				t.Fatal(err)
			}
			for i := range 30 {
				clock.Add(time.Second)
				w := storetest.Sample{Type: "Observation", ID: fmt.Sprint("o", i), At: clock.Now(), Facts: []storetest.Fact{storetest.Token("shoe@1", "s", fmt.Sprint(i%3))}}.Write()
				var err error
				if w.Facts, err = x.index(w.Body); err != nil {
					t.Fatal(err)
				}
				if err := a.Commit(t.Context(), store.CommitParams{Writes: []store.Write{w}}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := (&transfer.Migration{From: a, To: b, Index: y.index}).Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, err := b.Catalog(t.Context()); err != nil || got.Generation != 3 || !slices.Equal(got.Added, catalog.Added) || string(got.Body) != string(catalog.Body) {
				t.Errorf("catalog %+v, %v", got, err)
			}
			n, err := b.Count(t.Context(), &search.Plan{Type: "Observation", Where: search.Point{Key: search.Key{Param: "shoe@1", Value: "1"}}}, 0)
			if err != nil || n.N != 10 {
				t.Errorf("%d found, %v; want 10", n.N, err)
			}
			if err := b.PutCatalog(t.Context(), store.Catalog{Revision: 2, Generation: 4}); err != nil {
				t.Fatal(err)
			}
			if _, err := (&transfer.Migration{From: a, To: b, Index: y.index}).Run(t.Context()); !errors.Is(err, transfer.ErrNotACopy) {
				t.Errorf("with other parameters: %v", err)
			}
		})
	}
}
