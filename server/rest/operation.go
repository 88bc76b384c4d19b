package rest

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"meridian/fhir/issue"
	"meridian/server/interaction"
	"meridian/server/store"
)

// operationRoutes are the addresses of `$name` on the system, a type, an instance and a version.
//
// https://hl7.org/fhir/R4/operations.html#executing
func (h *Handler) operationRoutes(g *echo.Group) {
	for _, path := range operationPaths() {
		g.Match([]string{http.MethodGet, http.MethodHead, http.MethodPost}, path, h.on("operation", operation))
		g.Match([]string{http.MethodPut, http.MethodPatch, http.MethodDelete}, path, h.on("unknown", operationMethod))
	}
}

func operationPaths() []string {
	return []string{"/$:operation", "/:type/$:operation", "/:type/:id/$:operation", "/:type/:id/_history/:version/$:operation"}
}

// plainDollar spells the dollar of an address that a client has escaped, so that the routes know it.
func plainDollar(r *http.Request) *http.Request {
	if r.URL.RawPath == "" || !strings.Contains(r.URL.RawPath, "%24") {
		return r
	}
	out := *r
	out.URL = new(url.URL)
	*out.URL = *r.URL
	out.URL.RawPath = strings.ReplaceAll(r.URL.RawPath, "%24", "$")
	return &out
}

func operationMethod(x *call) error {
	x.Response().Header().Set("Allow", "GET, HEAD, POST, OPTIONS")
	return issue.New(issue.NotSupported, "operation.method", "an operation is called by GET or POST", "").WithStatus(http.StatusMethodNotAllowed)
}

// operation decodes a call, runs it, and answers with its result.
func operation(x *call) error {
	p := interaction.OperateParams{Name: x.Param("operation"), Key: store.Key{Type: x.Param("type"), ID: x.Param("id")}, Lenient: x.lenient}
	if v := x.Param("version"); v != "" {
		var ok bool
		if p.Version, ok = interaction.ParseVersion(v); !ok {
			return issue.New(issue.NotFound, "resource.unknown", "version ids of this server are decimal numbers from 1", "")
		}
	}
	if err := x.operationInput(&p); err != nil {
		return err
	}
	p.Accept = x.list("Accept")
	var once interaction.Once
	if !p.Get {
		var err error
		if once, err = x.once(p.Body); err != nil {
			return err
		}
	}
	r, replayed, err := x.service.OperateOnce(x.ctx, once, p)
	if err != nil {
		if e := issue.As(err); e != nil && e.Status == http.StatusMethodNotAllowed { // what changes something, by GET
			x.Response().Header().Set("Allow", "POST, OPTIONS")
		}
		return err
	}
	x.replayed(replayed)
	if r.Resource != nil {
		x.stamp(r.Resource)
	}
	if r.Status == 0 {
		if r.Status = http.StatusOK; len(r.Body) == 0 {
			r.Status = http.StatusNoContent
		}
	}
	if r.Stream != nil {
		return x.stream(r.ContentType, r.Stream)
	}
	if r.ContentType != "" {
		return x.transmit(r.Status, []string{r.ContentType}, r.Body)
	}
	return x.send(r.Status, r.Body)
}

// ownFormat says that the request calls an operation that answers in formats of its own, and reads what asks for them.
func (x *call) ownFormat() bool {
	s := x.h.service()
	return x.interaction == "operation" && s != nil && s.OwnFormat(x.Param("operation"), store.Key{Type: x.Param("type"), ID: x.Param("id")})
}

// operationInput reads the query and the body of a call. Issue codes: those of readBody and ParseQuery.
func (x *call) operationInput(p *interaction.OperateParams) (err error) {
	if p.Query, err = interaction.ParseQuery(x.query); err != nil {
		return err
	}
	r := x.Request()
	if p.Get = r.Method != http.MethodPost; p.Get {
		return nil
	}
	if typ := x.header("Content-Type"); x.service.TakesRaw(p.Name, p.Key, typ) {
		p.ContentType = typ
		p.Body, err = x.readBody()
		return err
	}
	if r.ContentLength == 0 {
		return nil
	}
	p.Body, err = x.resourceBody()
	return err
}
