package rest

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/labstack/echo/v4"

	"meridian/fhir/issue"
)

// healthz says that the process lives.
func (h *Handler) healthz(c echo.Context) error { return c.String(http.StatusOK, "ok\n") }

// readyz says that requests should come here.
func (h *Handler) readyz(c echo.Context) error {
	reason := ""
	if service := h.service(); service == nil {
		reason = "starting"
	} else {
		err := service.Ready(c.Request().Context())
		if err == nil && h.ready != nil {
			err = h.ready()
		}
		if err != nil {
			reason = "not ready"
			h.errors.LogAttrs(c.Request().Context(), slog.LevelWarn, "not ready", logError(err)...)
		}
	}
	if reason == "" {
		return c.String(http.StatusOK, "ok\n")
	}
	c.Response().Header().Set("Retry-After", retryAfter)
	return c.String(http.StatusServiceUnavailable, reason+"\n")
}

// routeError answers what no route took: unknown paths and methods.
func (h *Handler) routeError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	start := time.Now()
	x := newCall(h, c)
	defer x.release()
	x.interaction = "unknown"
	_ = x.negotiate() // an unknown path is told in JSON when what was asked for is not there
	var he *echo.HTTPError
	switch {
	case errors.As(err, &he) && he.Code == http.StatusMethodNotAllowed:
		x.fail(errMethod(c.Request().Method))
	case errors.As(err, &he) && he.Code == http.StatusNotFound:
		x.fail(h.errRoute())
	default:
		x.fail(err)
	}
	h.observe(x, start)
}

func (h *Handler) errRoute() error {
	return issue.New(issue.NotFound, "route.unknown", "there is nothing at this address; the FHIR service is at "+h.base, "")
}

func errMethod(method string) error {
	return issue.New(issue.NotSupported, "method.unsupported", "this address does not take "+methodText(method)+"; the header Allow names what it takes", "").WithStatus(http.StatusMethodNotAllowed)
}

// readOnly answers the methods that an address does not take where the route
// of a resource type would take its name for a type.
func readOnly(x *call) error {
	x.Response().Header().Set("Allow", "GET, HEAD")
	return errMethod(x.Request().Method)
}

// methodText repeats only methods that exist.
func methodText(m string) string {
	switch m {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT":
		return m
	}
	return "this method"
}

var errPanic = errors.New("panic")

func panicText(v any) string {
	if err, ok := v.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("%T", v)
}

func logError(err error) []slog.Attr { return []slog.Attr{slog.String("error", err.Error())} }

// CheckListen refuses an address that other machines reach as long as no
// authentication is configured: what is open by mistake is open to all.
func CheckListen(addr string, authConfigured bool) error {
	if authConfigured {
		return nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("listen address %q: %w", addr, err)
	}
	if host == "localhost" {
		return nil
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("listen address %q is reachable from other machines and no authentication is configured: listen on 127.0.0.1 or configure authentication", addr)
}
