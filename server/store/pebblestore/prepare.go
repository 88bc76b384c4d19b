package pebblestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"meridian/fhir/search"
	"meridian/server/store"
)

// Limits of a commit, in bytes.
const (
	MaxBody        = 256 << 20
	MaxCommitBytes = 1 << 30
)

// prepared is a commit made ready by its caller: what it writes beside the
// log, given that the resources it looked at have not changed since the
// committer's position at.
type prepared struct {
	at      uint64
	batch   *pebble.Batch
	changes []change // one for each write
}

func (p *prepared) close() {
	if p.batch != nil {
		p.batch.Close()
		p.batch = nil
	}
}

// standing is what is stored for a key.
type standing struct {
	number uint64
	header // zero when there is nothing
	body   []byte
}

// preparer is the scratch of prepare.
type preparer struct {
	store    *Store
	encoder  encoder
	set      *keySet // of the whole commit
	old, new *keySet // of one update
	key      []byte
	value    []byte
	block    uint64           // number of the first write, if that is new
	points   *pebble.Iterator // for amend; nil until it is needed
	run      []interval
}

func (s *Store) newPreparer() *preparer {
	return &preparer{store: s, encoder: encoder{names: s.names, declared: s.options.declared, maxForward: s.options.tuning.maxForward}, set: new(keySet), old: new(keySet), new: new(keySet)}
}

// prepare checks the preconditions on what stands now and encodes the commit.
func (s *Store) prepare(p *store.CommitParams) (*prepared, error) {
	pr := s.preparers.Get().(*preparer)
	defer func() {
		if pr.points != nil {
			pr.points.Close()
			pr.points = nil
		}
		if cap(pr.set.buf) <= maxPooled {
			s.preparers.Put(pr)
		}
	}()
	for _, set := range []*keySet{pr.set, pr.old, pr.new} {
		set.buf, set.ops = set.buf[:0], set.ops[:0]
	}
	// Read before anything else: what is committed later than this makes the commit stale.
	out := &prepared{at: s.committer.applied.Load(), changes: make([]change, len(p.Writes))}
	for i, q := range p.Requires {
		if err := pr.require(i, &q); err != nil {
			return nil, err
		}
	}
	pr.block = s.nextNumbers(len(p.Writes))
	for i := range p.Writes {
		if err := pr.write(i, &p.Writes[i], &out.changes[i]); err != nil {
			return nil, err
		}
	}
	if len(pr.set.buf) > MaxCommitBytes {
		return nil, fmt.Errorf("a commit of %d bytes: %w", len(pr.set.buf), store.ErrTooLarge)
	}
	out.batch = s.db.NewBatchWithSize(len(pr.set.buf) + 8*len(pr.set.ops) + 64)
	if err := pr.set.write(out.batch); err != nil {
		out.close()
		return nil, fmt.Errorf("commit: %w", err)
	}
	return out, nil
}

func (pr *preparer) require(i int, q *store.Require) error {
	st, err := pr.standing(pr.store.names.typ(q.Type), q.Key)
	if err != nil {
		return fmt.Errorf("require %s/%s: %w", q.Type, q.ID, err)
	}
	if st.version == 0 || st.deleted || q.Version != 0 && q.Version != st.version {
		return &store.ConflictError{Index: i, Require: true, Key: q.Key, Current: st.version}
	}
	return nil
}

// write checks one write and adds its keys to the set.
func (pr *preparer) write(i int, w *store.Write, c *change) error {
	if len(w.Body) > MaxBody {
		return fmt.Errorf("write %s/%s: a body of %d bytes: %w", w.Type, w.ID, len(w.Body), store.ErrTooLarge)
	}
	t := pr.store.names.giveType(w.Type)
	var st standing
	var err error
	if !w.New {
		if st, err = pr.standing(t, w.Key); err != nil {
			return fmt.Errorf("write %s/%s: %w", w.Type, w.ID, err)
		}
	}
	live := st.version > 0 && !st.deleted
	want, exact := w.Expect.WantVersion()
	if w.Expect.IsAbsent() && live || exact && want != st.version || w.Version != st.version+1 {
		return &store.ConflictError{Index: i, Key: w.Key, Current: st.version}
	}
	*c = change{number: st.number, typ: t.number, deleted: w.Body == nil, method: w.Method, version: w.Version, millis: w.LastUpdated.UnixMilli()}
	if st.version == 0 {
		c.number = pr.block + uint64(i)
		pr.key, pr.value = idKey(pr.key[:0], t.number, w.ID), appendNumber(pr.value[:0], c.number)
		pr.set.set(pr.key, pr.value)
	} else if purges(w) {
		if err := pr.purge(c.number); err != nil {
			return fmt.Errorf("write %s/%s: %w", w.Type, w.ID, err)
		}
	} else {
		at := len(pr.set.buf)
		pr.set.buf = versionKey(pr.set.buf, c.number, st.version)
		pr.record(at, &st.header, w.ID, st.body)
	}
	at := len(pr.set.buf)
	pr.set.buf = bodyKey(pr.set.buf, c.number)
	pr.record(at, &header{deleted: c.deleted, purged: purges(w), method: c.method, typ: c.typ, version: c.version, millis: c.millis}, w.ID, w.Body)
	if err := pr.facts(t, w, c.number, &st); err != nil {
		return fmt.Errorf("write %s/%s: %w", w.Type, w.ID, err)
	}
	return nil
}

