package operation

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/issue"
	"meridian/fhir/search"
	"meridian/fhir/views"
	"meridian/server/interaction"
	"meridian/server/store"
)

// maxViewPatients is how many patients groups may have that a view is restricted to.
const maxViewPatients = 1000

func viewParams() []interaction.OperationParameter {
	return []interaction.OperationParameter{
		{Name: "_format", Max: 1, Type: "code", Documentation: "json, ndjson, csv or parquet, or a media type; it goes before Accept. Without both ndjson"},
		{Name: "header", Max: 1, Type: "boolean", Documentation: "Of csv: whether the names of the columns come first; true when it is not sent"},
		{Name: "viewReference", Max: 1, Type: "Reference", Documentation: "A stored ViewDefinition: ViewDefinition/[id], also under this server's address, or its url, with |version or without"},
		{Name: "viewResource", Max: 1, Type: "ViewDefinition", Documentation: "The ViewDefinition itself"},
		{Name: "patient", Max: 1, Type: "Reference", Documentation: "Only what is in the compartment of this patient"},
		{Name: "group", Type: "Reference", Documentation: "Only what is in the compartment of a patient who is an active member of these groups; at most " + strconv.Itoa(maxViewPatients) + " patients"},
		{Name: "_since", Max: 1, Type: "instant", Documentation: "Only what was changed after this time"},
		{Name: "_limit", Max: 1, Type: "positiveInt", Documentation: "Rows at most"},
		{Name: "resource", Type: "Resource", Documentation: "Resources to run on in place of what is stored"},
		{Name: "source", Max: 1, Type: "string", Documentation: "Refused: this server reads no other source than itself"},
		{Name: "return", Out: true, Min: 1, Max: 1, Type: "Binary", Documentation: "The table, in its format"},
	}
}

const viewDocumentation = "Runs a ViewDefinition of SQL on FHIR over what is stored, as it was when the call began, or over the resources that were sent. The rows are streamed."

func viewdefinitionRunDefinition() *interaction.OperationDefinition {
	return &interaction.OperationDefinition{
		Name: "viewdefinition-run", URL: "http://sql-on-fhir.org/OperationDefinition/$viewdefinition-run", System: true, Type: true, Instance: true, Types: []string{"ViewDefinition"},
		Params: viewParams(), OwnFormat: true, Documentation: viewDocumentation,
	}
}

func viewRunDefinition() *interaction.OperationDefinition {
	return &interaction.OperationDefinition{
		Name: "run", URL: "http://sql-on-fhir.org/OperationDefinition/$run", Type: true, Instance: true, Types: []string{"ViewDefinition"},
		Params: viewParams(), OwnFormat: true, Documentation: viewDocumentation,
	}
}

// viewRun is one call. Nothing in it belongs to the call's nodes.
type viewRun struct {
	s      *interaction.Service
	view   *views.View
	format views.Format
	header views.WriterOptions
	limit  int // rows; 0 is none
	walk   interaction.WalkParams
	bodies [][]byte // of resources that were sent; nil runs on what is stored
	given  bool
}

// runView checks the call, and gives the stream of its rows.
//
// https://build.fhir.org/ig/FHIR/sql-on-fhir-v2/OperationDefinition-ViewDefinitionRun.html
func runView(ctx context.Context, c *interaction.OperationCall) (interaction.OperationResult, error) {
	r := &viewRun{s: c.Service}
	for _, step := range []func(context.Context, *interaction.OperationCall) error{r.readFormat, r.readView, r.readSelection} {
		if err := step(ctx, c); err != nil {
			return interaction.OperationResult{}, err
		}
	}
	return interaction.OperationResult{ContentType: r.format.ContentType(), Stream: r.stream}, nil
}

// readFormat chooses the format. Issue codes: not-supported (406), invalid.
func (r *viewRun) readFormat(_ context.Context, c *interaction.OperationCall) error {
	var ok bool
	if asked := c.Text("_format"); asked != "" {
		r.format, ok = views.FormatOf(strings.ReplaceAll(asked, " ", "+")) // a plus that was not escaped
	} else {
		r.format, ok = acceptedFormat(c.Accept)
	}
	if !ok {
		return issue.New(issue.NotSupported, "view.format", "a view is answered as json, ndjson, csv or parquet", "").WithStatus(406)
	}
	if h := c.Text("header"); h != "" {
		if r.format != views.CSV {
			return issue.New(issue.Invalid, "view.header", "header is a parameter of the format csv", "")
		}
		r.header.NoHeader = h == "false"
	}
	return nil
}

