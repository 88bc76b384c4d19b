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
	for _, typ := range slices.Concat(fhirTypes, otherTypes) {
		t.Run(typ, func(t *testing.T) {
			for _, q := range fixedQueries[typ] {
				w.ask(t, typ, q)
			}
			if !s.lacks.Chains {
				w.askJoins(t, typ)
			}
			w.askModifiers(t, typ, !s.lacks.Chains)
			rnd := rand.New(rand.NewPCG(7, uint64(len(typ))))
			for range 120 {
				w.ask(t, typ, w.randomQuery(rnd, typ, !s.lacks.Chains))
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

// joinQueries ask for other resources: chains, _has and _list, alone, nested
// and beside other criteria.
var joinQueries = map[string][]string{
	"Observation": {"subject:Patient.name=peter", "subject.name=peter", "patient.name=p", "patient.gender=male&status=final", "patient.birthdate=lt1980", "patient.name:exact=Peter", "patient.name:missing=true",
		"patient.gender:not=male", "patient.organization.name=health", "patient.name=peter,no", "patient._id=example", "encounter.status=finished,in-progress", "encounter.subject:Patient.family=chalmers", "subject:Patient.name=peter&_sort=-date",
		"has-member.code:missing=false", "subject.name:contains=ete", "patient._has:Encounter:patient:status=finished", "_has:DiagnosticReport:result:status=final",
		"_has:DiagnosticReport:result:subject:Patient.name=van", "_has:Observation:has-member:code:missing=false", "_list=example,current-allergies"},
	"Patient": {"_filter=name co \"ete\" and (gender eq male or birthdate ge 1980)", "_filter=not (name co \"ete\")", "_filter=family ne \"chalmers\" or birthdate po 1974", "_filter=gender eq male and _has:Observation:patient:status eq final",
		"_has:Observation:patient:code=http://loinc.org|", "_has:Observation:patient:status=final&gender=male", "_has:Observation:patient:status:not=final", "_has:Observation:subject:value-quantity=gt5",
		"_has:Observation:patient:_has:DiagnosticReport:result:status=final", "_has:Observation:patient:encounter.status:missing=false", "_has:Encounter:patient:status=in-progress,finished&_sort=-birthdate",
		"_has:Observation:patient:code:missing=false", "general-practitioner.name=careful", "general-practitioner:Practitioner.name=careful", "organization.name=gastro", "link.name=peter", "_has:List:item:status=current", "_list=example", "_list=none"},
	"Encounter":         {"subject.name=peter", "patient.birthdate=ge1950", "_has:Observation:encounter:status=final", "service-provider.name:missing=false", "_has:Observation:encounter:patient.gender=male"},
	"DiagnosticReport":  {"result.code=http://loinc.org|", "result.status=final&status=final", "subject:Patient.name=van", "result.patient.gender=female", "result.patient.general-practitioner.name=careful"},
	"MedicationRequest": {"subject:Patient.gender=male", "patient._has:Observation:patient:status=final", "requester:Practitioner.family:missing=false"},
	"CarePlan":          {"patient.name=peter", "care-team.status:missing=true", "goal.lifecycle-status=active"},
	"Organization":      {"_has:Patient:organization:gender=male", "_has:Patient:organization:_has:Observation:patient:status=final", "partof.name:missing=false"},
	"List":              {"item:Patient.name=peter", "subject.name=peter", "item.status:missing=false"},
	"Practitioner":      {"_has:Patient:general-practitioner:gender=male", "_has:Observation:performer:status=final", "_has:Encounter:participant:subject:missing=false"},
}

// otherTypes are what the resources of fhirTypes refer to and are referred to by.
var otherTypes = []string{"Organization", "List", "Practitioner", "Location"}

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
	registry, err := search.New(search.Options{Zone: time.FixedZone("+08", 8*3600), BaseURL: "http://our.example/fhir", Now: func() time.Time { return start }, FullText: true, Codes: codes{}})
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
	types, count := slices.Concat(fhirTypes, otherTypes), map[string]int{}
	for _, e := range fhirtest.Examples(t) {
		if tree, err := codec.Parse(e.Body, codec.Options{}); err == nil && slices.Contains(types, tree.Root().Type().Name) && count[tree.Root().Type().Name] < maxOfType {
			count[tree.Root().Type().Name]++
			w.add(t, c, tree.Root())
		}
	}
	for _, typ := range types {
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

// pairsOf splits a query string that needs no decoding.
func pairsOf(text string) (pairs []search.Pair) {
	for _, p := range strings.Split(text, "&") {
		if name, v, ok := strings.Cut(p, "="); ok {
			pairs = append(pairs, search.Pair{Name: name, Value: v})
		}
	}
	return pairs
}

// ask runs a query on the store, in pages, and holds it against Match and the map.
func (w *fhirWorld) ask(t *testing.T, typ, text string) {
	t.Helper()
	q, _, err := w.registry.Parse(typ, pairsOf(text), false)
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
		ok, err := w.registry.MatchAmong(q, root, w.others())
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

// others are the resources of the world, for chains and _has.
func (w *fhirWorld) others() search.Others {
	return search.Others{
		Resolve: func(typ, id string) (element.Node, bool) {
			root, ok := w.roots[store.Key{Type: typ, ID: id}]
			return root, ok
		},
		List: func(typ string) (out []element.Node) {
			for key, root := range w.roots {
				if key.Type == typ {
					out = append(out, root)
				}
			}
			return out
		},
	}
}

// askJoins asks what must be understood, and find something now and then.
func (w *fhirWorld) askJoins(t *testing.T, typ string) {
	before := w.hits[typ]
	for _, text := range joinQueries[typ] {
		if _, _, err := w.registry.Parse(typ, pairsOf(text), false); err != nil {
			t.Errorf("%s?%s: %v", typ, text, err)
		}
		w.ask(t, typ, text)
	}
	if len(joinQueries[typ]) > 0 && w.hits[typ] == before {
		t.Error("no chain found anything")
	}
}

// randomQuery asks for what some resource has, one to three criteria and an
// order; with joins, now and then of what it refers to or is referred to by.
func (w *fhirWorld) randomQuery(rnd *rand.Rand, typ string, joins bool) string {
	var parts []string
	for range 1 + rnd.IntN(3) {
		depth := 0
		if joins && rnd.IntN(3) == 0 {
			depth = 1 + rnd.IntN(3)
		}
		if part := w.randomCriterion(rnd, typ, depth); part != "" {
			parts = append(parts, part)
		}
	}
	if rnd.IntN(2) == 0 {
		params := w.registry.Params(typ)
		if p := params[rnd.IntN(len(params))]; p.Sortable() {
			sort := "_sort=" + []string{"", "-"}[rnd.IntN(2)] + p.Code
			if q := params[rnd.IntN(len(params))]; q.Sortable() && q.Code != p.Code {
				sort += "," + []string{"", "-"}[rnd.IntN(2)] + q.Code
			}
			parts = append(parts, sort)
		}
	}
	return strings.Join(parts, "&")
}

// liveInOrder are the resources of a type, oldest first.
func (w *fhirWorld) liveInOrder(typ string) []*mapResource {
	live := w.truth.live(typ)
	slices.SortFunc(live, func(a, b *mapResource) int { return int(a.number) - int(b.number) })
	return live
}

// randomCriterion asks about a resource of typ, or of one over at most depth references away.
func (w *fhirWorld) randomCriterion(rnd *rand.Rand, typ string, depth int) string {
	live := w.liveInOrder(typ)
	if depth == 0 || len(live) == 0 {
		return w.randomPlain(rnd, typ, live)
	}
	if rnd.IntN(2) == 0 { // what a resource of typ refers to
		var refs []search.Key
		for _, k := range live[rnd.IntN(len(live))].facts.Keys {
			if p, ok := w.registry.Param(typ, k.Param); ok && p.Kind == search.KindReference && k.Scope != "" && k.Value != "" && len(w.truth.live(k.Scope)) > 0 {
				refs = append(refs, k)
			}
		}
		if len(refs) == 0 {
			return ""
		}
		k := refs[rnd.IntN(len(refs))]
		inner := w.randomCriterion(rnd, k.Scope, depth-1)
		if inner == "" {
			return ""
		}
		return k.Param + []string{"", ":" + k.Scope}[rnd.IntN(2)] + "." + inner
	}
	source := slices.Concat(fhirTypes, otherTypes)[rnd.IntN(len(fhirTypes)+len(otherTypes))]
	var params []string
	for _, p := range w.registry.Params(source) {
		if p.Kind == search.KindReference && slices.Contains(p.Targets, typ) {
			params = append(params, p.Code)
		}
	}
	inner := w.randomCriterion(rnd, source, depth-1)
	if len(params) == 0 || inner == "" {
		return ""
	}
	return "_has:" + source + ":" + params[rnd.IntN(len(params))] + ":" + inner
}

// randomPlain asks for a value that one of live has, "" where it has none to ask for.
func (w *fhirWorld) randomPlain(rnd *rand.Rand, typ string, live []*mapResource) string {
	if len(live) == 0 {
		return "_id=none"
	}
	keys := live[rnd.IntN(len(live))].facts.Keys
	k := keys[rnd.IntN(len(keys))]
	code, _, _ := strings.Cut(k.Param, ":")
	switch p, ok := w.registry.Param(typ, code); {
	case !ok || k.Param == "near":
		return ""
	case rnd.IntN(3) == 0 || strings.HasSuffix(k.Param, ":text"):
		return randomModified(rnd, p, k)
	case rnd.IntN(8) == 0:
		return code + ":missing=" + []string{"true", "false"}[rnd.IntN(2)]
	case p.Kind == search.KindDate:
		return code + "=" + []string{"", "ge", "le", "gt", "lt", "ne", "sa", "eb"}[rnd.IntN(8)] + []string{"2013", "2012-06", "2015-02-07", "1999", "2026", "2010-01-01T00:00:00Z"}[rnd.IntN(6)]
	case p.Kind == search.KindNumber || p.Kind == search.KindQuantity:
		return code + "=" + []string{"", "ge", "le", "gt", "lt", "ne"}[rnd.IntN(6)] + fmt.Sprint(rnd.IntN(150))
	case p.Kind == search.KindReference && k.Scope != "" && k.Param == code:
		return code + "=" + k.Scope + "/" + k.Value
	case p.Kind == search.KindToken && k.Scope != "" && k.Scope != search.NoSystem && k.Value != "":
		return code + "=" + escaped(k.Scope) + "|" + escaped(k.Value)
	}
	return code + []string{"", "", ":not"}[rnd.IntN(3)] + "=" + escaped(k.Value)
}

// escaped is a value of a query: https://hl7.org/fhir/R4/search.html#escaping
func escaped(s string) string {
	return strings.NewReplacer(`\`, `\\`, ",", `\,`, "|", `\|`, "$", `\$`, "&", "").Replace(s)
}
