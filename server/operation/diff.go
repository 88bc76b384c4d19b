package operation

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"strings"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
	"meridian/server/interaction"
	"meridian/server/store"
)

// maxDiff is how many operations a difference may have; with more it is too costly.
const maxDiff = 10_000

func diffDefinition() *interaction.OperationDefinition {
	return &interaction.OperationDefinition{
		Name: "diff", URL: "urn:meridian:operation:Resource-diff", System: true, Instance: true,
		Params: []interaction.OperationParameter{
			{Name: "from", Max: 1, Type: "uri", Documentation: "On the system: a resource or a version, Patient/1/_history/2"},
			{Name: "to", Max: 1, Type: "uri", Documentation: "On the system: a resource or a version of the same type"},
			{Name: "fromVersion", Max: 1, Type: "string", Documentation: "On an instance: the version to start from; the one before the current one when it is not sent"},
			{Name: "includeMeta", Max: 1, Type: "boolean", Documentation: "Also differences of meta other than versionId and lastUpdated"},
			{Name: "return", Out: true, Min: 1, Max: 1, Type: "Parameters", Documentation: "A FHIRPath Patch"},
		},
		Documentation: "What is different between two versions, or two resources of a type, as a FHIRPath Patch that makes the second out of the first.",
	}
}

// runDiff reads both sides and compares them.
func runDiff(ctx context.Context, c *interaction.OperationCall) (interaction.OperationResult, error) {
	from, to, err := diffSides(ctx, c)
	if err != nil {
		return interaction.OperationResult{}, err
	}
	if from.Type != to.Type {
		return interaction.OperationResult{}, issue.New(issue.Invalid, "diff.type", "from and to are of different types", "")
	}
	body, err := diffBodies(c.Service, from.Body, to.Body, c.Text("includeMeta") == "true")
	return interaction.OperationResult{Body: body}, err
}

// diffSides reads what is compared.
func diffSides(ctx context.Context, c *interaction.OperationCall) (from, to store.Resource, err error) {
	if c.Level == interaction.SystemLevel {
		if c.Text("from") == "" || c.Text("to") == "" || c.Text("fromVersion") != "" {
			return from, to, issue.New(issue.Required, "diff.sides", "on the system $diff takes from and to", "")
		}
		if from, err = readReference(ctx, c.Service, c.Text("from")); err != nil {
			return from, to, err
		}
		to, err = readReference(ctx, c.Service, c.Text("to"))
		return from, to, err
	}
	if c.Text("from") != "" || c.Text("to") != "" {
		return from, to, issue.New(issue.Invalid, "diff.sides", "on an instance $diff takes fromVersion, not from and to", "")
	}
	r, err := c.Service.Read(ctx, interaction.ReadParams{Key: c.Key})
	if err != nil {
		return from, to, err
	}
	before := r.Resource.Version - 1
	if text := c.Text("fromVersion"); text != "" {
		var ok bool
		if before, ok = interaction.ParseVersion(text); !ok {
			return from, to, issue.New(issue.NotFound, "resource.unknown", "version ids of this server are decimal numbers from 1", "")
		}
	}
	if before == 0 {
		return from, to, issue.New(issue.NotFound, "diff.first", "this is the first version; there is none before it", "")
	}
	v, err := c.Service.VRead(ctx, interaction.ReadParams{Key: c.Key, Version: before})
	return v.Resource, r.Resource, err
}

// readReference reads Type/id or Type/id/_history/version of this server.
func readReference(ctx context.Context, s *interaction.Service, text string) (store.Resource, error) {
	ref := s.Registry().ParseReference(text)
	if !ref.Local() {
		return store.Resource{}, issue.New(issue.Value, "diff.reference", "from and to are Type/id or Type/id/_history/version of this server", "")
	}
	p := interaction.ReadParams{Key: store.Key{Type: ref.Type, ID: ref.ID}}
	if ref.Version == "" {
		r, err := s.Read(ctx, p)
		return r.Resource, err
	}
	var ok bool
	if p.Version, ok = interaction.ParseVersion(ref.Version); !ok {
		return store.Resource{}, issue.New(issue.NotFound, "resource.unknown", "version ids of this server are decimal numbers from 1", "")
	}
	r, err := s.VRead(ctx, p)
	return r.Resource, err
}

