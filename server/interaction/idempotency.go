package interaction

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"meridian/fhir/issue"
	"meridian/server/store"
)

// A request with an Idempotency-Key is carried out once. What was answered is
// a receipt, committed with what was written: the effect and the version of
// each resource, not its body. A repeat is answered from it, with the bodies
// of those versions. What failed, and so wrote nothing, leaves no receipt.
//
//	receipt key   "once/" and the SHA-256 of the client's key; for the nth entry of a batch "/n" behind it
//	answer        {"e":[{"k":"Patient/1","v":1,"t":1767225600000,"x":1}]}   see kept
//
// Two requests under one key in one process wait for each other; in two
// processes both run, and the store lets one of them commit.

// Once names a request for its repeats; the zero value asks for nothing.
type Once struct {
	Key string // as the client sent it, 1 to MaxOnceKey characters
	// Hash of all that the request says, so that another request under the key is told apart.
	Hash string
	// entry of a batch, from 1.
	entry int
}

// MaxOnceKey is the longest Idempotency-Key, in characters.
const MaxOnceKey = 255

// ParseOnceKey reads the header Idempotency-Key: a token, or a quoted string. Issue code: value.
//
// https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
func ParseOnceKey(header string) (string, error) {
	key := header
	if n := len(key); n >= 2 && key[0] == '"' && key[n-1] == '"' {
		key = key[1 : n-1]
	}
	ok := key != "" && len(key) <= MaxOnceKey
	for i := 0; ok && i < len(key); i++ {
		ok = key[i] > ' ' && key[i] < 0x7f && key[i] != '"'
	}
	if !ok {
		return "", issue.New(issue.Value, "idempotency.key", "an Idempotency-Key has 1 to "+strconv.Itoa(MaxOnceKey)+" visible ASCII characters", "")
	}
	return key, nil
}

func (o *Once) receipt() string {
	sum := sha256.Sum256([]byte(o.Key))
	key := "once/" + hex.EncodeToString(sum[:])
	if o.entry > 0 {
		key += "/" + strconv.Itoa(o.entry)
	}
	return key
}

// kept is the answer in a receipt.
type kept struct {
	Type    string      `json:"type,omitempty"` // of a bundle
	Entries []keptEntry `json:"e"`
	// Of an operation, whose one entry is the version that OperationResult.Resource names.
	Status      int    `json:"status,omitempty"`
	ContentType string `json:"contentType,omitempty"`
	Body        []byte `json:"body,omitempty"`
}

type keptEntry struct {
	Type     string        `json:"k,omitempty"`
	ID       string        `json:"i,omitempty"`
	Version  uint64        `json:"v,omitempty"`
	Time     int64         `json:"t,omitempty"` // lastUpdated in milliseconds
	Effect   Effect        `json:"x,omitempty"`
	Count    int           `json:"n,omitempty"`
	Warnings []issue.Issue `json:"w,omitempty"`
	Read     bool          `json:"r,omitempty"` // a read, which is done again
	Error    *issue.Error  `json:"error,omitempty"`
}

func keepResult(r *Result) *kept { return &kept{Entries: []keptEntry{keepEntry(r)}} }

func keepEntry(r *Result) keptEntry {
	e := keptEntry{Type: r.Resource.Type, ID: r.Resource.ID, Version: r.Resource.Version, Effect: r.Effect, Count: r.Count, Warnings: r.Warnings}
	if !r.Resource.LastUpdated.IsZero() {
		e.Time = r.Resource.LastUpdated.UnixMilli()
	}
	return e
}

// keepBundle keeps the outcome of each entry; false when one of them failed in a way that may be another the next time.
func keepBundle(r *BundleResult) (*kept, bool) {
	k := &kept{Type: r.Type, Entries: make([]keptEntry, len(r.Entries))}
	for i := range r.Entries {
		e := &r.Entries[i]
		switch {
		case e.Read:
			k.Entries[i].Read = true
		case e.Err != nil:
			is := issue.As(e.Err)
			if is == nil || is.Issues[0].Code == issue.Transient || is.Issues[0].Code == issue.Timeout {
				return nil, false
			}
			k.Entries[i].Error = is
		default:
			k.Entries[i] = keepEntry(&e.Result)
		}
	}
	return k, true
}

func keepOperation(r *OperationResult) *kept {
	k := &kept{Status: r.Status, ContentType: r.ContentType, Body: r.Body}
	if r.Resource != nil {
		k.Entries = []keptEntry{keepEntry(&Result{Resource: *r.Resource})}
	}
	return k
}

// operation is what an operation answered.
func (k *kept) operation() OperationResult {
	r := OperationResult{Status: k.Status, ContentType: k.ContentType, Body: k.Body}
	if len(k.Entries) == 1 {
		of := k.Entries[0].result().Resource
		r.Resource = &of
	}
	return r
}

