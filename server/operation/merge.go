package operation

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
	"meridian/fhir/search"
	"meridian/server/interaction"
	"meridian/server/store"
)

// maxMerge is how many resources may refer to the source of a $merge; with more it is too costly.
const maxMerge = 5_000

func mergeDefinition() *interaction.OperationDefinition {
	in := func(name, typ string, max int, text string) interaction.OperationParameter {
		return interaction.OperationParameter{Name: name, Type: typ, Max: max, Documentation: text}
	}
	return &interaction.OperationDefinition{
		Name: "merge", URL: "http://hl7.org/fhir/OperationDefinition/Patient-merge", Type: true, Types: []string{"Patient"}, AffectsState: true,
		Params: []interaction.OperationParameter{
			in("source-patient", "Reference", 1, "The patient that is a double and ends inactive"),
			in("source-patient-identifier", "Identifier", 0, "Identifiers of the source, all of which must be one patient's"),
			in("target-patient", "Reference", 1, "The patient that stays"),
			in("target-patient-identifier", "Identifier", 0, "Identifiers of the target"),
			in("result-patient", "Patient", 1, "The target as it is to be afterwards, with its id; without it the target gets the source's identifiers"),
			in("preview", "boolean", 1, "Say what would be done, and do nothing"),
			{Name: "outcome", Out: true, Min: 1, Max: 1, Type: "OperationOutcome", Documentation: "What was done, or would be"},
			{Name: "result", Out: true, Max: 1, Type: "Patient", Documentation: "The target afterwards"},
			{Name: "provenance", Out: true, Max: 1, Type: "Reference", Documentation: "The record by which $unmerge takes it back"},
		},
		Documentation: "Merges a patient into another, as FHIR R5 defines it: all references to the source name the target then, the source is inactive and linked, all in one transaction of at most " +
			strconv.Itoa(maxMerge) + " resources. AuditEvent and Provenance stay as they were recorded.",
	}
}

// merger is one merge.
type merger struct {
	s              *interaction.Service
	source, target store.Resource
	result         element.Node // result-patient, zero when it was not sent
	referring      []store.Key
	before, after  []uint64 // versions by place among the puts
}

// merge finds both patients and what refers to the source, then writes all at once.
//
// https://hl7.org/fhir/R5/patient-operation-merge.html
func merge(ctx context.Context, c *interaction.OperationCall) (interaction.OperationResult, error) {
	m := &merger{s: c.Service}
	if err := m.patients(ctx, c); err != nil {
		return interaction.OperationResult{}, err
	}
	if v := c.Value("result-patient"); v != nil {
		if m.result = v.Node; m.result.Child("id").Text() != m.target.ID {
			return interaction.OperationResult{}, issue.New(issue.Invalid, "merge.result", "the result-patient has the id of the target", v.Node.Location())
		}
	}
	if err := m.findReferring(ctx); err != nil {
		return interaction.OperationResult{}, err
	}
	if c.Text("preview") == "true" {
		return m.preview()
	}
	if !c.Service.Transactions() {
		return interaction.OperationResult{}, noTransactions(c.Definition.Name)
	}
	return m.commit(ctx)
}

func noTransactions(name string) error {
	return issue.New(issue.NotSupported, "operation.transactions", "$"+name+" needs a store with transactions: a MongoDB replica set or sharded cluster, or the embedded store", "").WithStatus(501)
}

// patients reads source and target and checks that they can be merged.
func (m *merger) patients(ctx context.Context, c *interaction.OperationCall) (err error) {
	if m.source, err = m.patient(ctx, c, "source-patient"); err != nil {
		return err
	}
	if m.target, err = m.patient(ctx, c, "target-patient"); err != nil {
		return err
	}
	if m.source.Key == m.target.Key {
		return issue.New(issue.BusinessRule, "merge.same", "source and target are the same patient", "")
	}
	for _, p := range []struct {
		name string
		r    *store.Resource
	}{{"source", &m.source}, {"target", &m.target}} {
		root, done, err := m.s.Tree(p.r.Body)
		if err != nil {
			return err
		}
		replaced := personOf(root).replaced
		inactive := root.Child("active").Text() == "false"
		done()
		if replaced {
			return mergedAlready(p.name)
		}
		if inactive && p.name == "target" {
			return issue.New(issue.BusinessRule, "merge.inactive", "the target is not active", "")
		}
	}
	return nil
}

