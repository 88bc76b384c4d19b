package interaction

import (
	"context"
	"time"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/search"
	"meridian/server/store"
)

// A transaction is resolved as a whole, then committed once: DELETE, POST, PUT, PATCH
// are decided against what the store holds, links between entries and
// conditional references are replaced, then all writes and all that they
// depend on go into one store.Commit. When another writer was first, all of
// it is done again. Reads come after the commit and see the writes.
//
// https://hl7.org/fhir/R4/http.html#trules
type transaction struct {
	s       *Service
	entries []entry
	lenient bool
	now     time.Time
	attempt int

	targets  []subject // by entry
	results  []EntryResult
	writes   []store.Write
	of       []int                    // by write, its entry
	others   map[int][]store.Resource // by entry, what a conditional delete of many deletes beside the first
	requires []store.Require
	// identities are what the entries are about, true where they write it;
	// replaced counts, by type, those written that are stored already.
	identities map[store.Key]bool
	replaced   map[string]int
	refs       map[string]string               // conditional reference → "Patient/1"
	inside     map[string]map[search.Key][]int // by type and key, the entries that have it; made when needed
}

// subject is what a writing entry is about.
type subject struct {
	current store.Resource  // what stands there; Version 0 when nothing did
	root    element.Node    // of a PATCH: what it makes of current
	known   map[string]bool // of a PATCH: the links that stood in current
	found   bool            // If-None-Exist found current: nothing is written
	nothing bool            // a conditional delete found nothing
	unless  *criterion      // of a conditional create or update
}

func (s *Service) transaction(ctx context.Context, entries []entry, p *BundleParams) (*BundleResult, error) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, translate(ctx.Err(), "wait for other transactions")
	}
	t := &transaction{s: s, entries: entries, lenient: p.Lenient, now: s.now()}
	if err := s.operationReads(entries); err != nil {
		return nil, err
	}
	if err := t.checkFullURLs(); err != nil {
		return nil, err
	}
	if err := t.checkReads(); err != nil {
		return nil, err
	}
	err := s.retry(ctx, func() error {
		err := t.resolve(ctx)
		t.attempt++
		if err != nil {
			return err
		}
		return t.commit(ctx)
	})
	if err != nil {
		return nil, translate(err, "transaction")
	}
	for i := range entries {
		if isRead(entries[i].method) {
			t.results[i] = s.read(ctx, &entries[i], p.Lenient)
		}
	}
	return &BundleResult{Type: "transaction-response", Entries: t.results}, nil
}

func isRead(method string) bool { return method == "GET" || method == "HEAD" }

// checkFullURLs: a fullUrl stands only once (bdl-7).
func (t *transaction) checkFullURLs() error {
	seen := make(map[string]bool, len(t.entries))
	for i := range t.entries {
		e := &t.entries[i]
		if e.fullURL == "" || !e.root.Valid() {
			continue
		}
		url := sameURN(e.fullURL)
		if seen[url] {
			return issue.New(issue.Invariant, "bundle.full-url", "another entry has the same fullUrl", e.at+".fullUrl")
		}
		seen[url] = true
	}
	return nil
}

// checkReads refuses a search that cannot be carried out before anything is written.
func (t *transaction) checkReads() error {
	for i := range t.entries {
		e := &t.entries[i]
		if !isRead(e.method) || e.target.Operation != "" || e.target.Metadata || e.target.ID != "" || e.target.History {
			continue
		}
		p, err := e.target.search(t.lenient)
		if err == nil {
			_, err = t.s.request(&p)
		}
		if err != nil {
			return locate(err, e.at+".request.url")
		}
	}
	return nil
}

// resolve decides every write against what the store holds now.
func (t *transaction) resolve(ctx context.Context) error {
	t.of, t.others = t.of[:0], map[int][]store.Resource{}
	t.targets = make([]subject, len(t.entries))
	t.results = make([]EntryResult, len(t.entries))
	t.writes, t.requires = t.writes[:0], t.requires[:0]
	t.identities, t.replaced = make(map[store.Key]bool, len(t.entries)), map[string]int{}
	t.refs, t.inside = map[string]string{}, map[string]map[search.Key][]int{}
	for _, phase := range [...]func(context.Context) error{t.find, t.readCurrent, t.checkIdentities, t.applyPatches, t.prepare} {
		if err := phase(ctx); err != nil {
			return err
		}
	}
	return nil
}

