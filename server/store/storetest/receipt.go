package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"meridian/fhir/search"
	"meridian/server/store"
)

// receipt is one that is kept for an hour.
func (s *subject) receipt(key, answer string) *store.Receipt {
	return &store.Receipt{Key: key, Hash: "h-" + key, Answer: []byte(answer), Until: s.clock.Now().Add(time.Hour)}
}

// kept says what stands under a key: its answer, or "-".
func (s *subject) kept(t testing.TB, key string) string {
	t.Helper()
	r, err := s.Receipt(s.ctx, key)
	if isNotFound(err) {
		return "-"
	}
	if err != nil {
		t.Fatal(err)
	}
	if r.Key != key || r.Hash != "h-"+key {
		t.Errorf("receipt %+v", r)
	}
	return string(r.Answer)
}

func isReceiptConflict(err error) bool {
	var conflict *store.ConflictError
	return errors.As(err, &conflict) && conflict.Receipt
}

func testReceipt(t *testing.T, s *suite) {
	t.Run("a receipt is kept with its write until its time is over", func(t *testing.T) {
		st := s.newStore(t)
		if got := st.kept(t, "k"); got != "-" {
			t.Errorf("before: %s", got)
		}
		w := st.next(t, Sample{Type: "Patient", ID: "a"})
		if err := st.Commit(st.ctx, store.CommitParams{Writes: []store.Write{w}, Receipt: st.receipt("k", "first")}); err != nil {
			t.Fatal(err)
		}
		if got := st.kept(t, "k"); got != "first" {
			t.Errorf("after: %s", got)
		}
		st.put(t, Sample{Type: "Patient", ID: "a"})
		st.put(t, Sample{Type: "Patient", ID: "a"})
		if got := st.kept(t, "k"); got != "first" {
			t.Errorf("after later versions: %s", got)
		}
		st.clock.Add(time.Hour)
		if got := st.kept(t, "k"); got != "-" {
			t.Errorf("an hour later: %s", got)
		}
		w = st.next(t, Sample{Type: "Patient", ID: "a"})
		if err := st.Commit(st.ctx, store.CommitParams{Writes: []store.Write{w}, Receipt: st.receipt("k", "second")}); err != nil {
			t.Fatal(err)
		}
		if got := st.kept(t, "k"); got != "second" {
			t.Errorf("the key is free again: %s", got)
		}
	})
	t.Run("a second commit under a key writes nothing", func(t *testing.T) {
		st := s.newStore(t)
		for i, id := range []string{"a", "b"} {
			w := st.next(t, Sample{Type: "Patient", ID: id})
			err := st.Commit(st.ctx, store.CommitParams{Writes: []store.Write{w}, Receipt: st.receipt("k", id)})
			if i == 0 && err != nil || i == 1 && !isReceiptConflict(err) {
				t.Fatalf("%s: %v", id, err)
			}
		}
		if got := st.kept(t, "k"); got != "a" {
			t.Errorf("kept %s", got)
		}
		if _, err := st.Read(st.ctx, store.Key{Type: "Patient", ID: "b"}); !isNotFound(err) {
			t.Errorf("b: %v", err)
		}
	})
	t.Run("a receipt may come alone", func(t *testing.T) {
		st := s.newStore(t)
		if err := st.Commit(st.ctx, store.CommitParams{Receipt: st.receipt("k", "x")}); err != nil {
			t.Fatal(err)
		}
		if err := st.Commit(st.ctx, store.CommitParams{Receipt: st.receipt("k", "y")}); !isReceiptConflict(err) {
			t.Errorf("a second one: %v", err)
		}
		if got := st.kept(t, "k"); got != "x" {
			t.Errorf("kept %s", got)
		}
		if changes, _, err := st.Changes(st.ctx, "", 9); err != nil || len(changes) != 0 {
			t.Errorf("%v, %v", changes, err)
		}
	})
	testReceiptsListed(t, s)
	testReceiptRefused(t, s)
	testReceipts(t, s)
}

