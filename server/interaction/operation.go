package interaction

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
	"meridian/fhir/search"
	"meridian/server/store"
)

// Operation is what stands behind a `$name`. Operations are given to New in
// Options.Operations; server/operation lists those of the program. What the
// definition says is checked before Run is called: level, method, and of every
// parameter its name, cardinality and type.
//
// https://hl7.org/fhir/R4/operations.html
type Operation interface {
	// Definition is asked once, by New.
	Definition() *OperationDefinition
	// Run carries it out. It is called by many goroutines at once.
	Run(ctx context.Context, c *OperationCall) (OperationResult, error)
}

// OperationDefinition is the part of an OperationDefinition that the server needs.
type OperationDefinition struct {
	Name string // code without the dollar: "everything"
	URL  string // canonical of the definition
	// System, Type, Instance are the levels on which it may be called.
	System, Type, Instance bool
	// Versions: an instance may be addressed at a version, Patient/1/_history/2/$meta.
	Versions bool
	// Types are the resource types of the levels Type and Instance; nil is all.
	Types  []string
	Params []OperationParameter
	// AffectsState keeps it from GET and from transactions.
	AffectsState bool
	// Search: parameters that are not in Params are search parameters of the type, handed over as OperationCall.Query.
	Search bool
	// Paged: the answer may have a link to more, made with OperationCall.Next; then all of Params are primitive.
	Paged bool
	// Invalid: a body whose resource is not valid is no error; Run finds the issues in OperationCall.Invalid.
	Invalid bool
	// OwnFormat: the answer is no FHIR resource, is never kept under an Idempotency-Key, and may be a Stream; _format is a
	// parameter like others, and OperationCall.Accept says what else the client takes.
	OwnFormat bool
	// Raw lists content types of bodies that are no Parameters and are handed over as they are ("application/graphql").
	Raw []string
	// Answers is the content type of what it answers, where that is no resource ("application/json"); empty for a resource.
	Answers string
	// Documentation says in a sentence or two what it does and where it deviates; Markdown.
	Documentation string
}

// AnyName is the Name of a part that the client names.
const AnyName = "*"

// OperationParameter is one row of a definition's parameters.
type OperationParameter struct {
	Name string // or AnyName
	Out  bool   // use: out
	Min  int
	Max  int // 0 is "*"
	// Type is a data type ("code", "Period"), a resource type, "Resource" for any of them, or "Element" for any
	// data type; empty when the parameter has Parts.
	Type          string
	Parts         []OperationParameter
	Refused       bool // the specification has it, the server does not: a call with it is an error
	Documentation string
}

// Level of a call.
type Level uint8

const (
	SystemLevel Level = iota + 1
	TypeLevel
	InstanceLevel
)

// OperationCall is one call whose parameters agree with the definition. It and
// all nodes in it are valid until Run returns.
type OperationCall struct {
	Service    *Service
	Definition *OperationDefinition
	Level      Level
	Key        store.Key // the type, and on the level of the instance its id
	Version    uint64    // of an instance addressed at a version, else 0
	Params     []OperationValue
	Query      []search.Pair // of an operation with Search
	Lenient    bool          // Prefer: handling=lenient
	// Body and ContentType are of a call whose content type the definition lists in Raw.
	Body        []byte
	ContentType string
	// Accept is the header, of an operation with OwnFormat.
	Accept string
	// Invalid holds what is wrong with the body, of an operation with Invalid. Params then has what the address says and what
	// could be read of the body: whatever an issue's expression names may be there in part or not at all.
	Invalid *issue.Error
	// State is what Next was given when it made the link that is followed now; nil on the first page.
	State []byte
	// Token is the cursor of that link, for the self link.
	Token string

	used []search.Pair // parameters as they stand in links
}

// OperationValue is one parameter as it was sent.
type OperationValue struct {
	Name string
	// Node is the value or the resource; zero for a parameter with parts.
	Node  element.Node
	Parts []OperationValue
}

// Text of a primitive.
func (v *OperationValue) Text() string { return v.Node.Text() }

// Values gives all values of a parameter, in order.
func (c *OperationCall) Values(name string) []OperationValue { return valuesOf(c.Params, name) }

