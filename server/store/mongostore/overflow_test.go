package mongostore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"meridian/fhir/search"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

// group is a resource with n members m0…, and one code.
func group(id string, version uint64, n int, at time.Time) storetest.Sample {
	sm := storetest.Sample{Type: "Group", ID: id, Version: version, At: at, Facts: []storetest.Fact{storetest.Text("code", "ward")}}
	for i := range n {
		sm.Facts = append(sm.Facts, storetest.Ref("member", "Patient", fmt.Sprintf("m%05d", i)))
	}
	sm.Facts = append(sm.Facts, storetest.Span("value", "7", "9"), storetest.Text("zone", "east wing"))
	return sm
}

func TestOverflow(t *testing.T) {
	s, clock := handClock(t, nil)
	const members = 2*MaxPostings + 100
	mustCommit(t, s, group("big", 1, members, clock.Now()).Write(), group("small", 1, 2, clock.Now()).Write())
	find := func(e search.Expr) []string {
		t.Helper()
		plan := &search.Plan{Type: "Group", Where: e, Sort: []search.Order{{Param: "_id"}}, Limit: 10}
		page, err := s.Search(t.Context(), plan)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, r := range page.Rows {
			ids = append(ids, r.ID)
		}
		if total, err := s.Count(t.Context(), plan, 0); err != nil || total.N != len(ids) {
			t.Errorf("count %+v of %v, %v", total, ids, err)
		}
		return ids
	}
	member := func(i int) search.Expr { return point("member", "Patient", fmt.Sprintf("m%05d", i)) }
	last := member(members - 1)
	for _, c := range []struct {
		rule string
		e    search.Expr
		want []string
	}{
		{"a posting in the head", member(0), []string{"big", "small"}},
		{"a posting in an overflow document", last, []string{"big"}},
		{"one in each", search.And{Of: []search.Expr{member(0), last}}, []string{"big"}},
		{"not one in an overflow document", search.Not{Of: last}, []string{"small"}},
		{"one of two", search.Or{Of: []search.Expr{last, member(1)}}, []string{"big", "small"}},
		{"a range in an overflow document", search.Box{Param: "value", LoMin: "7", LoMax: "8"}, []string{"big", "small"}},
		{"a prefix in an overflow document", search.Prefix{Key: search.Key{Param: "zone", Value: "ea"}}, []string{"big", "small"}},
		{"a part of a text in an overflow document", search.Contains{Param: "zone", Text: "st w"}, []string{"big", "small"}},
		{"none", member(members), nil},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if got := find(c.e); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	t.Run("a chain reads references in overflow documents", func(t *testing.T) {
		mustCommit(t, s, storetest.Sample{Type: "Patient", ID: fmt.Sprintf("m%05d", members-1), At: clock.Now()}.Write())
		page, err := s.Search(t.Context(), &search.Plan{Type: "Patient", Where: search.ChainReverse{Type: "Group", Param: "member", Where: point("code", "", "ward")}, Limit: 5})
		if err != nil || len(page.Rows) != 1 {
			t.Errorf("%d rows, %v", len(page.Rows), err)
		}
	})
	t.Run("what another attempt left is not read", func(t *testing.T) {
		left := part{ID: "Group/small/left/1", T: "Group", Of: "Group/small", V: 2, P: 1, K: []string{postingText(search.Key{Param: "member", Scope: "Patient", Value: "left"})}}
		if _, err := s.db.Collection(overflowName).InsertOne(t.Context(), left); err != nil {
			t.Fatal(err)
		}
		if got := find(point("member", "Patient", "left")); len(got) != 0 {
			t.Errorf("got %v", got)
		}
	})
	t.Run("a smaller version drops them", func(t *testing.T) {
		mustCommit(t, s, group("big", 2, 1, clock.Now()).Write())
		if got := find(last); len(got) != 0 {
			t.Errorf("got %v", got)
		}
		if n, err := s.db.Collection(overflowName).CountDocuments(t.Context(), bson.D{{Key: "of", Value: "Group/big"}}); err != nil || n != 0 {
			t.Errorf("%d overflow documents left, %v", n, err)
		}
	})
}

func TestLimits(t *testing.T) {
	s, clock := handClock(t, nil)
	t.Run("a document over 15 MiB is refused by name and nothing is written", func(t *testing.T) {
		w := storetest.Sample{Type: "Binary", ID: "big", At: clock.Now()}.Write()
		w.Body = []byte(`{"resourceType":"Binary","data":"` + strings.Repeat("A", MaxDocument) + `"}`)
		err := s.Commit(t.Context(), store.CommitParams{Writes: []store.Write{w}})
		if !errors.Is(err, store.ErrTooLarge) || !strings.Contains(err.Error(), "Binary/big") {
			t.Errorf("got %v", err)
		}
		if n, err := s.db.Collection(historyName).CountDocuments(t.Context(), bson.D{}); err != nil || n != 0 {
			t.Errorf("%d history entries, %v", n, err)
		}
	})
	t.Run("a resource with too many keys is refused by name", func(t *testing.T) {
		w := storetest.Sample{Type: "Group", ID: "g", At: clock.Now()}.Write()
		w.Facts = &search.Facts{Keys: make([]search.Key, MaxResourcePostings+1)}
		if err := s.Commit(t.Context(), store.CommitParams{Writes: []store.Write{w}}); !errors.Is(err, store.ErrTooLarge) || !strings.Contains(err.Error(), "Group/g") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a name that is no resource type is refused", func(t *testing.T) {
		for _, typ := range []string{"", "history", "Patient.x", "$cmd", "X"} {
			w := storetest.Sample{Type: typ, ID: "a", At: clock.Now()}.Write()
			if err := s.Commit(t.Context(), store.CommitParams{Writes: []store.Write{w}}); err == nil {
				t.Errorf("%q is taken", typ)
			}
			if _, err := s.Search(t.Context(), &search.Plan{Type: typ, Limit: 1}); err == nil {
				t.Errorf("%q is searched", typ)
			}
		}
	})
}
