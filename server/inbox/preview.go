package inbox

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"meridian/mappings/engine"
	"meridian/server/interaction"
	"meridian/server/store"
)

// Preview is what a replay of a message would do now, with the maps and tables
// as they are. Nothing is written.
type Preview struct {
	ID        string     `json:"id"`
	Outcome   string     `json:"outcome"` // as in Envelope
	Parked    *Parked    `json:"parked,omitempty"`
	Findings  []Finding  `json:"findings,omitempty"`
	Unmapped  []Unmapped `json:"unmapped,omitempty"`
	Unread    []Unread   `json:"unread,omitempty"`
	Resources []Change   `json:"resources"`
}

// Change is what would become of one resource.
type Change struct {
	Type    string          `json:"type"`
	ID      string          `json:"id"`
	Effect  string          `json:"effect"`            // create, update, unchanged
	Version uint64          `json:"version,omitempty"` // that stands
	Changed []string        `json:"changed,omitempty"` // top-level elements that an update changes
	Body    json.RawMessage `json:"body,omitempty"`    // as it would stand, before id, version and time are set; of create and update
}

// errPreview ends a commit that is only looked at.
var errPreview = errors.New("inbox: a preview is not committed")

// Preview maps a message and compares what it makes with what stands.
func (in *Inbox) Preview(ctx context.Context, id string) (Preview, error) {
	it, err := in.queue.Get(ctx, id)
	if err == nil && it.Topic != Topic {
		err = store.ErrNotFound
	}
	if err != nil {
		return Preview{}, err
	}
	it.Attempts = 0 // how often it was taken does not count here
	w := in.read(&it, time.Time{})
	p := Preview{ID: id, Resources: []Change{}}
	err = in.guard(w, func() (err error) {
		p.Outcome, err = in.look(ctx, w, &p)
		return err
	})
	var park *engine.Park
	if errors.As(err, &park) {
		p.Outcome, err = "parked", nil
		p.Parked = parked(park)
	}
	p.Findings, p.Unmapped, p.Unread = w.env.Findings, w.env.Unmapped, w.env.Unread
	return p, err
}

// look is apply without the commit.
func (in *Inbox) look(ctx context.Context, w *work, p *Preview) (string, error) {
	res, outcome, err := in.mapped(w)
	if err != nil || outcome != "" {
		return outcome, err
	}
	stale, err := in.staleScopes(ctx, res)
	if err != nil {
		return "", err
	}
	puts, notes := in.puts(res, &stale)
	if len(puts) == 0 || stale.all {
		return "stale", nil
	}
	for i := range puts {
		puts[i].Revise = p.watch(puts[i])
	}
	// The last put ends Apply before anything is written.
	puts = append(puts, interaction.Put{Key: puts[0].Key, Revise: func(*store.Resource) ([]byte, bool, error) { return nil, false, errPreview }})
	if _, err := in.service.Apply(ctx, puts); !errors.Is(err, errPreview) {
		if err == nil {
			err = errPreview
		}
		return "", commitError(err)
	}
	w.noteStale(res, &stale)
	outcome = "unchanged"
	for i, c := range p.Resources {
		if c.Effect != "unchanged" {
			outcome = "committed"
		}
		if notes[i] != "" {
			w.find(notes[i], c.Type, c.ID)
		}
	}
	if outcome == "unchanged" && len(stale.scope) > 0 {
		outcome = "stale"
	}
	return outcome, nil
}

// watch notes what a put would do.
func (p *Preview) watch(put interaction.Put) func(*store.Resource) ([]byte, bool, error) {
	return func(current *store.Resource) ([]byte, bool, error) {
		body, keep, err := put.Revise(current)
		c := Change{Type: put.Type, ID: put.ID, Effect: "unchanged", Version: current.Version}
		switch {
		case err != nil || keep:
		case current.Body == nil:
			c.Effect, c.Body = "create", body
		default:
			c.Effect, c.Body = "update", body
			c.Changed = changed(current.Body, body)
		}
		p.Resources = append(p.Resources, c)
		return body, keep, err
	}
}

// changed names the top-level elements in which two resources differ.
func changed(old, fresh []byte) []string {
	var names []string
	a, b := properties(nil, old), properties(nil, fresh)
	for i := range b {
		if q := find(a, string(b[i].name)); !b[i].is("meta") && (q == nil || string(q.value) != string(b[i].value)) {
			names = append(names, string(b[i].name))
		}
	}
	for i := range a {
		if find(b, string(a[i].name)) == nil && !a[i].is("meta") {
			names = append(names, string(a[i].name))
		}
	}
	return names
}
