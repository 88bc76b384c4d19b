package operation

import (
	"context"
	"slices"
	"strconv"

	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
	"meridian/server/interaction"
)

// Limits of $fhirpath.
const (
	maxPathContexts = 1000     // items of context
	maxPathAnswer   = 16 << 20 // bytes
)

// pathCallLimits are of one evaluation.
func pathCallLimits() fhirpath.Limits {
	return fhirpath.Limits{Steps: 1_000_000, Items: 100_000, Bytes: 16 << 20}
}

func fhirpathDefinition() *interaction.OperationDefinition {
	return &interaction.OperationDefinition{
		Name: "fhirpath", URL: "urn:meridian:operation:fhirpath", System: true, Instance: true,
		Params: []interaction.OperationParameter{
			{Name: "expression", Min: 1, Max: 1, Type: "string", Documentation: "The expression"},
			{Name: "context", Max: 1, Type: "string", Documentation: "An expression; what it finds are the contexts that the expression is evaluated on, one by one"},
			{Name: "resource", Max: 1, Type: "Resource", Documentation: "The resource; on an instance it is that one"},
			{Name: "variables", Parts: []interaction.OperationParameter{{Name: interaction.AnyName, Type: "Element", Documentation: "The value of the variable of this name"}}, Documentation: "Variables, %name in the expressions"},
			{Name: "validate", Max: 1, Type: "boolean", Documentation: "Whether elements, types and variables that there are not are errors; true when it is not sent"},
			{Name: "terminologyserver", Max: 1, Type: "string", Documentation: "Taken for the sake of clients that always send it, and not asked: this server's own terminology answers"},
			{Name: "return", Out: true, Min: 1, Max: 1, Type: "Parameters", Documentation: "parameters: the call and the type that the expression has; result, once for each context: a part for each item, named by its type, and for each trace"},
		},
		Documentation: "Evaluates a FHIRPath expression, in the convention of FHIRPath Lab.",
	}
}

// pathCall is one call.
type pathCall struct {
	ctx      context.Context
	c        *interaction.OperationCall
	expr     *fhirpath.Expr
	context  *fhirpath.Expr
	env      fhirpath.Env
	resolver *pathResolver
	returns  fhirpath.Static
	out      pathWriter
	traces   []trace
}

type trace struct {
	name  string
	items fhirpath.Collection
}

// runFHIRPath evaluates. Issue codes: invalid for what is no expression, processing for one that fails, both with line
// and column; required, too-costly, not-supported.
//
// https://github.com/brianpos/fhirpath-lab/blob/develop/server-api.md
func runFHIRPath(ctx context.Context, c *interaction.OperationCall) (interaction.OperationResult, error) {
	resolver := &pathResolver{ctx: ctx, s: c.Service}
	defer resolver.close()
	p := &pathCall{ctx: ctx, c: c, resolver: resolver}
	root, err := p.resource()
	if err == nil {
		err = p.read(root)
	}
	if err == nil {
		err = p.run(root)
	}
	if err != nil {
		return interaction.OperationResult{}, err
	}
	return interaction.OperationResult{Body: p.out.bytes()}, nil
}

// resource gives the one that was sent, or that of the address.
func (p *pathCall) resource() (element.Node, error) {
	sent := p.c.Value("resource")
	switch {
	case p.c.Level == interaction.InstanceLevel && sent != nil:
		return element.Node{}, issue.New(issue.Invalid, "fhirpath.resource", "the address names the resource: the parameter resource has no place here", "")
	case p.c.Level == interaction.InstanceLevel:
		root, err := p.resolver.Resolve(p.c.Key.Type + "/" + p.c.Key.ID)
		if err == nil && !root.Valid() {
			_, err = p.c.Service.Read(p.ctx, interaction.ReadParams{Key: p.c.Key}) // says which: unknown, or deleted
		}
		return root, err
	case sent == nil:
		return element.Node{}, issue.New(issue.Required, "operation.parameter-missing", "$fhirpath needs the parameter resource (Resource), or is called on an instance", "").WithStatus(400)
	}
	// By itself, not inside of the Parameters: paths begin with its type.
	root, done, err := p.c.Service.Tree(sent.Node.Raw())
	if err == nil {
		p.resolver.done = append(p.resolver.done, done)
	}
	return root, err
}

