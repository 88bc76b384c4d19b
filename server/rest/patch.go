package rest

import (
	"context"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"meridian/fhir/issue"
	"meridian/fhir/patch"
	"meridian/server/interaction"
	"meridian/server/store"
)

// patchRoutes are the addresses of a patch, and OPTIONS, which tells what they take.
//
// https://hl7.org/fhir/R4/http.html#patch, https://www.rfc-editor.org/rfc/rfc5789#section-3
func (h *Handler) patchRoutes(g *echo.Group) {
	g.PATCH("/:type/:id", h.on("patch", patchResource))
	g.PATCH("/:type", h.on("patch-conditional", patchResource))
	g.OPTIONS("/:type/:id", h.on("options", options("GET, HEAD, PUT, PATCH, DELETE, OPTIONS")))
	g.OPTIONS("/:type", h.on("options", options("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")))
}

func options(allow string) func(*call) error {
	return func(x *call) error {
		x.Response().Header().Set("Allow", allow)
		x.acceptPatch()
		return x.send(http.StatusNoContent, nil)
	}
}

func (x *call) acceptPatch() {
	x.Response().Header().Set("Accept-Patch", strings.Join(interaction.PatchFormats(), ", "))
}

// https://hl7.org/fhir/R4/http.html#patch, https://hl7.org/fhir/R4/http.html#cond-patch
func patchResource(x *call) error {
	p := interaction.PatchParams{Type: x.Param("type"), ID: x.Param("id")}
	if p.ID == "" {
		p.Criterion = x.query
	} else {
		if err := x.checkInstance(store.Key{Type: p.Type, ID: p.ID}); err != nil {
			return err
		}
		if err := interaction.NoParameters("a patch of a resource by its id", x.query); err != nil {
			return err
		}
	}
	var err error
	if p.Format, err = x.patchFormat(); err != nil {
		return err
	}
	if p.Body, err = x.readBody(); err != nil {
		return err
	}
	if p.Conditions, err = x.writeConditions(); err != nil {
		return err
	}
	return x.write(p.Body, func(ctx context.Context) (interaction.Result, error) { return x.service.Patch(ctx, p) })
}

// patchFormat reads the Content-Type. Nothing else says how a patch is written.
func (x *call) patchFormat() (patch.Format, error) {
	header := x.header("Content-Type")
	f, ok := interaction.PatchFormat(header)
	if f == patch.XML {
		return f, nil // its encoding stands in it
	}
	if ok {
		return f, checkCharset(header)
	}
	x.acceptPatch()
	return 0, issue.New(issue.NotSupported, "patch.content-type", "the Content-Type of a patch is one of "+strings.Join(interaction.PatchFormats(), ", "), "").WithStatus(http.StatusUnsupportedMediaType)
}