// result is what was answered, without the body.
func (e *keptEntry) result() Result {
	r := Result{Resource: store.Resource{Key: store.Key{Type: e.Type, ID: e.ID}, Version: e.Version}, Effect: e.Effect, Count: e.Count, Warnings: e.Warnings}
	if e.Time != 0 {
		r.Resource.LastUpdated = time.UnixMilli(e.Time).UTC()
	}
	r.Resource.Deleted = e.Effect == Deleted || e.Effect == Absent
	return r
}

// withBody reads the version that a result is about. One that is gone leaves no body.
func (s *Service) withBody(ctx context.Context, r Result) (Result, error) {
	if r.Resource.Deleted || r.Resource.Version == 0 {
		return r, nil
	}
	v, err := s.store.ReadVersion(ctx, r.Resource.Key, r.Resource.Version)
	if err == nil {
		r.Resource = v
	}
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	return r, err
}

// onceKey is where a context holds the slot of its request.
type onceKey struct{}

// onceSlot is the receipt that the next commit of a request takes with it. It belongs to one goroutine.
type onceSlot struct {
	key, hash string
	used      bool
}

func slotOf(ctx context.Context) *onceSlot {
	slot, _ := ctx.Value(onceKey{}).(*onceSlot)
	return slot
}

// withoutSlot keeps the slot from what is done on the way.
func withoutSlot(ctx context.Context) context.Context {
	if slotOf(ctx) == nil {
		return ctx
	}
	return context.WithValue(ctx, onceKey{}, (*onceSlot)(nil))
}

// errFirst: another process has committed under this key.
var errFirst = errors.New("another request with this key was first")

// commitOnce commits, with a receipt of the answer where the request has a key.
func (s *Service) commitOnce(ctx context.Context, p store.CommitParams, answer func() *kept) error {
	slot := slotOf(ctx)
	if slot == nil || slot.used {
		return s.store.Commit(ctx, p)
	}
	var err error
	if p.Receipt, err = s.newReceipt(slot, answer()); err != nil {
		return err
	}
	return slot.committed(s.store.Commit(ctx, p))
}

// committed notes that the receipt is there, or is another's.
func (slot *onceSlot) committed(err error) error {
	var conflict *store.ConflictError
	if errors.As(err, &conflict) && conflict.Receipt {
		return errFirst
	}
	slot.used = slot.used || err == nil
	return err
}

func (s *Service) newReceipt(slot *onceSlot, k *kept) (*store.Receipt, error) {
	answer, err := json.Marshal(k)
	if err != nil {
		return nil, fmt.Errorf("keep the answer: %w", err)
	}
	return &store.Receipt{Key: slot.key, Hash: slot.hash, Answer: answer, Until: s.clock().Add(s.limits.ReceiptTime)}, nil
}

// keep makes the receipt of an answer that nothing was committed for.
func (s *Service) keep(ctx context.Context, slot *onceSlot, k *kept) error {
	if slot.used {
		return nil
	}
	r, err := s.newReceipt(slot, k)
	if err != nil {
		return err
	}
	return slot.committed(s.store.Commit(ctx, store.CommitParams{Receipt: r}))
}

// inFlight are the keys whose requests run in this process.
type inFlight struct {
	mu   sync.Mutex
	keys map[string]chan struct{} // closed when the request has ended
}

// enter waits until no other request runs under key. Issue code: lock-error (409) after wait.
func (f *inFlight) enter(ctx context.Context, key string, wait time.Duration) (leave func(), err error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		f.mu.Lock()
		other := f.keys[key]
		if other == nil {
			mine := make(chan struct{})
			if f.keys == nil {
				f.keys = map[string]chan struct{}{}
			}
			f.keys[key] = mine
			f.mu.Unlock()
			return func() {
				f.mu.Lock()
				delete(f.keys, key)
				f.mu.Unlock()
				close(mine)
			}, nil
		}
		f.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-timer.C:
			return nil, issue.New(issue.LockError, "idempotency.running", "the first request with this Idempotency-Key is still running; ask again in a moment", "")
		}
	}
}

// once answers from the receipt of o, or does it. do is given the slot in its
// context, and keeps what it answers.
func (s *Service) once(ctx context.Context, o Once, do func(ctx context.Context, slot *onceSlot) error, again func(k *kept) error) (replayed bool, err error) {
	key := o.receipt()
	leave, err := s.inFlight.enter(ctx, key, s.limits.OnceWait)
	if err != nil {
		return false, translate(err, "wait for the first request")
	}
	defer leave()
	for tries := 0; ; tries++ {
		r, err := s.store.Receipt(ctx, key)
		switch {
		case err == nil && r.Hash != o.Hash:
			return false, issue.New(issue.BusinessRule, "idempotency.reused", "this Idempotency-Key was used for another request; every request has a key of its own", "")
		case err == nil:
			var k kept
			if err := json.Unmarshal(r.Answer, &k); err != nil {
				return false, fmt.Errorf("read a receipt: %w", err)
			}
			return true, translate(again(&k), "answer again")
		case !errors.Is(err, store.ErrNotFound):
			return false, translate(err, "read a receipt")
		}
		slot := &onceSlot{key: key, hash: o.Hash}
		err = do(context.WithValue(ctx, onceKey{}, slot), slot)
		if !errors.Is(err, errFirst) || tries == s.limits.ConflictRetries {
			return false, translate(err, "keep the answer")
		}
	}
}

