package interaction

import (
	"context"

	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/server/store"
)

// UpdateParams of an update; of a conditional one when ID is empty and Criterion is not.
type UpdateParams struct {
	Type string
	ID   string
	// Criterion is the query string of a conditional update.
	Criterion string
	Body      []byte
	Conditions
}

// Update makes the next version, or the first one under the client's id
// (update-as-create). Content that is already there makes no version.
// Issue codes: those of parsing and criteria; invalid for an id in the body that
// is not the address's; conflict (412) for If-Match and If-None-Match; multiple-matches (412).
//
// https://hl7.org/fhir/R4/http.html#update
func (s *Service) Update(ctx context.Context, p UpdateParams) (Result, error) {
	if !IsResourceType(p.Type) {
		return Result{}, unknownType(p.Type)
	}
	root, done, err := s.parse(p.Body, p.Type)
	if err != nil {
		return Result{}, err
	}
	defer done()
	return s.update(ctx, root, &p)
}

func (s *Service) update(ctx context.Context, root element.Node, p *UpdateParams) (Result, error) {
	if err := s.refuseConditional(root); err != nil {
		return Result{}, err
	}
	if p.ID == "" {
		return s.conditionalUpdate(ctx, root, p)
	}
	if err := checkBodyID(root, p.ID, p.Type+".id"); err != nil {
		return Result{}, err
	}
	var res Result
	err := s.retry(ctx, func() (err error) {
		res, err = s.replace(ctx, root, store.Key{Type: p.Type, ID: p.ID}, &p.Conditions, nil, false)
		return err
	})
	return res, translate(err, "update "+p.Type)
}

// checkBodyID: the body of an update has the id of its address. at is the place of the id.
func checkBodyID(root element.Node, id, at string) error {
	if !ValidID(id) {
		return issue.New(issue.Value, "id.invalid", "an id has 1 to 64 characters of A-Z a-z 0-9 - .", at)
	}
	switch root.Child("id").Text() {
	case id:
		return nil
	case "":
		return issue.New(issue.Required, "id.missing", "the body of an update has the id of its address", at)
	}
	return issue.New(issue.Invalid, "id.differs", "the id in the body is not the one of the address", at)
}

// replace is one attempt to write root at key. With unless it creates only:
// no other resource may match it, and the id must be free.
// again says that this is not the first attempt.
func (s *Service) replace(ctx context.Context, root element.Node, key store.Key, c *Conditions, unless *criterion, again bool) (Result, error) {
	current, err := s.current(ctx, key)
	if err != nil {
		return Result{}, err
	}
	if err := c.checkWrite(current.Version, !current.Deleted); err != nil {
		return Result{}, err
	}
	if unless != nil && !current.Deleted {
		return Result{}, taken(&current, again, key.Type+".id")
	}
	w, same, err := s.put(root, nil, &current, s.now(), store.PUT)
	if err != nil {
		return Result{}, err
	}
	if same {
		return Result{Resource: current, Effect: Unchanged}, nil
	}
	if unless != nil {
		w.Unless, w.UnlessKey = unless.plan, unless.key
	}
	return s.commit(ctx, w, effectOf(&current))
}

// taken: a conditional update whose criterion matches nothing must not
// overwrite a resource that has the body's id and does not match. The first
// time it may have come into being since the search, so all is done again.
func taken(current *store.Resource, again bool, at string) error {
	if !again {
		return &store.ConflictError{Key: current.Key, Current: current.Version}
	}
	return issue.New(issue.Conflict, "id.taken", "the criterion matches nothing, and another resource has the id of the body", at)
}

func effectOf(before *store.Resource) Effect {
	if before.Deleted {
		return Created
	}
	return Updated
}

// conditionalUpdate updates the one match of a criterion, or creates.
//
// https://hl7.org/fhir/R4/http.html#cond-update
func (s *Service) conditionalUpdate(ctx context.Context, root element.Node, p *UpdateParams) (Result, error) {
	c, err := s.criterion(p.Type, p.Criterion)
	if err != nil {
		return Result{}, err
	}
	id := root.Child("id").Text()
	fresh := "" // one id for all attempts
	again := false
	var res Result
	err = s.retry(ctx, func() error {
		found, err := s.findOne(ctx, c)
		if err != nil {
			return err
		}
		key, unless := store.Key{Type: p.Type, ID: id}, c
		switch {
		case found != nil && id != "" && id != found.ID:
			return issue.New(issue.Invalid, "id.differs", "the criterion matches a resource with another id than the body's", p.Type+".id")
		case found != nil:
			key.ID, unless = found.ID, nil
		case id == "":
			if fresh == "" {
				fresh = s.newID()
			}
			key.ID = fresh
		}
		res, err = s.replace(ctx, root, key, &p.Conditions, unless, again)
		again = true
		return err
	})
	return res, translate(err, "update "+p.Type)
}
