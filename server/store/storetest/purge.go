package storetest

import (
	"slices"
	"testing"

	"meridian/server/store"
)

// purge deletes what stands at key with all that stood there before.
func (s *subject) purge(t testing.TB, key store.Key) {
	t.Helper()
	w := s.next(t, Sample{Type: key.Type, ID: key.ID})
	w.Body, w.Facts, w.Method, w.Purge = nil, nil, store.DELETE, true
	if err := s.Commit(s.ctx, store.CommitParams{Writes: []store.Write{w}}); err != nil {
		t.Fatalf("purge %s/%s: %v", key.Type, key.ID, err)
	}
}

func testPurge(t *testing.T, s *suite) {
	st := s.newStore(t)
	a, b := Sample{Type: "Patient", ID: "a"}, Sample{Type: "Patient", ID: "b"}
	st.put(t, a)
	st.put(t, b)
	st.put(t, a)
	st.purge(t, a.Key())

	for version := uint64(1); version <= 2; version++ {
		if _, err := st.ReadVersion(st.ctx, a.Key(), version); !isNotFound(err) {
			t.Errorf("version %d is read after a purge: %v", version, err)
		}
	}
	if r, err := st.Read(st.ctx, a.Key()); err != nil || !r.Deleted || r.Version != 3 {
		t.Errorf("what stands is not the deletion: version %d, deleted %v, %v", r.Version, r.Deleted, err)
	}
	check := func(rule string, p store.HistoryParams, total int, want ...string) {
		t.Helper()
		for _, p.Limit = range []int{100, 1} {
			if got := st.history(t, p, total); !slices.Equal(got, want) {
				t.Errorf("%s, in pages of %d: %v, want %v", rule, p.Limit, got, want)
			}
		}
	}
	check("of the instance", store.HistoryParams{Type: "Patient", ID: "a"}, 1, "Patient/a/3 deleted")
	check("of the type", store.HistoryParams{Type: "Patient"}, -1, "Patient/a/3 deleted", "Patient/b/1")
	check("of all", store.HistoryParams{}, -1, "Patient/a/3 deleted", "Patient/b/1")

	// It may come again, at the next version, and go again.
	st.put(t, a)
	st.put(t, a)
	check("after it came again", store.HistoryParams{Type: "Patient", ID: "a"}, 3, "Patient/a/5", "Patient/a/4", "Patient/a/3 deleted")
	st.purge(t, a.Key())
	st.purge(t, a.Key())
	check("after a second and third purge", store.HistoryParams{Type: "Patient", ID: "a"}, 1, "Patient/a/7 deleted")
	check("of the type in the end", store.HistoryParams{Type: "Patient"}, -1, "Patient/a/7 deleted", "Patient/b/1")
}
