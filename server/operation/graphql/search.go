package graphql

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/issue"
	"meridian/fhir/search"
	"meridian/server/interaction"
)

// query is what the arguments of a list or connection ask.
type query struct {
	pairs []search.Pair
	sort  string
	count int // -1 when it is not given
	path  *ast.Argument
	// Of a reverse reference: the parameter and what it names; none says that nothing can refer to it.
	by       *search.Param
	referred string
	none     bool
}

// query reads the arguments. n is the resource of a reverse reference, nil at the root.
//
// https://hl7.org/fhir/R4/graphql.html#searching
func (x *run) query(st *step, n *element.Node) (q query, ok bool) {
	f := st.fields[0]
	before := len(x.failed)
	q.count = x.number(f.Arguments, "_count", 0, -1)
	for _, a := range f.Arguments {
		v := x.value(a.Value)
		switch {
		case v == nil || a.Name == "_count" || a.Name == "cursor" || a.Name == "_cursor":
		case a.Name == "fhirpath":
			q.path = a
		case a.Name == "_sort":
			q.sort = v.Raw
		case a.Name == "_filter":
			q.pairs = append(q.pairs, search.Pair{Name: "_filter", Value: v.Raw})
		case a.Name == "_reference":
			x.reverse(&q, st, a, v.Raw, n)
		default:
			q.pairs = append(q.pairs, search.Pair{Name: x.model.codes[st.role.typ][a.Name], Value: anyOf(x.texts(v))})
		}
	}
	return q, len(x.failed) == before
}

// searched counts a search, and adds what a reverse reference names to its parameters.
func (x *run) searched(st *step, q *query) {
	if x.searches++; x.searches > x.limits.Searches {
		x.costly(st.at(), "searches", x.limits.Searches)
	}
	if q.by != nil {
		q.pairs = append(q.pairs, search.Pair{Name: q.by.Code, Value: q.referred})
	}
}

// anyOf joins alternatives; a comma in one of them is a part of it.
func anyOf(values []string) string {
	for i, v := range values {
		values[i] = escapeCommas(v)
	}
	return strings.Join(values, ",")
}

func escapeCommas(v string) string {
	if strings.IndexByte(v, ',') < 0 {
		return v
	}
	var b strings.Builder
	for i := 0; i < len(v); i++ {
		switch {
		case v[i] == '\\' && i+1 < len(v):
			b.WriteByte(v[i])
			i++
		case v[i] == ',':
			b.WriteByte('\\')
		}
		b.WriteByte(v[i])
	}
	return b.String()
}

// reverse adds that a reference names the resource n.
//
// https://hl7.org/fhir/R4/graphql.html#reverse
func (x *run) reverse(q *query, st *step, a *ast.Argument, name string, n *element.Node) {
	r := x.s.Registry()
	code := strings.ReplaceAll(name, "_", "-")
	p, ok := r.Param(st.role.typ, code)
	if !ok {
		p, ok = r.Param(st.role.typ, name)
	}
	typ := n.Type().Name
	if !ok || p.Kind != search.KindReference || p.Unsupported != "" || !r.MayRefer(p, typ) {
		x.refuse(a.Position, issue.Value, "reverse", "_reference: "+st.role.typ+" has no such search parameter that may name a "+typ+"; it is one of "+strings.Join(x.referrers(st.role.typ, typ), ", "))
		return
	}
	value := typ + "/" + n.Child("id").Text()
	if p.Canonical() {
		value = escapeCommas(n.Child("url").Text())
	}
	q.by, q.referred = p, value
	q.none = strings.HasSuffix(value, "/") || value == ""
}

func (x *run) referrers(typ, to string) (names []string) {
	for _, p := range x.s.Registry().Params(typ) {
		if p.Kind == search.KindReference && p.Unsupported == "" && x.s.Registry().MayRefer(p, to) {
			names = append(names, p.Code)
		}
	}
	slices.Sort(names)
	return names
}

