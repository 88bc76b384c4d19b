package storetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"meridian/fhir/search"
	"meridian/server/store"
)

// Map is the contract over a plain map and a slice of changes. It looks at
// every resource for every search. Safe for concurrent use.
type Map struct {
	index func(body []byte) (*search.Facts, error)
	queue *mapQueue

	mu        sync.Mutex
	resources map[store.Key]*mapResource
	changes   []store.Resource
	purged    map[int]bool // places in changes of what is gone for good
	numbers   uint64
	now       func() time.Time
	receipts  map[string]store.Receipt
	catalog   store.Catalog
	adopt     func(store.Catalog) error
}

// mapResource is a resource with all its versions, oldest first.
type mapResource struct {
	typ, id  string
	number   uint64
	versions []store.Resource
	facts    *search.Facts // of the current version; nil when that is deleted
}

func (r *mapResource) current() *store.Resource { return &r.versions[len(r.versions)-1] }

// NewMap gives an empty store.
func NewMap(c Config) *Map {
	return &Map{index: c.Index, queue: newMapQueue(c.Clock), resources: map[store.Key]*mapResource{}, now: mapNow(c.Clock), receipts: map[string]store.Receipt{}, purged: map[int]bool{}, adopt: c.Adopt}
}

func (m *Map) Read(_ context.Context, key store.Key) (store.Resource, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.resources[key]
	if r == nil {
		return store.Resource{}, fmt.Errorf("read %s/%s: %w", key.Type, key.ID, store.ErrNotFound)
	}
	return *r.current(), nil
}

func (m *Map) ReadMany(_ context.Context, keys []store.Key) ([]store.Resource, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(keys) > store.MaxReadMany {
		return nil, store.ErrTooLarge
	}
	out := make([]store.Resource, len(keys))
	for i, key := range keys {
		out[i].Key = key
		if r := m.resources[key]; r != nil {
			out[i] = *r.current()
		}
	}
	return out, nil
}

func (m *Map) ReadVersion(_ context.Context, key store.Key, version uint64) (store.Resource, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.resources[key]; r != nil {
		for _, v := range r.versions {
			if v.Version == version {
				return v, nil
			}
		}
	}
	return store.Resource{}, fmt.Errorf("read %s/%s version %d: %w", key.Type, key.ID, version, store.ErrNotFound)
}

// live lists the resources of a type that are not deleted.
func (m *Map) live(typ string) []*mapResource {
	var out []*mapResource
	for key, r := range m.resources {
		if key.Type == typ && !r.current().Deleted {
			out = append(out, r)
		}
	}
	return out
}

// match gives all rows of a plan in its order, without its cursor and limit.
func (m *Map) match(p *search.Plan) ([]store.Row, error) {
	var rows []store.Row
	for _, r := range m.live(p.Type) {
		if !matches(p.Where, p.Type, r.id, r.facts, m.live) {
			continue
		}
		if p.Residual != nil {
			ok, err := p.Residual(r.current().Body)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
		}
		rows = append(rows, store.Row{Resource: *r.current(), At: search.Cursor{Values: sortValues(p.Sort, r.id, r.facts), Number: r.number}})
	}
	slices.SortFunc(rows, func(a, b store.Row) int { return compareCursors(p.Sort, &a.At, &b.At) })
	return rows, nil
}

func (m *Map) Search(ctx context.Context, p *search.Plan) (store.Page, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p.Limit > store.MaxPage {
		return store.Page{}, store.ErrTooLarge
	}
	rows, err := m.match(p)
	if err != nil {
		return store.Page{}, err
	}
	found := len(rows)
	if p.After != nil {
		rows = slices.DeleteFunc(rows, func(r store.Row) bool { return compareCursors(p.Sort, &r.At, p.After) <= 0 })
	}
	page := store.Page{Rows: rows}
	if len(rows) > p.Limit {
		page = store.Page{Rows: rows[:p.Limit], More: true}
	}
	if store.WantsExplain(ctx) {
		page.Explain = &store.Explain{Strategy: "look at every resource", Read: len(m.resources), Checked: len(m.resources), Found: found}
	}
	return page, nil
}

func (m *Map) Count(_ context.Context, p *search.Plan, limit int) (store.Total, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rows, err := m.match(p)
	if err != nil {
		return store.Total{}, err
	}
	if limit > 0 && len(rows) > limit {
		return store.Total{N: limit}, nil
	}
	return store.Total{N: len(rows), Exact: true}, nil
}

func (m *Map) History(_ context.Context, p store.HistoryParams) (store.HistoryPage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	after := len(m.changes)
	if p.After != "" {
		n, err := strconv.Atoi(string(p.After))
		if err != nil {
			return store.HistoryPage{}, fmt.Errorf("position %q: %w", p.After, err)
		}
		after = n
	}
	page := store.HistoryPage{Total: -1}
	if p.ID != "" {
		page.Total = 0
	}
	for i := len(m.changes) - 1; i >= 0; i-- {
		c := m.changes[i]
		if m.purged[i] || p.Type != "" && c.Type != p.Type || p.ID != "" && c.ID != p.ID ||
			!p.Since.IsZero() && c.LastUpdated.Before(p.Since) || !p.Before.IsZero() && !c.LastUpdated.Before(p.Before) {
			continue
		}
		if p.ID != "" {
			page.Total++
		}
		if i >= after {
			continue
		}
		if len(page.Rows) < p.Limit {
			page.Rows = append(page.Rows, c)
			after, page.Next = i, ""
		} else if page.Next == "" {
			page.Next = store.Position(strconv.Itoa(after))
		}
	}
	return page, nil
}

