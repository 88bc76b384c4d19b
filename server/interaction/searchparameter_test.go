package interaction

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"meridian/fhir/issue"
	"meridian/fhir/search"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

// doubtful is a store whose Verify finds something wrong as often as wrong says, and that tells when it walks.
type doubtful struct {
	store.Store
	wrong int
	walk  func(p store.ReindexParams) error
}

func (d *doubtful) Verify(ctx context.Context, p store.VerifyParams) (store.Verification, error) {
	v, err := d.Store.Verify(ctx, p)
	if d.wrong > 0 {
		d.wrong--
		v.Differ++
	}
	return v, err
}

func (d *doubtful) Reindex(ctx context.Context, p store.ReindexParams) (store.ReindexPage, error) {
	if d.walk != nil {
		if err := d.walk(p); err != nil {
			return store.ReindexPage{}, err
		}
	}
	return d.Store.Reindex(ctx, p)
}

// jobRecord is a ReindexTask that keeps what it is told.
type jobRecord struct {
	state, result []byte
	percent       []int
}

func (j *jobRecord) State(v any) (bool, error) {
	return j.state != nil, json.Unmarshal(orEmpty(j.state), v)
}

func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte("{}")
	}
	return b
}

func (j *jobRecord) Save(_ context.Context, state any) (err error) {
	j.state, err = json.Marshal(state)
	return err
}

func (j *jobRecord) Report(done, _ int, _ string) { j.percent = append(j.percent, done) }

func (j *jobRecord) SetResult(v any) (err error) {
	j.result, err = json.Marshal(v)
	return err
}

