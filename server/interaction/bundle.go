package interaction

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/patch"
)

// BundleParams of a batch or a transaction.
type BundleParams struct {
	Body []byte
	// Lenient is the handling of unknown search parameters in entries that search.
	Lenient bool
	// Bodies asks for the resources of writes also where they are answered from a receipt.
	Bodies bool

	once Once // of a batch: each entry has a receipt of its own
}

// BundleResult holds the outcome of each entry, in the order of the request.
type BundleResult struct {
	Type    string // "batch-response" or "transaction-response"
	Entries []EntryResult
}

// EntryResult is the outcome of one entry. In a transaction Err can only be
// that of a read, which is done after the commit.
type EntryResult struct {
	Result      // of a write or read
	Err         error
	NotModified bool
	// Content is the bundle that a search or history gave.
	Content []byte
	// Read says that the entry was a GET, a HEAD, or an operation.
	Read bool
	head bool
}

// Bundle carries out a batch or a transaction.
// Issue codes: those of the entries, with Bundle.entry[n] as expression;
// value for a bundle of another type; too-long; not-supported (501) for a transaction that the store cannot do.
//
// https://hl7.org/fhir/R4/http.html#transaction
func (s *Service) Bundle(ctx context.Context, p BundleParams) (*BundleResult, error) {
	root, done, err := s.parse(p.Body, "Bundle")
	if err != nil {
		return s.damagedBatch(ctx, &p, err)
	}
	defer done()
	switch root.Child("type").Text() {
	case "batch":
		entries, err := s.entries(root, false, nil)
		if err != nil {
			return nil, err
		}
		return s.batch(ctx, entries, &p), nil
	case "transaction":
		if !s.store.Transactions() {
			return nil, noTransactions()
		}
		entries, err := s.entries(root, true, nil)
		if err != nil {
			return nil, err
		}
		return s.transaction(ctx, entries, &p)
	}
	return nil, issue.New(issue.Value, "bundle.type", "a bundle sent to the base is of type batch or transaction", "Bundle.type")
}

// An entry is one request of a bundle.
type entry struct {
	at      string // "Bundle.entry[3]"
	fullURL string
	root    element.Node // of the resource; not Valid when there is none
	method  string
	target  target
	Conditions
	fresh  string       // id for a resource that is created
	patch  *patch.Patch // of a PATCH
	once   Once         // of an entry of a batch
	posted bool         // an operation called by POST that a transaction treats as a read
	err    error        // in a batch: why it cannot be carried out
}

// entries reads the requests. In a batch a bad entry fails alone; in a
// transaction all that is wrong is reported at once. damaged are the entries that parsing has refused already.
func (s *Service) entries(bundle element.Node, all bool, damaged map[int]*issue.Error) ([]entry, error) {
	var list []entry
	failed := &issue.Error{}
	for n := bundle.First(); n.Valid(); n = n.Next() {
		if n.Name() != "entry" {
			continue
		}
		if len(list) == s.limits.MaxEntries {
			return nil, issue.New(issue.TooLong, "bundle.entries", "a bundle has at most "+strconv.Itoa(s.limits.MaxEntries)+" entries", "Bundle.entry")
		}
		e := entry{at: "Bundle.entry[" + strconv.Itoa(len(list)) + "]"}
		if err := damaged[len(list)]; err != nil {
			e.err = err
			list = append(list, e)
			continue
		}
		if e.err = s.readEntry(n, &e); e.err != nil {
			e.err = locate(e.err, e.at)
			is := issue.As(e.err)
			if is == nil {
				return nil, e.err
			}
			failed.Issues = append(failed.Issues, is.Issues...)
			failed.Status = is.Status
		}
		list = append(list, e)
	}
	if all && len(failed.Issues) > 0 {
		return nil, failed
	}
	return list, nil
}

func (s *Service) readEntry(n element.Node, e *entry) (err error) {
	e.fullURL = n.Child("fullUrl").Text()
	e.root = n.Child("resource")
	r := n.Child("request")
	e.method = r.Child("method").Text()
	if !r.Valid() || e.method == "" {
		return issue.New(issue.Required, "bundle.request", "an entry of a batch or transaction has a request with method and url", e.at+".request")
	}
	e.IfMatch, e.IfNoneMatch, e.IfNoneExist = r.Child("ifMatch").Text(), r.Child("ifNoneMatch").Text(), r.Child("ifNoneExist").Text()
	if since := r.Child("ifModifiedSince").Text(); since != "" {
		if e.IfModifiedSince, err = time.Parse(time.RFC3339, since); err != nil {
			return issue.New(issue.Value, "bundle.if-modified-since", "not an instant", e.at+".request.ifModifiedSince")
		}
	}
	if e.target, err = s.parseTarget(r.Child("url").Text()); err != nil {
		return locate(err, e.at+".request.url")
	}
	return s.checkEntry(e)
}