// list answers TypeList: all that matches, or the first _count of it.
func (x *run) list(st *step, out place, n *element.Node) {
	q, ok := x.query(st, n)
	if !ok || x.stopped {
		return
	}
	if !st.flatten && st.slice == nil {
		x.slot(out, st, "", 0).empty = true
	}
	switch {
	case q.none || q.count == 0:
		return
	case n != nil && q.count < 0 && !st.flatten && st.slice == nil && !out.flat() && !q.by.Canonical():
		x.later(&q, st, out)
		return
	}
	x.searched(st, &q)
	limit := x.limits.List
	if q.count >= 0 {
		limit = min(limit, q.count)
	}
	page, err := x.s.Find(x.ctx, interaction.FindParams{Type: st.role.typ, All: q.pairs, Sort: q.sort, Limit: limit})
	switch {
	case err != nil:
		x.fail(st.at(), err)
		return
	case page.More && (q.count < 0 || q.count > limit):
		x.tooLong(st)
		return
	}
	i := 0
	for k := range page.Rows {
		x.body(&page.Rows[k].Resource, func(r element.Node) {
			if !x.stopped && x.matches(q.path, r) && (!st.first || i == 0) {
				x.enter(st, out, r, i)
				i++
			}
		})
	}
}

// tooLong refuses a list that would be cut.
func (x *run) tooLong(st *step) {
	x.refuse(st.at(), issue.TooCostly, "list", "more than "+strconv.Itoa(x.limits.List)+" resources match: narrow the search, ask for some with _count, or for pages with "+st.role.typ+"Connection")
	x.stopped = true
}

// matches says whether a resource passes the argument fhirpath.
func (x *run) matches(a *ast.Argument, n element.Node) bool {
	if a == nil {
		return true
	}
	p, known := x.paths[a]
	if !known {
		p = x.compile(a.Position, x.value(a.Value).Raw)
		if x.paths == nil {
			x.paths = map[*ast.Argument]*fhirpath.Expr{}
		}
		x.paths[a] = p
	}
	return p != nil && x.isTrue(p, a.Position, n)
}

// page is what a connection shows of a searchset.
type page struct {
	bundle element.Node
	size   string // _count
	first  string // cursors; empty where there is none
	prev   string
	next   string
}

// connection answers TypeConnection: one page of a search.
func (x *run) connection(st *step, out place, n *element.Node) {
	q, ok := x.query(st, n)
	if !ok || x.stopped {
		return
	}
	x.searched(st, &q)
	p := x.plan(st.below, st.role.typ+"Connection")
	pairs, ok := x.pagePairs(st, &q, p)
	if !ok {
		return
	}
	if q.none {
		pairs = append(pairs, search.Pair{Name: "_id", Value: "none"})
	}
	body, err := x.s.Search(x.ctx, nil, interaction.SearchParams{Type: st.role.typ, Query: pairs})
	if err != nil {
		x.fail(st.at(), err)
		return
	}
	tree, err := codec.Parse(body, codec.Options{Type: "Bundle", AnyCardinality: true})
	if err != nil {
		x.fail(st.at(), err)
		return
	}
	pg := pageOf(st.role.typ, tree.Root(), x.s.Limits().PageSize)
	at := x.below(st, out, p, tree.Root(), 0)
	for _, c := range p.steps {
		x.pageField(c, at, &pg, &q)
	}
}