func testReceiptsListed(t *testing.T, s *suite) {
	t.Run("receipts are listed in the order of their keys, those whose time is over left out", func(t *testing.T) {
		st := s.newStore(t)
		old := st.receipt("k2", "over")
		old.Until = st.clock.Now().Add(time.Minute)
		for _, r := range []*store.Receipt{st.receipt("k3", "third"), old, st.receipt("k1", "first"), st.receipt("k", "shorter")} {
			w := st.next(t, Sample{Type: "Patient", ID: r.Key})
			if err := st.Commit(st.ctx, store.CommitParams{Writes: []store.Write{w}, Receipt: r}); err != nil {
				t.Fatal(err)
			}
		}
		st.clock.Add(2 * time.Minute)
		var got []string
		for after := ""; ; {
			page, err := st.Receipts(st.ctx, after, 2)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, r := range page {
				got = append(got, r.Key+" "+string(r.Answer))
				if r.Hash != "h-"+r.Key || !r.Until.After(st.clock.Now()) {
					t.Errorf("receipt %+v", r)
				}
				after = r.Key
			}
		}
		if want := []string{"k shorter", "k1 first", "k3 third"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// testReceiptRefused: what is not written, and where a key ends.
func testReceiptRefused(t *testing.T, s *suite) {
	t.Run("a write that fails leaves no receipt", func(t *testing.T) {
		st := s.newStore(t)
		w := st.next(t, Sample{Type: "Patient", ID: "a"})
		w.Expect = store.Version(4)
		if err := st.Commit(st.ctx, store.CommitParams{Writes: []store.Write{w}, Receipt: st.receipt("k", "x")}); err == nil || isReceiptConflict(err) {
			t.Fatalf("got %v", err)
		}
		if got := st.kept(t, "k"); got != "-" {
			t.Errorf("kept %s", got)
		}
		w.Expect = store.Absent
		if err := st.Commit(st.ctx, store.CommitParams{Writes: []store.Write{w}, Receipt: st.receipt("k", "y")}); err != nil {
			t.Errorf("the key is free: %v", err)
		}
	})
	t.Run("a receipt that comes alone is held to what it requires", func(t *testing.T) {
		st := s.newStore(t)
		st.put(t, Sample{Type: "Patient", ID: "a"})
		all := []*search.Plan{{Type: "Patient", Where: search.All{}, Limit: 1}}
		var conflict *store.ConflictError
		err := st.Commit(st.ctx, store.CommitParams{Receipt: st.receipt("k", "x"), Requires: []store.Require{{Key: store.Key{Type: "Patient", ID: "b"}}}})
		if !errors.As(err, &conflict) || !conflict.Require {
			t.Errorf("what is not there: %v", err)
		}
		err = st.Commit(st.ctx, store.CommitParams{Receipt: st.receipt("k", "x"), NoMatch: all})
		if !errors.As(err, &conflict) || !conflict.NoMatch {
			t.Errorf("a match: %v", err)
		}
		if got := st.kept(t, "k"); got != "-" {
			t.Errorf("kept %s", got)
		}
		err = st.Commit(st.ctx, store.CommitParams{NoMatch: all})
		if !errors.As(err, &conflict) || !conflict.NoMatch {
			t.Errorf("a match, and no receipt: %v", err)
		}
		if err := st.Commit(st.ctx, store.CommitParams{NoMatch: []*search.Plan{{Type: "Group", Where: search.All{}, Limit: 1}}}); err != nil {
			t.Errorf("no match, and no receipt: %v", err)
		}
	})
	t.Run("a key has a length", func(t *testing.T) {
		st := s.newStore(t)
		if err := st.Commit(st.ctx, store.CommitParams{Receipt: st.receipt(strings.Repeat("k", store.MaxReceiptKey), "x")}); err != nil {
			t.Error(err)
		}
	})
}

func testReceipts(t *testing.T, s *suite) {
	t.Run("several writes have one receipt", func(t *testing.T) {
		st := s.newStore(t)
		p := store.CommitParams{Receipt: st.receipt("k", "both"), Writes: []store.Write{st.next(t, Sample{Type: "Patient", ID: "a"}), st.next(t, Sample{Type: "Observation", ID: "o"})}}
		if err := st.CommitOrdered(st.ctx, p); err != nil {
			t.Fatal(err)
		}
		if got := st.kept(t, "k"); got != "both" {
			t.Errorf("kept %s", got)
		}
	})
	t.Run("receipts whose time is over leave, others stay", func(t *testing.T) {
		st := s.newStore(t)
		for round := range 6 {
			for i := range 20 {
				if err := st.Commit(st.ctx, store.CommitParams{Receipt: st.receipt(fmt.Sprintf("k%d-%d", round, i), "x")}); err != nil {
					t.Fatal(err)
				}
			}
			st.clock.Add(25 * time.Minute)
		}
		for round := range 6 {
			want := "-"
			if round >= 4 {
				want = "x"
			}
			for i := range 20 {
				if got := st.kept(t, fmt.Sprintf("k%d-%d", round, i)); got != want {
					t.Errorf("round %d: %s, want %s", round, got, want)
				}
			}
		}
	})
	t.Run("200 racing commits under one key write exactly one resource", func(t *testing.T) {
		st := s.newStore(t)
		var won, conflicts atomic.Int32
		together(200, func(i int) {
			w := Sample{Type: "Patient", ID: fmt.Sprint("p", i), At: st.clock.Now()}.Write()
			switch err := st.Commit(st.ctx, store.CommitParams{Writes: []store.Write{w}, Receipt: st.receipt("k", w.ID)}); {
			case err == nil:
				won.Add(1)
			case isReceiptConflict(err):
				conflicts.Add(1)
			default:
				t.Error(err)
			}
		})
		ids := st.ids(t, search.Plan{Type: "Patient", Where: search.All{}, Limit: 10})
		if won.Load() != 1 || conflicts.Load() != 199 || len(ids) != 1 || st.kept(t, "k") != ids[0] {
			t.Errorf("%d won, %d conflicts, found %v, kept %s", won.Load(), conflicts.Load(), ids, st.kept(t, "k"))
		}
	})
}

// testNoMatch: nobody may refer to what is deleted.
func testNoMatch(t *testing.T, s *suite) {
	about := func(id string) []Fact { return []Fact{Token("subject", "Patient", id)} }
	refers := func(id string) []*search.Plan {
		return []*search.Plan{
			{Type: "Encounter", Where: point("subject", "Patient", id), Limit: 1},
			{Type: "Observation", Where: point("subject", "Patient", id), Limit: 1},
		}
	}
	begin := func(t *testing.T) (*subject, store.Write) {
		st := s.newStore(t)
		st.put(t, Sample{Type: "Patient", ID: "a"})
		st.put(t, Sample{Type: "Observation", ID: "o", Facts: about("a")})
		w := st.next(t, Sample{Type: "Patient", ID: "a"})
		w.Body, w.Facts, w.Method = nil, nil, store.DELETE
		return st, w
	}
	t.Run("a match forbids the commit and is named", func(t *testing.T) {
		st, w := begin(t)
		err := st.Commit(st.ctx, store.CommitParams{Writes: []store.Write{w}, NoMatch: refers("a")})
		var conflict *store.ConflictError
		if !errors.As(err, &conflict) || !conflict.NoMatch || conflict.Index != 1 || conflict.Match == nil || *conflict.Match != (store.Key{Type: "Observation", ID: "o"}) {
			t.Fatalf("got %v", err)
		}
		if r, err := st.Read(st.ctx, w.Key); err != nil || r.Deleted {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("no match lets it pass", func(t *testing.T) {
		st, w := begin(t)
		st.remove(t, store.Key{Type: "Observation", ID: "o"})
		if err := st.Commit(st.ctx, store.CommitParams{Writes: []store.Write{w}, NoMatch: refers("a")}); err != nil {
			t.Error(err)
		}
	})
	t.Run("what the commit itself writes does not count", func(t *testing.T) {
		if s.lacks.Transactions {
			t.Skip("lacks Transactions")
		}
		st, w := begin(t)
		o := st.next(t, Sample{Type: "Observation", ID: "o"})
		o.Body, o.Facts, o.Method = nil, nil, store.DELETE
		if err := st.Commit(st.ctx, store.CommitParams{Writes: []store.Write{w, o}, NoMatch: refers("a")}); err != nil {
			t.Error(err)
		}
	})
	t.Run("of a delete and new references that race, one side gives way", func(t *testing.T) {
		if s.lacks.Transactions {
			t.Skip("lacks Transactions")
		}
		for round := range 20 {
			st, w := begin(t)
			st.remove(t, store.Key{Type: "Observation", ID: "o"})
			results := make([]error, 9)
			together(9, func(i int) {
				if i == 0 {
					results[i] = st.Commit(st.ctx, store.CommitParams{Writes: []store.Write{w}, NoMatch: refers("a")})
					return
				}
				o := Sample{Type: "Observation", ID: fmt.Sprint("o", i), At: st.clock.Now(), Facts: about("a")}.Write()
				results[i] = st.Commit(st.ctx, store.CommitParams{Writes: []store.Write{o}, Requires: []store.Require{{Key: w.Key}}})
			})
			referring := slices.ContainsFunc(results[1:], func(err error) bool { return err == nil })
			if deleted := results[0] == nil; deleted == referring {
				t.Fatalf("round %d: deleted %t, and resources refer to it: %t", round, deleted, referring)
			}
		}
	})
}
