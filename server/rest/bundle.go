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
	body, err := x.resourceBody()
	if err != nil {
		return err
	}
	r, err := x.service.Bundle(x.ctx, interaction.BundleParams{Body: body, Lenient: x.lenient})
	if err != nil {
		return err
	}
	x.interaction = strings.TrimSuffix(r.Type, "-response")
	x.out = x.service.AppendBundle(x.out, r, interaction.ResponseParams{Return: x.prefer, Status: entryStatus, Outcome: x.entryOutcome})
	return x.send(http.StatusOK, x.out)
}

// entryOutcome logs what a client may not see of an entry's error.
func (x *call) entryOutcome(err error) []issue.Issue {
	if issue.As(err) == nil {
		x.h.errors.LogAttrs(x.ctx, levelError, "bundle entry failed", logError(err)...)
	}
	return errorIssues(err)
}

// https://hl7.org/fhir/R4/http.html#search
func search(x *call) error { return x.search(x.query) }

// searchForm is a search by POST: its parameters stand in the body, or in both.
func searchForm(x *call) error {
	switch typ := x.header("Content-Type"); {
	case typ == "" && x.Request().ContentLength <= 0:
		return x.search(x.query)
	case len(typ) >= len(formType) && typ[:len(formType)] == formType:
	default:
		return issue.New(issue.NotSupported, "search.content-type", "a search by POST is sent as "+formType, "").WithStatus(http.StatusUnsupportedMediaType)
	}
	if err := checkCharset(x.header("Content-Type")); err != nil {
		return err
	}
	body, err := x.readBody()
	if err != nil {
		return err
	}
	form, format, err := x.takeFormat(string(body))
	if err != nil {
		return err
	}
	if format != "" && !isJSON(format) {
		return notAcceptable()
	}
	if x.query != "" && form != "" {
		form = x.query + "&" + form
	} else if form == "" {
		form = x.query
	}
	return x.search(form)
}

const formType = "application/x-www-form-urlencoded"

func (x *call) search(query string) error {
	pairs, err := interaction.ParseQuery(query)
	if err != nil {
		return err
	}
	x.out, err = x.service.Search(x.ctx, x.out, interaction.SearchParams{Type: x.Param("type"), Query: pairs, Lenient: x.lenient})
	if err != nil {
		return err
	}
	return x.send(http.StatusOK, x.out)
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

// https://hl7.org/fhir/R4/http.html#capabilities
func capabilities(x *call) error { return x.send(http.StatusOK, x.service.Capabilities()) }
