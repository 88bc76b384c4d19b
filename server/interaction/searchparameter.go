package interaction

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"meridian/fhir/definitions"
	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
	"meridian/fhir/search"
	"meridian/server/store"
)

// A SearchParameter that is stored with the status active becomes one of this
// deployment's. What is wrong with it is told when it is written (422). After the write
// the active ones are compared with the store's catalog, and where they differ another
// catalog is put: from then on writes have the new keys, and a job (RunReindex) gives
// them to what was there before and marks the parameter ready when it has verified that. The catalog's body:
//
//	{"parameters":[{"id":"sp1","url":"http://…","code":"shoe-size","type":"number","base":["Patient"],"expression":"…","percent":40}],
//	 "leaving":[…]}
//
// leaving are those that are no more and whose keys the job clears away. A crash between
// the write and the catalog is mended by the next SyncSearchParameters: at the start, and every minute.
//
// https://hl7.org/fhir/R4/searchparameter.html
type catalogBody struct {
	Parameters []search.Added      `json:"parameters,omitempty"`
	Leaving    []search.Definition `json:"leaving,omitempty"`
}

const searchParameterType = "SearchParameter"

// Adopter gives the function that has a registry follow a store's catalog, as the
// stores' Options ask for it. It is safe for concurrent use.
func Adopter(r *search.Registry) func(store.Catalog) error {
	return func(c store.Catalog) error {
		body, err := readCatalog(&c)
		if err == nil {
			r.Adopt(c.Generation, body.Parameters)
		}
		return err
	}
}

func readCatalog(c *store.Catalog) (body catalogBody, err error) {
	if len(c.Body) > 0 {
		if err = json.Unmarshal(c.Body, &body); err != nil {
			err = fmt.Errorf("catalog of search parameters, revision %d: %w", c.Revision, err)
		}
	}
	return body, err
}

// definitionOf reads what counts of a SearchParameter; false when it is not active.
func definitionOf(root element.Node, id string) (*search.Definition, bool) {
	if root.Child("status").Text() != "active" {
		return nil, false
	}
	d := &search.Definition{ID: id}
	for c := root.First(); c.Valid(); c = c.Next() {
		switch c.Name() {
		case "url":
			d.URL = c.Text()
		case "code":
			d.Code = c.Text()
		case "type":
			d.Type = c.Text()
		case "expression":
			d.Expression = c.Text()
		case "base":
			d.Base = append(d.Base, c.Text())
		case "target":
			d.Target = append(d.Target, c.Text())
		case "component":
			d.Components = append(d.Components, definitions.Component{Definition: c.Child("definition").Text(), Expression: c.Child("expression").Text()})
		}
	}
	return d, true
}

// checkSearchParameter refuses an active one that cannot become a search parameter. Issue codes: those of search.CheckAdded (422).
func (s *Service) checkSearchParameter(root element.Node, id string) error {
	d, active := definitionOf(root, id)
	if !active {
		return nil
	}
	if issues := s.registry.CheckAdded(d); len(issues) > 0 {
		return (&issue.Error{Issues: issues}).WithStatus(statusUnprocessable)
	}
	return nil
}

// statusUnprocessable is the HTTP status of what breaks a rule of this server.
const statusUnprocessable = 422

// syncTime is how long a write waits for the catalog to follow it.
const syncTime = 30 * time.Second

// parametersWritten has the catalog follow a commit that touched SearchParameters.
func (s *Service) parametersWritten(ctx context.Context, writes []store.Write) {
	if !slices.ContainsFunc(writes, func(w store.Write) bool { return w.Type == searchParameterType }) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), syncTime)
	defer cancel()
	if err := s.SyncSearchParameters(ctx); err != nil {
		s.log.Error("search parameters: the catalog does not follow yet", "error", err)
	}
}

// maxSync is how often SyncSearchParameters begins again when another process was first.
const maxSync = 20

// SyncSearchParameters makes the store's catalog that of the active SearchParameters, and
// has a job started where there is something to index. It is idempotent.
func (s *Service) SyncSearchParameters(ctx context.Context) error {
	for range maxSync {
		c, err := s.store.Catalog(ctx)
		if err != nil {
			return err
		}
		body, err := readCatalog(&c)
		if err != nil {
			return err
		}
		wanted, err := s.activeParameters(ctx, &body)
		if err != nil {
			return err
		}
		next, keys := body.with(wanted)
		if equalBodies(body, next) {
			return s.startReindex(ctx, &body, c.Generation)
		}
		err = s.putCatalog(ctx, &c, &next, keys)
		if errors.Is(err, store.ErrCatalog) {
			continue
		}
		if err != nil {
			return err
		}
		s.log.Info("search parameters changed", "added", len(next.Parameters), "leaving", len(next.Leaving))
	}
	return store.ErrCatalog
}

// startReindex has the job run that the catalog asks for.
func (s *Service) startReindex(ctx context.Context, body *catalogBody, generation uint64) error {
	if s.reindexing == nil || !body.asks() {
		return nil
	}
	return s.reindexing(ctx, generation)
}

// asks says whether there is something to index.
func (b *catalogBody) asks() bool {
	return len(b.Leaving) > 0 || slices.ContainsFunc(b.Parameters, func(a search.Added) bool { return !a.Ready })
}

