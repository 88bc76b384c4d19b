package operation

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
	"meridian/fhir/search"
	"meridian/server/interaction"
	"meridian/server/store"
)

// $everything walks, and can go on at any row of the walk:
//
//	for each patient (the one that was asked for, or all)
//	  for each type of the compartment: what is in it, in order of creation
//	then what these refer to and is in no patient's compartment, by type and id
//
// A page ends behind a row, and its link says which. The second part is found
// by going through the first again, so that no page needs to remember what
// others had and each resource stands in one of them only.

// Limits of $everything.
const (
	// maxEverything is how many resources one page has when _count is not sent.
	maxEverything = 10_000
	// maxEverythingWalk is how many resources are gone through for what they refer to.
	maxEverythingWalk = 100_000
	// maxEverythingPatients is how many patients there may be when it is called on the type.
	maxEverythingPatients = 1_000
)

func everythingParams(care bool) []interaction.OperationParameter {
	const since = "Resources updated at this time or after it"
	var p []interaction.OperationParameter
	if care {
		p = append(p,
			interaction.OperationParameter{Name: "start", Max: 1, Type: "date", Documentation: "Care on this date or after it; resources without a date of care stay"},
			interaction.OperationParameter{Name: "end", Max: 1, Type: "date", Documentation: "Care on this date or before it; resources without a date of care stay"})
	}
	return append(p,
		interaction.OperationParameter{Name: "_since", Max: 1, Type: "instant", Documentation: since},
		interaction.OperationParameter{Name: "_type", Type: "code", Documentation: "Resource types to answer, also several separated by comma"},
		interaction.OperationParameter{Name: "_count", Max: 1, Type: "integer", Documentation: "Resources on a page; without it all are on one, up to " + strconv.Itoa(maxEverything)},
		interaction.OperationParameter{Name: "return", Out: true, Min: 1, Max: 1, Type: "Bundle", Documentation: "A searchset"})
}

func patientEverythingDefinition() *interaction.OperationDefinition {
	return &interaction.OperationDefinition{
		Name: "everything", URL: "http://hl7.org/fhir/OperationDefinition/Patient-everything", Type: true, Instance: true, Types: []string{"Patient"},
		Params: everythingParams(true), Paged: true,
		Documentation: "The patient's compartment, and what is referred to from there and belongs to no patient (practitioners, organizations, medications, locations). " +
			"On the type: of all patients, at most " + strconv.Itoa(maxEverythingPatients) + ".",
	}
}

func encounterEverythingDefinition() *interaction.OperationDefinition {
	return &interaction.OperationDefinition{
		Name: "everything", URL: "http://hl7.org/fhir/OperationDefinition/Encounter-everything", Instance: true, Types: []string{"Encounter"},
		Params: everythingParams(false), Paged: true,
		Documentation: "The encounter's compartment, and what is referred to from there: the patient, practitioners, organizations, conditions.",
	}
}

// everythingState is where a page begins.
type everythingState struct {
	Phase   int    `json:"p,omitempty"` // 0 compartment, 1 referred to
	Patient string `json:"i,omitempty"` // the one whose compartment is walked
	At      uint64 `json:"a,omitempty"` // its place among all, on the type
	Type    string `json:"t,omitempty"` // of the last row
	Number  uint64 `json:"n,omitempty"` // of the last row
	Key     string `json:"k,omitempty"` // Type/id of the last one of phase 1
}

// everything is one call.
type everything struct {
	c       *interaction.OperationCall
	s       *interaction.Service
	area    *compartment
	types   []string // of _type, nil for all
	since   string
	after   time.Time // since
	care    []search.Pair
	room    int // entries that the page still takes
	out     bundle
	state   everythingState
	next    *everythingState
	refs    map[store.Key]bool
	walked  int
	partial bool // refs are not of the whole walk
	cut     bool // maxEverythingWalk was reached
}

