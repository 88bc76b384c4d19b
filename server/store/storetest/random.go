package storetest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"meridian/fhir/search"
	"meridian/server/store"
)

// Random runs one seeded list of operations on a store and on a Map, and
// fails with the list when they disagree on ids, order, versions or totals.
func Random(t *testing.T, open Open, lacks Lacks, seed uint64, operations int) {
	s := &suite{open: open, lacks: lacks}
	st := s.newStore(t)
	r := &random{Rand: rand.New(rand.NewPCG(seed, 0)), t: t, st: st, truth: NewMap(Config{Index: Index, Clock: st.clock.Now}), lacks: lacks}
	defer func() {
		if t.Failed() {
			t.Logf("transcript of seed %d:\n%s", seed, r.transcript.String())
		}
	}()
	for range operations {
		if t.Failed() {
			return
		}
		switch n := r.IntN(20); {
		case n < 8:
			r.commit()
		case n < 15:
			r.search()
		case n < 16:
			r.count()
		case n < 17:
			r.read()
		case n < 18:
			r.history()
		case n < 19:
			r.unless()
		default:
			r.changes()
		}
	}
}

func testRandom(t *testing.T, s *suite) {
	for seed := range uint64(Seeds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { Random(t, s.open, s.lacks, seed, 300) })
	}
}

type random struct {
	*rand.Rand
	t          *testing.T
	st         *subject
	truth      *Map
	lacks      Lacks
	transcript strings.Builder
}

func (r *random) log(format string, args ...any) { fmt.Fprintf(&r.transcript, format+"\n", args...) }

func pick[T any](r *random, of ...T) T { return of[r.IntN(len(of))] }

func (r *random) sample() Sample {
	sm := Sample{Type: pick(r, "Observation", "Observation", "Patient"), ID: fmt.Sprint("r", r.IntN(40)), Note: fmt.Sprint(r.IntN(3))}
	for range r.IntN(6) {
		sm.Facts = append(sm.Facts, r.fact())
	}
	if r.IntN(2) == 0 { // a parameter that no resource has twice
		lo := r.bound()
		sm.Facts = append(sm.Facts, Span("when", lo, pick(r, lo, max(lo, r.bound()), r.bound(), "zzz")))
	}
	return sm
}

func (r *random) fact() Fact {
	switch r.IntN(6) {
	case 0, 1:
		return Token("code", pick(r, "s1", "s2", ""), pick(r, "a", "b", "c", "a b", "ab"))
	case 2:
		return Ref("subject", pick(r, "Patient", "Observation"), fmt.Sprint("r", r.IntN(40)))
	case 3:
		return Text("name", pick(r, "zhang", "zhang san", "zhangsan", "z", "li si", "张三"))
	case 4:
		return Span("date", r.bound(), r.bound())
	default:
		lo := r.bound()
		return Span("value", lo, max(lo, r.bound()), pick(r, "mg", "kg"))
	}
}

// bound makes bounds near to each other and far from each other, of different
// lengths, and now and then with a letter that Index writes in no bound.
func (r *random) bound() string {
	b := fmt.Sprint(10 + r.IntN(20))
	if r.IntN(2) == 0 {
		b = "20" + b[:1] + "00000" + b[1:]
	}
	return b + pick(r, "", "", "", "0", "z", "!", "~")
}