func diffBodies(s *interaction.Service, from, to []byte, meta bool) ([]byte, error) {
	a, doneA, err := s.Tree(from)
	if err != nil {
		return nil, err
	}
	defer doneA()
	b, doneB, err := s.Tree(to)
	if err != nil {
		return nil, err
	}
	defer doneB()
	d := differ{meta: meta}
	d.members(a, b, a.Type().Name)
	if d.n > maxDiff {
		return nil, issue.New(issue.TooCostly, "diff.operations", "the difference has more than "+strconv.Itoa(maxDiff)+" operations", "")
	}
	return d.out.Bytes(), nil
}

// differ writes operations in an order in which each finds what its path names:
// values inside elements first, then elements taken out from the end of a list, then those put in.
type differ struct {
	out  interaction.Parameters
	n    int
	meta bool
}

// members compares the elements below two nodes of the same type. at is their path.
func (d *differ) members(a, b element.Node, at string) {
	t := a.Type()
	// What goes altogether goes last: an element that had lost all it has would be gone itself.
	for _, gone := range []bool{false, true} {
		for i := range t.Elements {
			x, y := run(a, i), run(b, i)
			if gone != (len(y) == 0) || len(x) == 0 && len(y) == 0 || d.skipped(a, &t.Elements[i]) {
				continue
			}
			if t.Elements[i].Repeats() {
				d.list(x, y, at, &t.Elements[i])
			} else {
				d.single(x, y, at, &t.Elements[i])
			}
			if d.n > maxDiff {
				return
			}
		}
	}
}

// skipped are the server's own: the id of the resource, and of meta version and time.
func (d *differ) skipped(parent element.Node, e *schema.Element) bool {
	if root := !parent.Parent().Valid(); root {
		return e.Name == "id" || e.Name == "meta" && !d.meta
	}
	return parent.TypeID() == schema.TypeMeta && !parent.Parent().Parent().Valid() && (e.Name == "versionId" || e.Name == "lastUpdated")
}

// run gives the children of n that are its element i.
func run(n element.Node, i int) (out []element.Node) {
	for c := n.First(); c.Valid(); c = c.Next() {
		if c.ElementIndex() == i {
			out = append(out, c)
		}
	}
	return out
}

// step is a path's step to an element; div is an operator of FHIRPath.
func step(e *schema.Element) string {
	if e.Name == "div" || e.Name == "mod" {
		return ".`" + e.Name + "`"
	}
	return "." + e.Name
}

func (d *differ) single(x, y []element.Node, at string, e *schema.Element) {
	path := at + step(e)
	switch {
	case len(y) == 0:
		d.operation("delete", path)
	case len(x) == 0:
		d.operation("add", at, textPart("name", e.Name), valuePart(y[0]))
	default:
		d.pair(x[0], y[0], path)
	}
}

// pair compares two nodes that stand in the same place.
func (d *differ) pair(a, b element.Node, path string) {
	switch {
	case sameNode(a, b):
	case a.TypeID() == b.TypeID() && a.Type().Kind != schema.Primitive:
		d.members(a, b, path)
	default:
		d.operation("replace", path, valuePart(b))
	}
}

// list compares two lists: what is the same at both ends stays, what stands between is compared
// in pairs, and then some is taken out or put in.
func (d *differ) list(x, y []element.Node, at string, e *schema.Element) {
	head := 0
	for head < len(x) && head < len(y) && sameNode(x[head], y[head]) {
		head++
	}
	tail := 0
	for tail < len(x)-head && tail < len(y)-head && sameNode(x[len(x)-1-tail], y[len(y)-1-tail]) {
		tail++
	}
	path := at + step(e)
	index := func(i int) string { return path + "[" + strconv.Itoa(i) + "]" }
	pairs := min(len(x), len(y)) - head - tail
	for i := range pairs {
		d.pair(x[head+i], y[head+i], index(head+i))
	}
	for i := len(x) - tail - 1; i >= head+pairs; i-- {
		d.operation("delete", index(i))
	}
	for i := head + pairs; i < len(y)-tail; i++ {
		if i == len(y)-1 || len(x) == 0 {
			d.operation("add", at, textPart("name", e.Name), valuePart(y[i]))
		} else {
			d.operation("insert", path, part("index", "valueInteger", []byte(strconv.Itoa(i))), valuePart(y[i]))
		}
	}
}

