package mongostore

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"meridian/fhir/search"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

// upper is another Index: each code is found by another text.
func upper(body []byte) (*search.Facts, error) {
	f, err := storetest.Index(body)
	if err != nil {
		return nil, err
	}
	for i := range f.Keys {
		f.Keys[i].Value = "new " + f.Keys[i].Value
	}
	for i := range f.Forward {
		f.Forward[i].Low, f.Forward[i].High = "new "+f.Forward[i].Low, "new "+f.Forward[i].High
	}
	return f, nil
}

// What is opened as it is keeps its index, and its next opening still finds it to be of another version.
func TestAsIsRebuildsNothing(t *testing.T) {
	o := testOptions(t)
	mustCommit(t, mustOpen(t, o), storetest.Sample{Type: "Patient", ID: "a", Facts: []storetest.Fact{storetest.Text("code", "c")}}.Write())
	rebuilt := 0
	o.Index, o.IndexVersion, o.AsIs, o.Progress = upper, "test-2", true, func(int, int) { rebuilt++ }
	if changes, _, err := mustOpen(t, o).Changes(t.Context(), "", 10); err != nil || len(changes) != 1 || rebuilt != 0 {
		t.Errorf("%d changes, %v; rebuilt %d times", len(changes), err, rebuilt)
	}
	o.AsIs = false
	mustOpen(t, o)
	if rebuilt != 1 {
		t.Errorf("rebuilt %d times afterwards", rebuilt)
	}
}

func TestRebuild(t *testing.T) {
	o := testOptions(t)
	s := mustOpen(t, o)
	const n = rebuildBatch + 20
	for i := range n {
		mustCommit(t, s, storetest.Sample{Type: "Patient", ID: fmt.Sprintf("p%04d", i), Facts: []storetest.Fact{storetest.Text("code", fmt.Sprint("c", i))}}.Write())
	}
	mustCommit(t, s, group("big", 1, MaxPostings+1, s.now()).Write())
	del := storetest.Sample{Type: "Patient", ID: "p0000", Version: 2}.Write()
	del.Body, del.Facts, del.Method = nil, nil, store.DELETE
	mustCommit(t, s, del)

	var mu sync.Mutex
	last, calls := 0, 0
	o.Index, o.IndexVersion = upper, "test-2"
	o.Progress = func(done, total int) {
		mu.Lock()
		defer mu.Unlock()
		if last, calls = done, calls+1; total != n {
			t.Errorf("%d of %d, want of %d", done, total, n)
		}
	}
	var wg sync.WaitGroup
	stores := make([]*Store, 3)
	for i := range stores {
		wg.Go(func() {
			var err error
			if stores[i], err = Open(t.Context(), o); err != nil {
				t.Errorf("open: %v", err)
			}
		})
	}
	wg.Wait()
	if last != n || calls != 3 {
		t.Errorf("progress ended at %d after %d calls", last, calls)
	}
	for _, s := range stores {
		if s == nil {
			t.FailNow()
		}
		page, err := s.Search(t.Context(), &search.Plan{Type: "Patient", Where: point("code", "", "new c7"), Sort: []search.Order{{Param: "code"}}, Limit: 2})
		if err != nil || len(page.Rows) != 1 || *page.Rows[0].At.Values[0] != "new c7" {
			t.Errorf("by the new index: %+v, %v", page.Rows, err)
		}
		for value, want := range map[string]int{"new m02000": 1, "m02000": 0} { // in an overflow document
			if total, err := s.Count(t.Context(), &search.Plan{Type: "Group", Where: point("member", "Patient", value)}, 0); err != nil || total.N != want {
				t.Errorf("%s: %+v, %v", value, total, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := s.Search(t.Context(), &search.Plan{Type: "Patient", Limit: 1}); !errors.Is(err, store.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

func TestNodes(t *testing.T) {
	o := testOptions(t)
	a, b := mustOpen(t, o), mustOpen(t, o)
	for _, s := range []*Store{a, b} {
		if _, err := s.ids.next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if a.ids.node == b.ids.node {
		t.Errorf("two processes are node %d", a.ids.node)
	}
	node := a.ids.node
	last, err := a.ids.next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	c := mustOpen(t, o)
	next, err := c.ids.next(t.Context())
	if err != nil || next <= last {
		t.Errorf("%d after %d, %v", next, last, err)
	}
	if c.ids.node != node && c.ids.node == b.ids.node {
		t.Errorf("a third process has the node of a running one")
	}
}
