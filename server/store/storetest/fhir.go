package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/fhirtest"
	"meridian/fhir/search"
	"meridian/server/store"
)

// fhirTypes are the types of the real resources of the suite.
var fhirTypes = []string{"Patient", "Observation", "Questionnaire", "CarePlan", "Encounter", "DiagnosticReport", "ValueSet", "MedicationRequest"}

// testFHIR stores official examples and generated resources under real facts,
// and asks real queries: search.Match says what must be found, a Map in which
// order.
func testFHIR(t *testing.T, s *suite) {
	w := newFHIRWorld(t, s)
	for _, typ := range fhirTypes {
		t.Run(typ, func(t *testing.T) {
			for _, q := range fixedQueries[typ] {
				w.ask(t, typ, q)
			}
			rnd := rand.New(rand.NewPCG(7, uint64(len(typ))))
			for range 120 {
				w.ask(t, typ, w.randomQuery(rnd, typ))
			}
			if w.hits[typ] == 0 {
				t.Error("no query found anything")
			}
		})
	}
}

// fixedQueries are what applications ask.
var fixedQueries = map[string][]string{
	"Patient": {"", "name=peter", "family=chalmers", "name:exact=Peter", "name:contains=et", "gender=male", "gender:not=male", "birthdate=1974-12-25", "birthdate=ge1970",
		"birthdate=lt1980&gender=male", "birthdate=ge1970&_sort=birthdate", "birthdate=ge1970&_sort=-birthdate", "identifier=12345", "active=true", "deceased=true",
		"organization=1", "organization:missing=true", "_sort=family", "_sort=-family,given", "_sort=birthdate,-_id", "_id=example,pat1,none", "_lastUpdated=ge2026-01-01", "_lastUpdated=gt2026-01-01T00:00:00.020Z&_sort=_lastUpdated", "_lastUpdated=lt2026-01-01T00:00:00.020Z&_sort=-_lastUpdated"},
	"Observation": {"code=http://loinc.org|15074-8", "code=15074-8", "code=http://loinc.org|", "status=final", "status=final,amended&_sort=-date", "subject=Patient/example", "patient=example", "subject:Patient=f001",
		"value-quantity=6.3", "value-quantity=gt5", "value-quantity=6.3|http://unitsofmeasure.org|mmol/L", "value-quantity=lt100||mmHg", "date=2013", "date=ge2013", "date=ge2013-04&_sort=date", "date=le2013-04&_sort=-date", "date=eq2012-09", "date=ne2012",
		"date=sa2010", "date=eb2014", "date=ap2013-04-02", "category=vital-signs&date=ge2000&_sort=-date", "code:missing=false", "value-quantity:missing=true&_sort=code", "_sort=code,-date", "patient=example&_sort=-date", "date=gt2012&date=lt2014&_sort=date"},
	"Questionnaire":     {"status=active", "url=http://hl7.org/fhir/Questionnaire/3141", "title=cancer", "_sort=title"},
	"CarePlan":          {"status=active", "patient=example", "date=ge2010", "category=assess-plan", "_sort=-date"},
	"Encounter":         {"status=in-progress", "class=IMP", "date=ge2005", "date=le2015&_sort=date", "date=2013", "length=gt1", "_sort=-date"},
	"DiagnosticReport":  {"status=final", "result=Observation/f001", "issued=ge2011&_sort=-issued", "code=http://loinc.org|"},
	"ValueSet":          {"url:missing=false", "status=draft", "version=1", "name:contains=code", "_sort=url"},
	"MedicationRequest": {"status=active", "intent=order", "authoredon=ge2015", "subject=Patient/pat1"},
}

type fhirWorld struct {
	*subject
	registry *search.Registry
	truth    *Map
	roots    map[store.Key]element.Node
	hits     map[string]int
}

// maxOfType bounds the examples of one type; more would only take longer.
const maxOfType = 60

func newFHIRWorld(t *testing.T, s *suite) *fhirWorld {
	t.Helper()
	registry, err := search.New(search.Options{Zone: time.FixedZone("+08", 8*3600), BaseURL: "http://our.example/fhir", Now: func() time.Time { return start }})
	if err != nil {
		t.Fatal(err)
	}
	c := Config{IndexVersion: registry.IndexVersion(), Index: func(body []byte) (*search.Facts, error) {
		tree, err := codec.Parse(body, codec.Options{})
		if err != nil {
			return nil, err
		}
		facts := &search.Facts{}
		return facts, registry.Index(tree.Root(), facts)
	}}
	st := s.newStoreWith(t, c)
	c.Clock = st.clock.Now
	w := &fhirWorld{subject: st, registry: registry, truth: NewMap(c), roots: map[store.Key]element.Node{}, hits: map[string]int{}}
	count := map[string]int{}
	for _, e := range fhirtest.Examples(t) {
		if tree, err := codec.Parse(e.Body, codec.Options{}); err == nil && slices.Contains(fhirTypes, tree.Root().Type().Name) && count[tree.Root().Type().Name] < maxOfType {
			count[tree.Root().Type().Name]++
			w.add(t, c, tree.Root())
		}
	}
	for _, typ := range fhirTypes {
		for seed := range uint64(8) {
			tree, err := codec.Parse(fhirtest.Generate(typ, seed), codec.Options{})
			if err != nil {
				t.Fatal(err)
			}
			w.add(t, c, tree.Root())
		}
	}
	return w
}