func mergedAlready(name string) error {
	return issue.New(issue.BusinessRule, "merge.replaced", "the "+name+" was merged into another patient already", "")
}

// patient finds one of the two by its reference, or by its identifiers.
func (m *merger) patient(ctx context.Context, c *interaction.OperationCall, name string) (store.Resource, error) {
	identifiers := c.Values(name + "-identifier")
	if v := c.Value(name); v != nil {
		ref := m.s.Registry().ParseReference(v.Node.Child("reference").Text())
		if !ref.Local() || ref.Type != "Patient" {
			return store.Resource{}, issue.New(issue.Value, "merge.reference", name+" is a reference to a Patient of this server", v.Node.Location())
		}
		r, err := m.s.Read(ctx, interaction.ReadParams{Key: store.Key{Type: "Patient", ID: ref.ID}})
		return r.Resource, err
	}
	if len(identifiers) == 0 {
		return store.Resource{}, issue.New(issue.Required, "merge.patient", "$merge needs "+name+", or "+name+"-identifier", "")
	}
	var pairs []search.Pair
	for _, v := range identifiers {
		value := search.Escape(v.Node.Child("value").Text())
		if strings.TrimSpace(value) == "" { // a system alone is that of whoever has one today
			return store.Resource{}, issue.New(issue.Required, "merge.identifier", "an identifier of "+name+"-identifier has no value", v.Node.Location())
		}
		if system := v.Node.Child("system").Text(); system != "" {
			value = search.Escape(system) + "|" + value
		}
		pairs = append(pairs, search.Pair{Name: "identifier", Value: value})
	}
	page, err := m.s.Find(ctx, interaction.FindParams{Type: "Patient", All: pairs, Limit: 2})
	switch {
	case err != nil:
		return store.Resource{}, err
	case len(page.Rows) == 0:
		return store.Resource{}, issue.New(issue.NotFound, "merge.identifier", "no patient has what "+name+"-identifier says", "").WithStatus(422)
	case len(page.Rows) > 1:
		return store.Resource{}, issue.New(issue.MultipleMatch, "merge.identifier", "several patients have what "+name+"-identifier says", "")
	}
	return page.Rows[0].Resource, nil
}

// asRecorded are types whose references are not rewritten: they say what happened.
var asRecorded = []string{"AuditEvent", "Provenance"}

