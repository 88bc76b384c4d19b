package operation

import (
	"context"
	"strconv"
	"strings"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
	"meridian/fhir/terminology"
	"meridian/server/interaction"
	"meridian/server/store"
)

// What FHIRPath asks of the server: terminology, and what references name.

// pathTerminology answers memberOf() and its like from the server's terminology.
type pathTerminology struct {
	ctx context.Context
	s   *interaction.Service
}

var _ fhirpath.Terminology = pathTerminology{}

// MemberOf says whether one of the codings is in the value set; the code of a code element is looked for in any system of it.
func (t pathTerminology) MemberOf(code element.Node, valueSet string) (member, known bool, err error) {
	how := terminology.Check{AnySystem: code.Type().Kind == schema.Primitive}
	for _, c := range pathCodings(code) {
		m, err := t.s.Terminology().Contains(t.ctx, valueSet, c, how)
		if err != nil {
			return false, false, err
		}
		if m.In {
			return true, true, nil
		}
	}
	return false, true, nil
}

// Subsumes compares the codings of one system with each other.
func (t pathTerminology) Subsumes(a, b element.Node) (subsumes, known bool, err error) {
	for _, x := range pathCodings(a) {
		for _, y := range pathCodings(b) {
			if x.System == "" || x.System != y.System {
				continue
			}
			r, err := t.s.Terminology().Subsumes(t.ctx, x.System, x.Version, x.Code, y.Code)
			if err != nil {
				return false, false, err
			}
			known = true
			if r == terminology.Equivalent || r == terminology.Above {
				return true, true, nil
			}
		}
	}
	return false, known, nil
}

// pathCodings gives the codings of a code, Coding or CodeableConcept.
func pathCodings(n element.Node) []terminology.Coding {
	switch n.TypeID() {
	case schema.TypeCoding:
		return []terminology.Coding{codingOf(n)}
	case schema.TypeCodeableConcept:
		var out []terminology.Coding
		for _, c := range elements(n, "coding") {
			out = append(out, codingOf(c))
		}
		return out
	}
	return []terminology.Coding{{Code: n.Text()}}
}

// maxResolved is how many stored resources one call of $fhirpath resolves.
const maxResolved = 1000

// pathResolver reads what references name; its trees live until close.
type pathResolver struct {
	ctx  context.Context
	s    *interaction.Service
	done []func()
}

// Resolve reads Type/id[/_history/n], also under this server's address.
func (r *pathResolver) Resolve(reference string) (element.Node, error) {
	text, version, versioned := strings.Cut(strings.TrimPrefix(reference, r.s.BaseURL()+"/"), "/_history/")
	typ, id, ok := strings.Cut(text, "/")
	if !ok || !interaction.IsResourceType(typ) || !interaction.ValidID(id) {
		return element.Node{}, nil
	}
	if len(r.done) == maxResolved {
		return element.Node{}, issue.New(issue.TooCostly, "fhirpath.resolve", "more than "+strconv.Itoa(maxResolved)+" references are resolved", "")
	}
	p := interaction.ReadParams{Key: store.Key{Type: typ, ID: id}}
	read := r.s.Read
	if versioned {
		if p.Version, ok = interaction.ParseVersion(version); !ok {
			return element.Node{}, nil
		}
		read = r.s.VRead
	}
	got, err := read(r.ctx, p)
	if e := issue.As(err); e != nil && (e.Issues[0].Code == issue.NotFound || e.Issues[0].Code == issue.Deleted) {
		return element.Node{}, nil
	}
	if err != nil {
		return element.Node{}, err
	}
	root, done, err := r.s.Tree(got.Resource.Body)
	if err == nil {
		r.done = append(r.done, done)
	}
	return root, err
}

func (r *pathResolver) close() {
	for _, f := range r.done {
		f()
	}
}

// terminologyCalls are the operations and parameters behind the functions of %terminologies; the last argument of
// each is further parameters as a query string.
//
// https://hl7.org/fhir/R4/fhirpath.html#txapi
var terminologyCalls = map[string]struct {
	typ, operation string
	params         []string
}{
	"expand":     {"ValueSet", "expand", []string{"url"}},
	"lookup":     {"CodeSystem", "lookup", []string{"coding"}},
	"validateVS": {"ValueSet", "validate-code", []string{"url", "coding"}},
	"validateCS": {"CodeSystem", "validate-code", []string{"url", "coding"}},
	"subsumes":   {"CodeSystem", "subsumes", []string{"system", "codeA", "codeB"}},
	"translate":  {"ConceptMap", "translate", []string{"url", "coding"}},
}

// pathTerminologies answers %terminologies by the server's own operations.
type pathTerminologies struct{ *pathResolver }

// Operate calls the operation with the arguments as its parameters.
func (t pathTerminologies) Operate(name string, args []fhirpath.Collection) (element.Node, error) {
	call := terminologyCalls[name]
	p := interaction.OperateParams{Name: call.operation, Key: store.Key{Type: call.typ}}
	var in interaction.Parameters
	for i, arg := range args {
		if len(arg) != 1 {
			return element.Node{}, issue.New(issue.Invalid, "fhirpath.terminologies", "an argument of "+name+"() is one value, not "+strconv.Itoa(len(arg)), "")
		}
		text, isText := arg[0].Text()
		switch {
		case i == len(call.params) && isText:
			query, err := interaction.ParseQuery(text)
			if err != nil {
				return element.Node{}, err
			}
			p.Query = query
		case i == len(call.params):
			return element.Node{}, issue.New(issue.Invalid, "fhirpath.terminologies", "further parameters of "+name+"() are a query string", "")
		default:
			terminologyArgument(&in, call.params[i], arg[0])
		}
	}
	p.Body = in.Bytes()
	out, err := t.s.Operate(t.ctx, p)
	if err != nil {
		return element.Node{}, err
	}
	root, done, err := t.s.Parse(out.Body, "")
	if err == nil {
		t.done = append(t.done, done)
	}
	return root, err
}

// terminologyArgument adds an argument: a value set or code system by itself or its canonical, a code or a coding.
func terminologyArgument(in *interaction.Parameters, param string, i fhirpath.Item) {
	n := i.Node()
	text, isText := i.Text()
	switch {
	case isText && param == "coding":
		in.Add("code", "valueCode", jsonText(text))
	case isText && (param == "codeA" || param == "codeB"):
		in.Add(param, "valueCode", jsonText(text))
	case isText:
		in.Add(param, "valueUri", jsonText(text))
	case n.Valid() && n.TypeID() == schema.TypeCodeableConcept:
		in.Add("codeableConcept", "valueCodeableConcept", codec.AppendJSON(nil, n, nil))
	case n.Valid() && n.TypeID() == schema.TypeCoding:
		in.Add("coding", "valueCoding", codec.AppendJSON(nil, n, nil))
	case n.Valid():
		name := n.Type().Name // a resource: valueSet, codeSystem, conceptMap
		in.AddResource(strings.ToLower(name[:1])+name[1:], codec.AppendJSON(nil, n, nil))
	}
}
