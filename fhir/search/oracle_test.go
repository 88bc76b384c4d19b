package search

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/fhirtest"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

var testNow = time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)

func testRegistry(t testing.TB) *Registry {
	t.Helper()
	zone, err := time.LoadLocation(DefaultZone)
	if err != nil {
		zone = time.FixedZone(DefaultZone, 8*3600)
	}
	return registryWith(t, Options{Zone: zone, Codes: testCodes{}})
}

// fullRegistry is testRegistry with full text.
func fullRegistry(t testing.TB) *Registry {
	t.Helper()
	return registryWith(t, Options{Zone: testRegistry(t).zone, Codes: testCodes{}, FullText: true})
}

func registryWith(t testing.TB, o Options) *Registry {
	t.Helper()
	o.BaseURL, o.Now = "http://our.example/fhir", func() time.Time { return testNow }
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// testCodes expands http://vs/ and CodeSets in JSON to these, and any code to
// itself with 1 behind it (below) or without its last letter (above).
type testCodes struct{}

func (testCodes) Expand(valueSet string) (sets []CodeSet, err error) {
	text, ok := strings.CutPrefix(valueSet, "http://vs/")
	if !ok {
		return nil, issue.New(issue.NotFound, "x", "there is no such value set", "")
	}
	return sets, json.Unmarshal([]byte(text), &sets)
}

func (testCodes) Descendants(_, code string) ([]string, error) { return []string{code + "1"}, nil }

func (testCodes) Ancestors(_, code string) ([]string, error) {
	if code == "broken" {
		return nil, errors.New("the file is gone")
	}
	return []string{code[:len(code)-1]}, nil
}

func parseBody(t testing.TB, body []byte) element.Node {
	t.Helper()
	tree, err := codec.Parse(body, codec.Options{})
	if err != nil {
		t.Fatalf("%v in %.200s", err, body)
	}
	return tree.Root()
}

// corpus calls f for all official examples and for generated resources of every type.
func corpus(t *testing.T, seeds int, f func(name string, root element.Node)) {
	for _, e := range fhirtest.Examples(t) {
		f(e.Name, parseBody(t, e.Body))
	}
	for _, typ := range schema.ResourceTypes() {
		for s := range seeds {
			f(fmt.Sprintf("%s seed %d", typ, s), parseBody(t, fhirtest.Generate(typ, uint64(s))))
		}
	}
}

func TestEveryExpressionFitsTheTrie(t *testing.T) {
	r := testRegistry(t)
	n := 0
	for _, typ := range schema.ResourceTypes() {
		for _, p := range r.Params(typ) {
			if p.Unsupported != "" || p.Kind == KindComposite {
				continue
			}
			n++
			if !p.simple {
				t.Errorf("%s of %s: %s is outside the simple subset", p.Code, typ, p.Expression)
			}
			if len(p.branches) == 0 {
				t.Errorf("%s of %s has no branch of the type", p.Code, typ)
			}
		}
	}
	t.Logf("%d (type, parameter) pairs", n)
}

// TestTrieAgainstFHIRPath: the elements that the walk finds for each parameter
// are those that FHIRPath selects.
func TestTrieAgainstFHIRPath(t *testing.T) {
	r := testRegistry(t)
	seen := map[string]bool{}
	corpus(t, 2, func(name string, root element.Node) {
		tt := r.tableOf(root.Type())
		found := map[*Param][]string{}
		b := &builder{}
		b.reset(r, tt, root)
		b.collect(root, tt.root, found)
		for _, p := range tt.params {
			if p.Unsupported != "" || len(p.bases) > 0 || p.Code == "_id" || p.Kind == KindComposite {
				continue
			}
			items, err := p.eval(root)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if p.branches[0].exists {
				continue // a boolean: TestOracle has it
			}
			var want []string
			for _, it := range items {
				want = append(want, string(it.Node().Raw()))
			}
			got := found[p]
			slices.Sort(want)
			slices.Sort(got)
			want, got = slices.Compact(want), slices.Compact(got) // a union has no duplicates
			if !slices.Equal(want, got) {
				t.Errorf("%s: %s: %v, FHIRPath %v", name, p.Code, got, want)
			}
			if len(want) > 0 {
				seen[p.Type+" "+p.Code] = true
			}
		}
	})
	t.Logf("%d (type, parameter) pairs had values", len(seen))
}

func (b *builder) collect(n element.Node, t *trieNode, into map[*Param][]string) {
	for c := n.First(); c.Valid(); c = c.Next() {
		if c.ElementIndex() >= len(t.elems) {
			continue
		}
		for k := range t.elems[c.ElementIndex()] {
			ed := &t.elems[c.ElementIndex()][k]
			if !b.holds(ed, c) {
				continue
			}
			for _, e := range ed.emits {
				into[e.param] = append(into[e.param], string(c.Raw()))
			}
			if ed.node != nil {
				b.collect(c, ed.node, into)
			}
		}
	}
}

// TestSlowPath: facts are the same when every expression is evaluated by FHIRPath.
func TestSlowPath(t *testing.T) {
	r, slow := testRegistry(t), testRegistry(t)
	corpus(t, 1, func(name string, root element.Node) {
		st := slow.tableOf(root.Type())
		if len(st.slow) == 0 {
			st.root, st.absent = &trieNode{}, nil
			for _, p := range st.params {
				if p.main != noName {
					st.slow = append(st.slow, p)
				}
			}
		}
		var want, got Facts
		if err := slow.Index(root, &want); err != nil {
			t.Fatal(err)
		}
		if err := r.Index(root, &got); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(want.Keys, got.Keys) || !slices.Equal(want.Forward, got.Forward) {
			t.Errorf("%s: facts differ", name)
		}
	})
}

// TestOracle: for queries made of the resources' own values, changed at random,
// the plan on the facts and its residual decide as Match does.
func TestOracle(t *testing.T) {
	r := fullRegistry(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	bodies := map[string][]element.Node{}
	corpus(t, 2, func(_ string, root element.Node) {
		bodies[root.Type().Name] = append(bodies[root.Type().Name], root)
	})
	asked, hits, byModifier := 0, map[Kind]int{}, map[Modifier]int{}
	for typ, all := range bodies {
		roots := indexed(t, r, all)
		for _, p := range r.Params(typ) {
			if p.Unsupported != "" {
				continue
			}
			times := 12
			if p.Kind == KindComposite || p.Kind == KindSpecial || p.Code == "identifier" { // rare in the corpus
				times = 60
			}
			for range times {
				q := randomQuery(t, r, rnd, p, all[rnd.IntN(len(all))])
				if q == nil {
					continue
				}
				some := roots[:min(len(roots), 12)]
				asked += len(some)
				n := agreeAll(t, r, q, some)
				hits[p.Kind] += n
				byModifier[q.Criteria[0].Modifier] += n
				if p.fullText != textNone {
					byModifier[Modifier(p.Code)] += n
				}
			}
		}
	}
	t.Logf("%d questions, hits %v %v", asked, hits, byModifier)
	for k := KindNumber; k <= KindSpecial; k++ {
		if hits[k] == 0 {
			t.Errorf("no %s question had a hit", k)
		}
	}
	for _, m := range append(allModifiers, "_text", "_content") {
		if byModifier[Modifier(m)] == 0 {
			t.Errorf("no question with %s had a hit", m)
		}
	}
}

func agree(t *testing.T, r *Registry, q *Query, root element.Node) bool {
	t.Helper()
	return agreeAll(t, r, q, indexed(t, r, []element.Node{root})) == 1
}

// resource is a root with its facts.
type resource struct {
	root  element.Node
	facts Facts
}

func indexed(t *testing.T, r *Registry, roots []element.Node) []resource {
	t.Helper()
	out := make([]resource, len(roots))
	for i, root := range roots {
		out[i].root = root
		if err := r.Index(root, &out[i].facts); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// agreeAll counts the resources that match q, by Match; the plan must say the same of each.
func agreeAll(t *testing.T, r *Registry, q *Query, of []resource) (hits int) {
	t.Helper()
	plan, err := r.Compile(q)
	if err != nil {
		t.Fatal(err)
	}
	for i := range of {
		x := &of[i]
		want, err := r.Match(q, x.root)
		if err != nil {
			t.Fatal(err)
		}
		got := MatchFacts(plan.Where, x.root.Child("id").Text(), &x.facts)
		if got && plan.Residual != nil {
			if got, err = plan.Residual(x.root.Tree().Src); err != nil {
				t.Fatal(err)
			}
		}
		if got != want {
			t.Errorf("%s?%v: plan says %v, Match %v, plan %s\n%s", q.Type, q.Canonical(), got, want, show(plan.Where), x.root.Tree().Src)
		}
		if want {
			hits++
		}
	}
	return hits
}

// randomQuery asks for a value of p in root, mostly; nil where it cannot be parsed.
func randomQuery(t *testing.T, r *Registry, rnd *rand.Rand, p *Param, root element.Node) *Query {
	t.Helper()
	pick := func(s ...string) string { return s[rnd.IntN(len(s))] }
	switch {
	case p.fullText != textNone:
		return parsed(r, p, p.Code, randomFinding(rnd, p, root))
	case p.Kind == KindComposite:
		return parsed(r, p, p.Code, randomComposite(t, rnd, p, root))
	}
	items, err := p.eval(root)
	if err != nil {
		t.Fatal(err)
	}
	if rnd.IntN(10) == 0 && p.Code != "_id" {
		return parsed(r, p, p.Code+":missing", pick("true", "false"))
	}
	var values []string
	name := p.Code
	for range 1 + rnd.IntN(2) {
		v, m := "x", ""
		if len(items) > 0 {
			v, m = randomValue(rnd, p, items[rnd.IntN(len(items))])
		}
		if m != "" {
			name = p.Code + m
		}
		values = append(values, v)
	}
	if p.Kind == KindToken && rnd.IntN(6) == 0 {
		name = p.Code + ":not"
	}
	return parsed(r, p, name, strings.Join(values, ","))
}

func parsed(r *Registry, p *Param, name, value string) *Query {
	q, _, err := r.Parse(p.Type, []Pair{{name, value}}, false)
	if err != nil || len(q.Criteria) == 0 {
		return nil
	}
	return q
}

func escapeValue(s string) string {
	return strings.NewReplacer(`\`, `\\`, ",", `\,`, "|", `\|`, "$", `\$`).Replace(s)
}

func randomValue(rnd *rand.Rand, p *Param, it fhirpath.Item) (v, modifier string) {
	pick := func(s ...string) string { return s[rnd.IntN(len(s))] }
	if b, ok := it.Bool(); ok && it.Kind() == fhirpath.Boolean {
		return fmt.Sprint(b), ""
	}
	n := it.Node()
	prefix := pick("", "", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
	switch p.Kind {
	case KindNumber:
		return prefix + near(rnd, somePrimitive(rnd, n, "decimal", "integer", "positiveInt", "unsignedInt")), ""
	case KindDate:
		s := somePrimitive(rnd, n, "date", "dateTime", "instant")
		if len(s) > 4 {
			s = s[:[]int{4, min(len(s), 7), min(len(s), 10), len(s), len(s)}[rnd.IntN(5)]]
		}
		return prefix + s, ""
	case KindString:
		s := []rune(somePrimitive(rnd, n, "string", "markdown"))
		m := pick("", "", ":exact", ":contains")
		from, to := 0, len(s)
		if m != ":exact" || rnd.IntN(3) == 0 {
			to = rnd.IntN(len(s) + 1)
		}
		if m == ":contains" {
			from = rnd.IntN(to + 1)
		}
		text := string(s[from:to])
		if rnd.IntN(3) == 0 {
			text = strings.ToUpper(text)
		}
		return escapeValue(text), m
	case KindToken:
		ts := tokensOf(n)
		if len(ts) == 0 {
			return "x", ""
		}
		k := ts[rnd.IntN(len(ts))]
		if rnd.IntN(2) == 0 {
			return randomTokenModifier(rnd, n, k)
		}
		return pick(escapeValue(k.code), escapeValue(k.system)+"|"+escapeValue(k.code), "|"+escapeValue(k.code), escapeValue(k.system)+"|"), ""
	case KindReference:
		if v, m := randomText(rnd, n); v != "" && rnd.IntN(4) == 0 {
			return v, m
		}
		return randomReference(rnd, n)
	case KindSpecial:
		return randomNear(rnd, n), ""
	case KindQuantity:
		s := prefix + near(rnd, somePrimitive(rnd, n, "decimal"))
		unit := n
		if n.Type().Name == "Range" {
			unit = n.First()
		}
		code, system := unit.Child("code").Text(), unit.Child("system").Text()
		if c := n.Child("currency").Text(); c != "" {
			code, system = c, MoneySystem
		}
		return pick(s, s+"|"+escapeValue(system)+"|"+escapeValue(code), s+"||"+escapeValue(code), s+"||"+escapeValue(unit.Child("unit").Text())), ""
	}
	text := n.Text()
	if rnd.IntN(2) == 0 {
		return randomURL(rnd, text)
	}
	if rnd.IntN(2) == 0 {
		text, _, _ = strings.Cut(text, "|")
	}
	return escapeValue(text), ""
}

// near changes a number at the edge of its precision.
func near(rnd *rand.Rand, s string) string {
	if strings.ContainsAny(s, "eE") || rnd.IntN(3) == 0 {
		return s
	}
	last := s[len(s)-1]
	switch rnd.IntN(3) {
	case 0:
		if rest := s[:len(s)-1]; rest != "" && rest != "-" && !strings.HasSuffix(rest, ".") {
			return rest
		}
	case 1:
		if strings.Contains(s, ".") {
			return s + string(rune('0'+rnd.IntN(10)))
		}
		return s + "." + string(rune('0'+rnd.IntN(10)))
	case 2:
		if last != '9' && last != '.' {
			return s[:len(s)-1] + string(last+1)
		}
	}
	return s
}

func randomReference(rnd *rand.Rand, n element.Node) (v, modifier string) {
	text := n.Text()
	if n.Type().Kind != schema.Primitive {
		text = n.Child("reference").Text()
	}
	if id := n.Child("identifier"); id.Valid() && n.TypeID() == schema.TypeReference && rnd.IntN(3) == 0 {
		return escapeValue(id.Child("system").Text()) + "|" + escapeValue(id.Child("value").Text()), ":identifier"
	}
	parts := strings.Split(text, "/")
	switch rnd.IntN(5) {
	case 0:
		return escapeValue(parts[len(parts)-1]), ""
	case 1:
		if len(parts) > 1 {
			return escapeValue(parts[len(parts)-1]), ":" + parts[len(parts)-2]
		}
	case 2:
		return escapeValue("http://our.example/fhir/" + text), ""
	case 3:
		if n.Type().Kind == schema.Primitive {
			return randomURL(rnd, text)
		}
		bare, _, _ := strings.Cut(text, "|")
		return escapeValue(unversioned(bare)), ""
	}
	return escapeValue(text), ""
}

// somePrimitive gives the text of one of the primitives of these types in n.
func somePrimitive(rnd *rand.Rand, n element.Node, types ...string) string {
	var all []string
	var visit func(element.Node)
	visit = func(n element.Node) {
		if n.HasValue() && slices.Contains(types, n.Type().Name) {
			all = append(all, n.Text())
		}
		for c := n.First(); c.Valid(); c = c.Next() {
			visit(c)
		}
	}
	visit(n)
	if len(all) == 0 {
		return "1"
	}
	return all[rnd.IntN(len(all))]
}
