package pebblestore

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"meridian/server/store"
	"meridian/server/store/storetest"
)

// TestHistoryOfATypeOrTime compares histories by type and time with the whole
// log, whose times now and then fall, over several blocks of it.
func TestHistoryOfATypeOrTime(t *testing.T) {
	o := Options{Dir: "db", FS: vfs.NewMem(), Index: storetest.Index}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	type entry struct {
		typ, id string
		at      time.Time
	}
	var log []entry
	r := rand.New(rand.NewPCG(1, 1))
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := start
	for len(log) < 5000 {
		var samples []storetest.Sample
		for range []int{1, 3, 70, 700}[r.IntN(4)] {
			e := entry{typ: []string{"Observation", "Observation", "Patient"}[r.IntN(3)], id: fmt.Sprint("r", len(log)), at: at}
			if len(log)%1999 == 7 {
				e.typ, e.at = "Basic", at.Add(-time.Hour)
			}
			log = append(log, e)
			samples = append(samples, storetest.Sample{Type: e.typ, ID: e.id, At: e.at})
		}
		commit(t, s, samples...)
		at = at.Add(time.Second)
	}
	check := func() {
		t.Helper()
		for _, typ := range []string{"", "Observation", "Patient", "Basic"} {
			for _, span := range [][2]time.Duration{{}, {10 * time.Second, 0}, {0, 10 * time.Second}, {20 * time.Second, 25 * time.Second}, {-time.Hour, -time.Second}, {24 * time.Hour, 0}} {
				p := store.HistoryParams{Type: typ, Limit: 300}
				if span != ([2]time.Duration{}) {
					p.Since, p.Before = start.Add(span[0]), start.Add(span[1])
				}
				if span[0] == 0 {
					p.Since = time.Time{}
				} else if span[1] == 0 {
					p.Before = time.Time{}
				}
				var want, got []string
				for _, e := range slices.Backward(log) {
					if (typ == "" || e.typ == typ) && (p.Since.IsZero() || !e.at.Before(p.Since)) && (p.Before.IsZero() || e.at.Before(p.Before)) {
						want = append(want, e.id)
					}
				}
				for more := true; more; {
					page, err := s.History(t.Context(), p)
					if err != nil {
						t.Fatal(err)
					}
					for i := range page.Rows {
						got = append(got, page.Rows[i].ID)
					}
					p.After, more = page.Next, page.Next != ""
				}
				if !slices.Equal(got, want) {
					t.Errorf("of %q in %v: got %d, want %d: %v, %v", typ, span, len(got), len(want), head(got), head(want))
				}
			}
		}
		if err := s.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
	check()
	o.IndexVersion = "rebuilt"
	s = reopen(t, s, o)
	check()
	commit(t, s, storetest.Sample{Type: "Patient", ID: "late", At: at})
	log = append(log, entry{"Patient", "late", at})
	check()
}

func head(of []string) []string { return of[:min(len(of), 5)] }

// TestWhatHistoriesRead bounds the keys of the log that a history reads.
func TestWhatHistoriesRead(t *testing.T) {
	s, err := Open(Options{Dir: "db", FS: vfs.NewMem(), Index: storetest.Index})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const n = 20_000
	for from := 0; from < n; from += 100 {
		var samples []storetest.Sample
		for i := from; i < from+100; i++ {
			sm := storetest.Sample{Type: "Observation", ID: fmt.Sprint(i), At: start.Add(time.Duration(i) * time.Second)}
			if i%4000 == 7 {
				sm.Type = "Patient"
			}
			samples = append(samples, sm)
		}
		commit(t, s, samples...)
	}
	for _, c := range []struct {
		rule string
		p    store.HistoryParams
		rows int
		most int
	}{
		{"all of a rare type", store.HistoryParams{Type: "Patient", Limit: 10}, 5, 20},
		{"a page of a type", store.HistoryParams{Type: "Observation", Limit: 10}, 10, 10},
		{"of a type since a minute ago", store.HistoryParams{Type: "Observation", Limit: 100, Since: start.Add((n - 60) * time.Second)}, 60, 100},
		{"of a type before its second minute", store.HistoryParams{Type: "Observation", Limit: 100, Before: start.Add(2 * time.Minute)}, 100, 250},
		{"of all within a minute long ago", store.HistoryParams{Limit: 100, Since: start.Add(5000 * time.Second), Before: start.Add(5060 * time.Second)}, 60, 3000},
	} {
		t.Run(c.rule, func(t *testing.T) {
			snapshot := s.db.NewSnapshot()
			defer snapshot.Close()
			typ := uint32(0)
			if c.p.Type != "" {
				typ = s.names.typ(c.p.Type).number
			}
			l := s.readLog(t.Context(), snapshot, typ)
			defer l.close()
			h := &historyReader{store: s, db: snapshot, ctx: t.Context(), p: &c.p}
			if err := h.entries(l); err != nil || len(h.page.Rows) != c.rows {
				t.Fatalf("%d rows, %v", len(h.page.Rows), err)
			}
			if l.keys > c.most {
				t.Errorf("read %d keys, at most %d", l.keys, c.most)
			}
			t.Logf("read %d keys", l.keys)
		})
	}
}
