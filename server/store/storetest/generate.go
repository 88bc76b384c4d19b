package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"meridian/fhir/definitions"
	"meridian/fhir/element"
	"meridian/fhir/search"
	"meridian/server/store"
)

// generator makes queries that the resources of a world answer. Each begins at
// a resource and asks for what it has, what it refers to has, or what refers to
// it has; now and then another resource stands in its place, so that there is
// something to be left out.
type generator struct {
	*rand.Rand
	w     *fhirWorld
	joins bool
	live  map[string][]*mapResource // by type, oldest first
	tied  map[string][]*mapResource // those of live that refer to one of the world, or are referred to
	refs  map[store.Key][]reference // what refers to a resource
	same  map[string][]string       // by type and code: the codes that select the same elements, itself first
}

// reference is a search parameter of a resource that refers to another one.
type reference struct {
	from  *mapResource
	param string
}

// generator reads the world once; the same seed gives the same queries.
func (w *fhirWorld) generator(seed uint64, joins bool) *generator {
	g := &generator{Rand: rand.New(rand.NewPCG(7, seed)), w: w, joins: joins, live: map[string][]*mapResource{}, tied: map[string][]*mapResource{}, refs: map[store.Key][]reference{}, same: map[string][]string{}}
	for _, typ := range slices.Concat(fhirTypes, otherTypes) {
		live := w.truth.live(typ)
		slices.SortFunc(live, func(a, b *mapResource) int { return int(a.number) - int(b.number) })
		g.live[typ] = live
		for _, r := range live {
			for _, k := range g.referring(r) {
				to := store.Key{Type: k.Scope, ID: k.Value}
				g.refs[to] = append(g.refs[to], reference{r, k.Param})
			}
		}
	}
	for typ, live := range g.live {
		for _, r := range live {
			if len(g.refs[store.Key{Type: r.typ, ID: r.id}]) > 0 || len(g.referring(r)) > 0 {
				g.tied[typ] = append(g.tied[typ], r)
			}
		}
	}
	return g
}

// referring are the keys of r that name live resources of the world.
func (g *generator) referring(r *mapResource) (keys []search.Key) {
	for _, k := range r.facts.Keys {
		if p, ok := g.w.registry.Param(r.typ, k.Param); ok && p.Kind == search.KindReference && g.w.truth.resources[store.Key{Type: k.Scope, ID: k.Value}] != nil {
			keys = append(keys, k)
		}
	}
	return keys
}

func of[T any](g *generator, list ...T) T { return list[g.IntN(len(list))] }

func (g *generator) one(in int) bool { return g.IntN(in) == 0 }

// query gives one to three criteria, mostly about one resource, and an order of up to three keys.
func (g *generator) query(typ string) string {
	live := g.live[typ]
	tied := g.joins && g.one(2) && len(g.tied[typ]) > 0
	if tied {
		live = g.tied[typ]
	}
	focus := of(g, live...)
	var parts []string
	for range of(g, 1, 1, 1, 2, 2, 3) {
		r, depth := focus, 0
		if g.one(10) {
			r = of(g, live...)
		}
		if tied && !g.one(3) {
			depth = of(g, 1, 1, 2, 2, 3, 4)
		}
		part := ""
		for try := 0; part == "" && try < 5; try++ {
			part = g.criterion(r, depth)
		}
		if part != "" {
			parts = append(parts, part)
		}
	}
	if sort := g.order(typ); sort != "" {
		parts = append(parts, "_sort="+sort)
	}
	return strings.Join(parts, "&")
}

// order is empty every other time.
func (g *generator) order(typ string) string {
	var keys, seen []string
	params := g.w.registry.Params(typ)
	for range of(g, 0, 0, 0, 1, 2, 3) {
		if p := of(g, params...); p.Sortable() && !slices.Contains(seen, p.Code) {
			seen, keys = append(seen, p.Code), append(keys, of(g, "", "-")+p.Code)
		}
	}
	return strings.Join(keys, ",")
}

