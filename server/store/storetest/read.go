package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"meridian/server/store"
)

func testRead(t *testing.T, s *suite) {
	st := s.newStore(t)
	a := Sample{Type: "Patient", ID: "a", Note: "first", Facts: []Fact{Token("gender", "sys", "female")}}
	st.put(t, a)
	firstAt := st.clock.Now()
	a.Note = "second"
	st.put(t, a)
	secondAt := st.clock.Now()

	t.Run("the current version comes back byte for byte", func(t *testing.T) {
		r, err := st.Read(st.ctx, a.Key())
		if err != nil {
			t.Fatal(err)
		}
		want := Sample{Type: "Patient", ID: "a", Note: "second", Version: 2, At: secondAt, Facts: a.Facts}.Write()
		if !bytes.Equal(r.Body, want.Body) || r.Version != 2 || r.Deleted || r.Method != store.PUT || !r.LastUpdated.Equal(want.LastUpdated) || r.Key != a.Key() || r.Number == 0 {
			t.Errorf("got %+v, body %s\nwant body %s", r, r.Body, want.Body)
		}
	})
	t.Run("an old version comes back byte for byte", func(t *testing.T) {
		r, err := st.ReadVersion(st.ctx, a.Key(), 1)
		if err != nil {
			t.Fatal(err)
		}
		want := Sample{Type: "Patient", ID: "a", Note: "first", Version: 1, At: firstAt, Facts: a.Facts}.Write()
		if !bytes.Equal(r.Body, want.Body) || r.Version != 1 || r.Method != store.POST || !r.LastUpdated.Equal(want.LastUpdated) {
			t.Errorf("got %+v, body %s\nwant body %s", r, r.Body, want.Body)
		}
	})
	t.Run("the current version can be asked for by its number", func(t *testing.T) {
		if r, err := st.ReadVersion(st.ctx, a.Key(), 2); err != nil || r.Version != 2 || r.Body == nil {
			t.Errorf("got version %d, %v", r.Version, err)
		}
	})
	t.Run("what never was is not found", func(t *testing.T) {
		if _, err := st.Read(st.ctx, store.Key{Type: "Patient", ID: "b"}); !isNotFound(err) {
			t.Errorf("id: %v", err)
		}
		if _, err := st.Read(st.ctx, store.Key{Type: "Observation", ID: "a"}); !isNotFound(err) {
			t.Errorf("the same id of another type: %v", err)
		}
		if _, err := st.Read(st.ctx, store.Key{Type: "NeverStored", ID: "a"}); !isNotFound(err) {
			t.Errorf("a type without resources: %v", err)
		}
		for _, v := range []uint64{0, 3, 1 << 63} {
			if _, err := st.ReadVersion(st.ctx, a.Key(), v); !isNotFound(err) {
				t.Errorf("version %d: %v", v, err)
			}
		}
	})
	testReadDeleted(t, s)
	testReadMany(t, s)
}

func testReadDeleted(t *testing.T, s *suite) {
	t.Run("a deleted resource comes back with Deleted set and no body", func(t *testing.T) {
		st := s.newStore(t)
		a := Sample{Type: "Patient", ID: "a"}
		st.put(t, a)
		before, err := st.Read(st.ctx, a.Key())
		if err != nil {
			t.Fatal(err)
		}
		st.remove(t, a.Key())
		gone, err := st.Read(st.ctx, a.Key())
		if err != nil || !gone.Deleted || gone.Body != nil || gone.Version != 2 || gone.Method != store.DELETE || gone.Number != before.Number {
			t.Errorf("read: %+v, %v", gone, err)
		}
		if r, err := st.ReadVersion(st.ctx, a.Key(), 2); err != nil || !r.Deleted || r.Body != nil {
			t.Errorf("the deleted version: %+v, %v", r, err)
		}
		if r, err := st.ReadVersion(st.ctx, a.Key(), 1); err != nil || r.Deleted || !bytes.Equal(r.Body, before.Body) {
			t.Errorf("the version before: %+v, %v", r, err)
		}
		st.put(t, a)
		back, err := st.Read(st.ctx, a.Key())
		if err != nil || back.Deleted || back.Version != 3 || back.Number != before.Number {
			t.Errorf("written again: %+v, %v; its number was %d", back, err, before.Number)
		}
	})
}

func testReadMany(t *testing.T, s *suite) {
	t.Run("many are read in the order of the keys, what is not there without a body", func(t *testing.T) {
		st := s.newStore(t)
		for i := range 5 {
			st.put(t, Sample{Type: "Patient", ID: fmt.Sprint("p", i)})
		}
		st.remove(t, store.Key{Type: "Patient", ID: "p2"})
		keys := []store.Key{{Type: "Patient", ID: "p4"}, {Type: "Patient", ID: "p2"}, {Type: "Patient", ID: "none"}, {Type: "Patient", ID: "p0"}, {Type: "Patient", ID: "p4"}, {Type: "Else", ID: "p1"}}
		there := []bool{true, false, false, true, true, false}
		for _, times := range []int{4, 1} { // many, and few
			keys, there := slices.Repeat(keys, times), slices.Repeat(there, times)
			rows, err := st.ReadMany(st.ctx, keys)
			if err != nil || len(rows) != len(keys) {
				t.Fatalf("%d rows, %v", len(rows), err)
			}
			for i, want := range there {
				if rows[i].Key != keys[i] || (rows[i].Body != nil) != want {
					t.Errorf("%d: %v with body %t, want %v with %t", i, rows[i].Key, rows[i].Body != nil, keys[i], want)
				}
				if one, err := st.Read(st.ctx, keys[i]); want && (err != nil || !bytes.Equal(rows[i].Body, one.Body) || rows[i].Version != one.Version) {
					t.Errorf("%d: %v differs from Read: %v", i, keys[i], err)
				}
			}
		}
		if _, err := st.ReadMany(st.ctx, make([]store.Key, store.MaxReadMany+1)); err == nil {
			t.Error("more than MaxReadMany keys were taken")
		}
	})
}