// acceptedFormat chooses the format that an Accept header gives the highest weight; NDJSON where it leaves the choice.
func acceptedFormat(header string) (views.Format, bool) {
	best, weight := views.NDJSON, 0.0
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(part, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		q := 1.0
		for p := range strings.SplitSeq(params, ";") {
			if v, ok := strings.CutPrefix(strings.TrimSpace(p), "q="); ok {
				q, _ = strconv.ParseFloat(v, 64)
			}
		}
		f, ok := views.FormatOf(name)
		if name == "*/*" || name == "application/*" {
			f, ok = views.NDJSON, true
		}
		if ok && q > weight {
			best, weight = f, q
		}
	}
	return best, weight > 0 || strings.Trim(header, ", ") == ""
}

// readView finds and compiles the view. Issue codes: required, invalid, not-found; those of views.Compile (422).
func (r *viewRun) readView(ctx context.Context, c *interaction.OperationCall) (err error) {
	ref, sent := c.Value("viewReference"), c.Value("viewResource")
	switch {
	case c.Level == interaction.InstanceLevel && (ref != nil || sent != nil):
		return issue.New(issue.Invalid, "view.twice", "the address names the view: viewReference and viewResource have no place here", "")
	case ref != nil && sent != nil:
		return issue.New(issue.Invalid, "view.twice", "viewReference and viewResource exclude each other", "")
	case c.Level == interaction.InstanceLevel:
		return r.stored(ctx, c.Key)
	case sent != nil:
		return r.compile(sent.Node)
	case ref == nil:
		return issue.New(issue.Required, "view.missing", "viewReference or viewResource says which view to run", "").WithStatus(400)
	}
	key, err := viewKey(ctx, c.Service, ref.Node)
	if err != nil {
		return err
	}
	return r.stored(ctx, key)
}

func (r *viewRun) stored(ctx context.Context, key store.Key) error {
	got, err := r.s.Read(ctx, interaction.ReadParams{Key: key})
	if err != nil {
		return err
	}
	root, done, err := r.s.Tree(got.Resource.Body)
	if err != nil {
		return err
	}
	defer done()
	return r.compile(root)
}

func (r *viewRun) compile(root element.Node) (err error) {
	if r.view, err = views.Compile(root); err != nil {
		if e := issue.As(err); e != nil {
			return e.WithStatus(422)
		}
	}
	return err
}

// viewKey reads a reference to a view: by type and id, or by its canonical.
func viewKey(ctx context.Context, s *interaction.Service, ref element.Node) (store.Key, error) {
	text := ref.Child("reference").Text()
	id, ok := strings.CutPrefix(strings.TrimPrefix(text, s.BaseURL()+"/"), "ViewDefinition/")
	if ok && interaction.ValidID(id) {
		return store.Key{Type: "ViewDefinition", ID: id}, nil
	}
	url, version, _ := strings.Cut(text, "|")
	if url == "" {
		return store.Key{}, issue.New(issue.Value, "view.reference", "viewReference has a reference: ViewDefinition/[id], or the url of a view", "")
	}
	find := interaction.FindParams{Type: "ViewDefinition", All: []search.Pair{{Name: "url", Value: search.Escape(url)}}, Limit: 2}
	if version != "" {
		find.All = append(find.All, search.Pair{Name: "version", Value: search.Escape(version)})
	}
	page, err := s.Find(ctx, find)
	switch {
	case err != nil:
		return store.Key{}, err
	case len(page.Rows) == 0:
		return store.Key{}, issue.New(issue.NotFound, "view.unknown", "there is no stored ViewDefinition with this url and version", "")
	case len(page.Rows) > 1:
		return store.Key{}, issue.New(issue.MultipleMatch, "view.ambiguous", "several stored ViewDefinitions have this url: add |version, or name one by its id", "")
	}
	return page.Rows[0].Key, nil
}

// readSelection reads what the view runs on. Issue codes: not-supported, invalid, value, not-found, too-costly.
func (r *viewRun) readSelection(ctx context.Context, c *interaction.OperationCall) (err error) {
	if c.Value("source") != nil {
		return issue.New(issue.NotSupported, "view.source", "this server reads no other source than itself", "").WithStatus(400)
	}
	if text := c.Text("_limit"); text != "" {
		if r.limit, err = strconv.Atoi(text); err != nil {
			return issue.New(issue.Value, "view.limit", "_limit is too large", "")
		}
	}
	r.walk.Type = r.view.Resource
	if resources := c.Values("resource"); len(resources) > 0 {
		for _, name := range []string{"patient", "group", "_since"} {
			if c.Value(name) != nil {
				return issue.New(issue.Invalid, "view.selection", name+" selects among what is stored and excludes the parameter resource", "")
			}
		}
		r.given = true
		for i := range resources {
			r.bodies = append(r.bodies, bytes.Clone(resources[i].Node.Raw()))
		}
		return nil
	}
	if since := c.Text("_since"); since != "" {
		if r.walk.Since, err = time.Parse(time.RFC3339Nano, since); err != nil {
			return issue.New(issue.Value, "view.since", "_since is an instant", "")
		}
	}
	return r.readPatients(ctx, c)
}