func newParameterService(t *testing.T) (*Service, *doubtful) {
	t.Helper()
	registry, err := search.New(search.Options{Zone: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	st := &doubtful{Store: storetest.NewMap(storetest.Config{Index: Indexer(registry), Adopt: Adopter(registry), IndexVersion: "1", Clock: time.Now})}
	s, err := New(Options{Store: st, Registry: registry})
	if err != nil {
		t.Fatal(err)
	}
	return s, st
}

func nickname(expression string) string {
	return `{"resourceType":"SearchParameter","id":"nick","url":"http://x/nick","name":"Nick","status":"active","description":"x","code":"nick","base":["Patient"],"type":"string","expression":"` + expression + `"}`
}

func mustUpdate(t *testing.T, s *Service, typ, id, body string) {
	t.Helper()
	if _, err := s.Update(t.Context(), UpdateParams{Type: typ, ID: id, Body: []byte(body)}); err != nil {
		t.Fatal(err)
	}
}

// found counts the patients by nick=al; -1 when the search is refused.
func foundByNick(t *testing.T, s *Service) int {
	t.Helper()
	n, err := s.CountAll(t.Context(), FindParams{Type: "Patient", All: []search.Pair{{Name: "nick", Value: "al"}}}, 0)
	if e := issue.As(err); e != nil {
		return -1
	}
	if err != nil {
		t.Fatal(err)
	}
	return n.N
}

func TestReadyOnlyWhenVerified(t *testing.T) {
	s, st := newParameterService(t)
	for _, id := range []string{"a", "b", "c"} {
		mustUpdate(t, s, "Patient", id, `{"resourceType":"Patient","id":"`+id+`","name":[{"use":"nickname","text":"Al"}]}`)
	}
	mustUpdate(t, s, searchParameterType, "nick", nickname("Patient.name.where(use='nickname').text"))
	if n := foundByNick(t, s); n != -1 {
		t.Errorf("before the job: %d found", n)
	}
	job := &jobRecord{}
	st.wrong = reindexWalks
	if err := s.RunReindex(t.Context(), job); !errors.Is(err, ErrNotVerified) || job.result != nil {
		t.Errorf("a walk that does not verify: %v, result %s", err, job.result)
	}
	if n := foundByNick(t, s); n != -1 {
		t.Errorf("it is ready without being verified: %d found", n)
	}
	st.wrong = 1 // one more walk
	if err := s.RunReindex(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	var r ReindexResult
	if err := json.Unmarshal(job.result, &r); err != nil || r.Verified != 3 || len(r.Parameters) != 1 || r.Parameters[0] != "nick" {
		t.Errorf("result %s, %v", job.result, err)
	}
	if n := foundByNick(t, s); n != 3 {
		t.Errorf("%d found of 3", n)
	}
	for _, p := range job.percent[:len(job.percent)-1] {
		if p >= 100 {
			t.Errorf("%d in 100 was said before the end: %v", p, job.percent)
		}
	}
}

// A walk that was cut off goes on after the last slice that it saved, and no other catalog can slip in between.
func TestAWalkGoesOnWhereItWas(t *testing.T) {
	s, st := newParameterService(t)
	const n = 2*reindexSlice + 50
	for i := range n {
		id := strings.Repeat("x", 1+i/100) + string(rune('a'+i%100/10)) + string(rune('a'+i%10))
		mustUpdate(t, s, "Patient", id, `{"resourceType":"Patient","id":"`+id+`","name":[{"use":"nickname","text":"Al"}]}`)
	}
	mustUpdate(t, s, searchParameterType, "nick", nickname("Patient.name.where(use='nickname').text"))
	job, killed := &jobRecord{}, errors.New("killed")
	var after []string
	st.walk = func(p store.ReindexParams) error {
		if after = append(after, p.After); len(after) == 2 {
			return killed
		}
		return nil
	}
	if err := s.RunReindex(t.Context(), job); !errors.Is(err, killed) {
		t.Fatal(err)
	}
	if err := s.RunReindex(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if len(after) != 4 || after[0] != "" || after[1] == "" || after[2] != after[1] {
		t.Errorf("slices after %q", after)
	}
	if got := foundByNick(t, s); got != n {
		t.Errorf("%d found of %d", got, n)
	}
}

// A definition that changes while its walk goes on begins it anew; the keys of the former answer nothing.
func TestAChangedDefinitionIsAnotherParameter(t *testing.T) {
	s, st := newParameterService(t)
	mustUpdate(t, s, "Patient", "a", `{"resourceType":"Patient","id":"a","name":[{"use":"nickname","text":"Al"},{"use":"old","text":"Bo"}]}`)
	mustUpdate(t, s, searchParameterType, "nick", nickname("Patient.name.where(use='old').text"))
	st.walk = func(store.ReindexParams) error {
		st.walk = nil
		mustUpdate(t, s, searchParameterType, "nick", nickname("Patient.name.where(use='nickname').text"))
		return nil
	}
	job := &jobRecord{}
	if err := s.RunReindex(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if n := foundByNick(t, s); n != 1 {
		t.Errorf("%d found by the new definition", n)
	}
	c, err := s.store.Catalog(t.Context())
	body, err2 := readCatalog(&c)
	if err != nil || err2 != nil || len(body.Parameters) != 1 || !body.Parameters[0].Ready || len(body.Leaving) != 0 || len(c.Added) != 1 {
		t.Errorf("catalog %+v, %v", body, errors.Join(err, err2))
	}
	if _, err := s.Delete(t.Context(), DeleteParams{Type: searchParameterType, ID: "nick"}); err != nil {
		t.Fatal(err)
	}
	if n := foundByNick(t, s); n != -1 {
		t.Errorf("deleted: %d found", n)
	}
	// What a crash between the write and the catalog leaves is mended.
	mustUpdate(t, s, searchParameterType, "nick", nickname("Patient.name.where(use='nickname').text"))
	c, _ = s.store.Catalog(t.Context())
	if err := s.putCatalog(t.Context(), &c, &catalogBody{}, true); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.SyncSearchParameters(t.Context()), s.RunReindex(t.Context(), &jobRecord{})); err != nil || foundByNick(t, s) != 1 {
		t.Errorf("after a crash: %v", err)
	}
}

// The CapabilityStatement lists an added parameter when it is ready, and no longer when it is gone.
func TestCapabilitiesFollowAddedParameters(t *testing.T) {
	s, _ := newParameterService(t)
	listed := func() bool { return strings.Contains(string(s.Capabilities()), `"name":"nick"`) }
	mustUpdate(t, s, searchParameterType, "nick", nickname("Patient.name.text"))
	if listed() {
		t.Error("it is listed while it is pending")
	}
	if err := s.RunReindex(t.Context(), &jobRecord{}); err != nil || !listed() {
		t.Errorf("it is not listed when it is ready: %v", err)
	}
	if _, err := s.Delete(t.Context(), DeleteParams{Type: searchParameterType, ID: "nick"}); err != nil || listed() {
		t.Errorf("it is listed when it is gone: %v", err)
	}
}