func (r *random) expr(depth int) search.Expr {
	n := r.IntN(18) // 15 and up are chains, so that most trees of depth have some
	if depth == 0 {
		n = r.IntN(10)
	}
	key := pick(r, r.fact().Keys...)
	bound := func() string {
		if r.IntN(2) == 0 {
			return ""
		}
		return r.bound()
	}
	box := func() search.Expr {
		return search.Box{Param: pick(r, "date", "value", "when", "when"), Scope: pick(r, "", "", "mg"), LoMin: bound(), LoMax: bound(), HiMin: bound(), HiMax: bound()}
	}
	of := func() (out []search.Expr) {
		for range r.IntN(4) {
			out = append(out, r.expr(depth-1))
		}
		return out
	}
	switch n {
	case 0, 1, 2:
		return search.Point{Key: key}
	case 3:
		_, first := utf8.DecodeRuneInString(key.Value) // a plan's texts are UTF-8
		key.Value = key.Value[:pick(r, 0, first, len(key.Value))]
		return search.Prefix{Key: key}
	case 4:
		return box()
	case 5: // as `ge` is compiled
		param, at := pick(r, "date", "value", "when"), r.bound()
		return search.Or{Of: []search.Expr{search.Box{Param: param, HiMin: at}, search.Box{Param: param, LoMin: at}}}
	case 6:
		return search.Present{Param: key.Param}
	case 7:
		return search.IDs{IDs: []string{fmt.Sprint("r", r.IntN(40)), fmt.Sprint("r", r.IntN(40)), "none"}}
	case 8:
		return search.Contains{Param: pick(r, "name", "code", "subject"), Text: pick(r, "a", "g s", "san", "三", "1", "r2")}
	case 9:
		return search.All{}
	case 10, 11, 12:
		return search.And{Of: of()}
	case 13:
		return search.Or{Of: of()}
	case 14:
		return search.Not{Of: r.expr(depth - 1)}
	}
	if r.lacks.Chains {
		return search.All{}
	}
	var check func([]byte) (bool, error)
	if r.IntN(4) == 0 {
		check = bodyHas(fmt.Sprintf(`"note":"%d"`, r.IntN(3)))
	}
	if r.IntN(2) == 0 {
		return search.ChainForward{Param: "subject", Type: pick(r, "Patient", "Observation"), Where: r.expr(depth - 1), Check: check}
	}
	return search.ChainReverse{Type: pick(r, "Patient", "Observation"), Param: "subject", Where: r.expr(depth - 1), Check: check}
}

func (r *random) plan() search.Plan {
	p := search.Plan{Type: pick(r, "Observation", "Observation", "Patient"), Where: r.expr(3), Limit: pick(r, 1, 2, 3, 7, 50)}
	for range pick(r, 0, 1, 1, 2, 3) {
		p.Sort = append(p.Sort, search.Order{Param: pick(r, "date", "value", "when", "when", "name", "_id", "code", "subject"), Desc: r.IntN(2) == 0})
	}
	if r.IntN(8) == 0 {
		note := fmt.Sprintf(`"note":"%d"`, r.IntN(3))
		p.Residual = func(body []byte) (bool, error) { return strings.Contains(string(body), note), nil }
	}
	return p
}

func (r *random) commit() {
	var writes []store.Write
	seen := map[store.Key]bool{}
	n := 1
	if !r.lacks.Transactions {
		n = pick(r, 1, 1, 1, 2, 5, 30)
	}
	r.st.clock.Add(time.Millisecond)
	for range n {
		sm := r.sample()
		if seen[sm.Key()] {
			continue
		}
		seen[sm.Key()] = true
		sm.Version, sm.At = r.truth.version(sm.Key())+1, r.st.clock.Now()
		w := sm.Write()
		if sm.Version > 1 && r.IntN(4) == 0 {
			w.Body, w.Facts, w.Method = nil, nil, store.DELETE
			w.Purge = r.IntN(3) == 0
		}
		switch r.IntN(12) {
		case 0:
			w.Expect = store.Absent
		case 1:
			w.Expect = store.Version(sm.Version - 1)
		case 2:
			w.Expect = store.Version(sm.Version + 1)
		}
		writes = append(writes, w)
	}
	r.both(store.CommitParams{Writes: writes})
}

func (r *random) unless() {
	sm := r.sample()
	p := r.plan()
	p.Type, p.Limit, p.Sort = sm.Type, 2, nil
	r.st.clock.Add(time.Millisecond)
	sm.Version, sm.At = r.truth.version(sm.Key())+1, r.st.clock.Now()
	w := sm.Write()
	w.Unless = &p
	r.log("unless %s", Show(p.Where))
	r.both(store.CommitParams{Writes: []store.Write{w}})
}

// both commits to store and truth; they must agree on whether it failed.
func (r *random) both(p store.CommitParams) {
	want, got := r.truth.Commit(r.st.ctx, p), r.st.Commit(r.st.ctx, p)
	for _, w := range p.Writes {
		r.log("commit %s/%s version %d %+v %s", w.Type, w.ID, w.Version, w.Expect, w.Body)
	}
	r.log("  -> %v", want)
	if (want == nil) != (got == nil) {
		r.t.Errorf("commit: got %v, want %v", got, want)
	}
}

