package inbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"meridian/server/interaction"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

// history of patients with 5 reports in 5 states each, in the order of time: 25
// messages for each. Every state says all results; the second of each is always the same.
func history(patients int) []string {
	var out []string
	states := []struct{ result, report string }{{"P", "P"}, {"P", "P"}, {"F", "F"}, {"C", "C"}, {"C", "C"}}
	for s, state := range states {
		for p := range patients {
			for r := range 5 {
				at := fmt.Sprintf("%02d%02d", 8+s, r*10)
				text := oru(header(at, fmt.Sprintf("M%d-%d-%d", p, r, s)), issued(at),
					fmt.Sprintf("OBX|1|NM|ALT^谷丙转氨酶^99LIS||%d.%d|U/L|7～40||||%s", 20+s, p, state.result),
					"OBX|2|ST|HBSAG^乙肝表面抗原^99LIS||阴性||阴性||||"+state.result)
				text = strings.Replace(text, "P0001", fmt.Sprintf("P%04d", p), 1)
				text = strings.Replace(text, "R20261121-8", fmt.Sprintf("R%d-%d", p, r), 1)
				out = append(out, strings.Replace(text, "||CH|F", "||CH|"+state.report, 1))
			}
		}
	}
	return out
}

// final is the state of a store by resource, without what tells of the way
// there: versions, times of writing, and Provenance, of which each applied state has one.
func (b *bench) final(t testing.TB) map[string]fhir {
	t.Helper()
	out := map[string]fhir{}
	for _, typ := range reportTypes {
		if typ == "Provenance" {
			continue
		}
		for id, r := range b.all(t, typ) {
			delete(r, "meta")
			switch typ {
			case "Observation":
				delete(r, "issued") // volatile: that of the state which changed it
			case "Patient", "Encounter":
				delete(r, "extension") // the time of the message which changed it
			}
			out[typ+"/"+id] = r
		}
	}
	return out
}

// drain waits until no message is pending or leased.
func (b *bench) drain(t testing.TB) map[store.State]int {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		n, err := b.store.Queue().Counts(context.Background(), Topic)
		if err != nil {
			t.Fatal(err)
		}
		if n[store.Pending]+n[store.Leased] == 0 {
			return n
		}
		if time.Now().After(deadline) {
			t.Fatalf("messages stay unfinished: %v", n)
		}
	}
}

// inTimeOrder is what one worker makes of the history in the order of time.
func inTimeOrder(t *testing.T, list []string) map[string]fhir {
	t.Helper()
	b := newBench(t, backend{"map", openMap}, setup{limits: Limits{Workers: 1}, idle: true})
	for _, text := range list {
		b.give(t, text)
	}
	b.Start()
	b.drain(t)
	b.Stop()
	return b.final(t)
}

func shuffled(list []string, seed uint64) []string {
	list = slices.Clone(list)
	rand.New(rand.NewPCG(seed, 1)).Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// #24: in any order, with eight workers, stopped in the middle and started again, the same is left as in the order of time.
func TestAnyOrderEndsTheSame(t *testing.T) {
	onAll(t, func(t *testing.T, on backend) {
		list := history(20)
		if on.name == "mongodb" {
			list = history(4) // the server of the CI has no indexes
		}
		want := inTimeOrder(t, list)
		b := newBench(t, on, setup{idle: true})
		for _, text := range shuffled(list, 7) {
			b.give(t, text)
		}
		for part := 1; part < 4; part++ {
			again := benchOver(t, b.store, setup{idle: true})
			again.Start()
			for done := 0; done < part*len(list)/4; {
				n, err := b.store.Queue().Counts(t.Context(), Topic)
				if err != nil {
					t.Fatal(err)
				}
				done = n[store.Done] + n[store.Parked]
			}
			again.Stop()
		}
		b.Start()
		t.Cleanup(b.Stop)
		if n := b.drain(t); n[store.Done] != len(list) {
			t.Errorf("ends: %v", n)
		}
		if d := cmp.Diff(want, b.final(t)); d != "" {
			t.Errorf("the state differs from that in time order (-want +got):\n%.3000s", d)
		}
	})
}

// The same when the power fails in the middle: what was acknowledged is on
// disk, what runs again changes nothing, and a resend of all doubles nothing.
func TestPowerFailsInTheMiddle(t *testing.T) {
	list := history(20)
	want := inTimeOrder(t, list)
	disk := vfs.NewCrashableMem()
	on := func(fs vfs.FS) backend {
		return backend{"pebble", func(t testing.TB, c storetest.Config) store.Store { return openPebbleOn(t, c, fs) }}
	}
	list = shuffled(list, 11)
	b := newBench(t, on(disk), setup{})
	for i, text := range list {
		b.give(t, text)
		if i%100 != 99 {
			continue
		}
		disk = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(uint64(i), 0))})
		b = newBench(t, on(disk), setup{})
		n, err := b.store.Queue().Counts(t.Context(), Topic)
		if err != nil || n[store.Pending]+n[store.Leased]+n[store.Done]+n[store.Parked] != i+1 {
			t.Fatalf("after %d acknowledged messages there are %v, %v", i+1, n, err)
		}
	}
	for _, text := range list {
		b.give(t, text)
	}
	if n := b.drain(t); n[store.Done] != len(list) {
		t.Errorf("ends: %v", n)
	}
	if d := cmp.Diff(want, b.final(t)); d != "" {
		t.Errorf("the state differs from that in time order (-want +got):\n%.3000s", d)
	}
}

