package inbox

import (
	"context"
	"time"

	"meridian/mappings/engine"
	"meridian/server/store"
)

// sourceTimeURL is the extension in which a report carries the source's own
// time of its state. It is compared when the next message about it comes.
const sourceTimeURL = "https://meridian.health/fhir/StructureDefinition/source-time"

// staleness says which scopes (reports) of a message stand already in a later state.
type staleness struct {
	scope map[int]bool
	all   bool // every guarded scope is stale: then nothing of the message is news
}

// staleScopes compares each guard of the message with what stands.
func (in *Inbox) staleScopes(ctx context.Context, res *engine.Result) (staleness, error) {
	s := staleness{scope: map[int]bool{}}
	var guards []*engine.Out
	var keys []store.Key
	for i := range res.Resources {
		if o := &res.Resources[i]; !o.Guard.IsZero() {
			guards = append(guards, o)
			keys = append(keys, store.Key{Type: o.Type, ID: o.ID})
		}
	}
	if len(keys) == 0 {
		return s, nil
	}
	current, err := in.service.Current(ctx, keys)
	if err != nil {
		return s, err
	}
	fresh := 0
	for i, r := range current {
		if at, ok := sourceTime(r.Body); ok && at.After(guards[i].Guard) {
			s.scope[guards[i].Scope] = true
			continue
		}
		fresh++
	}
	s.all = fresh == 0
	return s, nil
}

// sourceTime reads the extension from a stored report.
func sourceTime(body []byte) (time.Time, bool) {
	if body == nil {
		return time.Time{}, false
	}
	ext := find(properties(body), "extension")
	if ext == nil {
		return time.Time{}, false
	}
	for _, it := range items(ext.value) {
		list := properties(it)
		url, at := find(list, "url"), find(list, "valueInstant")
		if url == nil || at == nil || string(url.value) != `"`+sourceTimeURL+`"` {
			continue
		}
		t, err := time.Parse(time.RFC3339Nano, string(at.value[1:len(at.value)-1]))
		return t, err == nil
	}
	return time.Time{}, false
}
