package interaction

import (
	"context"
	"errors"
	"fmt"
	"time"

	"meridian/fhir/search"
	"meridian/server/store"
)

// ReindexTask is the job that RunReindex is the work of; *job.Task is one.
type ReindexTask interface {
	State(v any) (bool, error)
	Save(ctx context.Context, state any) error
	Report(done, total int, text string)
	SetResult(v any) error
}

// Limits of the job.
const (
	// reindexSlice is how many resources one commit of a walk looks at; between two others write.
	reindexSlice = 200
	// reindexWalks is how often all types are walked through before the job gives up: one is enough unless something is broken.
	reindexWalks = 3
	// reindexTell is how often other processes are told how far it is.
	reindexTell = 5 * time.Second
)

// ErrNotVerified: after all walks there were resources whose keys are not those of their bodies.
var ErrNotVerified = errors.New("the index does not agree with the resources")

// reindexState is where the job goes on after a crash: the walk over the types in their order.
type reindexState struct {
	Generation uint64 `json:"generation"`
	Walk       int    `json:"walk"`  // from 0
	Type       string `json:"type"`  // that is walked through; types before it are done
	After      string `json:"after"` // Next of the last slice
	Checked    int    `json:"checked"`
	Mended     int    `json:"mended"`
}

// ReindexResult is what the job did.
type ReindexResult struct {
	Parameters []string `json:"parameters"` // ids of the SearchParameters that are ready now
	Checked    int      `json:"checked"`    // resources walked through
	Mended     int      `json:"mended"`     // of them, those that lacked keys
	Verified   int      `json:"verified"`   // resources whose stored keys were compared with their bodies afterwards
}

// RunReindex makes ready what the catalog asks for: it walks through all resources of the
// types, then compares every one of them with its body, and only when none differs marks the parameters ready.
// A walk that was cut off goes on where it was; another catalog meanwhile begins it anew.
func (s *Service) RunReindex(ctx context.Context, t ReindexTask) error {
	for {
		err := s.reindexOnce(ctx, t)
		if !errors.Is(err, store.ErrCatalog) {
			return err
		}
	}
}

// reindexRun is one run for one generation.
type reindexRun struct {
	s      *Service
	t      ReindexTask
	state  reindexState
	types  []string
	params map[string][]string // by type, names of keys
	total  int                 // resources of the types
	told   time.Time
	keys   []string // of the pending parameters
}

func (s *Service) reindexOnce(ctx context.Context, t ReindexTask) error {
	c, err := s.store.Catalog(ctx)
	if err != nil {
		return err
	}
	body, err := readCatalog(&c)
	if err != nil || !body.asks() {
		return err
	}
	r := &reindexRun{s: s, t: t, told: time.Now()}
	if _, err := t.State(&r.state); err != nil {
		return err
	}
	if r.state.Generation != c.Generation {
		r.state = reindexState{Generation: c.Generation}
	}
	if err := r.plan(ctx, &body); err != nil {
		return err
	}
	for ; r.state.Walk < reindexWalks; r.state.Walk++ {
		if err := r.walk(ctx); err != nil {
			return err
		}
		verified, wrong, err := r.verify(ctx)
		if err != nil {
			return err
		}
		if wrong == 0 {
			return r.finish(ctx, verified)
		}
		s.log.Error("search parameters: resources differ from the index after a walk", "differ", wrong)
		r.state.Type, r.state.After = "", ""
	}
	r.state.Walk = 0
	return errors.Join(ErrNotVerified, t.Save(ctx, r.state))
}

// plan finds which types are walked through, and for which keys.
func (r *reindexRun) plan(ctx context.Context, body *catalogBody) error {
	r.params = map[string][]string{}
	all := append([]search.Definition(nil), body.Leaving...)
	for i := range body.Parameters {
		a := &body.Parameters[i]
		if a.Ready {
			continue
		}
		all = append(all, a.Definition)
		r.keys = append(r.keys, a.Key())
		for _, typ := range a.Types() {
			r.params[typ] = append(r.params[typ], a.Key())
		}
	}
	r.types = resourceTypes(all)
	for _, typ := range r.types {
		n, err := r.s.store.Count(ctx, &search.Plan{Type: typ, Where: search.All{}}, 0)
		if err != nil {
			return err
		}
		r.total += n.N
		if r.params[typ] == nil {
			r.params[typ] = []string{} // nothing but which parameters a resource has
		}
	}
	return nil
}

