package job

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"meridian/server/store"
)

// Handler serves jobs to operators, below /ops/jobs:
//
//	GET    /ops/jobs?kind=async&state=failed&limit=20&after=ID   newest first
//	GET    /ops/jobs                    the kinds
//	GET    /ops/jobs/ID
//	DELETE /ops/jobs/ID                 cancels: 204
//	POST   /ops/jobs/ID/retry           one that failed or was cancelled: 202
//
// Bodies are not shown. Errors are {"error":"…"}.
func (r *Runner) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ops/jobs", r.list)
	mux.HandleFunc("GET /ops/jobs/{id}", func(w http.ResponseWriter, req *http.Request) {
		j, err := r.Get(req.Context(), req.PathValue("id"))
		answer(w, http.StatusOK, j, err)
	})
	mux.HandleFunc("DELETE /ops/jobs/{id}", func(w http.ResponseWriter, req *http.Request) {
		answer(w, http.StatusNoContent, nil, r.Cancel(req.Context(), req.PathValue("id")))
	})
	mux.HandleFunc("POST /ops/jobs/{id}/retry", func(w http.ResponseWriter, req *http.Request) {
		id := req.PathValue("id")
		err := r.Retry(req.Context(), id)
		var j Job
		if err == nil {
			j, err = r.Get(req.Context(), id)
		}
		answer(w, http.StatusAccepted, j, err)
	})
	return mux
}

func (r *Runner) list(w http.ResponseWriter, req *http.Request) {
	q := req.URL.Query()
	p := ListParams{Kind: q.Get("kind"), State: State(q.Get("state")), After: q.Get("after")}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxList {
			answer(w, http.StatusBadRequest, map[string]string{"error": "limit is a number from 1 to " + strconv.Itoa(maxList)}, nil)
			return
		}
		p.Limit = n
	}
	if p.Kind == "" {
		kinds := []string{}
		for name := range r.kinds {
			kinds = append(kinds, name)
		}
		slices.Sort(kinds)
		answer(w, http.StatusOK, map[string]any{"kinds": kinds}, nil)
		return
	}
	switch p.State {
	case "", Waiting, Running, Done, Failed, Cancelled:
	default:
		answer(w, http.StatusBadRequest, map[string]string{"error": "state is waiting, running, done, failed or cancelled"}, nil)
		return
	}
	jobs, err := r.List(req.Context(), p)
	answer(w, http.StatusOK, map[string]any{"jobs": jobs}, err)
}

func answer(w http.ResponseWriter, status int, v any, err error) {
	switch {
	case errors.Is(err, store.ErrNotFound):
		status, v = http.StatusNotFound, map[string]string{"error": "there is no such job"}
	case errors.Is(err, ErrKind):
		status, v = http.StatusBadRequest, map[string]string{"error": ErrKind.Error()}
	case errors.Is(err, store.ErrClosed):
		status, v = http.StatusServiceUnavailable, map[string]string{"error": "the server is stopping"}
	case err != nil:
		status, v = http.StatusInternalServerError, map[string]string{"error": "the server failed"}
	}
	if status == http.StatusNoContent {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that went away is no error of the server
}