// Value gives the first value of a parameter, nil when there is none.
func (c *OperationCall) Value(name string) *OperationValue {
	for i := range c.Params {
		if c.Params[i].Name == name {
			return &c.Params[i]
		}
	}
	return nil
}

// Text gives the text of a primitive parameter, "" when it was not sent.
func (c *OperationCall) Text(name string) string {
	if v := c.Value(name); v != nil {
		return v.Text()
	}
	return ""
}

// Part gives the first part of that name, nil when there is none.
func (v *OperationValue) Part(name string) *OperationValue {
	for i := range v.Parts {
		if v.Parts[i].Name == name {
			return &v.Parts[i]
		}
	}
	return nil
}

func valuesOf(all []OperationValue, name string) (out []OperationValue) {
	for _, v := range all {
		if v.Name == name {
			out = append(out, v)
		}
	}
	return out
}

// OperationResult is the answer of an operation.
type OperationResult struct {
	// Body is a resource as minified JSON: the resource itself where the only
	// out parameter is a resource named return, else a Parameters. Nil answers without a body.
	Body []byte
	// Status is the HTTP status; 0 is 200, or 204 without a body.
	Status int
	// ContentType of a Body, or a Stream, that is no FHIR resource; empty for one.
	ContentType string
	// Stream, in place of a Body, writes the answer piece by piece; nothing of the call is valid any more then. What it
	// fails with while little is written is answered as an error, later the connection is broken off.
	Stream func(ctx context.Context, w io.Writer) error
	// Resource, where set, is the version whose ETag and Last-Modified the answer has.
	Resource *store.Resource
}

// OperationError is the error of an operation that says itself what is wrong, in the form of its answers, which are no
// resources. The HTTP status is that of Err; in a bundle it is Err that is seen.
type OperationError struct {
	Err         error
	ContentType string
	Body        []byte
}

func (e *OperationError) Error() string { return e.Err.Error() }
func (e *OperationError) Unwrap() error { return e.Err }

// operations is the registry: by name, each with one or more definitions for different types.
type operations struct {
	byName map[string][]*registered
	all    []*registered
}

type registered struct {
	*OperationDefinition
	run Operation
}

// newOperations checks what is registered. Two operations of a name must not share a type on a level.
func newOperations(list []Operation) (*operations, error) {
	ops := &operations{byName: map[string][]*registered{}}
	for _, o := range list {
		d := o.Definition()
		if err := d.check(); err != nil {
			return nil, fmt.Errorf("interaction: operation %q: %w", d.Name, err)
		}
		for _, other := range ops.byName[d.Name] {
			if d.System && other.System || (d.Type && other.Type || d.Instance && other.Instance) && overlapping(d.Types, other.Types) {
				return nil, fmt.Errorf("interaction: operation %q is registered twice", d.Name)
			}
		}
		r := &registered{d, o}
		ops.byName[d.Name] = append(ops.byName[d.Name], r)
		ops.all = append(ops.all, r)
	}
	return ops, nil
}

func overlapping(a, b []string) bool {
	return a == nil || b == nil || slices.ContainsFunc(a, func(t string) bool { return slices.Contains(b, t) })
}

func (d *OperationDefinition) check() error {
	if d.Name == "" || d.URL == "" || !d.System && !d.Type && !d.Instance {
		return fmt.Errorf("a definition has a name, a url and a level")
	}
	for _, t := range d.Types {
		if !IsResourceType(t) {
			return fmt.Errorf("%s is no resource type", t)
		}
	}
	for i := range d.Params {
		p := &d.Params[i]
		if d.Paged && !p.Out && !p.primitive() {
			return fmt.Errorf("parameter %s of a paged operation is not primitive", p.Name)
		}
		if (p.Type == "") == (len(p.Parts) == 0) || p.Type != "" && p.Type != "Element" && schema.ByName(p.Type) == nil {
			return fmt.Errorf("parameter %s has no such type", p.Name)
		}
	}
	return nil
}

func (p *OperationParameter) primitive() bool {
	t := schema.ByName(p.Type)
	return t != nil && t.Kind == schema.Primitive
}