// gate is a store whose commits of a text wait until they are let go, or fail.
type gate struct {
	store.Store
	mu   sync.Mutex
	stop func(p store.CommitParams) error // called for each commit; its error is the commit's
}

func (g *gate) check(p store.CommitParams) error {
	g.mu.Lock()
	stop := g.stop
	g.mu.Unlock()
	if stop == nil {
		return nil
	}
	return stop(p)
}

func (g *gate) set(stop func(p store.CommitParams) error) {
	g.mu.Lock()
	g.stop = stop
	g.mu.Unlock()
}

func (g *gate) Commit(ctx context.Context, p store.CommitParams) error {
	if err := g.check(p); err != nil {
		return err
	}
	return g.Store.Commit(ctx, p)
}

func (g *gate) CommitOrdered(ctx context.Context, p store.CommitParams) error {
	if err := g.check(p); err != nil {
		return err
	}
	return g.Store.CommitOrdered(ctx, p)
}

// writes says whether a commit holds a text in one of its bodies.
func writes(p store.CommitParams, text string) bool {
	return slices.ContainsFunc(p.Writes, func(w store.Write) bool { return strings.Contains(string(w.Body), text) })
}

var errTransient = errors.New("the store is away")

// patientOf gives a message to another patient, with a report of its own.
func patientOf(text, number string) string {
	return strings.Replace(strings.Replace(text, "P0001", number, 1), "R20261121-8", "R-"+number, 1)
}

// A message that fails for internal reasons is tried again, and no later one of
// the same patient overtakes it; those of others pass.
func TestRetryHoldsThePatient(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart ", restart), func(t *testing.T) {
			g := &gate{}
			s := setup{limits: Limits{RetryTime: 50 * time.Millisecond}, wrap: func(st store.Store) store.Store { g.Store = st; return g }}
			b := newBench(t, backend{"pebble", openPebble}, s)
			var mu sync.Mutex
			fails := 3
			g.set(func(p store.CommitParams) error {
				mu.Lock()
				defer mu.Unlock()
				if writes(p, "72.50") && fails > 0 {
					fails--
					return errTransient
				}
				return nil
			})
			one := b.give(t, oru(header("0800", "1"), issued("0800"), alt))
			b.waitFor(t, one, func(it store.Item) bool { return it.Label == labelRetry })
			if restart {
				b.Stop()
				b = benchOver(t, b.store, s)
				b.service = nil
			}
			// The same time of state, so that order alone decides.
			two := b.give(t, strings.Replace(oru(header("0801", "2"), issued("0800"), altC), "张三", "张三丰", 1))
			other := b.give(t, patientOf(oru(header("0802", "3"), issued("0800"), hbsag), "P0002"))
			if it := b.wait(t, other); it.Label != "committed" {
				t.Errorf("another patient: %s", it.Label)
			}
			if it, _ := b.store.Queue().Get(t.Context(), two); it.State == store.Done {
				t.Error("the second message overtook the first")
			}
			for _, id := range []string{one, two} {
				if it := b.wait(t, id); it.Label != "committed" {
					t.Errorf("%s %s: %s", it.State, it.Label, it.Note)
				}
			}
			if got := b.one(t, "Observation", "ALT"); got.state() != "2 corrected" {
				t.Errorf("the result: %s", got.state())
			}
			if got := b.one(t, "Patient", "张三丰"); got.text("meta.versionId") != "2" {
				t.Errorf("the patient: version %s", got.text("meta.versionId"))
			}
		})
	}
}

