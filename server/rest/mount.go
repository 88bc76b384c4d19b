package rest

import (
	"net/http"
	"strings"
)

// outcomes lets a mounted handler answer, but for the text with which
// http.ServeMux tells unknown paths and methods: that becomes an OperationOutcome.
func (h *Handler) outcomes(sub http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sub.ServeHTTP(&mountWriter{ResponseWriter: w, h: h, request: r}, r)
	})
}

// mountWriter replaces a plain text 404 or 405. It belongs to one request.
type mountWriter struct {
	http.ResponseWriter
	h        *Handler
	request  *http.Request
	replaced bool
}

func (w *mountWriter) WriteHeader(status int) {
	head := w.Header()
	if status != http.StatusNotFound && status != http.StatusMethodNotAllowed || !strings.HasPrefix(head.Get("Content-Type"), "text/plain") {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.replaced = true
	err := w.h.errRoute()
	if status == http.StatusMethodNotAllowed {
		err = errMethod(w.request.Method)
	}
	x := newCall(w.h, w.h.echo.NewContext(w.request, w.ResponseWriter))
	defer x.release()
	x.interaction = "unknown"
	_ = x.negotiate() // an unknown path is told in JSON when what was asked for is not there
	x.fail(err)
}

func (w *mountWriter) Write(b []byte) (int, error) {
	if w.replaced {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap serves http.ResponseController.
func (w *mountWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
