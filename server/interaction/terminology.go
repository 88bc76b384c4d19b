package interaction

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"meridian/fhir/definitions"
	"meridian/fhir/issue"
	"meridian/fhir/search"
	"meridian/fhir/terminology"
	"meridian/server/store"
)

// Terminology is what the server knows of codes: the official definitions and
// the CodeSystems, ValueSets and ConceptMaps that are stored. It is made before
// the Registry, whose searches ask it, and given to New, which lets it read the store.
type Terminology struct {
	*terminology.Library
	stored *canonicals
}

// TerminologyOptions has a working zero value, for a store that only this process writes.
type TerminologyOptions struct {
	// Fresh is how long what was read from the store is taken as current when this server
	// itself wrote nothing; its own writes count at once. 0: for good, as nobody else writes.
	Fresh   time.Duration
	Library terminology.Options // Source is ours
	// Packages are definitions beside the official and the stored ones; nil for none. What is stored goes before them, version by version.
	Packages *definitions.Packages
}

// NewTerminology gives a Terminology that knows the official definitions only, until New has it.
func NewTerminology(o TerminologyOptions) *Terminology {
	t := &Terminology{stored: &canonicals{fresh: o.Fresh, packages: o.Packages, found: map[string]looked{}}}
	o.Library.Source = t.stored
	t.Library = terminology.New(o.Library)
	return t
}

// Packages are the definitions that the server was given; nil for none.
func (s *Service) Packages() *definitions.Packages { return s.terminology.stored.packages }

// Terminology of the service.
func (s *Service) Terminology() *terminology.Library { return s.terminology.Library }

// terminologyTypes are the resources that it reads.
var terminologyTypes = []string{"CodeSystem", "ValueSet", "ConceptMap"}

// canonicals finds stored resources by canonical, and keeps what it found as
// long as no write touches one of these types.
type canonicals struct {
	service  atomic.Pointer[Service]
	packages *definitions.Packages
	fresh    time.Duration
	writes   atomic.Uint64 // commits that touched one of the types

	mu    sync.Mutex
	found map[string]looked // by kind and reference
}

// looked is what a look gave, at a time and after a number of writes.
type looked struct {
	resources []terminology.Resource
	writes    uint64
	at        time.Time
}

// maxLooks is how many looks are kept.
const maxLooks = 10_000

// Find gives what is stored under a url or in a package; what a relative reference or an address below our base names.
func (c *canonicals) Find(ctx context.Context, kind, reference string) ([]terminology.Resource, error) {
	return c.look(ctx, kind+" "+reference, func(s *Service) ([]terminology.Resource, error) {
		stored, packaged, err := s.underURL(ctx, kind, reference)
		if err != nil {
			return nil, err
		}
		out := s.allStamped(stored)
		for i, body := range packaged {
			if body != nil {
				out = append(out, terminology.Resource{Stamp: "package " + kind + " " + reference + "|" + editionOf(body).Version, Read: c.packaged(kind, reference, i)})
			}
		}
		if len(out) > 0 {
			return out, nil
		}
		return s.addressed(ctx, kind, reference)
	})
}

// packaged reads one of the versions that packages have, again: they are not kept inflated.
func (c *canonicals) packaged(kind, reference string, i int) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) {
		all, err := c.packages.Versions(kind, reference)
		if err != nil {
			return nil, err
		}
		return all[i], nil
	}
}

// addressed gives what a relative reference or an address below our base names.
func (s *Service) addressed(ctx context.Context, kind, reference string) ([]terminology.Resource, error) {
	id, ok := strings.CutPrefix(strings.TrimPrefix(reference, s.base+"/"), kind+"/")
	if !ok || !ValidID(id) {
		return nil, nil
	}
	r, err := s.store.Read(ctx, store.Key{Type: kind, ID: id})
	if errors.Is(err, store.ErrNotFound) || err == nil && r.Deleted {
		return nil, nil
	}
	return []terminology.Resource{s.stamped(&r)}, translate(err, "read "+kind)
}

// Supplements gives the stored code systems that supplement one.
func (c *canonicals) Supplements(ctx context.Context, system string) ([]terminology.Resource, error) {
	return c.look(ctx, "supplements "+system, func(s *Service) ([]terminology.Resource, error) {
		found, err := s.definitions(ctx, FindParams{Type: "CodeSystem", All: []search.Pair{{Name: "supplements", Value: search.Escape(system)}}, Limit: maxVersions + 1}, "have this supplements")
		return s.allStamped(found), err
	})
}