func purges(w *store.Write) bool { return w.Purge && w.Body == nil }

// purge removes the older versions of a resource; the current one is replaced.
func (pr *preparer) purge(number uint64) error {
	prefix := appendNumber([]byte{prefixVersion}, number)
	iter, err := pr.store.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return err
	}
	defer iter.Close()
	for iter.First(); iter.Valid(); iter.Next() {
		pr.set.remove(iter.Key())
	}
	return iter.Error()
}

// record adds a version, whose key stands at at.
func (pr *preparer) record(at int, h *header, id string, body []byte) {
	split := len(pr.set.buf)
	pr.set.buf = append(appendHeader(pr.set.buf, h, id), body...)
	pr.set.add(at, split)
}

// facts adds the keys of the new facts and removes those of the old body's that are no more.
func (pr *preparer) facts(t *typeName, w *store.Write, number uint64, st *standing) error {
	var facts *search.Facts
	var err error
	if w.Body != nil {
		if facts = w.Facts; facts == nil {
			if facts, err = pr.store.options.Index(w.Body); err != nil {
				return fmt.Errorf("index: %w", err)
			}
		}
		if err := checkFacts(facts); err != nil {
			return err
		}
	}
	if st.version == 0 {
		if facts == nil {
			return nil
		}
		return pr.encoder.encode(pr.set, t, number, w.ID, facts)
	}
	for _, set := range []*keySet{pr.old, pr.new} {
		set.buf, set.ops = set.buf[:0], set.ops[:0]
	}
	if !st.deleted {
		oldFacts, err := pr.store.options.Index(st.body)
		if err != nil {
			return fmt.Errorf("index the old version: %w", err)
		}
		if err := pr.encoder.encode(pr.old, t, number, w.ID, oldFacts); err != nil {
			return err
		}
	}
	if facts != nil {
		if err := pr.encoder.encode(pr.new, t, number, w.ID, facts); err != nil {
			return err
		}
	}
	pr.old.sort()
	pr.new.sort()
	from := len(pr.set.ops)
	diff(pr.set, pr.old, pr.new)
	return pr.amend(from)
}

// standing reads what is stored for a key; the zero standing when there is
// nothing. What the cache of bodies holds is as new as the committer's position, which was read before.
func (pr *preparer) standing(t *typeName, key store.Key) (standing, error) {
	if t == nil {
		return standing{}, nil
	}
	if r, ok, _ := pr.store.bodies.get(key); ok && !r.Deleted { // of a deleted one the record says whether it was purged
		h := header{deleted: r.Deleted, method: r.Method, typ: t.number, version: r.Version, millis: r.LastUpdated.UnixMilli()}
		return standing{number: r.Number, header: h, body: r.Body}, nil
	}
	pr.key = idKey(pr.key[:0], t.number, key.ID)
	number, err := getNumber(pr.store.db, pr.key)
	if err != nil || number == 0 {
		return standing{}, err
	}
	pr.key = bodyKey(pr.key[:0], number)
	value, closer, err := pr.store.db.Get(pr.key)
	if err != nil {
		return standing{}, fmt.Errorf("resource %d: %w", number, err)
	}
	record := append([]byte(nil), value...)
	closer.Close()
	h, body, err := cutHeader(record)
	return standing{number: number, header: h, body: body}, err
}

// getter is a database or a snapshot of it.
type getter interface {
	pebble.Reader
}

// getNumber is the resource number that stands at an I key, 0 when there is none.
func getNumber(db getter, key []byte) (uint64, error) {
	value, closer, err := db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer closer.Close()
	if len(value) != numberLen {
		return 0, fmt.Errorf("id: %w", errCorrupt)
	}
	return binary.BigEndian.Uint64(value), nil
}

// numbers gives resource numbers: microseconds of the clock and ten bits
// more, each greater than the last. Queue items take theirs from it too.
type numbers struct {
	mu   sync.Mutex
	last uint64
}

// nextNumbers reserves n numbers in a row and gives the first.
func (s *Store) nextNumbers(n int) uint64 {
	now := uint64(s.options.Clock().UnixMicro()) << 10
	s.numbers.mu.Lock()
	defer s.numbers.mu.Unlock()
	first := max(s.numbers.last+1, now)
	s.numbers.last = first + uint64(n) - 1
	return first
}

func (s *Store) nextNumber() uint64 { return s.nextNumbers(1) }
