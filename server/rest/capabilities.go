package rest

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"meridian/fhir/issue"
	"meridian/server/interaction"
)

// descriptionRoutes are those under which the server describes itself, but for metadata.
func (h *Handler) descriptionRoutes(g *echo.Group) {
	for _, root := range []string{"", "/"} { // a bundle, or a search of several types
		g.OPTIONS(root, h.on("options", allow("GET, HEAD, POST, OPTIONS")))
	}
	for _, path := range []string{"/metadata", "/_history", "/:type/_history", "/:type/:id/_history", "/:type/:id/_history/:version"} {
		g.OPTIONS(path, h.on("options", allow("GET, HEAD, OPTIONS")))
	}
	for _, path := range operationPaths() {
		g.OPTIONS(path, h.on("options", allow("GET, HEAD, POST, OPTIONS")))
	}
	both := h.on("openapi", openAPI)
	for _, path := range []string{"/openapi.json", h.base + "/openapi.json"} {
		h.echo.GET(path, both)
		h.echo.HEAD(path, both)
	}
}

func allow(methods string) func(*call) error {
	return func(x *call) error {
		x.Response().Header().Set("Allow", methods)
		return x.send(http.StatusNoContent, nil)
	}
}

// capabilities answers metadata: mode full and normative are the CapabilityStatement, as every
// type has the same interactions; mode terminology is TerminologyCapabilities. _summary and _elements answer a part.
//
// https://hl7.org/fhir/R4/http.html#capabilities
func capabilities(x *call) error {
	pairs, err := interaction.ParseQuery(x.query)
	if err != nil {
		return err
	}
	typ, body := "CapabilityStatement", x.service.Capabilities
	rest := pairs[:0:0]
	for _, p := range pairs {
		switch {
		case p.Name != "mode":
			rest = append(rest, p)
		case p.Value == "terminology":
			typ, body = "TerminologyCapabilities", x.service.TerminologyCapabilities
		case p.Value != "full" && p.Value != "normative":
			return issue.New(issue.Value, "metadata.mode", "mode is full, normative or terminology", "")
		}
	}
	part, err := interaction.ReadPart(typ, rest, x.lenient)
	if err != nil || part == nil {
		if err == nil {
			err = x.send(http.StatusOK, body())
		}
		return err
	}
	if x.out, err = x.service.AppendPart(x.out, body(), part); err != nil {
		return err
	}
	return x.send(http.StatusOK, x.out)
}
