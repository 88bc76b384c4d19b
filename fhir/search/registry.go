package search

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"meridian/fhir/codec"
	"meridian/fhir/definitions"
	"meridian/fhir/fhirpath"
	"meridian/fhir/schema"
)

// Version changes when Index gives other facts for the same resource and
// options; (*Registry).IndexVersion is what stores record.
const Version = "5"

// DefaultZone is the zone of dates without one.
const DefaultZone = "Asia/Shanghai"

// Options of a Registry. The zero value works where a tz database is.
type Options struct {
	// Zone in which dates and times without offset are read; nil is DefaultZone.
	Zone *time.Location
	// BaseURL is this server's own base ("https://example.org/fhir"): absolute
	// references below it mean the same as relative ones. Empty: none does.
	BaseURL string
	// Now is the clock that the prefix `ap` measures dates from; nil is time.Now.
	Now func() time.Time
	// FullText indexes the words of narratives and texts, for _text and _content:
	// twice the keys of an Observation, six times those of a resource with a narrative. Without it the two are refused.
	FullText bool
	// Codes answers :in, :not-in, and :above and :below of tokens; nil: they are refused.
	Codes Codes
}

// Registry holds all search parameters of R4. A type's parameters are compiled
// when the type is first asked for. Safe for concurrent use.
type Registry struct {
	zone  *time.Location
	base  string // with a slash at its end, or empty
	now   func() time.Time
	codes Codes
	// fullText says that _text and _content are indexed.
	fullText bool
	byBase   map[string][]*definitions.SearchParameter
	tables   []lazyTable // by schema.ID
	added    atomic.Pointer[addedSet]
	percents sync.Map  // of pending parameters, by the name of their keys
	scratch  sync.Pool // *builder
	parsers  codec.Pool
	// measures are the units of UCUM that resources and queries have.
	measures measures
}

type lazyTable struct {
	once  sync.Once
	table *typeTable
}

// New gives the registry of all R4 search parameters. It fails where
// DefaultZone is needed and the system has no tz database.
func New(o Options) (*Registry, error) {
	r := &Registry{zone: o.Zone, now: o.Now, codes: o.Codes, fullText: o.FullText, byBase: map[string][]*definitions.SearchParameter{}}
	if r.zone == nil {
		z, err := time.LoadLocation(DefaultZone)
		if err != nil {
			return nil, fmt.Errorf("load default time zone: %w", err)
		}
		r.zone = z
	}
	if r.now == nil {
		r.now = time.Now
	}
	if o.BaseURL != "" {
		r.base = strings.TrimRight(o.BaseURL, "/") + "/"
		if !strings.Contains(r.base, "://") {
			return nil, errors.New("search: BaseURL is not absolute")
		}
	}
	defs := definitions.SearchParameters()
	top := schema.ID(0)
	for i := range defs {
		for _, b := range defs[i].Base {
			r.byBase[b] = append(r.byBase[b], &defs[i])
		}
	}
	for _, n := range schema.ResourceTypes() {
		top = max(top, schema.ByName(n).ID)
	}
	r.tables = make([]lazyTable, top+1)
	r.added.Store(&addedSet{})
	r.scratch.New = func() any { return new(builder) }
	return r, nil
}

// Zone is the zone of dates without one.
func (r *Registry) Zone() *time.Location { return r.zone }

// IndexVersion identifies what Index gives: Version and the options that change it.
func (r *Registry) IndexVersion() string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\x00%s\x00%t", r.zone, r.base, r.fullText)
	return Version + "-" + strconv.FormatUint(h.Sum64(), 36)
}

// Param finds a search parameter of a resource type by its code.
func (r *Registry) Param(typ, code string) (*Param, bool) {
	t := r.table(typ)
	if t == nil {
		return nil, false
	}
	p := t.byCode[code]
	return p, p != nil
}

// Params lists the search parameters of a resource type sorted by code, those
// of Resource and DomainResource included; nil for an unknown type. Read only.
func (r *Registry) Params(typ string) []*Param {
	t := r.table(typ)
	if t == nil {
		return nil
	}
	return t.params
}

func (r *Registry) table(typ string) *typeTable {
	t := schema.ByName(typ)
	if t == nil || t.Kind != schema.Resource || t.Abstract {
		return nil
	}
	return r.tableOf(t)
}