// A message that fails again and again is parked; those behind it go on, and it can be replayed.
func TestAttemptsEnd(t *testing.T) {
	g := &gate{}
	b := newBench(t, backend{"pebble", openPebble}, setup{limits: Limits{RetryTime: time.Millisecond, Attempts: 3},
		wrap: func(st store.Store) store.Store { g.Store = st; return g }})
	g.set(func(p store.CommitParams) error {
		if writes(p, "72.50") {
			return errTransient
		}
		return nil
	})
	one, two := b.give(t, oru(header("0800", "1"), issued("0800"), alt)), b.give(t, oru(header("0801", "2"), issued("0801"), altC))
	if it := b.wait(t, one); it.State != store.Parked || it.Label != "internal" || it.Attempts != 3 {
		t.Errorf("%s %s after %d attempts", it.State, it.Label, it.Attempts)
	}
	if it := b.wait(t, two); it.Label != "committed" {
		t.Errorf("the next: %s %s", it.State, it.Label)
	}
	g.set(nil)
	if n, more, err := b.Replay(t.Context(), store.Parked, "internal"); n != 1 || more || err != nil {
		t.Fatalf("replay: %d %v %v", n, more, err)
	}
	b.waitFor(t, one, func(it store.Item) bool { return it.State == store.Done && it.Label == "stale" })
}

// A stop lets the running message end and gives the others back at once, in their order.
func TestStopGivesBack(t *testing.T) {
	g := &gate{}
	held, let := make(chan struct{}), make(chan struct{})
	b := newBench(t, backend{"map", openMap}, setup{wrap: func(st store.Store) store.Store { g.Store = st; return g }})
	g.set(func(store.CommitParams) error { close(held); <-let; return nil })
	var ids []string
	for i := range 5 {
		at := fmt.Sprintf("080%d", i)
		ids = append(ids, b.give(t, oru(header(at, at), issued(at), strings.Replace(altC, "27.50", fmt.Sprint(i), 1))))
	}
	<-held
	for _, id := range ids {
		b.waitFor(t, id, func(it store.Item) bool { return it.State == store.Leased })
	}
	b.stop() // as Stop begins
	g.set(nil)
	close(let)
	b.Stop()
	for i, id := range ids {
		it, err := b.store.Queue().Get(t.Context(), id)
		if want := map[bool]store.State{true: store.Done, false: store.Pending}[i == 0]; err != nil || it.State != want {
			t.Errorf("message %d is %s, want %s, %v", i, it.State, want, err)
		}
	}
	b = benchOver(t, b.store, setup{})
	b.drain(t)
	if got := b.one(t, "Observation", "ALT"); got.state() != "5 corrected" || got.text("valueQuantity.value") != "4" {
		t.Errorf("at the end: %s %s", got.state(), got.text("valueQuantity.value"))
	}
}

// A message that does not end in Limits.StopTime does not hold the stop for ever.
func TestStopIsBounded(t *testing.T) {
	g := &gate{}
	let := make(chan struct{})
	b := newBench(t, backend{"map", openMap}, setup{limits: Limits{StopTime: time.Millisecond}, wrap: func(st store.Store) store.Store { g.Store = st; return waiting{g, let} }})
	id := b.give(t, oru(first, issued("0800"), alt))
	<-let
	b.Stop()
	if it, err := b.store.Queue().Get(t.Context(), id); err != nil || it.State != store.Pending {
		t.Errorf("%s %v", it.State, err)
	}
}

// waiting is a store whose commits end with their context alone.
type waiting struct {
	*gate
	started chan struct{}
}

func (w waiting) Commit(ctx context.Context, _ store.CommitParams) error {
	close(w.started)
	<-ctx.Done()
	return ctx.Err()
}

// faultyQueue is a queue whose Finish fails as a test wants.
type faultyQueue struct {
	store.Queue
	mu     sync.Mutex
	finish func([]store.Result) error // before the real one
}

func (q *faultyQueue) Finish(ctx context.Context, results []store.Result) error {
	q.mu.Lock()
	err := error(nil)
	if q.finish != nil {
		err = q.finish(results)
	}
	q.mu.Unlock()
	if err != nil {
		return err
	}
	return q.Queue.Finish(ctx, results)
}