// criterion asks about r, or about a resource over at most depth references away; "" where it found nothing to ask.
func (g *generator) criterion(r *mapResource, depth int) string {
	switch {
	case depth == 0 && g.one(12):
		return "_filter=" + g.filter(r, of(g, 0, 0, 1, 2), 0)
	case depth == 0:
		return g.plain(r)
	case g.one(10):
		return "_list=" + g.lists(r)
	case g.one(12):
		return "_not-referenced=" + g.notReferenced(r)
	case g.one(8):
		return "_filter=" + g.filter(r, 1, min(depth, 3))
	}
	if k, to := g.forward(r); g.one(2) {
		if to != nil {
			if inner := g.criterion(to, depth-1); chains(inner) {
				return g.alias(r.typ, k.Param, k.Scope) + of(g, "", ":"+k.Scope) + "." + inner
			}
		}
		return ""
	}
	if x := g.backward(r); x != nil {
		if inner := g.criterion(x.from, depth-1); chains(inner) {
			return "_has:" + x.from.typ + ":" + g.alias(x.from.typ, x.param, r.typ) + ":" + inner
		}
	}
	return ""
}

// chains says whether a criterion may stand at the end of a chain.
func chains(criterion string) bool {
	return criterion != "" && !strings.HasPrefix(criterion, "_filter") && !strings.HasPrefix(criterion, "_list") && !strings.HasPrefix(criterion, "_not-referenced")
}

// forward picks what r refers to, mostly; nil where it refers to nothing.
func (g *generator) forward(r *mapResource) (k search.Key, to *mapResource) {
	refs := g.referring(r)
	if len(refs) == 0 {
		return k, nil
	}
	k = of(g, refs...)
	if g.one(10) {
		return k, of(g, g.live[k.Scope]...)
	}
	return k, g.w.truth.resources[store.Key{Type: k.Scope, ID: k.Value}]
}

// backward picks what refers to r.
func (g *generator) backward(r *mapResource) *reference {
	refs := g.refs[store.Key{Type: r.typ, ID: r.id}]
	if len(refs) == 0 {
		return nil
	}
	x := of(g, refs...)
	if g.one(10) {
		x.from = of(g, g.live[x.from.typ]...)
	}
	return &x
}

// alias is code, or now and then a parameter of typ that selects the same references to a type (patient for subject).
func (g *generator) alias(typ, code, target string) string {
	p, ok := g.w.registry.Param(typ, of(g, g.twins(typ, code)...))
	if !ok || !g.w.registry.MayRefer(p, target) {
		return code
	}
	return p.Code
}

// twins are code itself and the parameters of its kind whose expression holds its own.
func (g *generator) twins(typ, code string) []string {
	key := typ + " " + code
	if g.same[key] != nil {
		return g.same[key]
	}
	out := []string{code}
	if p, ok := g.w.registry.Param(typ, code); ok && p.Expression != "" {
		for _, q := range g.w.registry.Params(typ) {
			if q.Kind == p.Kind && q.Code != code && q.Unsupported == "" && strings.Contains(q.Expression, p.Expression) {
				out = append(out, q.Code)
			}
		}
	}
	g.same[key] = out
	return out
}

// lists are ids of List resources, one that names r where there is one.
func (g *generator) lists(r *mapResource) string {
	for _, x := range g.refs[store.Key{Type: r.typ, ID: r.id}] {
		if x.from.typ == "List" && x.param == "item" && !g.one(4) {
			return x.from.id + of(g, "", ",none")
		}
	}
	return of(g, g.live["List"]...).id
}

// notReferenced names a way in which another of r's type is referred to, mostly, so that it splits the type in two.
func (g *generator) notReferenced(r *mapResource) string {
	if other := of(g, g.live[r.typ]...); !g.one(5) {
		for _, x := range g.refs[store.Key{Type: r.typ, ID: other.id}] {
			return x.from.typ + ":" + of(g, g.alias(x.from.typ, x.param, r.typ), g.alias(x.from.typ, x.param, r.typ), "*")
		}
	}
	return of(g, "*:*", "List:item", "Provenance:*")
}

// plain asks for what r itself has.
func (g *generator) plain(r *mapResource) string {
	if g.one(6) {
		if c := g.composite(r); c != "" {
			return c
		}
	}
	if g.one(30) {
		return "_id" + of(g, "", "", ":not") + "=" + r.id + of(g, "", ",none")
	}
	p, keys := g.param(r)
	if p == nil {
		return ""
	}
	code := of(g, g.twins(r.typ, p.Code)...)
	if g.one(10) {
		return code + ":missing=" + of(g, "true", "false")
	}
	name, value := g.value(p, of(g, keys...), r)
	if value == "" {
		return ""
	}
	if g.one(4) { // alternatives: of the same resource or of another one
		other := of(g, g.live[r.typ]...)
		if more := keysOf(other, p.Code); len(more) > 0 && g.one(2) {
			keys, r = more, other
		}
		if again, more := g.value(p, of(g, keys...), r); again == name && more != "" {
			value += "," + more
		}
	}
	return code + name + "=" + value
}

