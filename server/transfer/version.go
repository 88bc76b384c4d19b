package transfer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"meridian/server/store"
)

// version is one entry of a log with what it made.
type version struct {
	store.Change
	store.Resource
	gone    bool // purged: the log alone names it
	purge   bool // this deletion purged those before
	current bool // what stands
}

func (v *version) place() string {
	return v.Change.Type + "/" + v.Change.ID + " version " + strconv.FormatUint(v.Change.Version, 10)
}

// differs says in what two versions differ, "" when in nothing. What is gone has its entry in the log alone.
func (v *version) differs(w *version) string {
	switch {
	case v.Change.Key != w.Change.Key || v.Change.Version != w.Change.Version:
		return "the other store has " + w.place() + " in its place"
	case v.Change.Deleted != w.Change.Deleted || v.Resource.Deleted != w.Resource.Deleted:
		return "it is deleted in one store only"
	case v.gone != w.gone:
		return "it is purged in one store only"
	case v.gone:
		return ""
	case v.Method != w.Method:
		return "the method differs"
	case !v.LastUpdated.Equal(w.LastUpdated):
		return "the time differs"
	case !bytes.Equal(v.Body, w.Body):
		return "the body differs"
	}
	return ""
}

// standsFor says whether v is what a copy has in place of w, which is gone, until the deletion follows that purged it.
func (v *version) standsFor(w *version) bool {
	return w.gone && !v.gone && v.Change.Key == w.Change.Key && v.Change.Version == w.Change.Version && v.Change.Deleted == w.Change.Deleted &&
		(v.Change.Deleted || bytes.Equal(v.Body, emptied(w)))
}

// load reads what changes made: what stands in one read, older versions one by one.
func (m *migrator) load(st store.Store, changes []store.Change) ([]version, error) {
	keys := make([]store.Key, len(changes))
	for i := range changes {
		keys[i] = changes[i].Key
	}
	now, err := st.ReadMany(m.ctx, keys)
	if err != nil {
		return nil, err
	}
	out := make([]version, len(changes))
	var rest []int
	for i := range changes {
		out[i].Change = changes[i]
		if now[i].Body != nil && now[i].Version == changes[i].Version {
			out[i].Resource, out[i].current = now[i], true
		} else {
			rest = append(rest, i)
		}
	}
	return out, m.each(len(rest), func(i int) error { return m.loadOld(st, &out[rest[i]]) })
}

// loadOld reads one version that is not what stands, or a deletion.
func (m *migrator) loadOld(st store.Store, v *version) (err error) {
	v.Resource, err = st.ReadVersion(m.ctx, v.Change.Key, v.Change.Version)
	if errors.Is(err, store.ErrNotFound) {
		v.gone = true
		return nil
	}
	if err != nil || !v.Resource.Deleted || v.Change.Version == 1 {
		return err
	}
	_, err = st.ReadVersion(m.ctx, v.Change.Key, v.Change.Version-1)
	if errors.Is(err, store.ErrNotFound) {
		v.purge = true
		return nil
	}
	return err
}

// each calls do for 0 to n-1 from several goroutines, until one fails.
func (m *migrator) each(n int, do func(i int) error) error {
	var next atomic.Int64
	errs := make([]error, min(m.Workers, n))
	var wait sync.WaitGroup
	for w := range errs {
		wait.Go(func() {
			for errs[w] == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if errs[w] = m.ctx.Err(); errs[w] == nil {
					errs[w] = do(i)
				}
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// write commits versions in their order, no resource twice in one commit.
func (m *migrator) write(versions []version) error {
	writes := make([]store.Write, len(versions))
	err := m.each(len(versions), func(i int) (err error) {
		writes[i], err = m.writeOf(&versions[i])
		return err
	})
	if err != nil {
		return err
	}
	in := map[store.Key]bool{}
	from, size := 0, 0
	for i := range writes {
		if in[writes[i].Key] || i > from && size+len(writes[i].Body) > migrateBytes {
			if err := m.commit(writes[from:i]); err != nil {
				return err
			}
			from, size = i, 0
			clear(in)
		}
		in[writes[i].Key], size = true, size+len(writes[i].Body)
	}
	return m.commit(writes[from:])
}

func (m *migrator) commit(writes []store.Write) error {
	if len(writes) == 0 {
		return nil
	}
	err := m.To.CommitOrdered(m.ctx, store.CommitParams{Writes: writes})
	var conflict *store.ConflictError
	if errors.As(err, &conflict) {
		return fmt.Errorf("the target was written to by another: %w", err)
	}
	if err != nil {
		return fmt.Errorf("write %d versions from %s/%s version %d on: %w", len(writes), writes[0].Type, writes[0].ID, writes[0].Version, err)
	}
	return nil
}

// writeOf is the write that makes a version. What is gone is written without
// content, for its place in the log; the deletion that purged it takes it away again.
func (m *migrator) writeOf(v *version) (store.Write, error) {
	w := store.Write{Key: v.Change.Key, Version: v.Change.Version, LastUpdated: v.LastUpdated, Method: v.Method, Body: v.Body, Purge: v.purge, New: v.Change.Version == 1}
	if v.gone {
		w.LastUpdated, w.Method = v.Recorded.UTC(), store.PUT
		if v.Change.Deleted {
			w.Method = store.DELETE
		} else {
			w.Body = emptied(v)
		}
	}
	if w.Body == nil {
		return w, nil
	}
	var err error
	if w.Facts, err = m.Index(w.Body); err != nil {
		return w, fmt.Errorf("index %s: %w", v.place(), err)
	}
	return w, nil
}

// emptied is the stored form of a resource of which nothing is left but its name.
func emptied(v *version) []byte {
	id, _ := json.Marshal(v.Change.ID) // a string never fails
	return fmt.Appendf(nil, `{"resourceType":"%s","id":%s,"meta":{"versionId":"%d","lastUpdated":"%s"}}`,
		v.Change.Type, id, v.Change.Version, v.Recorded.UTC().Format("2006-01-02T15:04:05.000Z"))
}