// walk puts what resources lack, from where the state says.
func (r *reindexRun) walk(ctx context.Context) error {
	for _, typ := range r.types {
		if typ < r.state.Type {
			continue
		}
		if typ != r.state.Type {
			r.state.Type, r.state.After = typ, ""
		}
		for {
			if err := r.current(); err != nil {
				return err
			}
			page, err := r.s.store.Reindex(ctx, store.ReindexParams{Type: typ, After: r.state.After, Limit: reindexSlice, Params: r.params[typ]})
			if err != nil {
				return err
			}
			r.state.Checked, r.state.Mended = r.state.Checked+page.Checked, r.state.Mended+page.Mended
			if err := r.tell(ctx, r.state.Checked, typ); err != nil {
				return err
			}
			if page.Next == "" {
				break
			}
			r.state.After = page.Next
			if err := r.t.Save(ctx, r.state); err != nil {
				return err
			}
		}
	}
	return nil
}

// current ends the run when another generation holds.
func (r *reindexRun) current() error {
	if r.s.registry.Generation() != r.state.Generation {
		return store.ErrCatalog
	}
	return nil
}

// verify compares all resources of the types.
func (r *reindexRun) verify(ctx context.Context) (verified, wrong int, err error) {
	for _, typ := range r.types {
		progress := func(n int) { r.t.Report(r.percentDone(r.total+verified+n), 100, "verifying "+typ) }
		v, err := r.s.store.Verify(ctx, store.VerifyParams{Type: typ, Params: r.params[typ], Mend: true, Progress: progress})
		if err != nil {
			return verified, wrong, err
		}
		verified, wrong = verified+v.Checked, wrong+v.Differ+v.Extra
		if err := r.tell(ctx, r.total+verified, "verifying "+typ); err != nil {
			return verified, wrong, err
		}
	}
	return verified, wrong, nil
}

// percentDone: a walk and a comparison are half of it each; 100 is said only when it is ready.
func (r *reindexRun) percentDone(done int) int { return min(99, 100*done/max(1, 2*r.total)) }

// tell reports how far it is: to who asks for the job, to searches, and now and then to other processes.
func (r *reindexRun) tell(ctx context.Context, done int, text string) error {
	percent := r.percentDone(done)
	r.t.Report(percent, 100, text)
	for _, key := range r.keys {
		r.s.registry.Progress(key, percent)
	}
	if time.Since(r.told) < reindexTell {
		return nil
	}
	r.told = time.Now()
	err := r.mark(ctx, func(a *search.Added) { a.Percent = percent })
	if errors.Is(err, errSameGeneration) {
		return nil // somebody else was first; the next time will do
	}
	return err
}

// errSameGeneration: another process put a catalog of the same generation.
var errSameGeneration = fmt.Errorf("mark the catalog: %w", store.ErrCatalog)

// catalog reads the catalog; ErrCatalog when its generation is not that of the run.
func (r *reindexRun) catalog(ctx context.Context) (c store.Catalog, body catalogBody, err error) {
	if c, err = r.s.store.Catalog(ctx); err != nil {
		return c, body, err
	}
	if body, err = readCatalog(&c); err == nil && c.Generation != r.state.Generation {
		err = store.ErrCatalog
	}
	return c, body, err
}

// mark changes the pending parameters of the run in the catalog.
func (r *reindexRun) mark(ctx context.Context, change func(*search.Added)) error {
	c, body, err := r.catalog(ctx)
	if err != nil {
		return err
	}
	for i := range body.Parameters {
		if !body.Parameters[i].Ready {
			change(&body.Parameters[i])
		}
	}
	err = r.s.putCatalog(ctx, &c, &body, false)
	if errors.Is(err, store.ErrCatalog) {
		return errSameGeneration
	}
	return err
}

// finish marks ready what was verified.
func (r *reindexRun) finish(ctx context.Context, verified int) error {
	c, body, err := r.catalog(ctx)
	if err != nil {
		return err
	}
	result := ReindexResult{Parameters: []string{}, Checked: r.state.Checked, Mended: r.state.Mended, Verified: verified}
	for i := range body.Parameters {
		if a := &body.Parameters[i]; !a.Ready {
			a.Ready, a.Percent = true, 0
			result.Parameters = append(result.Parameters, a.ID)
		}
	}
	body.Leaving = nil
	if err := r.s.putCatalog(ctx, &c, &body, false); err != nil {
		return err // of the same generation: it is verified anew from where the state is
	}
	r.t.Report(100, 100, "")
	r.s.log.Info("search parameters are ready", "ids", result.Parameters, "checked", result.Checked, "mended", result.Mended, "verified", verified)
	return r.t.SetResult(result)
}