func (r *random) search() {
	p := r.plan()
	r.log("search %s where %s sort %+v limit %d residual %t", p.Type, Show(p.Where), p.Sort, p.Limit, p.Residual != nil)
	q := p
	for n := 0; ; n++ {
		want, err := r.truth.Search(r.st.ctx, &p)
		if err != nil {
			r.t.Fatal(err)
		}
		got, err := r.st.Search(r.st.ctx, &q)
		if err != nil {
			r.t.Errorf("page %d: %v", n, err)
			return
		}
		if shownRows(got.Rows) != shownRows(want.Rows) || got.More != want.More {
			r.t.Errorf("page %d:\ngot  %s, more %t\nwant %s, more %t", n, shownRows(got.Rows), got.More, shownRows(want.Rows), want.More)
			return
		}
		if !got.More {
			return
		}
		p.After, q.After = &want.Rows[p.Limit-1].At, &got.Rows[p.Limit-1].At
	}
}

func shownRows(rows []store.Row) string {
	var b strings.Builder
	for _, row := range rows {
		fmt.Fprintf(&b, "%s/%s/%d", row.Type, row.ID, row.Version)
		for _, v := range row.At.Values {
			b.WriteString(" " + shown(v))
		}
		b.WriteString("; ")
	}
	return b.String()
}

func (r *random) count() {
	p, limit := r.plan(), pick(r, 0, 0, 1, 5)
	r.log("count %s where %s limit %d residual %t", p.Type, Show(p.Where), limit, p.Residual != nil)
	want, err := r.truth.Count(r.st.ctx, &p, limit)
	if err != nil {
		r.t.Fatal(err)
	}
	if got, err := r.st.Count(r.st.ctx, &p, limit); err != nil || got != want {
		r.t.Errorf("count: got %+v, %v; want %+v", got, err, want)
	}
}

func (r *random) read() {
	key := r.sample().Key()
	r.log("read %s/%s", key.Type, key.ID)
	want, wantErr := r.truth.Read(r.st.ctx, key)
	got, err := r.st.Read(r.st.ctx, key)
	if (err == nil) != (wantErr == nil) || got.Version != want.Version || got.Deleted != want.Deleted || string(got.Body) != string(want.Body) {
		r.t.Errorf("read %v: got %+v, %v; want %+v, %v", key, got, err, want, wantErr)
	}
}

func (r *random) history() {
	p := store.HistoryParams{Type: pick(r, "", "Patient", "Observation"), Limit: pick(r, 1, 4, 1000)}
	if p.Type != "" && r.IntN(2) == 0 {
		p.ID = fmt.Sprint("r", r.IntN(40))
	}
	r.log("history %+v", p)
	truth := &subject{Store: r.truth, ctx: r.st.ctx}
	want, got := truth.history(r.t, p, -2), r.st.history(r.t, p, -2)
	if strings.Join(want, " ") != strings.Join(got, " ") {
		r.t.Errorf("history %+v:\ngot  %v\nwant %v", p, got, want)
	}
}

func (r *random) changes() {
	r.log("changes")
	want, _, err := r.truth.Changes(r.st.ctx, "", 1_000_000)
	if err != nil {
		r.t.Fatal(err)
	}
	var got []store.Change
	for at := store.Position(""); ; {
		some, next, err := r.st.Changes(r.st.ctx, at, 50)
		if err != nil {
			r.t.Fatal(err)
		}
		if len(some) == 0 {
			break
		}
		got, at = append(got, some...), next
	}
	if w, g := strings.Join(changeNames(want), " "), strings.Join(changeNames(got), " "); w != g {
		r.t.Errorf("changes:\ngot  %s\nwant %s", g, w)
	}
}

// Show prints a tree on one line.
func Show(e search.Expr) string {
	list := func(of []search.Expr) string {
		var parts []string
		for _, e := range of {
			parts = append(parts, Show(e))
		}
		return strings.Join(parts, ", ")
	}
	switch e := e.(type) {
	case search.And:
		return "and(" + list(e.Of) + ")"
	case search.Or:
		return "or(" + list(e.Of) + ")"
	case search.Not:
		return "not(" + Show(e.Of) + ")"
	case search.ChainForward:
		return fmt.Sprintf("chain(%s:%s, %s, check %t)", e.Param, e.Type, Show(e.Where), e.Check != nil)
	case search.ChainReverse:
		return fmt.Sprintf("has(%s:%s, %s, check %t)", e.Type, e.Param, Show(e.Where), e.Check != nil)
	}
	return strings.TrimPrefix(fmt.Sprintf("%T%+v", e, e), "search.")
}