// find gives each writing entry the identity it is about.
func (t *transaction) find(ctx context.Context) error {
	criteria := map[string]bool{}
	for i := range t.entries {
		e, to := &t.entries[i], &t.targets[i]
		if isRead(e.method) {
			continue
		}
		to.current = store.Resource{Key: e.target.Key, Deleted: true}
		query := e.target.Query
		if e.method == "POST" {
			to.current.ID, query = e.fresh, e.IfNoneExist
		}
		if query == "" {
			continue
		}
		c, err := t.s.criterion(e.target.Type, query)
		if err != nil {
			return locate(err, e.at+".request")
		}
		if criteria[c.key] {
			return overlap(e)
		}
		criteria[c.key] = true
		if e.method == "DELETE" && t.s.limits.ConditionalDelete > 1 {
			if err := t.findMany(ctx, i, c); err != nil {
				return err
			}
			continue
		}
		if err := t.findOne(ctx, e, to, c); err != nil {
			return err
		}
	}
	return nil
}

// findMany resolves the condition of a delete of many.
func (t *transaction) findMany(ctx context.Context, i int, c *criterion) error {
	found, err := t.s.findMany(ctx, c)
	if err != nil {
		return entryError(err, t.entries[i].at+".request")
	}
	if t.targets[i].nothing = len(found) == 0; len(found) > 0 {
		t.targets[i].current, t.others[i] = found[0], found[1:]
	}
	return nil
}

// findOne resolves the condition of one entry.
func (t *transaction) findOne(ctx context.Context, e *entry, to *subject, c *criterion) error {
	found, err := t.s.findOne(ctx, c)
	if err != nil {
		return entryError(err, e.at+".request")
	}
	id := ""
	if e.method == "PUT" {
		id = e.root.Child("id").Text()
	}
	switch {
	case found != nil && id != "" && id != found.ID:
		return issue.New(issue.Invalid, "id.differs", "the criterion matches a resource with another id than the entry's", e.at+".resource.id")
	case found != nil && e.method == "POST":
		to.current, to.found = *found, true
		t.requires = append(t.requires, store.Require{Key: found.Key, Version: found.Version})
	case found != nil:
		to.current = *found
	case e.method == "PATCH":
		return locate(noMatch(e.target.Type), e.at+".request.url")
	case e.method == "DELETE":
		to.nothing = true
	case e.method == "PUT":
		if to.current.ID = id; id == "" {
			if e.fresh == "" {
				e.fresh = t.s.newID()
			}
			to.current.ID = e.fresh
		}
		to.unless = c
	default:
		to.unless = c
	}
	return nil
}

// entryError locates what a client may see and leaves what is to be tried again.
func entryError(err error, at string) error {
	if issue.As(err) == nil {
		return err
	}
	return locate(err, at)
}

// readCurrent reads what stands at the identities that are not known yet. The first attempt asks
// for all at once; after a conflict each is read by itself, which tells a deleted one from none for sure.
func (t *transaction) readCurrent(ctx context.Context) error {
	var keys []store.Key
	var of []int
	for i := range t.entries {
		e, to := &t.entries[i], &t.targets[i]
		if isRead(e.method) || to.nothing || to.current.Version > 0 || to.current.ID == e.fresh {
			continue
		}
		if t.attempt > 0 {
			current, err := t.s.current(ctx, to.current.Key)
			if err != nil {
				return err
			}
			to.current = current
			continue
		}
		keys, of = append(keys, to.current.Key), append(of, i)
	}
	for len(keys) > 0 {
		n := min(len(keys), store.MaxReadMany)
		got, err := t.s.store.ReadMany(ctx, keys[:n])
		if err != nil {
			return err
		}
		for k, r := range got {
			r.Key, r.Deleted = keys[k], r.Body == nil
			t.targets[of[k]].current = r
		}
		keys, of = keys[n:], of[n:]
	}
	return nil
}

func overlap(e *entry) error {
	return issue.New(issue.Invalid, "transaction.overlap", "another entry is about the same resource", e.at+".request.url")
}

// checkIdentities: no two entries write the same resource, and the client's preconditions hold.
func (t *transaction) checkIdentities(context.Context) error {
	for i := range t.entries {
		e, to := &t.entries[i], &t.targets[i]
		if isRead(e.method) || to.nothing {
			continue
		}
		if _, ok := t.identities[to.current.Key]; ok {
			return overlap(e)
		}
		t.identities[to.current.Key] = !to.found
		for _, other := range t.others[i] {
			if _, ok := t.identities[other.Key]; ok {
				return overlap(e)
			}
			t.identities[other.Key] = true
			t.replaced[other.Type]++
		}
		if !to.current.Deleted && !to.found {
			t.replaced[to.current.Type]++
		}
		if e.method == "POST" {
			continue
		}
		if to.unless != nil && !to.current.Deleted {
			return taken(&to.current, t.attempt > 0, e.at+".resource.id")
		}
		if err := e.checkWrite(to.current.Version, !to.current.Deleted); err != nil {
			return locate(err, e.at+".request")
		}
	}
	return nil
}