func runEverything(ctx context.Context, c *interaction.OperationCall) (interaction.OperationResult, error) {
	e := &everything{c: c, s: c.Service, area: compartmentOf(c.Service, c.Key.Type), refs: map[store.Key]bool{}}
	if err := e.read(); err != nil {
		return interaction.OperationResult{}, err
	}
	if err := e.check(ctx); err != nil {
		return interaction.OperationResult{}, err
	}
	if err := e.page(ctx); err != nil {
		return interaction.OperationResult{}, err
	}
	links := []link{{"self", c.Self()}, {"first", c.First()}}
	total := -1
	if e.next != nil {
		state, err := json.Marshal(e.next)
		if err != nil {
			return interaction.OperationResult{}, err
		}
		links = append(links, link{"next", c.Next(state)})
	} else if c.State == nil {
		total = e.out.matches
	}
	return e.out.result(total, links...), nil
}

// read reads the parameters and the state.
func (e *everything) read() error {
	if c := e.c; c.State != nil {
		if err := json.Unmarshal(c.State, &e.state); err != nil {
			return err // the link was sealed by this server
		}
	}
	e.partial = e.c.State != nil
	for _, v := range e.c.Values("_type") {
		for t := range strings.SplitSeq(v.Text(), ",") {
			if !interaction.IsResourceType(t) {
				return issue.New(issue.Value, "everything.type", "_type names a resource type that FHIR R4 does not have", "").WithStatus(400)
			}
			e.types = append(e.types, t)
		}
	}
	e.room = maxEverything
	if text := e.c.Text("_count"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return issue.New(issue.Value, "everything.count", "_count is a number from 1 on", "")
		}
		limits := e.s.Limits()
		if err := limits.CheckCount("_count", n); err != nil {
			return err
		}
		e.room = n
	}
	if e.since = e.c.Text("_since"); e.since != "" {
		t, err := time.Parse(time.RFC3339Nano, e.since)
		if err != nil {
			return issue.New(issue.Value, "everything.since", "_since is an instant", "")
		}
		e.after = t
	}
	if start := e.c.Text("start"); start != "" {
		e.care = append(e.care, search.Pair{Value: "ge" + start})
	}
	if end := e.c.Text("end"); end != "" {
		e.care = append(e.care, search.Pair{Value: "le" + end})
	}
	return nil
}

// check finds the instance, or counts the patients.
func (e *everything) check(ctx context.Context) error {
	if e.c.Level == interaction.InstanceLevel {
		_, err := e.s.Read(ctx, interaction.ReadParams{Key: e.c.Key})
		return err
	}
	t, err := e.s.CountAll(ctx, interaction.FindParams{Type: e.c.Key.Type}, maxEverythingPatients+1)
	if err == nil && t.N > maxEverythingPatients {
		err = issue.New(issue.TooCostly, "everything.patients", "there are more than "+strconv.Itoa(maxEverythingPatients)+" patients: ask for one at a time", "")
	}
	return err
}

// page fills the page from where it begins.
func (e *everything) page(ctx context.Context) error {
	if e.state.Phase == 0 {
		if err := e.walk(ctx, e.state, true, e.match); err != nil || e.next != nil {
			return err
		}
		e.state = everythingState{Phase: 1}
	}
	// What was seen on the way are all references, if this page began with the first row and left nothing out.
	if e.partial || e.types != nil || e.since != "" {
		clear(e.refs)
		e.walked = 0
		if err := e.walk(ctx, everythingState{}, false, func(row *store.Row, _ everythingState) error { return e.collect(row) }); err != nil {
			return err
		}
	}
	return e.referred(ctx)
}

var errStop = issue.New(issue.Processing, "stop", "", "") // ends a walk; never seen by a client

// match puts a row on the page; one that finds no room there is where the next begins.
func (e *everything) match(row *store.Row, before everythingState) error {
	if e.room == 0 {
		e.next = &before
		return errStop
	}
	e.room--
	e.out.add(e.s, &row.Resource, "match", "")
	return e.collect(row)
}

