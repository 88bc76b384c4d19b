package inbox

import (
	"context"
	"fmt"
	"slices"
	"time"

	"meridian/mappings/engine"
	"meridian/server/store"
)

// sourceTimeURL is the extension in which a report carries the source's own
// time of its state. It is compared when the next message about it comes.
const sourceTimeURL = "https://meridian.health/fhir/StructureDefinition/source-time"

// sourceSentURL is the extension with the time of the message that told of it. Patients and visits have it as well.
const sourceSentURL = "https://meridian.health/fhir/StructureDefinition/source-sent"

// laterError: the report of a scope stands in a later state than the message's.
type laterError struct{ scope int }

func (e *laterError) Error() string {
	return fmt.Sprintf("scope %d is stale", e.scope)
}

// staleness says which scopes (reports) of a message stand already in a later state.
type staleness struct {
	scope map[int]bool
	all   bool // every guarded scope is stale: then nothing of the message is news
}

func (s *staleness) add(scope int) {
	if s.scope == nil {
		s.scope = map[int]bool{}
	}
	s.scope[scope] = true
}

// staleScopes compares each guard of the message with what stands.
func (in *Inbox) staleScopes(ctx context.Context, res *engine.Result) (staleness, error) {
	var s staleness
	var guards []*engine.Out
	var keys []store.Key
	for i := range res.Resources {
		if o := &res.Resources[i]; !o.Guard.IsZero() {
			guards = append(guards, o)
			keys = append(keys, store.Key{Type: o.Type, ID: o.ID})
		}
	}
	fresh := len(keys)
	for at := 0; at < len(keys); at += store.MaxReadMany {
		current, err := in.service.Current(ctx, keys[at:min(at+store.MaxReadMany, len(keys))])
		if err != nil {
			return s, err
		}
		for i, r := range current {
			if g := guards[at+i]; isLater(r.Body, g) {
				s.add(g.Scope)
				fresh--
			}
		}
	}
	s.all = len(keys) > 0 && fresh == 0
	return s, nil
}

// isLater says whether a stored report tells of a state after the message's: by
// the source's own time of the state, and where that is the same by the time
// of the message.
func isLater(body []byte, o *engine.Out) bool {
	t, ok := sourceTime(body, sourceTimeURL)
	if !ok || !t.Equal(o.Guard) {
		return ok && t.After(o.Guard)
	}
	sent, ok := sourceTime(body, sourceSentURL)
	return ok && !o.Sent.IsZero() && sent.After(o.Sent)
}

// sourceTime reads one of the two extensions from a stored report.
func sourceTime(body []byte, which string) (time.Time, bool) {
	if body == nil {
		return time.Time{}, false
	}
	r := revisers.Get().(*reviser)
	defer revisers.Put(r)
	r.old = properties(r.old[:0], body)
	ext := find(r.old, "extension")
	if ext == nil {
		return time.Time{}, false
	}
	for _, it := range items(ext.value) {
		r.parts = properties(r.parts[:0], it)
		list := r.parts
		url, at := find(list, "url"), find(list, "valueInstant")
		if url == nil || at == nil || string(url.value) != `"`+which+`"` {
			continue
		}
		t, err := time.Parse(time.RFC3339Nano, text(at))
		return t, err == nil
	}
	return time.Time{}, false
}

// tell gives a resource the time of the message that made it what it is.
func tell(body []byte, sent time.Time) []byte {
	list := properties(nil, body)
	ext := []byte(`{"url":"` + sourceSentURL + `","valueInstant":"` + sent.UTC().Format(time.RFC3339Nano) + `"}`)
	if p := find(list, "extension"); p != nil {
		all := []byte{'['}
		for _, it := range items(p.value) {
			if url := find(properties(nil, it), "url"); url == nil || text(url) != sourceSentURL {
				all = append(append(all, it...), ',')
			}
		}
		p.value = append(append(all, ext...), ']')
		return join(list)
	}
	at := 0
	for at < len(list) && list[at].in([]string{"resourceType", "id", "meta"}) {
		at++
	}
	return join(slices.Insert(list, at, property{[]byte("extension"), slices.Concat([]byte{'['}, ext, []byte{']'})}))
}