// findReferring lists what refers to the source by any reference parameter.
func (m *merger) findReferring(ctx context.Context) error {
	seen := map[store.Key]bool{m.source.Key: true, m.target.Key: true}
	for _, typ := range schema.ResourceTypes() {
		if slices.Contains(asRecorded, typ) {
			continue
		}
		err := eachReferring(ctx, m.s, typ, m.source.Key, func(row *store.Row) error {
			if seen[row.Key] {
				return nil
			}
			seen[row.Key] = true
			m.referring = append(m.referring, row.Key)
			if len(m.referring) > maxMerge {
				return issue.New(issue.TooCostly, "merge.resources", "more than "+strconv.Itoa(maxMerge)+" resources refer to the source", "")
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachReferring visits the resources of a type that refer to a patient by a reference parameter.
func eachReferring(ctx context.Context, s *interaction.Service, typ string, patient store.Key, visit func(*store.Row) error) error {
	var any [][]search.Pair
	for _, p := range s.Registry().Params(typ) {
		if p.Kind == search.KindReference && p.Unsupported == "" && (len(p.Targets) == 0 || slices.Contains(p.Targets, patient.Type)) {
			any = append(any, []search.Pair{{Name: p.Code, Value: path(patient)}})
		}
	}
	if len(any) == 0 {
		return nil
	}
	p := interaction.FindParams{Type: typ, Any: [][][]search.Pair{any}, Limit: 1000}
	for {
		page, err := s.Find(ctx, p)
		if err != nil {
			return err
		}
		for i := range page.Rows {
			if err := visit(&page.Rows[i]); err != nil {
				return err
			}
		}
		if !page.More {
			return nil
		}
		p.After = &page.Rows[len(page.Rows)-1].At
	}
}

// preview says what would be done.
func (m *merger) preview() (interaction.OperationResult, error) {
	body, err := m.targetBody(&m.target)
	if err != nil {
		return interaction.OperationResult{}, err
	}
	var out interaction.Parameters
	out.AddResource("outcome", interaction.AppendOutcome(nil, append([]issue.Issue{note("merge.preview", "nothing was changed")}, m.counts("would be rewritten")...)))
	out.AddResource("result", body)
	return interaction.OperationResult{Body: out.Bytes()}, nil
}

// counts says how many resources of each type are rewritten.
func (m *merger) counts(what string) (out []issue.Issue) {
	n := map[string]int{}
	var types []string
	for _, k := range m.referring {
		if n[k.Type]++; n[k.Type] == 1 {
			types = append(types, k.Type)
		}
	}
	for _, t := range types {
		out = append(out, note("merge.references", fmt.Sprintf("references to the source in %d %s %s", n[t], t, what)))
	}
	return out
}

// commit writes all of it, the record of it last.
func (m *merger) commit(ctx context.Context) (interaction.OperationResult, error) {
	record := store.Key{Type: "Provenance", ID: m.s.NewID()}
	keys := append([]store.Key{m.source.Key, m.target.Key}, m.referring...)
	m.before, m.after = make([]uint64, len(keys)), make([]uint64, len(keys))
	revise := []func(*store.Resource) ([]byte, error){m.sourceBody, m.targetBody}
	var puts []interaction.Put
	for i, key := range keys {
		change := m.rewritten
		if i < len(revise) {
			change = revise[i]
		}
		puts = append(puts, interaction.Put{Key: key, Pin: true, Revise: func(current *store.Resource) ([]byte, bool, error) {
			if current.Body == nil {
				return nil, true, issue.New(issue.Conflict, "merge.gone", path(key)+" was deleted meanwhile; call $merge again", "")
			}
			body, err := change(current)
			m.before[i], m.after[i] = current.Version, current.Version+1
			if body == nil && err == nil { // another writer took the reference out
				m.after[i] = current.Version
				return nil, true, nil
			}
			return body, false, err
		}})
	}
	puts = append(puts, interaction.Put{Key: record, Revise: func(*store.Resource) ([]byte, bool, error) {
		return m.record(record.ID, keys), false, nil
	}})
	done, err := m.s.Apply(ctx, puts)
	if err != nil {
		return interaction.OperationResult{}, err
	}
	late := &merger{s: m.s, source: m.source, target: m.target}
	if err := late.findReferring(ctx); err != nil {
		return interaction.OperationResult{}, err
	}
	var out interaction.Parameters
	issues := append([]issue.Issue{note("merge.done", path(m.source.Key)+" is merged into "+path(m.target.Key)+"; "+path(record)+" records it")}, m.counts("name the target now")...)
	for _, key := range late.referring {
		issues = append(issues, warning(issue.Incomplete, "merge.late", path(key)+" was written meanwhile and still refers to the source"))
	}
	out.AddResource("outcome", interaction.AppendOutcome(nil, issues))
	out.AddResource("result", done[1].Resource.Body)
	out.Add("provenance", "valueReference", []byte(`{"reference":"`+path(record)+`"}`))
	return interaction.OperationResult{Body: out.Bytes(), Resource: &done[1].Resource}, nil
}

// rewritten gives a resource whose references to the source name the target; nil when it has none.
// References to a version of the source stay: they are about what it was.
func (m *merger) rewritten(current *store.Resource) ([]byte, error) {
	root, done, err := m.s.Tree(current.Body)
	if err != nil {
		return nil, err
	}
	defer done()
	edit := &codec.Edit{Replace: map[int][]byte{}}
	references(root, func(n element.Node) {
		ref := m.s.Registry().ParseReference(n.Text())
		if ref.Local() && ref.Version == "" && (store.Key{Type: ref.Type, ID: ref.ID}) == m.source.Key {
			edit.Replace[n.Index()] = quoted(path(m.target.Key))
		}
	})
	if len(edit.Replace) == 0 {
		return nil, nil
	}
	return codec.AppendJSON(nil, root, edit), nil
}

// sourceBody is the source, inactive and linked to the target.
func (m *merger) sourceBody(current *store.Resource) ([]byte, error) {
	root, done, err := m.s.Tree(current.Body)
	if err != nil {
		return nil, err
	}
	defer done()
	if personOf(root).replaced {
		return nil, mergedAlready("source")
	}
	m.source.Body = current.Body // its identifiers go to the target, whose turn is next
	return withMembers(nil, root, member{"active", []byte("false")}, member{"link", m.links(root, m.target.Key, "replaced-by")}), nil
}

// targetBody is the result-patient, else the target with the source's identifiers; linked to the source.
func (m *merger) targetBody(current *store.Resource) ([]byte, error) {
	root, done, err := m.s.Tree(current.Body)
	if err != nil {
		return nil, err
	}
	defer done()
	if personOf(root).replaced {
		return nil, mergedAlready("target")
	}
	if m.result.Valid() {
		return withMembers(nil, m.result, member{"link", m.links(m.result, m.source.Key, "replaces")}), nil
	}
	source, sourceDone, err := m.s.Tree(m.source.Body)
	if err != nil {
		return nil, err
	}
	defer sourceDone()
	var identifiers [][]byte
	have := map[identifier]bool{}
	for _, id := range elements(root, "identifier") {
		have[identifier{id.Child("system").Text(), id.Child("value").Text()}] = true
		identifiers = append(identifiers, codec.AppendJSON(nil, id, nil))
	}
	for _, id := range elements(source, "identifier") {
		if !have[identifier{id.Child("system").Text(), id.Child("value").Text()}] {
			identifiers = append(identifiers, withMembers(nil, id, member{"use", []byte(`"old"`)}))
		}
	}
	return withMembers(nil, root, member{"identifier", array(identifiers...)}, member{"link", m.links(root, m.source.Key, "replaces")}), nil
}

// links gives Patient.link with one more, unless it is there.
func (m *merger) links(patient element.Node, other store.Key, typ string) []byte {
	var all [][]byte
	for _, l := range elements(patient, "link") {
		ref := m.s.Registry().ParseReference(l.Path("other", "reference").Text())
		if (store.Key{Type: ref.Type, ID: ref.ID}) == other && l.Child("type").Text() == typ {
			continue
		}
		all = append(all, codec.AppendJSON(nil, l, nil))
	}
	return array(append(all, []byte(`{"other":{"reference":"`+path(other)+`"},"type":"`+typ+`"}`))...)
}

// mergeActivity marks the record of a merge.
const mergeActivity = `{"system":"urn:meridian:activity","code":"merge"}`

// record is the Provenance of the merge: targets are the versions that it made, entities those before, in the same order.
func (m *merger) record(id string, keys []store.Key) []byte {
	var targets, entities []string
	for i, k := range keys {
		if m.after[i] == m.before[i] {
			continue
		}
		targets = append(targets, fmt.Sprintf(`{"reference":"%s/_history/%d"}`, path(k), m.after[i]))
		entities = append(entities, fmt.Sprintf(`{"role":"revision","what":{"reference":"%s/_history/%d"}}`, path(k), m.before[i]))
	}
	return []byte(`{"resourceType":"Provenance","id":"` + id + `","target":[` + strings.Join(targets, ",") + `],"recorded":"` + m.s.Now().Format(instantLayout) +
		`","activity":{"coding":[` + mergeActivity + `]},"agent":[{"who":{"display":"$merge"}}],"entity":[` + strings.Join(entities, ",") + `]}`)
}
