package interaction

import (
	"context"
	"slices"
	"strconv"

	"meridian/fhir/issue"
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
// Absent, and no error. References to it stay as they are, unless the policy of its type forbids it.
// Issue codes: those of criteria; conflict (412) for If-Match, (409) when it is
// referred to; multiple-matches (412), or where several may be deleted too-costly (412).
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
	if c != nil && s.limits.ConditionalDelete > 1 {
		res, err = s.deleteMany(ctx, &p, c)
		return res, translate(err, "delete "+p.Type)
	}
	err = s.retry(ctx, func() error {
		res, err = s.deleteOnce(ctx, &p, c)
		return err
	})
	return res, translate(err, "delete "+p.Type)
}

// deleteMany deletes all matches of a criterion, at most Limits.ConditionalDelete: where the store has
// transactions in one commit, else one after the other.
func (s *Service) deleteMany(ctx context.Context, p *DeleteParams, c *criterion) (res Result, err error) {
	done := 0 // by attempts that another writer cut off
	err = s.retry(ctx, func() error {
		found, err := s.findMany(ctx, c)
		if err != nil {
			return err
		}
		writes := make([]store.Write, len(found))
		now := s.now()
		for i := range found {
			if err := p.checkWrite(found[i].Version, true); err != nil {
				return err
			}
			writes[i] = remove(&found[i], now)
		}
		res = Result{Resource: store.Resource{Key: store.Key{Type: p.Type}, Deleted: true}, Effect: Absent, Count: done}
		if len(writes) > 0 || done > 0 {
			res.Effect = Deleted
		}
		step := len(writes)
		if !s.store.Transactions() {
			step = 1
		}
		for len(writes) > 0 {
			if err := s.deleteSome(ctx, writes[:step], &res); err != nil {
				return err
			}
			writes, done = writes[step:], res.Count
		}
		return nil
	})
	return res, err
}

// deleteSome commits some of a conditional delete of many and adds them to res.
func (s *Service) deleteSome(ctx context.Context, writes []store.Write, res *Result) error {
	params := store.CommitParams{Writes: writes}
	warnings, err := s.integrity(ctx, &params, nil)
	if err != nil {
		return err
	}
	after := *res
	after.Count += len(writes)
	after.Warnings = slices.Concat(res.Warnings, slices.Concat(warnings...))
	if s.store.Transactions() {
		err = s.commitOnce(ctx, params, func() *kept { return keepResult(&after) })
	} else {
		err = s.store.Commit(ctx, params)
	}
	if err == nil {
		*res = after
	}
	return err
}

// findMany gives all matches of a criterion. Issue code: too-costly (412) when there are more than one delete may delete.
func (s *Service) findMany(ctx context.Context, c *criterion) ([]store.Resource, error) {
	plan := *c.plan
	limit := s.limits.ConditionalDelete
	plan.Limit = limit + 1
	page, err := s.store.Search(ctx, &plan)
	if err != nil {
		return nil, err
	}
	if len(page.Rows) > limit {
		return nil, issue.New(issue.TooCostly, "condition.too-many", "the criterion matches more than "+strconv.Itoa(limit)+" of "+plan.Type+
			", the most that one conditional delete may delete; nothing was deleted", "").WithStatus(statusPrecondition)
	}
	found := make([]store.Resource, len(page.Rows))
	for i := range found {
		found[i] = page.Rows[i].Resource
	}
	return found, nil
}

func (s *Service) deleteOnce(ctx context.Context, p *DeleteParams, c *criterion) (Result, error) {
	key := store.Key{Type: p.Type, ID: p.ID}
	if c != nil {
		found, err := s.findOne(ctx, c)
		if err != nil {
			return Result{}, err
		}
		if found == nil {
			return Result{Resource: store.Resource{Key: key, Deleted: true}, Effect: Absent}, nil
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
		return Result{Resource: current, Effect: Absent}, nil
	}
	return s.commit(ctx, remove(&current, s.now()), Deleted)
}