func (m *Map) Changes(_ context.Context, after store.Position, limit int) ([]store.Change, store.Position, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	from := 0
	if after != "" {
		n, err := strconv.Atoi(string(after))
		if err != nil {
			return nil, "", fmt.Errorf("position %q: %w", after, err)
		}
		from = n
	}
	var out []store.Change
	for i := from; i < len(m.changes) && len(out) < limit; i++ {
		c := m.changes[i]
		after = store.Position(strconv.Itoa(i + 1))
		out = append(out, store.Change{Key: c.Key, Version: c.Version, Deleted: c.Deleted, At: after, Recorded: c.LastUpdated})
	}
	return out, after, nil
}

func (m *Map) Commit(_ context.Context, p store.CommitParams) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range p.Writes {
		if w := &p.Writes[i]; w.Facts != nil && w.Facts.Generation < m.catalog.Generation {
			return &store.ConflictError{Stale: true, Index: i, Key: w.Key, Current: w.Version - 1}
		}
	}
	if err := m.check(p); err != nil {
		return err
	}
	for i := range p.Writes {
		w := &p.Writes[i]
		if w.Body == nil {
			continue
		}
		facts, err := m.index(w.Body)
		if err != nil {
			return err
		}
		if strings.Compare(fmt.Sprint(facts), fmt.Sprint(w.Facts)) != 0 {
			return fmt.Errorf("write %d: its facts are not those of its body", i)
		}
	}
	for i := range p.Writes {
		m.apply(&p.Writes[i])
	}
	if p.Receipt != nil {
		m.receipts[p.Receipt.Key] = *p.Receipt
	}
	return nil
}

// Receipts gives receipts whose time is not over, in the order of their keys.
func (m *Map) Receipts(_ context.Context, after string, limit int) ([]store.Receipt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []store.Receipt
	for _, key := range slices.Sorted(maps.Keys(m.receipts)) {
		if r := m.receipts[key]; key > after && r.Until.After(m.now()) && len(out) < limit {
			out = append(out, r)
		}
	}
	return out, nil
}

// Receipt gives a receipt whose time is not over.
func (m *Map) Receipt(_ context.Context, key string) (store.Receipt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.receipts[key]
	if !ok || !r.Until.After(m.now()) {
		return store.Receipt{}, fmt.Errorf("receipt: %w", store.ErrNotFound)
	}
	return r, nil
}

// checkNoMatch runs the searches that must find nothing but what p writes.
func (m *Map) checkNoMatch(p store.CommitParams, written map[store.Key]bool) error {
	for i, plan := range p.NoMatch {
		rows, err := m.match(plan)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if !written[row.Key] {
				return &store.ConflictError{NoMatch: true, Index: i, Match: &row.Key}
			}
		}
	}
	return nil
}

// check finds the first precondition of p that does not hold.
func (m *Map) check(p store.CommitParams) error {
	seen := map[store.Key]bool{}
	for i, w := range p.Writes {
		if seen[w.Key] {
			return fmt.Errorf("write %d: %s/%s is written twice in one commit", i, w.Type, w.ID)
		}
		seen[w.Key] = true
	}
	if p.Receipt != nil {
		if r, ok := m.receipts[p.Receipt.Key]; ok && r.Until.After(m.now()) {
			return &store.ConflictError{Receipt: true}
		}
	}
	if err := m.checkNoMatch(p, seen); err != nil {
		return err
	}
	for i, q := range p.Requires {
		r := m.resources[q.Key]
		if r == nil || r.current().Deleted || q.Version != 0 && r.current().Version != q.Version {
			return &store.ConflictError{Index: i, Require: true, Key: q.Key, Current: m.version(q.Key)}
		}
	}
	for i := range p.Writes {
		w := &p.Writes[i]
		current := m.version(w.Key)
		live := current > 0 && !m.resources[w.Key].current().Deleted
		want, exact := w.Expect.WantVersion()
		if w.Expect.IsAbsent() && live || exact && want != current || w.Version != current+1 {
			return &store.ConflictError{Index: i, Key: w.Key, Current: current}
		}
		if w.Unless == nil {
			continue
		}
		rows, err := m.match(w.Unless)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if row.Key != w.Key {
				return &store.ConflictError{Index: i, Key: w.Key, Current: current, Match: &row.Key}
			}
		}
	}
	return nil
}

func (m *Map) version(key store.Key) uint64 {
	if r := m.resources[key]; r != nil {
		return r.current().Version
	}
	return 0
}

func (m *Map) apply(w *store.Write) {
	r := m.resources[w.Key]
	if r == nil {
		m.numbers++
		r = &mapResource{typ: w.Type, id: w.ID, number: m.numbers}
		m.resources[w.Key] = r
	}
	v := store.Resource{Key: w.Key, Version: w.Version, LastUpdated: w.LastUpdated, Deleted: w.Body == nil, Method: w.Method, Body: slices.Clone(w.Body), Number: r.number}
	if w.Purge && w.Body == nil {
		r.versions = nil
		for i := range m.changes {
			if m.changes[i].Key == w.Key {
				m.purged[i] = true
			}
		}
	}
	r.versions = append(r.versions, v)
	r.facts = w.Facts
	m.changes = append(m.changes, v)
}

// Transactions is always true.
func (m *Map) Transactions() bool { return true }

// CommitOrdered is Commit.
func (m *Map) CommitOrdered(ctx context.Context, p store.CommitParams) error { return m.Commit(ctx, p) }

// Queue gives the map's queue.
func (m *Map) Queue() store.Queue { return m.queue }

// Close does nothing.
func (m *Map) Close() error { return nil }

// mapNow is the clock of a map that was given none.
func mapNow(clock func() time.Time) func() time.Time {
	if clock == nil {
		return time.Now
	}
	return clock
}
