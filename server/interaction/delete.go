package interaction

import (
	"context"

	"meridian/server/store"
)

// DeleteParams of a delete; of a conditional one when ID is empty and Criterion is not.
type DeleteParams struct {
	Type      string
	ID        string
	Criterion string
	Conditions
}

// Delete makes a deleted version. What is not there, or deleted already, is
// Absent, and no error. References to it stay as they are.
// Issue codes: those of criteria; conflict (412) for If-Match; multiple-matches (412).
//
// https://hl7.org/fhir/R4/http.html#delete, https://hl7.org/fhir/R4/http.html#3.1.0.7.1
func (s *Service) Delete(ctx context.Context, p DeleteParams) (res Result, err error) {
	if !IsResourceType(p.Type) {
		return Result{}, unknownType(p.Type)
	}
	var c *criterion
	if p.ID == "" {
		if c, err = s.criterion(p.Type, p.Criterion); err != nil {
			return Result{}, err
		}
	}
	err = s.retry(ctx, func() error {
		res, err = s.deleteOnce(ctx, &p, c)
		return err
	})
	return res, translate(err, "delete "+p.Type)
}

func (s *Service) deleteOnce(ctx context.Context, p *DeleteParams, c *criterion) (Result, error) {
	key := store.Key{Type: p.Type, ID: p.ID}
	if c != nil {
		found, err := s.findOne(ctx, c)
		if err != nil {
			return Result{}, err
		}
		if found == nil {
			return Result{store.Resource{Key: key, Deleted: true}, Absent}, nil
		}
		key = found.Key
	}
	current, err := s.current(ctx, key)
	if err != nil {
		return Result{}, err
	}
	if err := p.checkWrite(current.Version, !current.Deleted); err != nil {
		return Result{}, err
	}
	if current.Deleted {
		return Result{current, Absent}, nil
	}
	w := remove(&current, s.now())
	if err := s.commit(ctx, w); err != nil {
		return Result{}, err
	}
	return Result{resourceOf(&w), Deleted}, nil
}