// walk visits the rows behind a state; before is the state behind which the row stands.
func (e *everything) walk(ctx context.Context, from everythingState, narrow bool, visit func(row *store.Row, before everythingState) error) error {
	err := e.patients(ctx, from, func(at everythingState) error {
		types := e.area.types
		if at.Type != "" {
			types = types[max(slices.Index(types, at.Type), 0):]
		}
		for _, typ := range types {
			if typ != at.Type {
				at.Type, at.Number = typ, 0
			}
			if narrow && e.types != nil && !slices.Contains(e.types, typ) {
				continue
			}
			if err := e.rows(ctx, at, narrow, visit); err != nil {
				return err
			}
		}
		return nil
	})
	if err == errStop {
		return nil
	}
	return err
}

// patients visits the instances whose compartments are walked.
func (e *everything) patients(ctx context.Context, from everythingState, visit func(everythingState) error) error {
	if e.c.Level == interaction.InstanceLevel {
		from.Patient = e.c.Key.ID
		return visit(from)
	}
	if from.Patient != "" {
		if err := visit(from); err != nil {
			return err
		}
	}
	p := interaction.FindParams{Type: e.c.Key.Type, Limit: maxEverythingPatients}
	if from.At != 0 {
		p.After = &search.Cursor{Number: from.At}
	}
	for {
		page, err := e.s.Find(ctx, p)
		if err != nil {
			return err
		}
		for i := range page.Rows {
			if err := visit(everythingState{Patient: page.Rows[i].ID, At: page.Rows[i].At.Number}); err != nil {
				return err
			}
		}
		if !page.More {
			return nil
		}
		p.After = &page.Rows[len(page.Rows)-1].At
	}
}

// rows visits what of a type is in one compartment.
func (e *everything) rows(ctx context.Context, at everythingState, narrow bool, visit func(*store.Row, everythingState) error) error {
	p := interaction.FindParams{Type: at.Type, Any: [][][]search.Pair{e.area.of(at.Type, at.Patient)}, Limit: 1000}
	if narrow {
		p.Limit = min(e.room+1, 1000)
		if e.since != "" {
			p.All = append(p.All, search.Pair{Name: "_lastUpdated", Value: "ge" + e.since})
		}
	}
	p.Any = append(p.Any, e.careOf(at.Type)...)
	for {
		if p.After = nil; at.Number != 0 {
			p.After = &search.Cursor{Number: at.Number}
		}
		page, err := e.s.Find(ctx, p)
		if err != nil {
			return err
		}
		for i := range page.Rows {
			row := &page.Rows[i]
			mine, err := e.first(ctx, row, at.Patient)
			if err != nil {
				return err
			}
			if mine {
				if err := visit(row, at); err != nil {
					return err
				}
			}
			at.Number = row.At.Number
		}
		if !page.More {
			return nil
		}
	}
}