// pagePairs are the parameters of the search, or the cursor alone.
func (x *run) pagePairs(st *step, q *query, p *plan) ([]search.Pair, bool) {
	f := st.fields[0]
	cursor := x.text(f.Arguments, "_cursor") + x.text(f.Arguments, "cursor")
	if cursor != "" {
		if len(q.pairs) > 0 || q.sort != "" || q.count >= 0 {
			x.refuse(st.at(), issue.Invalid, "cursor", "a cursor is followed as it is, without further parameters of a search")
			return nil, false
		}
		text, isFirst := strings.CutPrefix(cursor, firstPage)
		if !isFirst {
			return []search.Pair{{Name: "_cursor", Value: cursor}}, true
		}
		raw, err := base64.RawURLEncoding.DecodeString(text)
		rest, ofType := strings.CutPrefix(string(raw), st.role.typ+"?")
		pairs, errPairs := interaction.ParseQuery(rest)
		if err != nil || !ofType || errPairs != nil {
			x.refuse(st.at(), issue.Value, "cursor", "the cursor is not one of this server")
			return nil, false
		}
		return pairs, true
	}
	pairs := q.pairs
	if q.sort != "" {
		pairs = append(pairs, search.Pair{Name: "_sort", Value: q.sort})
	}
	if q.count >= 0 {
		pairs = append(pairs, search.Pair{Name: "_count", Value: strconv.Itoa(q.count)})
	}
	if slices.ContainsFunc(p.steps, func(c *step) bool { return c.name() == "count" }) {
		pairs = append(pairs, search.Pair{Name: "_total", Value: string(search.TotalAccurate)})
	}
	return pairs, true
}

// firstPage begins the cursor of a first page: the parameters themselves, which no link of ours seals.
const firstPage = "first."

// pageOf reads the links of a searchset.
func pageOf(typ string, bundle element.Node, size int) page {
	p := page{bundle: bundle, size: strconv.Itoa(size)}
	for l := bundle.First(); l.Valid(); l = l.Next() {
		if l.Name() != "link" {
			continue
		}
		_, raw, _ := strings.Cut(l.Child("url").Text(), "?")
		token, sealed := strings.CutPrefix(raw, "_cursor=")
		if !sealed {
			token = firstPage + base64.RawURLEncoding.EncodeToString([]byte(typ+"?"+raw))
		}
		switch l.Child("relation").Text() {
		case "first":
			p.first = token
			if v, err := url.ParseQuery(raw); err == nil && v.Has("_count") {
				p.size = v.Get("_count")
			}
		case "previous":
			p.prev = token
		case "next":
			p.next = token
		}
	}
	return p
}

// pageField answers one field of a connection.
func (x *run) pageField(st *step, out place, p *page, q *query) {
	text := func(s string) []byte {
		if s == "" {
			return nil
		}
		return codec.AppendString(nil, s)
	}
	var raw []byte
	switch st.name() {
	case "edges":
		x.edges(st, out, p, q)
		return
	case "count":
		raw = p.bundle.Child("total").Raw()
	case "pagesize":
		raw = []byte(p.size)
	case "first":
		raw = text(p.first)
	case "previous":
		raw = text(p.prev)
	case "next":
		raw = text(p.next)
	case "__typename":
		raw = text(x.view.Types[st.fields[0].ObjectDefinition.Name].Name)
	}
	x.leaf(st, out, raw)
}

// leaf puts a scalar that is no element; nil is null.
func (x *run) leaf(st *step, out place, raw []byte) {
	if raw == nil && out.flat() {
		return
	}
	if s := x.slot(out, st, "", 0); raw != nil {
		x.put(s, st.at(), item{raw: raw})
	}
}

func (x *run) edges(st *step, out place, p *page, q *query) {
	if !st.flatten && st.slice == nil {
		x.slot(out, st, "", 0).empty = true
	}
	typ := st.fields[0].Definition.Type.Name()
	plan := x.plan(st.below, typ)
	i := 0
	for e := p.bundle.First(); e.Valid() && !x.stopped; e = e.Next() {
		resource := e.Child("resource")
		if e.Name() != "entry" || !resource.Valid() || !x.matches(q.path, resource) || st.first && i > 0 {
			continue
		}
		at := x.below(st, out, plan, e, i)
		i++
		for _, c := range plan.steps {
			switch c.name() {
			case "resource":
				x.enter(c, at, resource, 0)
			case "mode":
				x.leaf(c, at, e.Child("search").Child("mode").Raw())
			case "score":
				x.leaf(c, at, e.Child("search").Child("score").Raw())
			default:
				x.leaf(c, at, codec.AppendString(nil, typ))
			}
		}
	}
}