// param picks a parameter by which r can be asked for, with its keys.
func (g *generator) param(r *mapResource) (*search.Param, []search.Key) {
	var codes []string
	for _, k := range r.facts.Keys {
		code, _, _ := strings.Cut(k.Param, ":")
		if code != "_contained" && (len(codes) == 0 || codes[len(codes)-1] != code) && !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
	}
	p, ok := g.w.registry.Param(r.typ, of(g, codes...))
	if ok && slices.Contains([]search.Kind{search.KindToken, search.KindString, search.KindDate}, p.Kind) { // most are
		p, ok = g.w.registry.Param(r.typ, of(g, codes...))
	}
	if !ok || p.Unsupported != "" {
		return nil, nil
	}
	return p, keysOf(r, p.Code)
}

// keysOf are the keys of a parameter in all its forms.
func keysOf(r *mapResource, code string) (keys []search.Key) {
	for _, k := range r.facts.Keys {
		if base, _, _ := strings.Cut(k.Param, ":"); base == code {
			keys = append(keys, k)
		}
	}
	return keys
}

// composite asks by a composite whose parts r all has; "" where there is none.
func (g *generator) composite(r *mapResource) string {
	var all []definitions.SearchParameter
	for _, d := range definitions.SearchParameters() {
		if p, ok := g.w.registry.Param(r.typ, d.Code); ok && len(d.Components) > 0 && p.URL == d.URL && p.Unsupported == "" {
			all = append(all, d)
		}
	}
	if len(all) == 0 {
		return ""
	}
	d := of(g, all...)
	var parts []string
	for _, c := range d.Components {
		i := slices.IndexFunc(g.w.registry.Params(r.typ), func(p *search.Param) bool { return p.URL == c.Definition })
		if i < 0 {
			return ""
		}
		p := g.w.registry.Params(r.typ)[i]
		var plain []search.Key
		for _, code := range append(parents(p), p.Code) {
			for _, k := range keysOf(r, code) {
				if k.Param == code {
					plain = append(plain, k)
				}
			}
		}
		value := ""
		for try := 0; value == "" && try < 20 && len(plain) > 0; try++ {
			if m, v := g.value(p, of(g, plain...), r); m == "" {
				value = v
			}
		}
		if value == "" {
			return ""
		}
		parts = append(parts, value)
	}
	return d.Code + "=" + strings.Join(parts, "$")
}

// parents are the parameters whose keys answer for p, by the names that R4 gives to the unions of Observation.
func parents(p *search.Param) []string {
	if rest, ok := strings.CutPrefix(p.Code, "combo-"); ok {
		return []string{rest, "component-" + rest}
	}
	return nil
}

// tree is the resource itself.
func (g *generator) tree(r *mapResource) element.Node {
	return g.w.roots[store.Key{Type: r.typ, ID: r.id}]
}

// nodes are the elements of these types in r.
func (g *generator) nodes(r *mapResource, types ...string) (out []element.Node) {
	var visit func(element.Node)
	visit = func(n element.Node) {
		if slices.Contains(types, n.Type().Name) {
			out = append(out, n)
		}
		for c := n.First(); c.Valid(); c = c.Next() {
			visit(c)
		}
	}
	visit(g.tree(r))
	return out
}

// text is the value of one of the primitives of these types in r, or none.
func (g *generator) text(r *mapResource, types ...string) string {
	var texts []string
	for _, n := range g.nodes(r, types...) {
		if n.HasValue() {
			texts = append(texts, n.Text())
		}
	}
	if len(texts) == 0 {
		return ""
	}
	return of(g, texts...)
}

// escaped is a value of a query: https://hl7.org/fhir/R4/search.html#escaping
func escaped(s string) string {
	return strings.NewReplacer(`\`, `\\`, ",", `\,`, "|", `\|`, "$", `\$`, "&", "").Replace(s)
}

// near changes a number at the edge of its precision.
func (g *generator) near(s string) string {
	switch {
	case s == "" || strings.ContainsAny(s, "eE") || g.one(2):
	case g.one(3) && len(s) > 2 && !strings.HasSuffix(s[:len(s)-1], ".") && !strings.HasPrefix(s, "-"):
		return s[:len(s)-1]
	case strings.Contains(s, "."):
		return s + fmt.Sprint(g.IntN(10))
	default:
		return s + "." + fmt.Sprint(g.IntN(10))
	}
	return s
}