// add commits a resource as it would be stored; what is there already is updated.
func (w *fhirWorld) add(t *testing.T, c Config, root element.Node) {
	t.Helper()
	w.clock.Add(time.Millisecond)
	key := store.Key{Type: root.Type().Name, ID: root.Child("id").Text()}
	if key.ID == "" {
		key.ID = fmt.Sprint("generated-", len(w.roots))
	}
	version := w.truth.version(key) + 1
	body := codec.AppendStored(nil, root, codec.Meta{ID: key.ID, VersionID: fmt.Sprint(version), LastUpdated: w.clock.Now().Format("2006-01-02T15:04:05.000Z")})
	facts, err := c.Index(body)
	if err != nil {
		t.Fatal(err)
	}
	p := store.CommitParams{Writes: []store.Write{{Key: key, Version: version, LastUpdated: w.clock.Now(), Method: store.PUT, Body: body, Facts: facts}}}
	for _, s := range []store.Store{w.truth, w.Store} {
		if err := s.Commit(w.ctx, p); err != nil {
			t.Fatalf("%s/%s: %v", key.Type, key.ID, err)
		}
	}
	tree, err := codec.Parse(body, codec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.roots[key] = tree.Root()
}

// ask runs a query on the store, in pages, and holds it against Match and the map.
func (w *fhirWorld) ask(t *testing.T, typ, text string) {
	t.Helper()
	var pairs []search.Pair
	for _, p := range strings.Split(text, "&") {
		if name, v, ok := strings.Cut(p, "="); ok {
			pairs = append(pairs, search.Pair{Name: name, Value: v})
		}
	}
	q, _, err := w.registry.Parse(typ, pairs, false)
	if err != nil {
		return // a random value that its parameter does not take
	}
	plan, err := w.registry.Compile(q)
	if err != nil {
		t.Fatalf("%s?%s: %v", typ, text, err)
	}
	want := map[string]bool{}
	for key, root := range w.roots {
		if key.Type != typ {
			continue
		}
		ok, err := w.registry.Match(q, root)
		if err != nil {
			t.Fatalf("%s?%s: %v", typ, text, err)
		}
		if ok {
			want[key.ID] = true
		}
	}
	w.hits[typ] += len(want)
	plan.Limit = store.MaxPage
	inOrder := (&subject{Store: w.truth, ctx: w.ctx}).ids(t, *plan)
	if len(inOrder) != len(want) || slices.ContainsFunc(inOrder, func(id string) bool { return !want[id] }) {
		t.Errorf("%s?%s: the map finds %v, Match %v", typ, text, inOrder, want)
		return
	}
	for _, plan.Limit = range []int{store.MaxPage, 7} {
		if got := w.walk(t, *plan, nil); !slices.Equal(got, inOrder) {
			t.Errorf("%s?%s: in pages of %d\ngot  %v\nwant %v", typ, text, plan.Limit, got, inOrder)
		}
	}
	if total, err := w.Count(w.ctx, plan, 0); err != nil || total.N != len(want) {
		t.Errorf("%s?%s: %+v, %v; want %d", typ, text, total, err, len(want))
	}
}

// randomQuery asks for what some resource has, one to three criteria and an order.
func (w *fhirWorld) randomQuery(rnd *rand.Rand, typ string) string {
	live := w.truth.live(typ)
	slices.SortFunc(live, func(a, b *mapResource) int { return int(a.number) - int(b.number) })
	var parts []string
	for range 1 + rnd.IntN(3) {
		keys := live[rnd.IntN(len(live))].facts.Keys
		k := keys[rnd.IntN(len(keys))]
		code, _, _ := strings.Cut(k.Param, ":")
		switch p, ok := w.registry.Param(typ, code); {
		case !ok:
		case rnd.IntN(8) == 0:
			parts = append(parts, code+":missing="+[]string{"true", "false"}[rnd.IntN(2)])
		case p.Kind == search.KindDate:
			parts = append(parts, code+"="+[]string{"", "ge", "le", "gt", "lt", "ne", "sa", "eb"}[rnd.IntN(8)]+[]string{"2013", "2012-06", "2015-02-07", "1999", "2026", "2010-01-01T00:00:00Z"}[rnd.IntN(6)])
		case p.Kind == search.KindNumber || p.Kind == search.KindQuantity:
			parts = append(parts, code+"="+[]string{"", "ge", "le", "gt", "lt", "ne"}[rnd.IntN(6)]+fmt.Sprint(rnd.IntN(150)))
		case p.Kind == search.KindReference && k.Scope != "" && k.Param == code:
			parts = append(parts, code+"="+k.Scope+"/"+k.Value)
		case p.Kind == search.KindToken && k.Scope != "" && k.Scope != search.NoSystem && k.Value != "":
			parts = append(parts, code+"="+escaped(k.Scope)+"|"+escaped(k.Value))
		default:
			parts = append(parts, code+[]string{"", "", ":not"}[rnd.IntN(3)]+"="+escaped(k.Value))
		}
	}
	if rnd.IntN(2) == 0 {
		params := w.registry.Params(typ)
		if p := params[rnd.IntN(len(params))]; p.Sortable() {
			parts = append(parts, "_sort="+[]string{"", "-"}[rnd.IntN(2)]+p.Code)
		}
	}
	return strings.Join(parts, "&")
}

// escaped is a value of a query: https://hl7.org/fhir/R4/search.html#escaping
func escaped(s string) string {
	return strings.NewReplacer(`\`, `\\`, ",", `\,`, "|", `\|`, "$", `\$`, "&", "").Replace(s)
}
