package rest

import (
	"net/http"
	"strconv"
	"strings"

	"meridian/server/interaction"
)

// outcomes lets a mounted handler answer, but for the text with which
// http.ServeMux tells unknown paths and methods: that becomes an OperationOutcome.
func (h *Handler) outcomes(sub http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sub.ServeHTTP(&mountWriter{ResponseWriter: w, h: h, method: r.Method}, r)
	})
}

// mountWriter replaces a plain text 404 or 405. It belongs to one request.
type mountWriter struct {
	http.ResponseWriter
	h        *Handler
	method   string
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
		err = errMethod(w.method)
	}
	body := interaction.AppendOutcome(nil, errorIssues(err))
	head["Content-Type"] = contentJSON
	head.Set("Content-Length", strconv.Itoa(len(body)))
	w.ResponseWriter.WriteHeader(status)
	if w.method != http.MethodHead {
		// A client that went away is no error of the server.
		_, _ = w.ResponseWriter.Write(body)
	}
}

func (w *mountWriter) Write(b []byte) (int, error) {
	if w.replaced {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap serves http.ResponseController.
func (w *mountWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