func (r *Registry) tableOf(t *schema.Type) *typeTable {
	return r.tableIn(r.added.Load(), t)
}

// tableIn is the table of t with what a set adds to it.
func (r *Registry) tableIn(set *addedSet, t *schema.Type) *typeTable {
	if int(t.ID) >= len(r.tables) {
		return nil
	}
	l, added := &r.tables[t.ID], []*Added(nil)
	if of := set.byType[t.ID]; of != nil {
		l, added = &of.lazyTable, of.added
	}
	l.once.Do(func() { l.table = r.compileType(t, added) })
	return l.table
}

// typeTable is what is compiled for one resource type.
type typeTable struct {
	typ    *schema.Type
	params []*Param // those that can be asked, or are Unsupported
	all    []*Param // all that have keys: also those that an added one stands in for, or that are pending
	byCode map[string]*Param
	// names are the key names that Index can give, sorted; forms tell what each is.
	names []string
	forms []form
	root  *trieNode
	slow  []*Param // expressions outside the simple subset
	// absent are the parameters whose answer is "false" where nothing is found.
	absent   []*Param
	fullText bool // words of _text and _content are indexed
}

type form struct {
	param   *Param
	forward bool // the main name of a sortable parameter
}

func (r *Registry) compileType(t *schema.Type, added []*Added) *typeTable {
	tt := &typeTable{typ: t, byCode: map[string]*Param{}, root: &trieNode{}}
	var composites []*definitions.SearchParameter
	for c := t; c != nil; c = parentOf(c) {
		for _, d := range r.byBase[c.Name] {
			if tt.byCode[d.Code] == nil {
				p := r.newParam(t, d)
				tt.params = append(tt.params, p)
				tt.byCode[p.Code] = p
				if p.Kind == KindComposite {
					composites = append(composites, d)
				}
			}
		}
	}
	slices.SortFunc(tt.params, func(a, b *Param) int { return cmp.Compare(a.Code, b.Code) })
	findBases(tt.params)
	for _, d := range composites {
		r.compose(tt, d)
	}
	tt.all = slices.Clone(tt.params)
	r.addTo(tt, added)
	tt.nameKeys()
	for _, p := range tt.all {
		switch {
		case p.Kind == KindComposite:
		case p.fullText != textNone:
			tt.fullText = tt.fullText || p.Unsupported == ""
		case p.Unsupported != "" || len(p.bases) > 0 || p.main == noName:
		case !p.simple:
			tt.slow = append(tt.slow, p)
		default:
			for _, b := range p.branches {
				tt.root.insert(t, b, p)
				if b.exists {
					tt.absent = append(tt.absent, p)
				}
			}
		}
	}
	return tt
}

func parentOf(t *schema.Type) *schema.Type {
	if t.Base == 0 {
		return nil
	}
	return schema.ByID(t.Base)
}

func (r *Registry) newParam(t *schema.Type, d *definitions.SearchParameter) *Param {
	p := &Param{Type: t.Name, Code: d.Code, key: d.Code, URL: d.URL, Kind: kindOf(d.Type), Targets: d.Target,
		main: noName, py: noName, cut: noName, ident: noName, text: noName, ofType: noName}
	switch {
	case d.Expression == "":
		p.withoutExpression(r.fullText)
		return p
	case p.Kind == KindSpecial && p.Code != nearCode:
		p.Unsupported = "this search parameter is not supported"
	}
	whole, err := fhirpath.Compile(d.Expression)
	if err != nil {
		p.Unsupported = "its expression cannot be compiled"
		return p
	}
	if p.Kind == KindComposite {
		p.instances(t, whole)
		return p
	}
	p.narrow(t, whole)
	return p
}

// narrow keeps of a definition's expression what is about t: one expression
// often serves many types.
func (p *Param) narrow(t *schema.Type, whole *fhirpath.Expr) {
	var kept []string
	p.simple = true
	for _, n := range alternatives(whole.AST()) {
		branches, ok := branchesOf(n)
		if !ok {
			p.simple = false
			kept = append(kept, fhirpath.Print(n))
			continue
		}
		if b := branches[0]; b.root == "" || isA(t, b.root) {
			p.branches = append(p.branches, b)
			kept = append(kept, fhirpath.Print(n))
		}
	}
	p.Expression = strings.Join(kept, " | ")
	p.expr = whole
	if e, err := fhirpath.Compile(p.Expression); err == nil {
		p.expr = e
	}
	if p.Kind == KindReference && p.simple {
		p.Targets = p.narrowTargets(t)
	}
	for _, b := range p.branches {
		p.names = p.names || p.Kind == KindString && b.isName(t)
		_, types := b.ends(t)
		p.types = append(p.types, types...)
	}
	if !p.simple {
		p.types = nil
	}
}