// checkEntry says whether method, address and resource go together.
func (s *Service) checkEntry(e *entry) error {
	t := &e.target
	bad := func(text string) error { return issue.New(issue.Invalid, "bundle.request", text, e.at+".request") }
	body := false
	if t.Operation != "" && t.History {
		return noSuchInteraction()
	}
	if t.Operation != "" {
		if isRead(e.method) || e.method == "POST" {
			return nil
		}
		return bad("an operation is called by GET or POST")
	}
	if t.Search {
		return s.searchEntry(e)
	}
	if t.Compartment.ID != "" && !isRead(e.method) {
		return bad("a search is sent by GET, or with _search by POST")
	}
	switch e.method {
	case "GET", "HEAD":
		return nil
	case "POST":
		if body = true; t.Type == "" || t.ID != "" || t.History || t.Query != "" {
			return bad("a POST in a bundle names a resource type")
		}
		e.fresh = s.newID()
	case "PUT":
		if body = true; t.Type == "" || t.History || t.Version != 0 || (t.ID == "") == (t.Query == "") {
			return bad("a PUT in a bundle names a type and an id, or a type and a criterion")
		}
	case "DELETE":
		if t.Type == "" || t.History || t.Version != 0 || (t.ID == "") == (t.Query == "") {
			return bad("a DELETE in a bundle names a type and an id, or a type and a criterion")
		}
	case "PATCH":
		if t.Type == "" || t.History || t.Version != 0 || (t.ID == "") == (t.Query == "") {
			return bad("a PATCH in a bundle names a type and an id, or a type and a criterion")
		}
		return s.entryPatch(e)
	default:
		return issue.New(issue.Value, "bundle.method", "the method is none of GET, HEAD, POST, PUT, PATCH, DELETE", e.at+".request.method")
	}
	if !body {
		return nil
	}
	if !e.root.Valid() {
		return issue.New(issue.Required, "bundle.resource", "the entry has no resource", e.at+".resource")
	}
	if name := e.root.Type().Name; name != t.Type {
		return issue.New(issue.Invalid, "body.type", "the resource is a "+name+", the url says "+t.Type, e.at+".resource")
	}
	if e.method == "PUT" && t.ID != "" {
		return checkBodyID(e.root, t.ID, e.at+".resource.id")
	}
	return nil
}

// searchEntry makes of GET or POST Patient/_search a search by GET. The parameters of
// a POST stand in the url, in a Binary with a form, or in both.
//
// https://hl7.org/fhir/R4/http.html#search
func (s *Service) searchEntry(e *entry) error {
	if isRead(e.method) {
		return nil
	}
	if e.method != "POST" {
		return issue.New(issue.Invalid, "bundle.request", "a search is sent by GET, or with _search by POST", e.at+".request")
	}
	e.method = "GET"
	if !e.root.Valid() {
		return nil
	}
	form, err := formOf(e.root)
	if err != nil {
		return locate(err, e.at+".resource")
	}
	e.target.Query = strings.Trim(e.target.Query+"&"+form, "&")
	return nil
}

// formOf reads a Binary that holds the parameters of a search by POST.
func formOf(root element.Node) (string, error) {
	typ, _, _ := strings.Cut(root.Child("contentType").Text(), ";")
	if root.Type().Name != "Binary" || strings.TrimSpace(typ) != formType {
		return "", issue.New(issue.Invalid, "bundle.form", "the parameters of a search by POST stand in the url, or in a Binary with the contentType "+formType, "")
	}
	data, err := decodeData(root)
	return string(data), err
}

const formType = "application/x-www-form-urlencoded"

// decodeData gives the bytes of a Binary.
func decodeData(root element.Node) ([]byte, error) {
	data, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(root.Child("data").Text()), ""))
	if err != nil {
		return nil, issue.New(issue.Value, "binary.data", "the data of the Binary is not base64", "Binary.data")
	}
	return data, nil
}

// read carries out a GET or HEAD.
func (s *Service) read(ctx context.Context, e *entry, lenient bool) EntryResult {
	out := EntryResult{Read: true, head: e.method == "HEAD"}
	t := &e.target
	switch {
	case t.Operation != "":
		return s.entryOperation(ctx, e, lenient)
	case t.Metadata:
		out.Content = s.Capabilities()
	case t.History:
		out.Content, out.Err = s.entryHistory(ctx, t)
	case t.ID == "":
		p, err := t.search(lenient)
		if err == nil {
			out.Content, err = s.Search(ctx, nil, p)
		}
		out.Err = err
	default:
		p := ReadParams{Key: t.Key, Version: t.Version, IfNoneMatch: e.IfNoneMatch, IfModifiedSince: e.IfModifiedSince}
		var r ReadResult
		if t.Version != 0 {
			r, out.Err = s.VRead(ctx, p)
		} else {
			r, out.Err = s.Read(ctx, p)
		}
		out.Resource, out.NotModified = r.Resource, r.NotModified
	}
	if out.Err != nil {
		out.Err = locate(out.Err, e.at)
	}
	return out
}

func (s *Service) entryHistory(ctx context.Context, t *target) ([]byte, error) {
	pairs, err := ParseQuery(t.Query)
	if err != nil {
		return nil, err
	}
	return s.History(ctx, nil, HistoryParams{Key: t.Key, Query: withoutFormat(pairs)})
}
