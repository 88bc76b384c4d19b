package mongostore

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"meridian/fhir/search"
	"meridian/server/store"
)

// head is a resource: the current version, or the tombstone of a deleted one,
// which has neither body nor postings and keeps its number.
type head struct {
	ID     string    `bson:"_id"`
	V      int64     `bson:"v"`
	N      int64     `bson:"n"`
	P      int64     `bson:"p"` // position of the attempt that made this version: which attempt it was
	At     time.Time `bson:"at"`
	Del    bool      `bson:"del,omitempty"`
	Method string    `bson:"method"`
	Body   string    `bson:"body,omitempty"`
	K      []string  `bson:"k,omitempty"`
	R      []span    `bson:"r,omitempty"`
	F      bson.Raw  `bson:"f,omitempty"` // {param: {lo, hi}}
	U      []string  `bson:"u,omitempty"` // never an empty array: a sparse index has a key for that
	O      int32     `bson:"o,omitempty"` // number of overflow documents
	W      string    `bson:"w,omitempty"` // token of the receipt that this version was written with, on a standalone server
	IV     string    `bson:"iv"`
}

// entry is one version in the history collection.
type entry struct {
	ID     string    `bson:"_id"`
	T      string    `bson:"t"`
	R      string    `bson:"r"`
	V      int64     `bson:"v"`
	N      int64     `bson:"n"`
	P      int64     `bson:"p"`
	At     time.Time `bson:"at"`
	Del    bool      `bson:"del,omitempty"`
	Method string    `bson:"method"`
	Body   string    `bson:"body,omitempty"`
	W      string    `bson:"w,omitempty"`    // as in head, once it is superseded
	Full   bool      `bson:"full,omitempty"` // superseded: what stands here was once the head
	Gone   bool      `bson:"gone,omitempty"` // purged: no history shows it and it has no body; the log of changes names it
}

// part is an overflow document: more postings of one version of a resource.
type part struct {
	ID string   `bson:"_id"`
	T  string   `bson:"t"`
	Of string   `bson:"of"`
	V  int64    `bson:"v"`
	P  int64    `bson:"p"` // of the head it belongs to: that of another attempt is not read
	K  []string `bson:"k,omitempty"`
	R  []span   `bson:"r,omitempty"`
}

var methodNames = [...]string{store.POST: "POST", store.PUT: "PUT", store.PATCH: "PATCH", store.DELETE: "DELETE"}

func methodName(m store.Method) string {
	if int(m) < len(methodNames) {
		return methodNames[m]
	}
	return ""
}

func methodOf(name string) store.Method {
	for m, n := range methodNames {
		if n == name && n != "" {
			return store.Method(m)
		}
	}
	return 0
}

// documentID is Type/id.
func documentID(k store.Key) string { return k.Type + "/" + k.ID }

// keyOf undoes documentID.
func keyOf(id string) store.Key {
	typ, rest, _ := strings.Cut(id, "/")
	return store.Key{Type: typ, ID: rest}
}

func entryID(id string, v int64) string { return id + "/" + strconv.FormatInt(v, 10) }

