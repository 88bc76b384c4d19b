package inbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"meridian/fhir/issue"
	"meridian/mappings/engine"
	"meridian/server/interaction"
	"meridian/server/store"
)

// commit writes the resources of the fresh scopes in one commit. A guarded
// resource, a report, that stands in a later state makes its scope stale. That
// is found by its Revise, on the version that the commit then depends on, so
// that no other process can come between the check and the write.
func (in *Inbox) commit(ctx context.Context, w *work, res *engine.Result) (string, error) {
	var stale staleness
	for {
		puts, notes := in.puts(res, &stale)
		if len(puts) == 0 || stale.all {
			return "stale", nil
		}
		results, err := in.service.Apply(ctx, puts)
		var later *laterError
		if errors.As(err, &later) {
			// One more read finds the other scopes that are stale.
			if stale, err = in.staleScopes(ctx, res); err != nil {
				return "", err
			}
			stale.add(later.scope)
			continue
		}
		if err != nil {
			return "", commitError(err)
		}
		w.noteStale(res, &stale)
		if outcome := w.written(results, notes); outcome != "unchanged" || len(stale.scope) == 0 {
			return outcome, nil
		}
		return "stale", nil
	}
}

// noteStale names the reports of the message that were left as they stand.
func (w *work) noteStale(res *engine.Result, stale *staleness) {
	for i := range res.Resources {
		if o := &res.Resources[i]; !o.Guard.IsZero() && stale.scope[o.Scope] {
			w.find(reportStale, o.Type, o.ID)
		}
	}
}

func (w *work) find(code, typ, id string) {
	w.env.Findings = append(w.env.Findings, Finding{Code: code, Path: typ + "/" + id, Text: findingTexts[code]})
}

// puts are the writes of all scopes that are not stale, and what their last
// Revise noted: the finding's code, by put.
//
// The guarded ones come last: whoever finds a report finds its results, also on
// a store without transactions. And they are revised knowing whether anything
// of their scope changes: then the source's time moves with it, which is else
// volatile. Where a report of the message is stale, so is what the message says
// of the patient and the visit: they are made where they are missing, and left
// as they stand. They are left as well where a message that was sent later has
// changed them: they carry the time of the message that did (see tell).
func (in *Inbox) puts(res *engine.Result, stale *staleness) ([]interaction.Put, []string) {
	r := &revision{puts: make([]interaction.Put, 0, len(res.Resources)), notes: make([]string, len(res.Resources)), changed: map[int]bool{}}
	guarded := map[int]bool{}
	for i := range res.Resources {
		if o := &res.Resources[i]; !o.Guard.IsZero() {
			guarded[o.Scope] = true
			if o.Sent.After(r.sent) {
				r.sent = o.Sent
			}
		}
	}
	for _, last := range [...]bool{false, true} {
		for i := range res.Resources {
			if o := &res.Resources[i]; !o.Guard.IsZero() == last && !stale.scope[o.Scope] {
				r.add(o, guarded[o.Scope], len(stale.scope) > 0 && !guarded[o.Scope])
			}
		}
	}
	return r.puts, r.notes[:len(r.puts)]
}

// revision is what the puts of one message know of each other.
type revision struct {
	puts    []interaction.Put
	notes   []string
	changed map[int]bool // scopes of which something changes, in the attempt under way
	sent    time.Time    // of the message; zero where it is not known
}

// add adds the put of a resource. guarded says that it is part of a report;
// missing makes it only where it is missing.
func (r *revision) add(o *engine.Out, guarded, missing bool) {
	told := !guarded && o.Write == engine.Merge && !r.sent.IsZero()
	n := len(r.puts)
	r.puts = append(r.puts, interaction.Put{Key: store.Key{Type: o.Type, ID: o.ID}, Pin: !o.Guard.IsZero(), Revise: func(current *store.Resource) (body []byte, keep bool, err error) {
		if n == 0 {
			clear(r.changed) // Apply revises in the order of the puts, all of them at each attempt
		}
		volatile := o.Volatile
		if !o.Guard.IsZero() {
			if isLater(current.Body, o) {
				return nil, false, &laterError{o.Scope}
			}
			if r.changed[o.Scope] {
				volatile = nil
			}
		}
		var finding string
		if keep = missing && current.Body != nil; !keep {
			scratch := revisers.Get().(*reviser)
			body, keep, finding = scratch.revise(current.Body, o, volatile)
			revisers.Put(scratch)
		}
		if told && !keep {
			if at, ok := sourceTime(current.Body, sourceSentURL); ok && at.After(r.sent) {
				body, keep, finding = nil, true, subjectStale
			} else {
				body = tell(body, r.sent)
			}
		}
		if !keep {
			r.changed[o.Scope] = true
		}
		r.notes[n] = finding
		return body, keep, nil
	}})
}

// written notes what the commit did and gives the outcome.
func (w *work) written(results []interaction.Result, notes []string) string {
	w.env.Written = 0
	for i, r := range results {
		if r.Effect != interaction.Unchanged {
			w.env.Written++
		}
		if notes[i] != "" {
			w.find(notes[i], r.Resource.Type, r.Resource.ID)
		}
	}
	if w.env.Written == 0 {
		return "unchanged"
	}
	return "committed"
}

// commitError parks a message whose resources are not allowed, and leaves what
// may pass by itself as an error to be tried again.
func commitError(err error) error {
	e := issue.As(err)
	if e == nil {
		return err
	}
	is := e.Issues[0]
	switch is.Code {
	case issue.Conflict, issue.Transient, issue.Timeout, issue.LockError, issue.Throttled, issue.Exception, issue.Incomplete:
		return fmt.Errorf("commit: %w", err)
	case issue.TooLong, issue.TooCostly:
		return &engine.Park{Stage: "commit", Code: "commit." + string(is.Code), Path: is.Expression, Hint: is.Text, HintZH: "消息生成的资源超过存储限制"}
	}
	return &engine.Park{Stage: "validate", Code: "resource." + string(is.Code), Path: is.Expression, Hint: is.Text, HintZH: "生成的资源不符合 FHIR R4"}
}
