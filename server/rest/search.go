package rest

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"meridian/fhir/issue"
	"meridian/server/interaction"
	"meridian/server/store"
)

// searchRoutes are the addresses of searches: of a type, of several types, of a
// compartment, each by GET and by POST with _search.
//
// https://hl7.org/fhir/R4/http.html#search
func (h *Handler) searchRoutes(g *echo.Group) {
	for _, at := range []struct{ path, name string }{
		{"", "search-system"}, {"/", "search-system"}, {"/:type", "search-type"}, {"/:type/:id/:target", "search-compartment"},
	} {
		g.GET(at.path, h.on(at.name, search))
		g.HEAD(at.path, h.on(at.name, search))
		if at.path == "/" {
			continue
		}
		g.GET(at.path+"/_search", h.on(at.name, search))
		g.HEAD(at.path+"/_search", h.on(at.name, search))
		g.POST(at.path+"/_search", h.on(at.name, searchForm))
	}
}

func search(x *call) error { return x.search(x.query) }

// searchForm is a search by POST: its parameters stand in the body, or in both.
func searchForm(x *call) error {
	switch typ := x.header("Content-Type"); {
	case typ == "" && x.Request().ContentLength <= 0:
		return x.search(x.query)
	case mediaType(typ) != formType:
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
	if format != "" {
		if err := x.askFormat(format); err != nil {
			return err
		}
	}
	if err := x.checkFormat(); err != nil { // _pretty may have come, too
		return err
	}
	if runOf(x.ctx) != nil {
		x.format, x.pretty = formatJSON, false // an answer that is kept has the format with which it is fetched
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
	p := interaction.SearchParams{Type: x.Param("type"), Query: pairs, Lenient: x.lenient}
	if target := x.Param("target"); target != "" {
		if p, err = x.compartment(p, target); err != nil {
			return err
		}
	}
	x.out, err = x.service.Search(x.ctx, x.out, p)
	if err != nil {
		return err
	}
	return x.send(http.StatusOK, x.out)
}

// compartment reads Patient/1/Observation and Patient/1/*.
// https://hl7.org/fhir/R4/search.html#compartment
func (x *call) compartment(p interaction.SearchParams, target string) (interaction.SearchParams, error) {
	if target != "*" && !interaction.IsResourceType(target) {
		return p, x.h.errRoute()
	}
	p.Compartment = store.Key{Type: p.Type, ID: x.Param("id")}
	if p.Type = target; target == "*" {
		p.Type = ""
	}
	return p, x.checkInstance(p.Compartment)
}
