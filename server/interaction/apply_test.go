package interaction

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"meridian/fhir/issue"
	"meridian/fhir/search"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

// racing is a store in which another writer comes between a read and the commit, once.
type racing struct {
	store.Store
	other func()
}

func (r *racing) Commit(ctx context.Context, p store.CommitParams) error {
	if other := r.other; other != nil {
		r.other = nil
		other()
	}
	return r.Store.Commit(ctx, p)
}

func newApplyService(t *testing.T) (*Service, *racing) {
	t.Helper()
	registry, err := search.New(search.Options{})
	if err != nil {
		t.Fatal(err)
	}
	st := &racing{Store: storetest.NewMap(storetest.Config{Index: Indexer(registry), IndexVersion: "1", Clock: time.Now})}
	s, err := New(Options{Store: st, Registry: registry})
	if err != nil {
		t.Fatal(err)
	}
	return s, st
}

// patientPut makes Patient/id stand as text says; "" leaves what stands.
func patientPut(id string, revise func(current *store.Resource) string, pin bool) Put {
	return Put{Key: store.Key{Type: "Patient", ID: id}, Pin: pin, Revise: func(current *store.Resource) ([]byte, bool, error) {
		family := revise(current)
		return []byte(fmt.Sprintf(`{"resourceType":"Patient","id":%q,"name":[{"family":%q}]}`, id, family)), family == "", nil
	}}
}

func constant(family string) func(*store.Resource) string {
	return func(*store.Resource) string { return family }
}

func mustApply(t *testing.T, s *Service, puts ...Put) []Result {
	t.Helper()
	r, err := s.Apply(t.Context(), puts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What is written the first time is created, what differs is updated, what is the same makes no version.
func TestApply(t *testing.T) {
	s, _ := newApplyService(t)
	mustApply(t, s, patientPut("a", constant("one"), false))
	r := mustApply(t, s, patientPut("a", constant("one"), false), patientPut("b", constant("two"), false), patientPut("c", constant(""), false))
	if r[0].Effect != Unchanged || r[1].Effect != Created || r[2].Effect != Unchanged {
		t.Errorf("effects %v %v %v", r[0].Effect, r[1].Effect, r[2].Effect)
	}
	if r := mustApply(t, s, patientPut("a", constant("three"), false)); r[0].Effect != Updated || r[0].Resource.Version != 2 {
		t.Errorf("%v version %d", r[0].Effect, r[0].Resource.Version)
	}
}

// All is written or nothing, and the error of a Revise comes back.
func TestApplyAllOrNothing(t *testing.T) {
	s, st := newApplyService(t)
	stop := errors.New("stop")
	_, err := s.Apply(t.Context(), []Put{patientPut("a", constant("one"), false),
		{Key: store.Key{Type: "Patient", ID: "b"}, Revise: func(*store.Resource) ([]byte, bool, error) { return nil, false, stop }}})
	if !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
	bad := Put{Key: store.Key{Type: "Patient", ID: "b"}, Revise: func(*store.Resource) ([]byte, bool, error) {
		return []byte(`{"resourceType":"Patient","id":"b","nmae":[]}`), false, nil
	}}
	if _, err = s.Apply(t.Context(), []Put{patientPut("a", constant("one"), false), bad}); issue.As(err) == nil {
		t.Errorf("%v", err)
	}
	if _, err := st.Read(t.Context(), store.Key{Type: "Patient", ID: "a"}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("something was written: %v", err)
	}
}

// What is pinned holds the others back: when it changes between the read and the commit, all is revised again.
func TestApplyPin(t *testing.T) {
	for _, pin := range []bool{false, true} {
		t.Run(fmt.Sprint(pin), func(t *testing.T) {
			s, st := newApplyService(t)
			mustApply(t, s, patientPut("guard", constant("old"), false), patientPut("a", constant("zero"), false))
			st.other = func() { mustApply(t, s, patientPut("guard", constant("new"), false)) }
			var seen []string
			mustApply(t, s, patientPut("a", constant("one"), false), patientPut("guard", func(current *store.Resource) string {
				seen = append(seen, map[bool]string{true: "old", false: "new"}[strings.Contains(string(current.Body), "old")])
				return ""
			}, pin))
			if got, want := strings.Join(seen, " "), map[bool]string{false: "old", true: "old new"}[pin]; got != want {
				t.Errorf("revised on %q, want %q", got, want)
			}
		})
	}
}

// A resource that was deleted meanwhile comes back as its next version.
func TestApplyAfterDelete(t *testing.T) {
	s, st := newApplyService(t)
	mustApply(t, s, patientPut("a", constant("one"), false))
	if err := st.Commit(t.Context(), store.CommitParams{Writes: []store.Write{{Key: store.Key{Type: "Patient", ID: "a"}, Version: 2, LastUpdated: time.Now().UTC(), Method: store.DELETE}}}); err != nil {
		t.Fatal(err)
	}
	if r := mustApply(t, s, patientPut("a", constant("one"), true)); r[0].Resource.Version != 3 || r[0].Effect != Created {
		t.Errorf("version %d, %v", r[0].Resource.Version, r[0].Effect)
	}
}