// A lease that was lost fails the whole batch; the others are written down all the same.
func TestOneLostLeaseKeepsNoOther(t *testing.T) {
	b := newBench(t, backend{"map", openMap}, setup{idle: true})
	var batch []ending
	var ids []string
	for i := range 3 {
		ids = append(ids, b.give(t, oru(header("0800", fmt.Sprint(i)), issued("0800"), alt)))
	}
	items, err := b.queue.Lease(t.Context(), Topic, 3, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for i := range items {
		w := b.read(&items[i], time.Now().Add(time.Minute))
		e := ending{store.Result{ID: w.item.ID, Lease: w.item.Lease, State: store.Done, Label: "committed", Note: w.env.marshal()}, w}
		if i == 1 {
			e.Lease = "another"
		}
		batch = append(batch, e)
	}
	b.writeDown(batch)
	for i, id := range ids {
		it, _ := b.queue.Get(t.Context(), id)
		if want := map[bool]store.State{true: store.Leased, false: store.Done}[i == 1]; it.State != want {
			t.Errorf("message %d is %s, want %s", i, it.State, want)
		}
	}
}

// On a store without transactions a crash between two writes leaves results
// without their report; the message runs again and completes, and nothing is doubled.
func TestCrashBetweenTwoWrites(t *testing.T) {
	for cut := range 5 {
		t.Run(fmt.Sprint("after ", cut), func(t *testing.T) {
			clock := &storetest.Clock{}
			clock.Set(time.Now())
			r, err := registry()
			if err != nil {
				t.Fatal(err)
			}
			st := openStandalone(t, storetest.Config{Index: interaction.Indexer(r), IndexVersion: "1", Clock: clock.Now})
			dead := make(chan struct{})
			b := benchOver(t, st, setup{wrap: func(st store.Store) store.Store { return &cutting{st, cut, dead} },
				queue: func(q store.Queue) store.Queue {
					return &faultyQueue{Queue: q, finish: func([]store.Result) error { return store.ErrClosed }} // the process is dead
				}, limits: Limits{StopTime: time.Millisecond}})
			id := b.give(t, oru(first, issued("0825"), alt, hbsag))
			<-dead
			if got := len(b.all(t, "DiagnosticReport")); cut < 4 && got != 0 {
				t.Errorf("a report without its results: %d", got)
			}
			b.Stop()             // a dead process takes nothing more
			clock.Add(time.Hour) // the lease ends
			next := benchOver(t, st, setup{})
			if it := next.wait(t, id); it.Label != "committed" && cut < 5 {
				t.Errorf("%s %s: %s", it.State, it.Label, it.Note)
			}
			for key, v := range next.versions(t) {
				if v != 1 {
					t.Errorf("%s has version %d", key, v)
				}
			}
			if len(next.versions(t)) != 5 {
				t.Errorf("resources: %v", next.versions(t))
			}
		})
	}
}

// cutting is a store whose process dies after some writes of an ordered commit.
type cutting struct {
	store.Store
	after int
	dead  chan struct{}
}

func (c *cutting) CommitOrdered(ctx context.Context, p store.CommitParams) error {
	if err := c.Store.CommitOrdered(ctx, store.CommitParams{Writes: p.Writes[:c.after]}); err != nil {
		return err
	}
	close(c.dead)
	<-ctx.Done()
	return ctx.Err()
}

// Two processes share a store. An older state that was checked before a newer
// one came is committed after it, and must not overwrite it.
func TestOlderStateNeverOverwrites(t *testing.T) {
	onAll(t, func(t *testing.T, on backend) {
		g := &gate{}
		slow := newBench(t, on, setup{idle: true, wrap: func(st store.Store) store.Store { g.Store = st; return g }})
		fast := benchOver(t, slow.store, setup{idle: true})
		run := func(b *bench) string {
			t.Helper()
			items, err := b.queue.Lease(t.Context(), Topic, 1, time.Minute)
			if err != nil || len(items) != 1 {
				t.Fatalf("%d leased, %v", len(items), err)
			}
			e := b.process(t.Context(), b.read(&items[0], time.Now().Add(time.Minute)))
			b.writeDown([]ending{e})
			return e.Label
		}
		fast.give(t, oru(header("0800", "1"), issued("0800"), alt, hbsag))
		run(fast)
		fast.give(t, oru(header("0900", "2"), issued("0900"), strings.Replace(altC, "27.50", "1.0", 1), hbsag))
		items, err := slow.queue.Lease(t.Context(), Topic, 1, time.Minute)
		if err != nil || len(items) != 1 {
			t.Fatal(err)
		}
		older := slow.read(&items[0], time.Now().Add(time.Minute))
		var once sync.Once
		g.set(func(store.CommitParams) error {
			once.Do(func() {
				fast.give(t, oru(header("1000", "3"), issued("1000"), strings.Replace(altC, "27.50", "2.0", 1), hbsag))
				if label := run(fast); label != "committed" {
					t.Errorf("the newer state: %s", label)
				}
			})
			return nil
		})
		if e := slow.process(t.Context(), older); e.Label != "stale" {
			t.Errorf("the older state: %s: %s", e.Label, e.Note)
		}
		if got := slow.one(t, "Observation", "ALT"); got.text("valueQuantity.value") != "2.0" {
			t.Errorf("the result is %s", got.text("valueQuantity.value"))
		}
	})
}

// Where OBR-22 is empty, MSH-7 is the time of the state. A change of a result
// moves it, though nothing else of the report changes.
func TestTimeMovesWithTheResults(t *testing.T) {
	b := newBench(t, backend{"map", openMap}, setup{})
	b.must(t, "committed", oru(header("0800", "1"), "", alt))
	b.must(t, "committed", oru(header("1000", "2"), "", altC))
	b.must(t, "stale", oru(header("0900", "3"), "", alt))
	b.must(t, "unchanged", oru(header("1100", "4"), "", altC))
	if got := b.one(t, "Observation", "ALT"); got.state() != "2 corrected" {
		t.Errorf("%s", got.state())
	}
}

// A message of two reports of which one is stale applies the other, leaves the
// patient as he stands, and says so.
func TestOneReportOfTwoIsStale(t *testing.T) {
	b := newBench(t, backend{"map", openMap}, setup{})
	second := "OBR|2||R20261121-9|REN^肾功能^99LIS|||20261121073000|||||||||||||||%s||CH|F\rOBX|1|NM|CREA^肌酐^99LIS||61|μmol/L|||||F\r"
	b.must(t, "committed", oru(header("1000", "1"), issued("1000"), alt))
	late := strings.Replace(oru(header("0900", "2"), issued("0900"), altC)+fmt.Sprintf(second, issued("0900")), "张三", "张山", 1)
	env := b.must(t, "committed", late)
	if !hasFinding(env, reportStale) {
		t.Errorf("findings: %v", env.Findings)
	}
	if got := b.one(t, "Observation", "ALT"); got.state() != "1 final" {
		t.Errorf("the result of the stale report: %s", got.state())
	}
	b.one(t, "Observation", "CREA")
	b.one(t, "Patient", "张三")
}

// An older message about another order changes nothing of a patient whom a newer one has changed, and says so.
func TestOlderMessageLeavesThePatient(t *testing.T) {
	onAll(t, func(t *testing.T, on backend) {
		b := newBench(t, on, setup{})
		order := func(at, id, number, name string) string {
			text := strings.Replace(oru(header(at, id), issued(at), alt), "R20261121-8", number, 1)
			return strings.Replace(text, "张三", name, 1)
		}
		b.must(t, "committed", order("0800", "1", "R1", "张三"))
		b.must(t, "committed", order("1000", "2", "R2", "张山"))
		env := b.must(t, "committed", order("0900", "3", "R3", "张三")) // sent before, and late
		if !hasFinding(env, subjectStale) {
			t.Errorf("findings: %v", env.Findings)
		}
		if got := b.one(t, "Patient", "张山"); got.state() != "2 " {
			t.Errorf("the patient: %q", got.state())
		}
		// What says the same makes no version, and a newer one changes the name again.
		if env := b.must(t, "committed", order("0930", "4", "R4", "张山")); hasFinding(env, subjectStale) {
			t.Errorf("findings: %v", env.Findings)
		}
		b.must(t, "committed", order("1100", "5", "R5", "张三"))
		if got := b.one(t, "Patient", "张三"); got.state() != "3 " {
			t.Errorf("the patient: %q", got.state())
		}
	})
}

// A program that fails on one message parks it, without its values in the log, and goes on.
func TestPoisonMessage(t *testing.T) {
	g := &gate{}
	var log lockedBuffer
	b := newBench(t, backend{"map", openMap}, setup{log: log.logger(), wrap: func(st store.Store) store.Store { g.Store = st; return g }})
	g.set(func(p store.CommitParams) error {
		if writes(p, "72.50") {
			panic("value 72.50 of 张三")
		}
		return nil
	})
	it := b.take(t, oru(header("0800", "1"), issued("0800"), alt))
	if it.State != store.Parked || it.Label != "internal.panic" {
		t.Errorf("%s %s", it.State, it.Label)
	}
	b.must(t, "committed", oru(header("0801", "2"), issued("0801"), altC))
	if s := log.String(); !strings.Contains(s, "order_test.go") || strings.Contains(s, "72.50") || strings.Contains(s, "张三") {
		t.Errorf("the log does not say where, or says what: %s", s)
	}
}