func (p *OperationParameter) resource() bool {
	t := schema.ByName(p.Type)
	return t != nil && t.Kind == schema.Resource
}

// onType says whether it may be called on typ.
func (d *OperationDefinition) onType(typ string) bool {
	return (d.Type || d.Instance) && (d.Types == nil || slices.Contains(d.Types, typ))
}

// On says whether it may be called on a level of a type; typ is empty for the system.
func (d *OperationDefinition) On(l Level, typ string) bool {
	switch l {
	case SystemLevel:
		return d.System
	case TypeLevel:
		return d.Type && d.onType(typ)
	}
	return d.Instance && d.onType(typ)
}

// bare is the one parameter that a resource sent as the body stands for, nil when there is none such.
//
// https://hl7.org/fhir/R4/operations.html#request
func (d *OperationDefinition) bare() *OperationParameter {
	var found *OperationParameter
	for i := range d.Params {
		p := &d.Params[i]
		if p.Out || !p.resource() {
			continue
		}
		if found != nil || p.Max != 1 {
			return nil
		}
		found = p
	}
	return found
}

// find gives the operation of a name for a level and a type.
// Issue codes: not-found, naming the nearest; not-supported (404) for another level or type.
func (o *operations) find(name string, level Level, typ string) (*registered, error) {
	list := o.byName[name]
	for _, r := range list {
		if r.On(level, typ) {
			return r, nil
		}
	}
	if len(list) > 0 {
		return nil, wrongLevel(list)
	}
	var names []string
	for n, list := range o.byName {
		if slices.ContainsFunc(list, func(r *registered) bool { return r.On(level, typ) }) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return nil, UnknownOperation(name, search.Nearest(name, names))
}

func wrongLevel(list []*registered) error {
	var places []string
	for _, r := range list {
		if r.System {
			places = append(places, "[base]")
		}
		types := r.Types
		if types == nil {
			types = []string{"[type]"}
		}
		for _, t := range types {
			if r.Type {
				places = append(places, t)
			}
			if r.Instance {
				places = append(places, t+"/[id]")
			}
		}
	}
	return issue.New(issue.NotSupported, "operation.level", "$"+list[0].Name+" is called on "+strings.Join(places, ", "), "").WithStatus(404)
}

// Parameters builds a Parameters resource, minified.
type Parameters struct{ dst []byte }

// Add appends a parameter whose value is the JSON member name with text as it stands: Add("total", "valueInteger", "3").
func (p *Parameters) Add(name, member string, json []byte) {
	p.open(name)
	p.dst = codec.AppendString(append(p.dst, ','), member)
	p.dst = append(append(append(p.dst, ':'), json...), '}')
}

// ParameterPart of a parameter: the JSON member of its value with the value, or parts of its own.
type ParameterPart struct {
	Name, Member string
	JSON         []byte
	Parts        []ParameterPart
}

// AddParts appends a parameter with parts.
func (p *Parameters) AddParts(name string, parts ...ParameterPart) {
	p.open(name)
	p.dst = append(appendParts(p.dst, parts), '}')
}

func appendParts(dst []byte, parts []ParameterPart) []byte {
	dst = append(dst, `,"part":[`...)
	for i := range parts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = codec.AppendString(append(dst, `{"name":`...), parts[i].Name)
		if parts[i].Parts != nil {
			dst = appendParts(dst, parts[i].Parts)
		} else {
			dst = codec.AppendString(append(dst, ','), parts[i].Member)
			dst = append(append(dst, ':'), parts[i].JSON...)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// AddResource appends a parameter that is a resource.
func (p *Parameters) AddResource(name string, json []byte) { p.Add(name, "resource", json) }

func (p *Parameters) open(name string) {
	if p.dst == nil {
		p.dst = []byte(`{"resourceType":"Parameters","parameter":[`)
	} else {
		p.dst = append(p.dst, ',')
	}
	p.dst = codec.AppendString(append(p.dst, `{"name":`...), name)
}

// Bytes gives the resource.
func (p *Parameters) Bytes() []byte {
	if p.dst == nil {
		return []byte(`{"resourceType":"Parameters"}`)
	}
	return append(p.dst, `]}`...)
}