// maxConceptMaps is how many stored concept maps a translation without a named one looks at.
const maxConceptMaps = 1000

// ConceptMaps gives all that are stored.
func (c *canonicals) ConceptMaps(ctx context.Context) ([]terminology.Resource, error) {
	return c.look(ctx, "all ConceptMap", func(s *Service) ([]terminology.Resource, error) {
		found, err := s.definitions(ctx, FindParams{Type: "ConceptMap", Limit: maxConceptMaps + 1}, "are stored: name the one to translate by")
		return s.allStamped(found), err
	})
}

// Epoch is another one after every write of the types, and, where others write too, when what was found is no longer taken as current.
func (c *canonicals) Epoch() uint64 {
	s := c.service.Load()
	if s == nil {
		return 0
	}
	n := c.writes.Load() + 1
	if c.fresh > 0 {
		n = n<<40 | uint64(s.clock().UnixNano()/int64(c.fresh))&(1<<40-1)
	}
	return n
}

// look takes what was found before as long as it stands, else looks.
func (c *canonicals) look(ctx context.Context, key string, find func(*Service) ([]terminology.Resource, error)) ([]terminology.Resource, error) {
	s := c.service.Load()
	if s == nil {
		return nil, nil
	}
	// Counted before the look: a write that comes in between makes it an old one.
	writes, now := c.writes.Load(), time.Time{}
	if c.fresh > 0 {
		now = s.clock()
	}
	c.mu.Lock()
	l, ok := c.found[key]
	c.mu.Unlock()
	if ok && l.writes == writes && now.Sub(l.at) < max(c.fresh, 1) {
		return l.resources, nil
	}
	found, err := find(s)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.found) >= maxLooks {
		clear(c.found)
	}
	c.found[key] = looked{found, writes, now}
	return found, nil
}

// wrote notes a commit, whether it succeeded or not: a failed one may have been carried out.
func (c *canonicals) wrote(writes []store.Write) {
	if slices.ContainsFunc(writes, func(w store.Write) bool { return slices.Contains(terminologyTypes, w.Key.Type) }) {
		c.writes.Add(1)
	}
}

// definitions gives what a search finds. Issue code: too-costly when that is as many as its limit.
func (s *Service) definitions(ctx context.Context, p FindParams, what string) ([]store.Resource, error) {
	page, err := s.Find(ctx, p)
	if err != nil {
		return nil, err
	}
	if len(page.Rows) >= p.Limit {
		return nil, issue.New(issue.TooCostly, "terminology.stored", "more than "+strconv.Itoa(p.Limit-1)+" resources of type "+p.Type+" "+what, "")
	}
	out := make([]store.Resource, len(page.Rows))
	for i := range page.Rows {
		out[i] = page.Rows[i].Resource
	}
	return out, nil
}

func (s *Service) allStamped(of []store.Resource) (out []terminology.Resource) {
	for i := range of {
		out = append(out, s.stamped(&of[i]))
	}
	return out
}

// stamped names a version. It does not keep the body, which is wanted once.
func (s *Service) stamped(r *store.Resource) terminology.Resource {
	key, version := r.Key, r.Version
	return terminology.Resource{Stamp: keyPath(key) + "/_history/" + strconv.FormatUint(version, 10), Read: func(ctx context.Context) ([]byte, error) {
		v, err := s.store.ReadVersion(ctx, key, version)
		return v.Body, translate(err, "read "+key.Type)
	}}
}

// notingStore tells terminology and the search parameters of every commit of the Service.
type notingStore struct {
	store.Store
	s *Service
}

func (n notingStore) Commit(ctx context.Context, p store.CommitParams) error {
	return n.noted(ctx, &p, n.Store.Commit(ctx, p))
}

func (n notingStore) CommitOrdered(ctx context.Context, p store.CommitParams) error {
	return n.noted(ctx, &p, n.Store.CommitOrdered(ctx, p))
}

func (n notingStore) noted(ctx context.Context, p *store.CommitParams, err error) error {
	n.s.terminology.stored.wrote(p.Writes)
	if err == nil {
		n.s.parametersWritten(ctx, p.Writes)
	}
	return err
}