// isType says whether typ can name a collection of resources: those of the
// store itself begin with a small letter.
func isType(typ string) bool {
	if len(typ) < 2 || len(typ) > 64 || typ[0] < 'A' || typ[0] > 'Z' {
		return false
	}
	for _, c := range []byte(typ) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

func (h *head) typ() string { return keyOf(h.ID).Type }

func (h *head) resource() store.Resource {
	r := store.Resource{Key: keyOf(h.ID), Version: uint64(h.V), LastUpdated: h.At.UTC(), Deleted: h.Del, Method: methodOf(h.Method), Number: uint64(h.N)}
	if !h.Del {
		r.Body = []byte(h.Body)
	}
	return r
}

func (e *entry) resource() store.Resource {
	r := store.Resource{Key: keyOf(e.R), Version: uint64(e.V), LastUpdated: e.At.UTC(), Deleted: e.Del, Method: methodOf(e.Method), Number: uint64(e.N)}
	if !e.Del {
		r.Body = []byte(e.Body)
	}
	return r
}

// entry is the log record of h, without its body.
func (h *head) entry() entry {
	return entry{ID: entryID(h.ID, h.V), T: h.typ(), R: h.ID, V: h.V, N: h.N, P: h.P, At: h.At, Del: h.Del, Method: h.Method}
}

// filter names an entry, with the field that history is sharded by.
func (e *entry) filter() bson.D { return entryFilter(e.R, e.V) }

func entryFilter(id string, v int64) bson.D {
	return bson.D{{Key: "_id", Value: entryID(id, v)}, {Key: "r", Value: id}}
}

// forwardDocument is the field f.
func forwardDocument(forward []search.Forward) (bson.Raw, error) {
	if len(forward) == 0 {
		return nil, nil
	}
	d := make(bson.D, len(forward))
	for i, f := range forward {
		d[i] = bson.E{Key: fieldName(f.Param), Value: bson.D{{Key: "lo", Value: f.Low}, {Key: "hi", Value: f.High}}}
	}
	return bson.Marshal(d)
}

// forwardValue looks a sort value up in the field f; nil when there is none.
func forwardValue(f bson.Raw, param, end string) *string {
	if len(f) == 0 {
		return nil
	}
	v, ok := f.Lookup(fieldName(param), end).StringValueOK()
	if !ok {
		return nil
	}
	return &v
}

// index fills the fields of h that search reads from facts, and gives the
// overflow documents, which putParts completes.
func (h *head) index(facts *search.Facts, version string) ([]part, error) {
	h.K, h.R, h.F, h.O, h.IV = nil, nil, nil, 0, version
	if facts == nil {
		return nil, nil
	}
	all, err := toPostings(facts.Keys)
	if err != nil {
		return nil, tooLarge(h, err)
	}
	if h.F, err = forwardDocument(facts.Forward); err != nil {
		return nil, fmt.Errorf("mongostore: forward values of %s: %w", h.ID, err)
	}
	first, rest := all.split(MaxPostings)
	h.K, h.R, h.O = first.K, first.R, int32(len(rest))
	parts := make([]part, len(rest))
	for i, p := range rest {
		parts[i] = part{T: h.typ(), Of: h.ID, V: h.V, K: p.K, R: p.R}
	}
	return parts, nil
}

// marshal encodes h, within the limit of a document.
func (h *head) marshal() (bson.Raw, error) {
	raw, err := bson.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("mongostore: encode %s: %w", h.ID, err)
	}
	if len(raw) > MaxDocument {
		return nil, tooLarge(h, fmt.Errorf("%d bytes with its postings, at most %d", len(raw), MaxDocument))
	}
	return raw, nil
}

func tooLarge(h *head, err error) error {
	return fmt.Errorf("%w: %s version %d: %w", store.ErrTooLarge, h.ID, h.V, err)
}

// newHead is the document that w makes, without number and position.
func newHead(w *store.Write, indexVersion string) (*head, []part, error) {
	h := &head{ID: documentID(w.Key), V: int64(w.Version), At: w.LastUpdated.UTC().Truncate(time.Millisecond), Del: w.Body == nil, Method: methodName(w.Method), Body: string(w.Body)}
	facts := w.Facts
	if h.Del {
		facts = nil
	}
	parts, err := h.index(facts, indexVersion)
	if err != nil {
		return nil, nil, err
	}
	// Refused before anything is written; number and position do not change the length.
	if _, err := h.marshal(); err != nil {
		return nil, nil, err
	}
	return h, parts, nil
}

// checkWrites refuses what no store could take, before anything is read.
func checkWrites(p store.CommitParams) error {
	if len(p.Writes) > store.MaxCommit {
		return fmt.Errorf("%w: %d writes in one commit, at most %d", store.ErrTooLarge, len(p.Writes), store.MaxCommit)
	}
	seen := make(map[store.Key]struct{}, len(p.Writes))
	for i := range p.Writes {
		w := &p.Writes[i]
		if err := checkKey(w.Key); err != nil {
			return fmt.Errorf("write %d: %w", i, err)
		}
		if w.Body != nil && w.Facts == nil {
			return fmt.Errorf("mongostore: write %d: %s has a body without facts", i, documentID(w.Key))
		}
		if _, twice := seen[w.Key]; twice {
			return fmt.Errorf("mongostore: write %d: %s is written twice in one commit", i, documentID(w.Key))
		}
		seen[w.Key] = struct{}{}
	}
	for i := range p.Requires {
		if err := checkKey(p.Requires[i].Key); err != nil {
			return fmt.Errorf("require %d: %w", i, err)
		}
	}
	return nil
}

func checkKey(k store.Key) error {
	if !isType(k.Type) {
		return fmt.Errorf("mongostore: %q is not a resource type", k.Type)
	}
	if k.ID == "" {
		return errors.New("mongostore: a resource without an id")
	}
	return nil
}
