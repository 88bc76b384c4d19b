package rest

import (
	"net/http"
	"strings"

	"meridian/fhir/issue"
	"meridian/server/interaction"
	"meridian/server/store"
)

// https://hl7.org/fhir/R4/http.html#transaction
func bundle(x *call) error {
	if err := interaction.NoParameters("a batch or transaction", x.query); err != nil {
		return err
	}
	body, err := x.resourceBody()
	if err != nil {
		return err
	}
	once, err := x.once(body)
	if err != nil {
		return err
	}
	r, replayed, err := x.service.BundleOnce(x.ctx, once, interaction.BundleParams{Body: body, Lenient: x.lenient, Bodies: x.prefer == interaction.ReturnRepresentation})
	if err != nil {
		return err
	}
	x.replayed(replayed)
	x.interaction = strings.TrimSuffix(r.Type, "-response")
	x.countWarnings(r)
	x.out = x.service.AppendBundle(x.out, r, interaction.ResponseParams{Return: x.prefer, Status: entryStatus, Outcome: x.entryOutcome})
	return x.send(http.StatusOK, x.out)
}

// countWarnings counts those of the entries, which have them in their outcomes.
func (x *call) countWarnings(r *interaction.BundleResult) {
	n := 0
	for i := range r.Entries {
		n += len(r.Entries[i].Warnings)
	}
	if n > 0 {
		x.h.metrics.warnings.WithLabelValues(x.interaction).Add(float64(n))
	}
}

// entryOutcome logs what a client may not see of an entry's error.
func (x *call) entryOutcome(err error) []issue.Issue {
	err = x.inBody(err)
	if issue.As(err) == nil {
		x.h.errors.LogAttrs(x.ctx, levelError, "bundle entry failed", logError(err)...)
	}
	return errorIssues(err)
}

// https://hl7.org/fhir/R4/http.html#history
func history(x *call) error {
	key := store.Key{Type: x.Param("type"), ID: x.Param("id")}
	if x.interaction == "history-instance" {
		if err := x.checkInstance(key); err != nil {
			return err
		}
	}
	pairs, err := interaction.ParseQuery(x.query)
	if err != nil {
		return err
	}
	if x.out, err = x.service.History(x.ctx, x.out, interaction.HistoryParams{Key: key, Query: pairs}); err != nil {
		return err
	}
	return x.send(http.StatusOK, x.out)
}
