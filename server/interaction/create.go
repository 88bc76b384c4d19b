package interaction

import (
	"context"

	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/server/store"
)

// CreateParams of a create. An id in the body is ignored, as the specification asks.
type CreateParams struct {
	Type string
	Body []byte
	// IfNoneExist is the criterion of a conditional create, a query string; empty for none.
	IfNoneExist string
}

// Create stores a new resource under an id of the server. With IfNoneExist, of
// any number of racing clients one creates and the others get what it created.
// Issue codes: those of parsing and of criteria, not-found for an unknown type, multiple-matches (412).
//
// https://hl7.org/fhir/R4/http.html#create, https://hl7.org/fhir/R4/http.html#ccreate
func (s *Service) Create(ctx context.Context, p CreateParams) (Result, error) {
	if !IsResourceType(p.Type) {
		return Result{}, unknownType(p.Type)
	}
	root, done, err := s.parse(p.Body, p.Type)
	if err != nil {
		return Result{}, err
	}
	defer done()
	return s.create(ctx, p.Type, root, p.IfNoneExist, s.newID())
}

// create does it for a parsed body; id is the one to be given.
func (s *Service) create(ctx context.Context, typ string, root element.Node, ifNoneExist, id string) (res Result, err error) {
	if err := s.refuseConditional(root); err != nil {
		return Result{}, err
	}
	var c *criterion
	if ifNoneExist != "" {
		if c, err = s.criterion(typ, ifNoneExist); err != nil {
			return Result{}, err
		}
	}
	err = s.retry(ctx, func() error {
		if c != nil {
			existing, err := s.findOne(ctx, c)
			if err != nil {
				return err
			}
			if existing != nil {
				res = Result{Resource: *existing, Effect: Unchanged}
				return nil
			}
		}
		w, _, err := s.put(root, nil, &store.Resource{Key: store.Key{Type: typ, ID: id}, Deleted: true}, s.now(), store.POST)
		if err != nil {
			return err
		}
		if c != nil {
			w.Unless, w.UnlessKey = c.plan, c.key
		}
		res, err = s.commit(ctx, w, Created)
		return err
	})
	return res, translate(err, "create "+typ)
}

// findOne gives the only match of a criterion, nil when there is none.
func (s *Service) findOne(ctx context.Context, c *criterion) (*store.Resource, error) {
	found, err := s.match(ctx, c)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	if len(found) > 1 {
		return nil, multipleMatches(c.plan.Type)
	}
	return &found[0].Resource, nil
}

func multipleMatches(typ string) error {
	return issue.New(issue.MultipleMatch, "condition.multiple", "the criterion matches more than one "+typ, "").WithStatus(statusPrecondition)
}
