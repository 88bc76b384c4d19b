package interaction

import (
	"context"
	"encoding/binary"
	"net/http"
	"slices"
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/search"
	"meridian/server/store"
)

// OperateParams of a call of an operation: on the system (Key empty), on a
// type (Key.ID empty) or on an instance, at a version where Version is not 0.
type OperateParams struct {
	Name    string // without the dollar
	Key     store.Key
	Version uint64
	Query   []search.Pair // without _format and _pretty
	// Get: called by GET or HEAD, without a body.
	Get  bool
	Body []byte // JSON; empty for none
	// ContentType of the body where TakesRaw said that it is handed over as it is; else empty.
	ContentType string
	Accept      string // header, for an operation with OwnFormat
	Lenient     bool
}

// Operate calls an operation. Issue codes: not-found for an unknown one;
// not-supported for another level (404), another method (405) or an unknown
// parameter; required, invalid and value for what the definition does not
// allow; those of the operation.
//
// https://hl7.org/fhir/R4/operations.html#executing
func (s *Service) Operate(ctx context.Context, p OperateParams) (OperationResult, error) {
	r, err := s.operationAt(&p)
	if err != nil {
		return OperationResult{}, err
	}
	if p.ContentType != "" || len(p.Body) == 0 {
		return s.operate(ctx, r, &p, element.Node{}, nil)
	}
	root, done, err := s.parse(p.Body, "")
	if err != nil {
		if invalid := issue.As(err); r.Invalid && invalid != nil && aboutResource(invalid) {
			parser := s.bodies.Get()
			defer s.bodies.Put(parser)
			tree, _ := parser.ParseWithIssues(p.Body)
			issue.Locate(p.Body, invalid.Issues)
			return s.operate(ctx, r, &p, tree.Root(), invalid)
		}
		return OperationResult{}, err
	}
	defer done()
	return s.operate(ctx, r, &p, root, nil)
}

// aboutResource says that issues are about a resource that was sent: not about
// a Parameters around it, and not that the body is no JSON, or none of a resource.
func aboutResource(e *issue.Error) bool {
	for _, is := range e.Issues {
		rest, inParameters := strings.CutPrefix(is.Expression, "Parameters")
		if is.Severity == issue.Fatal || is.Code == issue.TooLong || is.Code == issue.TooCostly || inParameters && !strings.Contains(rest, "].resource") {
			return false
		}
	}
	return true
}

// TakesRaw says that the body of a call is handed to the operation as it is.
func (s *Service) TakesRaw(name string, key store.Key, contentType string) bool {
	typ, _, _ := strings.Cut(contentType, ";")
	r, err := s.operations.find(name, levelOf(key), key.Type)
	return err == nil && slices.Contains(r.Raw, strings.ToLower(strings.TrimSpace(typ)))
}

// OwnFormat says that an operation answers in formats of its own.
func (s *Service) OwnFormat(name string, key store.Key) bool {
	r, err := s.operations.find(name, levelOf(key), key.Type)
	return err == nil && r.OwnFormat
}

func levelOf(key store.Key) Level {
	switch {
	case key.Type == "":
		return SystemLevel
	case key.ID == "":
		return TypeLevel
	}
	return InstanceLevel
}

// operationAt finds the operation of a call and checks address and method.
func (s *Service) operationAt(p *OperateParams) (*registered, error) {
	if p.Key.Type != "" && !IsResourceType(p.Key.Type) {
		return nil, unknownType(p.Key.Type)
	}
	if p.Key.ID != "" && !ValidID(p.Key.ID) {
		return nil, notFound(p.Key)
	}
	r, err := s.operations.find(p.Name, levelOf(p.Key), p.Key.Type)
	if err != nil {
		return nil, err
	}
	if p.Version != 0 && !r.Versions {
		return nil, issue.New(issue.NotSupported, "operation.version", "$"+r.Name+" is not called on a version", "").WithStatus(http.StatusNotFound)
	}
	if p.Get && r.AffectsState {
		return nil, issue.New(issue.NotSupported, "operation.method", "$"+r.Name+" changes what is stored and is called by POST", "").WithStatus(http.StatusMethodNotAllowed)
	}
	return r, nil
}

// operate reads the parameters and runs the operation. root is the resource
// that was sent, if any.
func (s *Service) operate(ctx context.Context, r *registered, p *OperateParams, root element.Node, invalid *issue.Error) (OperationResult, error) {
	c := &OperationCall{Invalid: invalid, Service: s, Definition: r.OperationDefinition, Level: levelOf(p.Key), Key: p.Key, Version: p.Version, Lenient: p.Lenient, Accept: p.Accept}
	query := p.Query
	if r.Paged {
		var err error
		if query, err = c.follow(p, root); err != nil {
			return OperationResult{}, err
		}
	}
	if p.ContentType != "" {
		c.Body, c.ContentType = p.Body, p.ContentType
		root = element.Node{}
	}
	in := paramReader{def: r.OperationDefinition}
	if root.Valid() {
		in.body(root)
	}
	in.pairs(query)
	// What a body that is no Parameters leaves out cannot be said.
	if p.ContentType == "" && invalid == nil {
		in.cardinality(r.Params, in.values, "")
	}
	if len(in.failed.Issues) > 0 {
		return OperationResult{}, &in.failed
	}
	c.Params, c.Query = in.values, in.query
	if r.Paged || r.Search {
		c.remember()
	}
	out, err := r.run.Run(ctx, c)
	if err != nil {
		return OperationResult{}, translate(err, "$"+r.Name)
	}
	return out, nil
}

