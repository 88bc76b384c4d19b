package inbox

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"meridian/fhir/search"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

// Messages of one lane are worked on one after the other, in the order in which they came, also those that stand in several.
func TestLanesKeepTheOrder(t *testing.T) {
	for seed := range uint64(5) {
		r := rand.New(rand.NewPCG(seed, 0))
		l := newLanes()
		l.open(64)
		var mu sync.Mutex
		busy, last, parallel := map[string]bool{}, map[string]int{}, 0
		order := map[*work]int{}
		var workers sync.WaitGroup
		for range 8 {
			workers.Add(1)
			go func() {
				defer workers.Done()
				for w := range l.ready {
					mu.Lock()
					n := order[w]
					for _, k := range w.lanes {
						if busy[k] || n < last[k] {
							t.Errorf("seed %d: message %d in lane %s: busy %v, after %d", seed, n, k, busy[k], last[k])
						}
						busy[k], last[k] = true, n
					}
					parallel = max(parallel, len(busy))
					mu.Unlock()
					time.Sleep(time.Duration(n%3) * time.Microsecond)
					mu.Lock()
					for _, k := range w.lanes {
						delete(busy, k)
					}
					mu.Unlock()
					l.leave(w)
				}
			}()
		}
		for i := 0; i < 2000; {
			for n := l.free(t.Context()); n > 0 && i < 2000; n, i = n-1, i+1 {
				w := &work{}
				for k := range 8 {
					if r.IntN(4) == 0 {
						w.lanes = append(w.lanes, fmt.Sprint("patient ", k))
					}
				}
				if len(w.lanes) == 0 {
					w.lanes = []string{fmt.Sprint("message ", i)}
				}
				mu.Lock()
				order[w] = i
				mu.Unlock()
				l.add(w)
			}
		}
		l.drained()
		close(l.ready)
		workers.Wait()
		if _, ok := l.oldest(); ok || len(l.list) != 0 || parallel < 2 {
			t.Errorf("seed %d: %d lanes left, %d at once", seed, len(l.list), parallel)
		}
	}
}

// The lanes of a message are its patients: PID-3, else PID-2, of the same source.
func TestLanesOfAMessage(t *testing.T) {
	b := newBench(t, backend{"map", openMap}, setup{idle: true})
	lanes := func(text string) string {
		t.Helper()
		w := b.read(&store.Item{ID: "own", Attempts: 1, Body: []byte(text), Note: (&Envelope{Source: "H001"}).marshal()}, time.Now())
		if slices.Contains(w.lanes, "P0001") {
			t.Error("a lane is a patient's number")
		}
		return strings.Join(w.lanes, " ")
	}
	one := oru(first, issued("0825"), alt)
	two := patientOf(one, "P0002")
	both := one + strings.Join(strings.Split(two, "\r")[1:], "\r")
	if lanes(one) == lanes(two) || lanes(one) == "own" {
		t.Errorf("lanes %q and %q", lanes(one), lanes(two))
	}
	if got := lanes(both); len(strings.Fields(got)) != 2 || !strings.Contains(got, lanes(one)) || !strings.Contains(got, lanes(two)) {
		t.Errorf("of two patients: %q", got)
	}
	if got := lanes(strings.Replace(one, "PID|1||P0001^^^H001^MR", "PID|1|P0001|", 1)); got != lanes(one) {
		t.Errorf("by PID-2: %q, want %q", got, lanes(one))
	}
	if got := lanes(strings.Replace(one, "P0001^^^H001^MR", "", 1)); got != "own" {
		t.Errorf("of nobody: %q", got)
	}
}

// A message that is taken again and again without coming to an end is parked.
func TestLossesEnd(t *testing.T) {
	clock := &storetest.Clock{}
	clock.Set(time.Now())
	index := func([]byte) (*search.Facts, error) { return &search.Facts{}, nil }
	st := storetest.NewMap(storetest.Config{Index: index, IndexVersion: "1", Clock: clock.Now})
	b := benchOver(t, st, setup{idle: true, limits: Limits{Losses: 3}})
	id := b.give(t, oru(first, issued("0825"), alt))
	for range 3 {
		if items, err := b.queue.Lease(t.Context(), Topic, 1, time.Minute); err != nil || len(items) != 1 {
			t.Fatal(err)
		}
		clock.Add(time.Hour)
	}
	b.Start()
	t.Cleanup(b.Stop)
	if it := b.wait(t, id); it.State != store.Parked || it.Label != "internal.losses" {
		t.Errorf("%s %s", it.State, it.Label)
	}
}

// A message whose lease is nearly over when its turn comes is left to the next
// lease, and those of its patient wait for it; when another process has ended it, they go on.
func TestTurnComesTooLate(t *testing.T) {
	b := newBench(t, backend{"map", openMap}, setup{idle: true})
	one, two := b.give(t, oru(header("0800", "1"), issued("0800"), alt)), b.give(t, oru(header("0801", "2"), issued("0801"), altC))
	items, err := b.queue.Lease(t.Context(), Topic, 2, time.Hour)
	if err != nil || len(items) != 2 {
		t.Fatal(err)
	}
	end := time.Now().Add(time.Second) // of two minutes
	first := b.read(&items[0], end)
	if _, ok := b.turn(t.Context(), t.Context(), first); ok {
		t.Error("it was worked on")
	}
	next := b.read(&items[1], time.Now().Add(time.Hour))
	e, ok := b.turn(t.Context(), t.Context(), next)
	if !ok || e.State != store.Pending || e.Label != labelWaiting || !e.Due.Equal(end) {
		t.Errorf("the next: %v %s %s due %v", ok, e.State, e.Label, e.Due)
	}
	b.holds.set(first.lanes, hold{one, time.Now()}) // it should be back by now
	if e, _ := b.turn(t.Context(), t.Context(), next); e.Label != labelWaiting {
		t.Errorf("while it is leased: %s", e.Label)
	}
	if err := b.queue.Finish(t.Context(), []store.Result{{ID: one, Lease: items[0].Lease, State: store.Done, Label: "committed"}}); err != nil {
		t.Fatal(err)
	}
	if e, _ := b.turn(t.Context(), t.Context(), next); e.ID != two || e.Label != "committed" {
		t.Errorf("when it has ended: %s", e.Label)
	}
}

// The lag is the age of the oldest message in hand.
func TestLag(t *testing.T) {
	g := &gate{}
	let := make(chan struct{})
	b := newBench(t, backend{"map", openMap}, setup{wrap: func(st store.Store) store.Store { g.Store = st; return waiting{g, let} }, limits: Limits{StopTime: time.Millisecond}})
	b.give(t, oru(first, issued("0825"), alt))
	<-let
	if b.Lag() <= 0 {
		t.Errorf("lag %v", b.Lag())
	}
}