// putCatalog replaces the catalog c; keys says that other keys are given than by c.
func (s *Service) putCatalog(ctx context.Context, c *store.Catalog, body *catalogBody, keys bool) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("catalog of search parameters: %w", err)
	}
	next := store.Catalog{Revision: c.Revision + 1, Generation: c.Generation, Added: c.Added, Body: text}
	if keys {
		next.Generation, next.Added = c.Generation+1, nil
		for i := range body.Parameters {
			a := &body.Parameters[i]
			if !a.HasKeys() {
				continue
			}
			for _, typ := range a.Types() {
				next.Added = append(next.Added, store.Added{Type: typ, Param: a.Key()})
			}
		}
	}
	return s.store.PutCatalog(ctx, next)
}

// with is the catalog when these are the active definitions; keys says whether resources have other keys by it.
func (b *catalogBody) with(wanted []search.Definition) (next catalogBody, keys bool) {
	stood := map[string]search.Added{}
	for _, a := range b.Parameters {
		stood[a.Key()] = a
	}
	stands := map[string]bool{}
	for _, d := range wanted {
		a, ok := stood[d.Key()]
		if !ok {
			a = search.Added{Ready: !d.HasKeys()}
			keys = true
		}
		a.Definition = d
		stands[d.Key()] = true
		next.Parameters = append(next.Parameters, a)
	}
	for _, d := range b.Leaving {
		if !stands[d.Key()] {
			next.Leaving = append(next.Leaving, d)
		}
	}
	for _, a := range b.Parameters {
		if !stands[a.Key()] {
			keys = true
			if a.HasKeys() {
				next.Leaving = append(next.Leaving, a.Definition)
			}
		}
	}
	return next, keys
}

func equalBodies(a, b catalogBody) bool {
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err == nil && err2 == nil && string(x) == string(y)
}

// activeParameters reads the definitions of all active SearchParameters. One that could not be
// added today, since another was first or this program takes less than the one that wrote it, is left out, and logged.
func (s *Service) activeParameters(ctx context.Context, stood *catalogBody) ([]search.Definition, error) {
	var out []search.Definition
	f := FindParams{Type: searchParameterType, All: []search.Pair{{Name: "status", Value: "active"}}, Limit: store.MaxPage}
	for {
		page, err := s.Find(ctx, f)
		if err != nil {
			return nil, err
		}
		for i := range page.Rows {
			d, err := s.storedDefinition(&page.Rows[i].Resource)
			if err != nil {
				return nil, err
			}
			if d == nil {
				continue
			}
			if why := s.cannotAdd(d, out, stood); why != "" {
				s.log.Warn("search parameters: a stored one is left out", "id", d.ID, "reason", why)
				continue
			}
			out = append(out, *d)
		}
		if !page.More {
			return out, nil
		}
		f.After = &page.Rows[len(page.Rows)-1].At
	}
}

func (s *Service) storedDefinition(r *store.Resource) (*search.Definition, error) {
	root, done, err := s.Tree(r.Body)
	if err != nil {
		return nil, err
	}
	defer done()
	d, _ := definitionOf(root, r.ID)
	return d, nil
}

// cannotAdd says why a definition has no place beside those before it, "" when it has.
func (s *Service) cannotAdd(d *search.Definition, before []search.Definition, stood *catalogBody) string {
	for i := range before {
		o := &before[i]
		if (o.Code == d.Code || o.URL == d.URL) && slices.ContainsFunc(o.Types(), func(t string) bool { return slices.Contains(d.Types(), t) }) {
			return "SearchParameter/" + o.ID + " has its code or its url"
		}
	}
	if slices.ContainsFunc(stood.Parameters, func(a search.Added) bool { return a.ID == d.ID && a.Key() == d.Key() }) {
		return "" // it was checked
	}
	for _, x := range s.registry.CheckAdded(d) {
		if x.Code != issue.Duplicate || !strings.Contains(x.Text, searchParameterType+"/") {
			return x.Text
		}
	}
	return ""
}

// WatchSearchParameters follows what other processes do with the catalog, and mends what a crash left undone, until ctx ends.
func (s *Service) WatchSearchParameters(ctx context.Context) {
	look := time.NewTicker(watchCatalog)
	defer look.Stop()
	synced := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		_, err := s.store.Catalog(ctx)
		if err == nil && time.Since(synced) >= watchSync {
			err, synced = s.SyncSearchParameters(ctx), time.Now()
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrClosed) {
			s.log.Warn("search parameters: the catalog could not be looked at", "error", err)
		}
	}
}

// watchCatalog is how soon a process sees what another did to search parameters; watchSync how soon what a crash left undone is begun again.
const (
	watchCatalog = time.Second
	watchSync    = time.Minute
)

// resourceTypes are those of the definitions, sorted, each once.
func resourceTypes(of []search.Definition) (out []string) {
	for _, typ := range schema.ResourceTypes() {
		if slices.ContainsFunc(of, func(d search.Definition) bool { return slices.Contains(d.Types(), typ) }) {
			out = append(out, typ)
		}
	}
	return out
}