// first says whether this patient is the first of the walk in whose compartment the row is.
func (e *everything) first(ctx context.Context, row *store.Row, patient string) (bool, error) {
	if e.c.Level == interaction.InstanceLevel || row.Type == e.area.code && row.ID == patient {
		return true, nil
	}
	if row.Type == e.area.code {
		return false, nil // another patient, linked to this one, has its own turn
	}
	root, done, err := e.s.Tree(row.Body)
	if err != nil {
		return false, err
	}
	defer done()
	keys := []store.Key{{Type: e.area.code, ID: patient}}
	for _, name := range e.area.params[row.Type] {
		p, _ := e.s.Registry().Param(row.Type, name)
		for _, ref := range e.s.Registry().References(root, p, e.area.code) {
			if key := (store.Key{Type: ref.Type, ID: ref.ID}); ref.Local() && !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	if len(keys) == 1 {
		return true, nil
	}
	all, err := e.s.Current(ctx, keys)
	if err != nil {
		return false, err
	}
	for _, other := range all[1:] {
		if other.Body != nil && other.Number < all[0].Number {
			return false, nil
		}
	}
	return true, nil
}

// careDates are the parameters that say when care was given, the first that a type has counts.
var careDates = []string{"date", "period", "onset-date", "effective", "effective-time", "authoredon", "authored", "started", "recorded-date", "recorded", "created", "whenprepared", "sent"}

// careOf narrows a type to start and end; what has no such date stays.
func (e *everything) careOf(typ string) [][][]search.Pair {
	if len(e.care) == 0 {
		return nil
	}
	for _, name := range careDates {
		if p, ok := e.s.Registry().Param(typ, name); !ok || p.Kind != search.KindDate || p.Unsupported != "" {
			continue
		}
		var within []search.Pair
		for _, c := range e.care {
			within = append(within, search.Pair{Name: name, Value: c.Value})
		}
		return [][][]search.Pair{{within, {{Name: name + ":missing", Value: "true"}}}}
	}
	return nil
}

// collect notes what a row refers to.
func (e *everything) collect(row *store.Row) error {
	if e.walked++; e.walked > maxEverythingWalk {
		e.cut = true
		return errStop
	}
	if !bytes.Contains(row.Body, []byte(`"reference"`)) {
		return nil
	}
	root, done, err := e.s.Tree(row.Body)
	if err != nil {
		return err
	}
	defer done()
	references(root, func(n element.Node) {
		ref := e.s.Registry().ParseReference(n.Text())
		if ref.Local() && !e.inArea(ref.Type) {
			e.refs[store.Key{Type: ref.Type, ID: ref.ID}] = true
		}
	})
	return nil
}

// inArea says that a resource of a type is not included because it is referred
// to: of a patient's record, because it may be another's.
func (e *everything) inArea(typ string) bool {
	if e.area.code == "Patient" {
		return e.area.has(typ)
	}
	return typ == e.area.code
}

// references visits every Reference.reference with a value below n, in the resource itself.
func references(n element.Node, visit func(element.Node)) {
	for c := n.First(); c.Valid(); c = c.Next() {
		if c.TypeID() == schema.TypeReference {
			if r := c.Child("reference"); r.HasValue() {
				visit(r)
			}
		}
		if c.First().Valid() {
			references(c, visit)
		}
	}
}

// referred puts what was referred to on the page, by type and id.
func (e *everything) referred(ctx context.Context) error {
	var keys []store.Key
	for key := range e.refs {
		if (e.types == nil || slices.Contains(e.types, key.Type)) && path(key) > e.state.Key {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b store.Key) int { return strings.Compare(path(a), path(b)) })
	for len(keys) > 0 {
		n := min(len(keys), e.room+1, store.MaxReadMany)
		found, err := e.s.Current(ctx, keys[:n])
		if err != nil {
			return err
		}
		keys = keys[n:]
		for i := range found {
			r := &found[i]
			if r.Body == nil || r.LastUpdated.Before(e.after) {
				continue
			}
			if seen, err := e.seen(ctx, r); err != nil {
				return err
			} else if seen {
				continue
			}
			if e.room == 0 {
				e.next = &e.state
				return nil
			}
			e.room--
			e.out.add(e.s, r, "include", "")
			e.state.Key = path(r.Key)
		}
	}
	if e.cut {
		e.out.outcome([]issue.Issue{warning(issue.Incomplete, "everything.walk", "what resources after the first "+strconv.Itoa(maxEverythingWalk)+" refer to is left out; ask for parts with _type")})
	}
	return nil
}

// seen says that what is referred to stood among the matches: only an
// encounter's compartment can hold it.
func (e *everything) seen(ctx context.Context, r *store.Resource) (bool, error) {
	if e.area.code == "Patient" || !e.area.has(r.Type) {
		return false, nil
	}
	page, err := e.s.Find(ctx, interaction.FindParams{Type: r.Type, All: []search.Pair{{Name: "_id", Value: r.ID}},
		Any: [][][]search.Pair{e.area.of(r.Type, e.c.Key.ID)}, Limit: 1})
	return len(page.Rows) > 0, err
}

func path(k store.Key) string { return k.Type + "/" + k.ID }
