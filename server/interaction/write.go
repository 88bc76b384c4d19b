package interaction

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/search"
	"meridian/server/store"
)

// Effect is what a write did.
type Effect uint8

const (
	// Created a resource (201), also by update-as-create and over a deleted one.
	Created Effect = iota + 1
	// Updated an existing one.
	Updated
	// Unchanged: the content was the same, or If-None-Exist found one; Resource is what stands there.
	Unchanged
	// Deleted made a deleted version.
	Deleted
	// Absent: there was nothing to delete.
	Absent
)

// Result is the outcome of a write: the version that stands now. For Absent
// only its Key is set, with the version where the resource was deleted before.
type Result struct {
	Resource store.Resource
	Effect   Effect
	// Count is how many a conditional delete of many has deleted; Resource is the first of them.
	Count int
	// Warnings are for the client to see: references that name nothing.
	Warnings []issue.Issue
}

// parse reads a request body as one resource of type typ ("" for any). The
// tree is valid until done is called.
func (s *Service) parse(body []byte, typ string) (root element.Node, done func(), err error) {
	p := s.bodies.Get()
	tree, err := p.Parse(body)
	if err != nil {
		s.bodies.Put(p)
		return element.Node{}, nil, err
	}
	root = tree.Root()
	if name := root.Type().Name; typ != "" && name != typ {
		s.bodies.Put(p)
		return element.Node{}, nil, issue.New(issue.Invalid, "body.type", "the body is a "+name+", the address says "+typ, name)
	}
	return root, func() { s.bodies.Put(p) }, nil
}

// Indexer gives the function that finds the facts of a stored body, as the
// stores' Options ask for it. It is safe for concurrent use.
func Indexer(r *search.Registry) func(body []byte) (*search.Facts, error) {
	parsers := &codec.Pool{Options: codec.Options{MaxBytes: math.MaxInt32}}
	return func(body []byte) (*search.Facts, error) {
		p := parsers.Get()
		defer parsers.Put(p)
		tree, err := p.Parse(body)
		if err != nil {
			return nil, fmt.Errorf("parse the stored form: %w", err)
		}
		facts := new(search.Facts)
		if err := r.Index(tree.Root(), facts); err != nil {
			return nil, fmt.Errorf("index: %w", err)
		}
		return facts, nil
	}
}

// stored gives the stored form of root as the version that w makes; edit may be nil.
func stored(root element.Node, edit *codec.Edit, w *store.Write) []byte {
	size := len(root.Raw()) + len(w.ID) + 128
	return codec.AppendStoredEdit(make([]byte, 0, size), root, codec.Meta{
		ID: w.ID, VersionID: strconv.FormatUint(w.Version, 10), LastUpdated: w.LastUpdated.Format(instantLayout),
	}, edit)
}

// current reads what stands at key; a zero Version says that there never was one.
func (s *Service) current(ctx context.Context, key store.Key) (store.Resource, error) {
	r, err := s.store.Read(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return store.Resource{Key: key, Deleted: true}, nil
	}
	return r, err
}

// after gives now, but not before the time of the version that it follows, so
// that a clock set back does not turn a history around.
func after(now, previous time.Time) time.Time {
	if now.Before(previous) {
		return previous
	}
	return now
}

// expect is the precondition that nothing was written since current was read.
func expect(current *store.Resource) store.Expect {
	if current.Version == 0 {
		return store.Absent
	}
	return store.Version(current.Version)
}

// put prepares root, with its links edited, as the next version of what stands at current; no write is
// needed when the content is the same (same).
func (s *Service) put(root element.Node, edit *codec.Edit, current *store.Resource, now time.Time, method store.Method) (w store.Write, same bool, err error) {
	w = store.Write{Key: current.Key, Version: current.Version + 1, LastUpdated: after(now, current.LastUpdated), Method: method, Expect: expect(current),
		New: s.randomID && method == store.POST && current.Version == 0}
	w.Body = stored(root, edit, &w)
	if !current.Deleted && codec.SameContent(current.Body, w.Body) {
		return w, true, nil
	}
	if w.Type == searchParameterType {
		if err := s.checkSearchParameter(root, w.ID); err != nil {
			return w, false, err
		}
	}
	w.Facts, err = s.facts(root, edit, &w)
	return w, false, err
}

// facts are those of w's body, found in the tree that it was made of, unless links were edited on the way.
func (s *Service) facts(root element.Node, edit *codec.Edit, w *store.Write) (*search.Facts, error) {
	if edit == nil {
		facts := new(search.Facts)
		ok, err := s.registry.IndexStamped(root, search.Stamp{ID: w.ID, LastUpdated: w.LastUpdated.Format(instantLayout)}, facts)
		if err != nil {
			return nil, fmt.Errorf("index: %w", err)
		}
		if ok {
			return facts, nil
		}
	}
	return s.index(w.Body)
}

// remove prepares the deletion of what stands at current.
func remove(current *store.Resource, now time.Time) store.Write {
	return store.Write{Key: current.Key, Version: current.Version + 1, LastUpdated: after(now, current.LastUpdated), Method: store.DELETE, Expect: expect(current)}
}

func resourceOf(w *store.Write) store.Resource {
	return store.Resource{Key: w.Key, Version: w.Version, LastUpdated: w.LastUpdated, Deleted: w.Body == nil, Method: w.Method, Body: w.Body}
}

// commit writes one version, which has this effect, with what the request's key and the policy of references ask for.
func (s *Service) commit(ctx context.Context, w store.Write, effect Effect) (Result, error) {
	p := store.CommitParams{Writes: []store.Write{w}}
	warnings, err := s.integrity(ctx, &p, nil)
	if err != nil {
		return Result{}, err
	}
	res := Result{Resource: resourceOf(&w), Effect: effect, Warnings: warnings[0]}
	return res, s.commitOnce(ctx, p, func() *kept { return keepResult(&res) })
}

// retryPause is how much longer each further attempt waits, up to maxRetryPause.
const (
	retryPause    = time.Millisecond
	maxRetryPause = 20 * time.Millisecond
)

// retry runs attempt until it ends without a version conflict. An attempt
// reads anew and so decides the client's own preconditions anew.
func (s *Service) retry(ctx context.Context, attempt func() error) error {
	for n := 0; ; n++ {
		err := attempt()
		var conflict *store.ConflictError
		if !errors.As(err, &conflict) || n >= s.limits.ConflictRetries {
			return err
		}
		t := time.NewTimer(min(time.Duration(n)*retryPause, maxRetryPause))
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
	}
}