// read compiles and checks the expressions.
func (p *pathCall) read(root element.Node) (err error) {
	p.env = fhirpath.Env{
		Now: p.c.Service.Now().In(p.c.Service.Registry().Zone()), Vars: map[string]fhirpath.Collection{}, Resolver: p.resolver,
		Terminology: pathTerminology{p.ctx, p.c.Service}, Terminologies: pathTerminologies{p.resolver}, Limits: pathCallLimits(),
		Trace: func(name string, items fhirpath.Collection) { p.traces = append(p.traces, trace{name, items}) },
	}
	vars := map[string]fhirpath.Static{}
	for _, list := range p.c.Values("variables") {
		for _, v := range list.Parts {
			if _, twice := vars[v.Name]; twice || fhirpath.StandardVariable(v.Name) {
				return issue.New(issue.Invalid, "fhirpath.variable", "a variable has one value, and a name that has no other meaning", "")
			}
			p.env.Vars[v.Name] = append(p.env.Vars[v.Name], fhirpath.NodeItem(v.Node))
			vars[v.Name] = fhirpath.Static{FHIR: []schema.ID{v.Node.TypeID()}}
		}
	}
	static := fhirpath.Static{FHIR: []schema.ID{root.TypeID()}}
	if text := p.c.Text("context"); text != "" {
		if p.context, static, err = p.compile("context", text, static, vars); err != nil {
			return err
		}
		static.Many = false
	}
	p.expr, p.returns, err = p.compile("expression", p.c.Text("expression"), static, vars)
	return err
}

// compile reads an expression and, unless the client does not want it, checks its types.
func (p *pathCall) compile(param, text string, context fhirpath.Static, vars map[string]fhirpath.Static) (*fhirpath.Expr, fhirpath.Static, error) {
	e, err := fhirpath.Compile(text)
	if err != nil {
		return nil, fhirpath.Static{}, pathError(param, err)
	}
	s, errs := e.Check(fhirpath.CheckParams{Context: context, Vars: vars})
	if len(errs) == 0 || p.c.Text("validate") == "false" {
		return e, s, nil
	}
	var out issue.Error
	for _, err := range errs {
		is := err.Issue()
		is.ID, is.Text = "fhirpath."+param, param+": "+is.Text
		out.Issues = append(out.Issues, is)
	}
	return nil, s, out.WithStatus(422)
}

// pathError gives an error of an expression with the name of its parameter.
func pathError(param string, err error) error {
	e, ok := err.(*fhirpath.Error)
	if !ok {
		return err
	}
	is := e.Issue()
	is.ID, is.Text = "fhirpath."+param, param+": "+is.Text
	return (&issue.Error{Issues: []issue.Issue{is}}).WithStatus(422)
}

// run evaluates the expression on each context.
func (p *pathCall) run(root element.Node) error {
	contexts := fhirpath.Collection{fhirpath.NodeItem(root)}
	if p.context != nil {
		var err error
		if contexts, err = p.context.Eval(&p.env, root); err != nil {
			return pathError("context", err)
		}
		if len(contexts) > maxPathContexts {
			return issue.New(issue.TooCostly, "fhirpath.contexts", "context finds more than "+strconv.Itoa(maxPathContexts)+" items", "")
		}
	}
	p.out.call(p, root)
	// Root is the resource of every context, also of one that is no element.
	p.env.Vars["resource"], p.env.Vars["rootResource"] = fhirpath.Collection{fhirpath.NodeItem(root)}, fhirpath.Collection{fhirpath.NodeItem(root)}
	for i, at := range contexts {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		p.traces = p.traces[:0]
		items, err := p.expr.EvalItems(&p.env, nil, fhirpath.Collection{at})
		if err != nil {
			return pathError("expression", err)
		}
		name := ""
		if p.context != nil {
			name = p.c.Text("context") + "[" + strconv.Itoa(i) + "]"
			if at.Kind() == fhirpath.Element {
				name = at.Node().Location()
			}
		}
		if err := p.out.result(name, items, p.traces); err != nil {
			return err
		}
	}
	return nil
}

// returnType is what Check foretells.
func (p *pathCall) returnType() string {
	names := p.returns.Names()
	if p.returns.Open {
		names = append(names, "…")
	}
	slices.Sort(names)
	text := ""
	for i, n := range names {
		if i > 0 {
			text += " | "
		}
		text += n
	}
	if p.returns.Many {
		text += "[]"
	}
	return text
}