// sameNode says that two nodes are written the same.
func sameNode(a, b element.Node) bool {
	return a.TypeID() == b.TypeID() && bytes.Equal(codec.AppendJSON(nil, a, nil), codec.AppendJSON(nil, b, nil)) &&
		(a.Type().Kind != schema.Primitive || bytes.Equal(twin(a), twin(b)))
}

// operation adds one operation of a FHIRPath Patch.
//
// https://hl7.org/fhir/R4/fhirpatch.html
func (d *differ) operation(typ, path string, parts ...[]byte) {
	if d.n++; d.n > maxDiff {
		return
	}
	all := slices.Concat([][]byte{part("type", "valueCode", quoted(typ)), textPart("path", path)}, parts)
	d.out.Add("operation", "part", array(all...))
}

func quoted(s string) []byte { return codec.AppendString(nil, s) }

func textPart(name, text string) []byte { return part(name, "valueString", quoted(text)) }

// part is a part with one member beside its name.
func part(name, member string, json []byte) []byte {
	out := codec.AppendString([]byte(`{"name":`), name)
	out = codec.AppendString(append(out, ','), member)
	return append(append(append(out, ':'), json...), '}')
}

// valuePart is the part that holds a value, in whatever way Parameters can hold it.
func valuePart(n element.Node) []byte { return namedValue("value", n) }

func namedValue(name string, n element.Node) []byte {
	t := n.Type()
	switch {
	case t.Kind == schema.Resource:
		return part(name, "resource", codec.AppendJSON(nil, n, nil))
	case t.Kind == schema.Primitive:
		typ := t.Name
		if typ == "xhtml" {
			typ = "string"
		}
		return primitivePart(name, "value"+strings.ToUpper(typ[:1])+typ[1:], n)
	case inParameters(t.ID):
		return part(name, "value"+strings.ToUpper(t.Name[:1])+t.Name[1:], codec.AppendJSON(nil, n, nil))
	}
	// A type that Parameters has no value of is given part by part.
	var parts [][]byte
	for c := n.First(); c.Valid(); c = c.Next() {
		parts = append(parts, namedValue(c.Name(), c))
	}
	return part(name, "part", array(parts...))
}

// primitivePart holds a primitive with its id and extensions.
func primitivePart(name, member string, n element.Node) []byte {
	out := codec.AppendString([]byte(`{"name":`), name)
	if n.HasValue() {
		out = codec.AppendJSON(append(codec.AppendString(append(out, ','), member), ':'), n, nil)
	}
	if w := twin(n); w != nil {
		out = append(append(codec.AppendString(append(out, ','), "_"+member), ':'), w...)
	}
	return append(out, '}')
}

// twin is a primitive's id and extensions as JSON, nil when it has none.
func twin(n element.Node) []byte {
	if !n.First().Valid() {
		return nil
	}
	var members []member
	var extensions [][]byte
	for c := n.First(); c.Valid(); c = c.Next() {
		if c.Name() == "extension" {
			extensions = append(extensions, codec.AppendJSON(nil, c, nil))
		} else {
			members = append(members, member{c.Name(), codec.AppendJSON(nil, c, nil)})
		}
	}
	return withMembers(nil, element.Node{}, append(members, member{"extension", array(extensions...)})...)
}

// inParameters says that a Parameters.parameter can have a value of a type.
func inParameters(id schema.ID) bool {
	t := schema.ByName("Parameters.parameter")
	for i := range t.Elements {
		if t.Elements[i].Name == "value" {
			return slices.Contains(t.Elements[i].Types, id)
		}
	}
	return false
}