// applyPatches makes of what stands what each PATCH asks for, before references are resolved.
func (t *transaction) applyPatches(ctx context.Context) error {
	for i := range t.entries {
		e, to := &t.entries[i], &t.targets[i]
		if e.method != "PATCH" {
			continue
		}
		if to.current.Deleted { // ReadMany does not tell a deleted one from none
			if _, err := t.s.patchable(ctx, to.current.Key, &e.Conditions); err != nil {
				return entryError(err, e.at+".request.url")
			}
			return &store.ConflictError{Key: to.current.Key} // it has come into being meanwhile
		}
		var err error
		parser := codec.NewParser(t.s.stored.Options) // the tree lives until the commit
		if to.known, err = knownLinks(parser, to.current.Body); err != nil {
			return err
		}
		if to.root, err = t.s.patched(parser, &to.current, e.patch, t.now); err != nil {
			return entryError(err, e.at+".resource")
		}
	}
	return nil
}

// rootOf is the resource that entry i stores.
func (t *transaction) rootOf(i int) element.Node {
	if t.entries[i].method == "PATCH" {
		return t.targets[i].root
	}
	return t.entries[i].root
}

// prepare makes the writes and, for each entry, its result.
func (t *transaction) prepare(ctx context.Context) error {
	links := linker{byURL: map[string]place{}, conditional: func(ref string) (string, error) { return t.conditionalReference(ctx, ref) }}
	for i := range t.entries {
		e, to := &t.entries[i], &t.targets[i]
		if e.fullURL == "" || isRead(e.method) || e.method == "DELETE" {
			continue
		}
		version := to.current.Version
		if !to.found {
			version++
		}
		links.byURL[sameURN(e.fullURL)] = place{keyPath(to.current.Key), version}
	}
	for i := range t.entries {
		e, to := &t.entries[i], &t.targets[i]
		switch {
		case isRead(e.method):
		case to.nothing, e.method == "DELETE" && to.current.Deleted:
			t.results[i].Result = Result{Resource: to.current, Effect: Absent}
		case to.found:
			t.results[i].Result = Result{Resource: to.current, Effect: Unchanged}
		case e.method == "DELETE":
			w := remove(&to.current, t.now)
			t.write(i, w)
			t.results[i].Result = Result{Resource: resourceOf(&w), Effect: Deleted}
			if others := t.others[i]; len(others) > 0 {
				t.results[i].Result = Result{Resource: store.Resource{Key: store.Key{Type: w.Type}, Deleted: true}, Effect: Deleted, Count: 1 + len(others)}
				for k := range others {
					t.write(i, remove(&others[k], t.now))
				}
			}
		default:
			if err := t.prepareBody(i, &links); err != nil {
				return entryError(err, e.at+".resource")
			}
		}
	}
	return nil
}

// prepareBody makes the write of a POST, PUT or PATCH.
func (t *transaction) prepareBody(i int, links *linker) error {
	e, to := &t.entries[i], &t.targets[i]
	root := t.rootOf(i)
	edit, err := links.links(e, root, to.known)
	if err != nil {
		return err
	}
	method := store.PUT
	switch e.method {
	case "POST":
		method = store.POST
	case "PATCH":
		method = store.PATCH
	}
	w, same, err := t.s.put(root, edit, &to.current, t.now, method)
	if err != nil {
		return err
	}
	if same {
		t.results[i].Result = Result{Resource: to.current, Effect: Unchanged}
		return nil
	}
	if to.unless != nil {
		w.Unless, w.UnlessKey = to.unless.plan, to.unless.key
	}
	t.write(i, w)
	t.results[i].Result = Result{Resource: resourceOf(&w), Effect: effectOf(&to.current)}
	return nil
}

// write adds a write of entry i.
func (t *transaction) write(i int, w store.Write) {
	t.writes, t.of = append(t.writes, w), append(t.of, i)
}

// commit writes what was resolved.
func (t *transaction) commit(ctx context.Context) error {
	if len(t.writes) == 0 {
		return nil
	}
	p := store.CommitParams{Writes: t.writes, Requires: append([]store.Require(nil), t.requires...)}
	warnings, err := t.s.integrity(ctx, &p, func(write int) string { return t.entries[t.of[write]].at })
	if err != nil {
		return err
	}
	for write, list := range warnings {
		r := &t.results[t.of[write]].Result
		r.Warnings = append(r.Warnings, list...)
	}
	return t.s.commitOnce(ctx, p, func() *kept {
		for i := range t.entries {
			t.results[i].Read = isRead(t.entries[i].method)
		}
		k, _ := keepBundle(&BundleResult{Type: "transaction-response", Entries: t.results})
		return k
	})
}

func keyPath(k store.Key) string { return k.Type + "/" + k.ID }
