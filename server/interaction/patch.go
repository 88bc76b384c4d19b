package interaction

import (
	"context"
	"strings"
	"time"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/patch"
	"meridian/server/store"
)

// PatchParams of a patch; of a conditional one when ID is empty and Criterion is not.
type PatchParams struct {
	Type string
	ID   string
	// Criterion is the query string of a conditional patch.
	Criterion string
	Body      []byte
	Format    patch.Format
	Conditions
}

// Patch changes parts of what stands, as a document says. The patched resource
// is checked as the body of an update is; what changes nothing makes no version.
// When another writer is first, it is applied again to what stands then.
// Issue codes: those of fhir/patch and of criteria; not-found, also for a
// criterion that matches nothing; deleted; multiple-matches (412), conflict
// (412) for If-Match; business-rule for what a patch cannot change.
//
// https://hl7.org/fhir/R4/http.html#patch, https://hl7.org/fhir/R4/http.html#cond-patch
func (s *Service) Patch(ctx context.Context, p PatchParams) (Result, error) {
	if !IsResourceType(p.Type) {
		return Result{}, unknownType(p.Type)
	}
	doc, err := s.patchDocument(p.Body, p.Format)
	if err != nil {
		return Result{}, err
	}
	return s.patch(ctx, doc, &p)
}

// patchDocument reads a patch, which points into body.
func (s *Service) patchDocument(body []byte, f patch.Format) (*patch.Patch, error) {
	if f == patch.AnyFormat {
		var err error
		if f, err = patch.FormatOf(body); err != nil {
			return nil, err
		}
	}
	switch f {
	case patch.JSON:
		return patch.ParseJSON(body, s.patchLimits())
	case patch.Merge:
		return patch.ParseMerge(body, s.patchLimits())
	}
	parse := codec.Parse // the tree lives as long as the patch, so it is none of a pooled parser
	if f == patch.XML {
		parse = codec.ParseXML
	}
	tree, err := parse(body, codec.Options{Type: "Parameters", MaxBytes: s.limits.BodyBytes})
	if err != nil {
		return nil, err
	}
	return patch.ParseParameters(tree.Root(), s.patchLimits())
}

func (s *Service) patchLimits() patch.Limits {
	return patch.Limits{Operations: s.limits.PatchOperations, Bytes: s.limits.BodyBytes}
}

// patch does it for a document that was read.
func (s *Service) patch(ctx context.Context, doc *patch.Patch, p *PatchParams) (res Result, err error) {
	var c *criterion
	if p.ID == "" {
		if c, err = s.criterion(p.Type, p.Criterion); err != nil {
			return Result{}, err
		}
	}
	err = s.retry(ctx, func() error {
		res, err = s.patchOnce(ctx, doc, p, c)
		return err
	})
	return res, translate(err, "patch "+p.Type)
}

func (s *Service) patchOnce(ctx context.Context, doc *patch.Patch, p *PatchParams, c *criterion) (Result, error) {
	key := store.Key{Type: p.Type, ID: p.ID}
	if c != nil {
		found, err := s.findOne(ctx, c)
		if err != nil {
			return Result{}, err
		}
		if found == nil {
			return Result{}, noMatch(p.Type)
		}
		key = found.Key
	}
	current, err := s.patchable(ctx, key, &p.Conditions)
	if err != nil {
		return Result{}, err
	}
	parser := s.stored.Get()
	defer s.stored.Put(parser)
	now := s.now()
	root, err := s.patched(parser, &current, doc, now)
	if err != nil {
		return Result{}, err
	}
	if err := s.refuseConditional(root); err != nil {
		return Result{}, err
	}
	w, same, err := s.put(root, nil, &current, now, store.PATCH)
	if err != nil {
		return Result{}, err
	}
	if same {
		return Result{Resource: current, Effect: Unchanged}, nil
	}
	return s.commit(ctx, w, Updated)
}

func noMatch(typ string) error {
	return issue.New(issue.NotFound, "condition.none", "the criterion matches no "+typ, "")
}