func (c *OperationCall) scope() string { return "operation\x00" + c.path() }

// path of the call below the base.
func (c *OperationCall) path() string {
	out := "/$" + c.Definition.Name
	switch c.Level {
	case TypeLevel:
		out = "/" + c.Key.Type + out
	case InstanceLevel:
		out = "/" + keyPath(c.Key) + out
	}
	return out
}

// follow opens the cursor of a link, if there is one, and gives the parameters of the first page.
//
// Layout of the token: length of the query as uvarint, the query, then the operation's own state.
func (c *OperationCall) follow(p *OperateParams, root element.Node) ([]search.Pair, error) {
	if !hasCursor(p.Query) {
		return p.Query, nil
	}
	if len(p.Query) > 1 || root.Valid() {
		return nil, cursorAlone()
	}
	token := p.Query[0].Value
	text, err := c.Service.cursors.open(token, c.scope())
	if err != nil {
		return nil, cursorError()
	}
	n, k := binary.Uvarint(text)
	if k <= 0 || n > uint64(len(text)-k) {
		return nil, cursorError()
	}
	query, err := ParseQuery(string(text[k : k+int(n)]))
	if err != nil {
		return nil, cursorError()
	}
	c.State, c.Token = text[k+int(n):], token
	return query, nil
}

// remember keeps the parameters as a query, for links.
func (c *OperationCall) remember() {
	for i := range c.Params {
		c.used = append(c.used, search.Pair{Name: c.Params[i].Name, Value: c.Params[i].Text()})
	}
	c.used = append(c.used, c.Query...)
}

// usedQuery is the query string of the call's parameters.
func (c *OperationCall) usedQuery() string {
	var b strings.Builder
	for i, p := range c.used {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(escapeQuery(p.Name) + "=" + escapeQuery(p.Value))
	}
	return b.String()
}

// First is the address of the call's first page, as a link says it.
func (c *OperationCall) First() string {
	url := c.Service.base + c.path()
	if q := c.usedQuery(); q != "" {
		url += "?" + q
	}
	return url
}

// Self is the address of this page.
func (c *OperationCall) Self() string {
	if c.Token != "" {
		return c.Service.base + c.path() + "?_cursor=" + c.Token
	}
	return c.First()
}

// Next is the address of the page that state describes: a call of it finds
// state in State, and the parameters of this one. The token is sealed, as every cursor.
func (c *OperationCall) Next(state []byte) string {
	query := c.usedQuery()
	text := binary.AppendUvarint(nil, uint64(len(query)))
	text = append(append(text, query...), state...)
	return c.Service.base + c.path() + "?_cursor=" + c.Service.cursors.seal(text, c.scope())
}

// entryOperation calls an operation for an entry of a bundle.
func (s *Service) entryOperation(ctx context.Context, e *entry, lenient bool) EntryResult {
	t := &e.target
	out := EntryResult{Read: true, head: e.method == "HEAD"}
	p := OperateParams{Name: t.Operation, Key: t.Key, Version: t.Version, Get: isRead(e.method) && !e.posted, Lenient: lenient}
	pairs, err := ParseQuery(t.Query)
	if err == nil {
		p.Query = withoutFormat(pairs)
		var r *registered
		if r, err = s.operationAt(&p); err == nil {
			var once Once
			if r.AffectsState {
				once = e.once
			}
			var res OperationResult
			res, _, err = s.operateOnce(ctx, once, func(ctx context.Context) (OperationResult, error) { return s.operate(ctx, r, &p, e.root, nil) })
			if err == nil && (res.ContentType != "" || res.Stream != nil) {
				err = issue.New(issue.NotSupported, "operation.bundle", "what $"+r.Name+" answers is no resource and has no place in a bundle", "")
			}
			if out.Content = res.Body; res.Resource != nil {
				out.Resource = *res.Resource
				out.Resource.Body = nil
			}
		}
	}
	if err != nil {
		out.Err = locate(err, e.at)
	}
	return out
}

// operationReads makes the operations of a transaction reads, which are called
// after its commit. One that changes what is stored is refused: it would not be a part of the commit.
func (s *Service) operationReads(entries []entry) error {
	for i := range entries {
		e := &entries[i]
		if e.target.Operation == "" {
			continue
		}
		r, err := s.operationAt(&OperateParams{Name: e.target.Operation, Key: e.target.Key, Version: e.target.Version, Get: isRead(e.method)})
		if err != nil {
			return locate(err, e.at+".request.url")
		}
		if r.AffectsState {
			return issue.New(issue.NotSupported, "operation.transaction", "$"+r.Name+" changes what is stored and has no place in a transaction; send it by itself, or in a batch", e.at+".request.url")
		}
		if e.posted = e.method == "POST"; e.posted {
			e.method = "GET"
		}
	}
	return nil
}