// narrowTargets keeps of the definition's targets those that the elements in t
// allow: the definition of `patient` lists Group for all its types.
func (p *Param) narrowTargets(t *schema.Type) []string {
	var out []string
	for _, typ := range p.Targets {
		if slices.ContainsFunc(p.branches, func(b branch) bool { return b.mayName(t, typ) }) {
			out = append(out, typ)
		}
	}
	if len(out) == 0 {
		return p.Targets
	}
	return out
}

// alternatives takes a union apart.
func alternatives(n fhirpath.Node) []fhirpath.Node {
	if u, ok := n.(*fhirpath.Binary); ok && u.Op == "|" {
		return append(alternatives(u.X), alternatives(u.Y)...)
	}
	return []fhirpath.Node{n}
}

func isA(t *schema.Type, name string) bool {
	base := schema.ByName(name)
	return base != nil && t.IsA(base.ID)
}

// findBases finds the parameters that need no keys of their own: every branch
// of theirs is all of another parameter of the same kind, narrowed at most to
// one target type (`patient` is `subject`, `combo-code` is `code` or `component-code`).
func findBases(params []*Param) {
	order := slices.Clone(params)
	slices.SortStableFunc(order, func(a, b *Param) int { return cmp.Compare(baseRank(a), baseRank(b)) })
	for i, p := range order {
		if p.Unsupported != "" || !p.simple || p.Code == "_id" || len(p.branches) == 0 || p.Kind == KindComposite {
			continue
		}
		var bases []base
		for _, b := range p.branches {
			q := baseOf(p, b, order[:i])
			if q == nil {
				bases = nil
				break
			}
			if x := (base{q, b.resolve()}); !slices.Contains(bases, x) {
				bases = append(bases, x)
			}
		}
		p.bases = bases
	}
}

// baseRank orders parameters so that a base comes before what it is a base of.
func baseRank(p *Param) int {
	n := 2 * len(p.branches)
	for _, b := range p.branches {
		if b.resolve() != "" {
			return n + 1
		}
	}
	return n
}

// baseOf finds among earlier parameters one that has no base itself and whose
// branches, b among them, are all branches of p, narrowed to the same type.
func baseOf(p *Param, b branch, earlier []*Param) *Param {
	covers := func(q *Param) bool {
		found := false
		for _, x := range q.branches {
			found = found || x.path() == b.path()
			if x.resolve() != "" || !slices.ContainsFunc(p.branches, func(y branch) bool {
				return y.path() == x.path() && y.resolve() == b.resolve()
			}) {
				return false
			}
		}
		return found
	}
	for _, q := range earlier {
		if q.Kind == p.Kind && q.Unsupported == "" && q.simple && len(q.bases) == 0 && covers(q) {
			return q
		}
	}
	return nil
}

// nameKeys gives the key names of the type their places, in the order of bytes.
func (tt *typeTable) nameKeys() {
	type entry struct {
		name  string
		form  form
		place *uint16
	}
	var all []entry
	for _, p := range tt.all {
		if p.Unsupported != "" || len(p.bases) > 0 || p.Code == "_id" || p.Kind == KindComposite {
			continue
		}
		all = append(all, entry{p.key, form{p, p.Sortable()}, &p.main})
		if p.mayHaveText() {
			all = append(all, entry{p.key + formText, form{p, false}, &p.text})
		}
		if p.Kind == KindToken && p.mayBe(schema.TypeIdentifier) {
			all = append(all, entry{p.key + formOfType, form{p, false}, &p.ofType})
		}
		switch p.Kind {
		case KindString:
			if p.fullText != textNone {
				continue
			}
			all = append(all, entry{p.key + formPinyin, form{p, false}, &p.py}, entry{p.key + formCut, form{p, false}, &p.cut})
		case KindReference:
			all = append(all, entry{p.key + formIdentifier, form{p, false}, &p.ident})
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	for i, e := range all {
		*e.place = uint16(i)
		tt.names = append(tt.names, e.name)
		tt.forms = append(tt.forms, e.form)
	}
}
