package patch

import (
	"errors"
	"strconv"
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// pathOperation is one operation of a FHIRPath Patch.
type pathOperation struct {
	at    string // Parameters.parameter[2]
	op    string
	shown string // the path, without its string literals
	path  *fhirpath.Expr
	// holder and member are the path without its last step, and that step, where
	// it is a name: so a list is known that has no element yet.
	holder      *fhirpath.Expr
	member      string
	name        string
	value       element.Node // the part named value
	index       int
	source      int
	destination int
}

// partsOf says which parts an operation has beside type and path. All are needed.
// https://hl7.org/fhir/R4/fhirpatch.html
func partsOf(op string) ([]string, bool) {
	switch op {
	case "add":
		return []string{"name", "value"}, true
	case "insert":
		return []string{"index", "value"}, true
	case "delete":
		return nil, true
	case "replace":
		return []string{"value"}, true
	case "move":
		return []string{"source", "destination"}, true
	}
	return nil, false
}

// ParseParameters reads a FHIRPath Patch from a parsed Parameters resource,
// which must stay as it is while the patch is in use. Issue codes: invalid,
// required and value for what is no operation, too-costly for too many.
//
// https://hl7.org/fhir/R4/fhirpatch.html
func ParseParameters(root element.Node, l Limits) (*Patch, error) {
	p := &Patch{limits: l.withDefaults(), kind: pathPatch}
	if root.TypeID() != schema.TypeParameters {
		return nil, issue.New(issue.Invalid, idDocument, "a FHIRPath Patch is a Parameters resource", root.Location())
	}
	failed := &issue.Error{}
	for n := root.First(); n.Valid(); n = n.Next() {
		if n.Name() != "parameter" {
			continue
		}
		if len(p.path) == p.limits.Operations {
			return nil, tooMany(p.limits.Operations)
		}
		o := pathOperation{at: "Parameters.parameter[" + strconv.Itoa(len(p.path)) + "]"}
		if err := o.parse(n); err != nil && len(failed.Issues) < maxIssues {
			failed.Issues = append(failed.Issues, issue.As(err).Issues...)
		}
		p.path = append(p.path, o)
	}
	if len(failed.Issues) > 0 {
		return nil, failed
	}
	return p, nil
}

func (o *pathOperation) bad(code issue.Code, text string) error {
	return issue.New(code, idDocument, o.place()+": "+text, o.at)
}

// fail is an operation that does not apply to the resource.
func (o *pathOperation) fail(text string) error {
	return issue.New(issue.Processing, idApply, o.place()+": "+text, o.at)
}

// place is how an error names the operation: replace at Patient.name[0].family.
func (o *pathOperation) place() string {
	switch {
	case o.op == "":
		return "operation"
	case o.shown == "":
		return o.op
	}
	return o.op + " at " + o.shown
}

func (o *pathOperation) parse(n element.Node) error {
	if n.Child("name").Text() != "operation" {
		return o.bad(issue.Invalid, "every parameter of a patch is named operation")
	}
	parts := map[string]element.Node{}
	for c := n.First(); c.Valid(); c = c.Next() {
		if c.Name() != "part" {
			continue
		}
		name := c.Child("name").Text()
		switch name {
		case "type", "path", "name", "value", "index", "source", "destination":
		default:
			return o.bad(issue.Invalid, "the parts of an operation are type, path, name, value, index, source, destination")
		}
		if parts[name].Valid() {
			return o.bad(issue.Invalid, "the part "+name+" stands twice")
		}
		parts[name] = c
	}
	op, _ := primitive(parts["type"])
	needed, known := partsOf(op)
	if !known {
		return o.bad(issue.Value, "the type is one of add, insert, delete, replace, move")
	}
	o.op = op
	if err := o.parsePath(parts["path"]); err != nil {
		return err
	}
	return o.parseParts(parts, needed)
}

// parsePath compiles the path, and what it is a step of.
func (o *pathOperation) parsePath(part element.Node) error {
	source, ok := primitive(part)
	if !ok {
		return o.bad(issue.Required, "the operation has no path")
	}
	o.shown = withoutLiterals(source)
	var err error
	if o.path, err = fhirpath.Compile(source); err != nil {
		return o.badPath(err)
	}
	last, ok := o.path.AST().(*fhirpath.Member)
	if !ok || o.op != "insert" {
		return nil
	}
	o.member = last.Name
	if last.X == nil {
		return nil
	}
	if o.holder, err = fhirpath.Compile(fhirpath.Print(last.X)); err != nil {
		return o.badPath(err)
	}
	return nil
}

// badPath places an error of FHIRPath in its operation.
func (o *pathOperation) badPath(err error) error {
	var e *fhirpath.Error
	if !errors.As(err, &e) {
		return err
	}
	is := e.Issue()
	if is.Code == issue.NotSupported {
		is.Code = issue.Processing
	}
	is.ID, is.Text, is.Expression = idPath, o.place()+": "+is.Text, o.at
	return &issue.Error{Issues: []issue.Issue{is}}
}

func (o *pathOperation) parseParts(parts map[string]element.Node, needed []string) error {
	for _, name := range needed {
		part := parts[name]
		if !part.Valid() {
			return o.bad(issue.Required, "the part "+name+" is missing")
		}
		delete(parts, name)
		ok := true
		switch name {
		case "name":
			o.name, ok = primitive(part)
		case "value":
			o.value, ok = part, hasValue(part)
		case "index":
			o.index, ok = number(part)
		case "source":
			o.source, ok = number(part)
		case "destination":
			o.destination, ok = number(part)
		}
		if !ok {
			return o.bad(issue.Value, "the part "+name+" has no value that it can have")
		}
	}
	delete(parts, "type")
	delete(parts, "path")
	for _, name := range [...]string{"name", "value", "index", "source", "destination"} {
		if parts[name].Valid() {
			return o.bad(issue.Invalid, "the operation takes no part "+name)
		}
	}
	return nil
}

// valueOf gives the value[x] of a part, the zero Node when there is none.
func valueOf(part element.Node) element.Node { return part.Child("value") }

// primitive gives the text of a part's value, if it is a string or its like.
func primitive(part element.Node) (string, bool) {
	v := valueOf(part)
	return v.Text(), v.IsString()
}

// number gives a part's value as an index, from 0.
func number(part element.Node) (int, bool) {
	v := valueOf(part)
	if v.IsString() {
		return 0, false
	}
	i, err := strconv.ParseInt(v.Text(), 10, 32)
	return int(i), err == nil && i >= 0
}

// hasValue says that a part has one value: value[x], a resource, or parts.
func hasValue(part element.Node) bool {
	n := 0
	for _, name := range [...]string{"value", "resource", "part"} {
		if part.Child(name).Valid() {
			n++
		}
	}
	return n == 1
}

// withoutLiterals leaves the values out of a path: where(value='…').
func withoutLiterals(path string) string {
	var b strings.Builder
	for {
		k := strings.IndexByte(path, '\'')
		if k < 0 {
			break
		}
		b.WriteString(path[:k])
		b.WriteString("'…'")
		path = path[k+1:]
		for path != "" && path[0] != '\'' {
			skip := 1
			if path[0] == '\\' && len(path) > 1 {
				skip = 2
			}
			path = path[skip:]
		}
		path = strings.TrimPrefix(path, "'")
	}
	b.WriteString(path)
	return strings.ToValidUTF8(clip(b.String()), "")
}
