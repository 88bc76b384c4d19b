package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/fhirtest"
	"meridian/fhir/issue"
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
			g := w.generator(uint64(len(typ)), !s.lacks.Chains)
			for range 120 {
				w.ask(t, typ, g.query(typ))
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
		"_has:Observation:patient:code:missing=false", "general-practitioner.name=careful", "general-practitioner:Practitioner.name=careful", "organization.name=gastro", "link.name=peter", "_has:List:item:status=current", "_list=example", "_list=none",
		"_not-referenced=Observation:subject", "_not-referenced=Encounter:*&gender=male", "_not-referenced=*:*", "_not-referenced=Observation:patient&_sort=-birthdate"},
	"Encounter":         {"subject.name=peter", "patient.birthdate=ge1950", "_has:Observation:encounter:status=final", "service-provider.name:missing=false", "_has:Observation:encounter:patient.gender=male"},
	"DiagnosticReport":  {"result.code=http://loinc.org|", "result.status=final&status=final", "subject:Patient.name=van", "result.patient.gender=female", "result.patient.general-practitioner.name=careful"},
	"MedicationRequest": {"subject:Patient.gender=male", "patient._has:Observation:patient:status=final", "requester:Practitioner.family:missing=false"},
	"CarePlan":          {"patient.name=peter", "care-team.status:missing=true", "goal.lifecycle-status=active"},
	"Organization":      {"_has:Patient:organization:gender=male", "_has:Patient:organization:_has:Observation:patient:status=final", "partof.name:missing=false"},
	"List":              {"item:Patient.name=peter", "subject.name=peter", "item.status:missing=false"},
	"Practitioner":      {"_has:Patient:general-practitioner:gender=male", "_has:Observation:performer:status=final", "_has:Encounter:participant:subject:missing=false"},
}

// otherTypes are what the resources of fhirTypes refer to and are referred to by.
var otherTypes = []string{"Organization", "List", "Practitioner", "Location", "RiskAssessment", "ChargeItem"}

type fhirWorld struct {
	added []search.Added
	*subject
	registry *search.Registry
	truth    *Map
	roots    map[store.Key]element.Node
	ofType   map[string][]element.Node // of roots
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
	w := &fhirWorld{registry: registry, roots: map[store.Key]element.Node{}, ofType: map[string][]element.Node{}, hits: map[string]int{}}
	c := Config{IndexVersion: registry.IndexVersion(), Adopt: w.adopt, Index: remembered(registry, func(body []byte) (*search.Facts, error) {
		tree, err := codec.Parse(body, codec.Options{})
		if err != nil {
			return nil, err
		}
		facts := &search.Facts{}
		return facts, registry.Index(tree.Root(), facts)
	})}
	st := s.newStoreWith(t, c)
	c.Clock = st.clock.Now
	w.subject, w.truth = st, NewMap(c)
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
	for key, root := range w.roots {
		w.ofType[key.Type] = append(w.ofType[key.Type], root)
	}
	return w
}

// remembered works out the facts of a body once: a store that checks bodies asks for the same ones with every query.
func remembered(registry *search.Registry, index func([]byte) (*search.Facts, error)) func([]byte) (*search.Facts, error) {
	var known sync.Map
	return func(body []byte) (*search.Facts, error) {
		key := fmt.Sprint(registry.Generation(), " ", string(body))
		facts, ok := known.Load(key)
		if !ok {
			worked, err := index(body)
			if err != nil {
				return nil, err
			}
			facts, _ = known.LoadOrStore(key, worked)
		}
		own := *facts.(*search.Facts)
		return &own, nil
	}
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

// ask runs a query on the store, in pages, and holds it against Match and the
// map. A random value that its parameter does not take is not asked.
func (w *fhirWorld) ask(t *testing.T, typ, text string) {
	t.Helper()
	if q, _, err := w.registry.Parse(typ, pairsOf(text), false); err == nil {
		w.hold(t, q, text)
	}
}

// hold asks the store and says how many resources match. It is not asked, and
// false, where a _filter is refused because only a body decides its alternatives to a chain.
func (w *fhirWorld) hold(t *testing.T, q *search.Query, text string) (hits int, asked bool) {
	t.Helper()
	typ := q.Type
	plan, err := w.registry.Compile(q)
	var refused *issue.Error
	switch {
	case errors.As(err, &refused) && refused.Issues[0].Code == issue.NotSupported && strings.Contains(text, "_filter="):
		return 0, false
	case err != nil:
		t.Fatalf("%s?%s: %v", typ, text, err)
	}
	want := map[string]bool{}
	for _, root := range w.ofType[typ] {
		ok, err := w.registry.MatchAmong(q, root, w.others())
		if err != nil {
			t.Fatalf("%s?%s: %v", typ, text, err)
		}
		if ok {
			want[root.Child("id").Text()] = true
		}
	}
	w.hits[typ] += len(want)
	plan.Limit = store.MaxPage
	inOrder := (&subject{Store: w.truth, ctx: w.ctx}).ids(t, *plan)
	if len(inOrder) != len(want) || slices.ContainsFunc(inOrder, func(id string) bool { return !want[id] }) {
		t.Errorf("%s?%s: the map finds %v, Match %v", typ, text, inOrder, want)
		return len(want), true
	}
	for _, plan.Limit = range []int{store.MaxPage, 7} {
		if got := w.walk(t, *plan, nil); !slices.Equal(got, inOrder) {
			t.Errorf("%s?%s: in pages of %d\ngot  %v\nwant %v", typ, text, plan.Limit, got, inOrder)
		}
	}
	if total, err := w.Count(w.ctx, plan, 0); err != nil || total.N != len(want) {
		t.Errorf("%s?%s: %+v, %v; want %d", typ, text, total, err, len(want))
	}
	return len(want), true
}

// others are the resources of the world, for chains and _has.
func (w *fhirWorld) others() search.Others {
	return search.Others{
		Resolve: func(typ, id string) (element.Node, bool) {
			root, ok := w.roots[store.Key{Type: typ, ID: id}]
			return root, ok
		},
		List: func(typ string) []element.Node { return w.ofType[typ] },
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