// WriteOnce carries out a write under a key: create, update, patch or delete.
// replayed says that it was done before and res is what was answered.
// Issue codes: those of the write; business-rule (422) for another request
// under the key; lock-error (409) while the first one runs.
func (s *Service) WriteOnce(ctx context.Context, o Once, write func(ctx context.Context) (Result, error)) (res Result, replayed bool, err error) {
	if o.Key == "" {
		res, err = write(ctx)
		return res, false, err
	}
	replayed, err = s.once(ctx, o, func(ctx context.Context, slot *onceSlot) error {
		var err error
		if res, err = write(ctx); err != nil {
			return err
		}
		return s.keep(ctx, slot, keepResult(&res))
	}, func(k *kept) error {
		if len(k.Entries) != 1 {
			return errors.New("the receipt is of another kind")
		}
		var err error
		res, err = s.withBody(ctx, k.Entries[0].result())
		return err
	})
	return res, replayed, err
}

// BundleOnce is Bundle under a key. A transaction's answer is kept with its commit; of a
// batch each entry's with its own, so that a batch that was cut off goes on
// where it was. Reads are done again, and so are operations that change nothing.
func (s *Service) BundleOnce(ctx context.Context, o Once, p BundleParams) (res *BundleResult, replayed bool, err error) {
	if o.Key == "" {
		res, err = s.Bundle(ctx, p)
		return res, false, err
	}
	p.once = o
	replayed, err = s.once(ctx, o, func(ctx context.Context, slot *onceSlot) error {
		var err error
		if res, err = s.Bundle(ctx, p); err != nil {
			return err
		}
		k, lasting := keepBundle(res)
		if !lasting {
			return nil
		}
		return s.keep(withoutSlot(ctx), slot, k)
	}, func(k *kept) error {
		var err error
		res, err = s.bundleAgain(ctx, k, &p)
		return err
	})
	return res, replayed, err
}

// bundleAgain answers a bundle from what was kept, and does its reads again.
func (s *Service) bundleAgain(ctx context.Context, k *kept, p *BundleParams) (*BundleResult, error) {
	res := &BundleResult{Type: k.Type, Entries: make([]EntryResult, len(k.Entries))}
	var reads []int
	for i := range k.Entries {
		e := &k.Entries[i]
		switch {
		case e.Read:
			reads = append(reads, i)
		case e.Error != nil:
			res.Entries[i].Err = e.Error
		default:
			r := e.result()
			if p.Bodies {
				var err error
				if r, err = s.withBody(ctx, r); err != nil {
					return nil, err
				}
			}
			res.Entries[i].Result = r
		}
	}
	if len(reads) == 0 {
		return res, nil
	}
	var entries []entry
	root, done, err := s.parse(p.Body, "Bundle")
	if err != nil {
		entries, err = s.damagedEntries(p.Body, err)
	} else {
		defer done()
		entries, err = s.entries(root, false, nil)
	}
	if err != nil {
		return nil, err
	}
	run := &batchRun{s: s, p: p, entries: entries, results: res.Entries, progress: progressOf(ctx)}
	for _, i := range reads {
		if i < len(entries) {
			run.perform(ctx, i)
		}
	}
	return res, nil
}

// OperateOnce is Operate under a key. The answer is kept when the operation has ended, not with what it commits: after a
// crash between the two a repeat runs it again.
func (s *Service) OperateOnce(ctx context.Context, o Once, p OperateParams) (OperationResult, bool, error) {
	if s.OwnFormat(p.Name, p.Key) {
		o = Once{} // it changes nothing, and its answer is not kept
	}
	return s.operateOnce(ctx, o, func(ctx context.Context) (OperationResult, error) { return s.Operate(ctx, p) })
}

func (s *Service) operateOnce(ctx context.Context, o Once, operate func(ctx context.Context) (OperationResult, error)) (res OperationResult, replayed bool, err error) {
	if o.Key == "" {
		res, err = operate(ctx)
		return res, false, err
	}
	replayed, err = s.once(ctx, o, func(ctx context.Context, slot *onceSlot) error {
		var err error
		if res, err = operate(withoutSlot(ctx)); err != nil {
			return err
		}
		return s.keep(ctx, slot, keepOperation(&res))
	}, func(k *kept) error {
		res = k.operation()
		return nil
	})
	return res, replayed, err
}