// patchable reads what a patch is applied to: it is there, and the client's preconditions hold.
func (s *Service) patchable(ctx context.Context, key store.Key, c *Conditions) (store.Resource, error) {
	current, err := s.current(ctx, key)
	switch {
	case err != nil:
		return current, err
	case current.Version == 0:
		return current, notFound(key)
	case current.Deleted:
		return current, deleted(key)
	}
	return current, c.checkWrite(current.Version, true)
}

// patched gives the tree of what doc makes of current, in parser's arena.
func (s *Service) patched(parser *codec.Parser, current *store.Resource, doc *patch.Patch, now time.Time) (element.Node, error) {
	tree, err := doc.Apply(patch.Target{Body: current.Body, Parser: parser, Now: now.In(s.zone)})
	if err != nil {
		return element.Node{}, err
	}
	return tree.Root(), checkIdentity(tree.Root(), current)
}

// checkIdentity: type and id stay, and of meta what the server says. A meta
// without both versionId and lastUpdated is one that the client has written
// anew; it gets them as that of an update does.
func checkIdentity(root element.Node, current *store.Resource) error {
	bad := func(name, at string) error {
		return issue.New(issue.BusinessRule, "patch.identity", "a patch cannot change "+name, at)
	}
	typ := root.Type().Name
	if typ != current.Type {
		return bad("the resource type", typ)
	}
	if root.Child("id").Text() != current.ID {
		return bad("the id", typ+".id")
	}
	was, _ := codec.StoredMeta(current.Body)
	version, updated := root.Path("meta", "versionId"), root.Path("meta", "lastUpdated")
	switch {
	case !version.Valid() && !updated.Valid():
		return nil
	case version.Text() != was.VersionID:
		return bad("meta.versionId", typ+".meta.versionId")
	case updated.Text() != was.LastUpdated:
		return bad("meta.lastUpdated", typ+".meta.lastUpdated")
	}
	return nil
}

// entryPatch reads the patch of a bundle entry: a FHIRPath Patch as it is, or in
// a Binary any kind, told by its contentType.
//
// https://hl7.org/fhir/R4/http.html#patch
func (s *Service) entryPatch(e *entry) error {
	at := e.at + ".resource"
	if !e.root.Valid() {
		return issue.New(issue.Required, "bundle.resource", "the entry has no resource", at)
	}
	var err error
	switch e.root.Type().Name {
	case "Parameters":
		e.patch, err = patch.ParseParameters(e.root, s.patchLimits())
	case "Binary":
		e.patch, err = s.binaryPatch(e.root)
	default:
		err = issue.New(issue.Invalid, "patch.resource", "the patch of an entry is a Parameters resource, or a Binary with the contentType of a patch", "")
	}
	if err != nil {
		return locate(err, at)
	}
	return nil
}

func (s *Service) binaryPatch(root element.Node) (*patch.Patch, error) {
	f, ok := PatchFormat(root.Child("contentType").Text())
	if !ok {
		return nil, issue.New(issue.NotSupported, "patch.content-type", "the contentType of a patch is one of "+strings.Join(PatchFormats(), ", "), "Binary.contentType")
	}
	body, err := decodeData(root)
	if err != nil {
		return nil, err
	}
	return s.patchDocument(body, f)
}

// PatchFormats lists the content types of patches, as Accept-Patch and
// CapabilityStatement.patchFormat show them.
func PatchFormats() []string {
	return []string{"application/json-patch+json", "application/merge-patch+json", "application/fhir+json", "application/fhir+xml"}
}

// PatchFormat reads a content type, its parameters aside; false for one that is not taken.
func PatchFormat(contentType string) (patch.Format, bool) {
	typ, _, _ := strings.Cut(contentType, ";")
	switch strings.ToLower(strings.TrimSpace(typ)) {
	case "application/json-patch+json":
		return patch.JSON, true
	case "application/merge-patch+json":
		return patch.Merge, true
	case "application/fhir+json", "application/json+fhir":
		return patch.Parameters, true
	case "application/fhir+xml", "application/xml+fhir", "application/xml", "text/xml":
		return patch.XML, true
	case "application/json", "text/json":
		return patch.AnyFormat, true
	}
	return 0, false
}