// readPatients restricts the walk to the compartments of patients.
func (r *viewRun) readPatients(ctx context.Context, c *interaction.OperationCall) error {
	groups := c.Values("group")
	patient := c.Value("patient")
	if patient == nil && len(groups) == 0 {
		return nil
	}
	area := compartmentOf(r.s, "Patient")
	if !area.has(r.view.Resource) {
		return issue.New(issue.NotSupported, "view.compartment", r.view.Resource+" is in no patient's compartment: patient and group select nothing of it", "")
	}
	if patient != nil {
		id, err := r.existing(ctx, patient.Node, "Patient", "patient")
		if err != nil {
			return err
		}
		r.walk.Any = append(r.walk.Any, area.of(r.view.Resource, id))
	}
	if len(groups) == 0 {
		return nil
	}
	members, err := r.members(ctx, groups)
	if err != nil {
		return err
	}
	var any [][]search.Pair
	for _, id := range members {
		any = append(any, area.of(r.view.Resource, id)...)
	}
	if len(any) == 0 {
		r.given = true // groups without patients: no rows
	}
	r.walk.Any = append(r.walk.Any, any)
	return nil
}

// existing reads a reference to a stored resource of a type, and gives its id.
func (r *viewRun) existing(ctx context.Context, ref element.Node, typ, param string) (string, error) {
	text := strings.TrimPrefix(ref.Child("reference").Text(), r.s.BaseURL()+"/")
	id, ok := strings.CutPrefix(text, typ+"/")
	if !ok || !interaction.ValidID(id) {
		return "", issue.New(issue.Value, "view."+param, param+" is a reference "+typ+"/[id]", "")
	}
	_, err := r.s.Read(ctx, interaction.ReadParams{Key: store.Key{Type: typ, ID: id}})
	return id, err
}

// members gives the patients who are active members of groups.
func (r *viewRun) members(ctx context.Context, groups []interaction.OperationValue) (ids []string, err error) {
	for i := range groups {
		id, err := r.existing(ctx, groups[i].Node, "Group", "group")
		if err != nil {
			return nil, err
		}
		got, err := r.s.Read(ctx, interaction.ReadParams{Key: store.Key{Type: "Group", ID: id}})
		if err != nil {
			return nil, err
		}
		root, done, err := r.s.Tree(got.Resource.Body)
		if err != nil {
			return nil, err
		}
		for _, m := range elements(root, "member") {
			ref := strings.TrimPrefix(m.Path("entity", "reference").Text(), r.s.BaseURL()+"/")
			ref, _, _ = strings.Cut(ref, "/_history/")
			if p, ok := strings.CutPrefix(ref, "Patient/"); ok && m.Child("inactive").Text() != "true" && !slices.Contains(ids, p) {
				ids = append(ids, p)
			}
		}
		done()
		if len(ids) > maxViewPatients {
			return nil, issue.New(issue.TooCostly, "view.group", "the groups have more than "+strconv.Itoa(maxViewPatients)+" patients", "")
		}
	}
	return ids, nil
}

// errEnough ends a walk at _limit.
var errEnough = errors.New("enough rows")

// stream writes the table.
func (r *viewRun) stream(ctx context.Context, w io.Writer) error {
	out, err := r.view.NewWriter(w, r.format, r.header)
	if err != nil {
		return err
	}
	rows := 0
	emit := func(row views.Row) error {
		if rows++; r.limit > 0 && rows > r.limit {
			return errEnough
		}
		return out.Write(row)
	}
	run := r.view.NewRunner(fhirpath.Env{Now: r.s.Now().In(r.s.Registry().Zone()), Terminology: pathTerminology{ctx, r.s}})
	if r.given {
		err = r.sent(ctx, run, emit)
	} else {
		err = r.s.Walk(ctx, r.walk, func(res *store.Resource) error { return r.one(ctx, run, res, emit) })
	}
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	return out.Close()
}

// one gives the rows of a stored resource. What is wrong with them names it.
func (r *viewRun) one(ctx context.Context, run *views.Runner, res *store.Resource, emit func(views.Row) error) error {
	root, done, err := r.s.Tree(res.Body)
	if err != nil {
		return err
	}
	defer done()
	err = run.Rows(ctx, root, emit)
	if e := issue.As(err); e != nil {
		for i := range e.Issues {
			e.Issues[i].Text += " (" + res.Type + "/" + res.ID + ")"
		}
		return e.WithStatus(422)
	}
	return err
}

// sent gives the rows of the resources that were sent.
func (r *viewRun) sent(ctx context.Context, run *views.Runner, emit func(views.Row) error) error {
	for i, body := range r.bodies {
		root, done, err := r.s.Tree(body)
		if err != nil {
			return err
		}
		err = run.Rows(ctx, root, emit)
		done()
		if e := issue.As(err); e != nil {
			for k := range e.Issues {
				e.Issues[k].Text += " (resource " + strconv.Itoa(i+1) + ")"
			}
			return e.WithStatus(422)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
