package inbox

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"meridian/server/store"
)

// Message is what the operations interface shows of one message; Raw and
// Envelope hold what the sender sent, and nothing of it goes to a log.
type Message struct {
	ID       string      `json:"id"`
	State    store.State `json:"state"`
	Label    string      `json:"label,omitempty"`
	Stored   time.Time   `json:"stored"`
	Attempts int         `json:"attempts"`
	Envelope *Envelope   `json:"envelope,omitempty"`
	Raw      []byte      `json:"raw,omitempty"` // base64 in JSON; only of a single message
}

// List is a page of messages, newest first.
type List struct {
	Messages []Message           `json:"messages"`
	Counts   map[store.State]int `json:"counts"`
	Next     string              `json:"next,omitempty"` // ?after= of the next page
}

// Limits of the operations interface.
const (
	defaultPage = 50
	maxPage     = 1000
	maxReplay   = 100_000
)

// Handler serves messages under /ops/messages:
//
//	GET  /ops/messages?state=parked&label=map.missing&after=ID&limit=50
//	GET  /ops/messages/ID          envelope, timeline, findings, raw bytes
//	GET  /ops/messages/ID/raw      the bytes as they came
//	POST /ops/messages?source=ID   takes a message; the answer is its acknowledgment
//	POST /ops/messages/ID/replay
//	POST /ops/messages/replay?state=parked&label=map.missing     all of a query
func (in *Inbox) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ops/messages", in.serveList)
	mux.HandleFunc("POST /ops/messages", in.serveTake)
	mux.HandleFunc("POST /ops/messages/replay", in.serveReplayAll)
	mux.HandleFunc("GET /ops/messages/{id}", in.serveOne)
	mux.HandleFunc("GET /ops/messages/{id}/raw", in.serveRaw)
	mux.HandleFunc("POST /ops/messages/{id}/replay", in.serveReplay)
	return mux
}

// problem is the error body of the operations interface.
type problem struct {
	Error string `json:"error"`
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the client went away
}

func (in *Inbox) fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, store.ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, ErrUnknownSource):
		status = http.StatusBadRequest
	case errors.Is(err, store.ErrStarting), errors.Is(err, store.ErrClosed):
		status = http.StatusServiceUnavailable
	default:
		in.log.Error("operations request", "error", err)
		err = errors.New("internal error")
	}
	reply(w, status, problem{err.Error()})
}

func (in *Inbox) serveList(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit := defaultPage
	if s := q.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxPage {
			reply(w, http.StatusBadRequest, problem{"limit is a number from 1 to " + strconv.Itoa(maxPage)})
			return
		}
		limit = n
	}
	list, err := in.List(r.Context(), store.ListParams{State: store.State(q.Get("state")), Label: q.Get("label"), After: q.Get("after"), Limit: limit})
	if err != nil {
		in.fail(w, err)
		return
	}
	reply(w, http.StatusOK, list)
}

// List gives a page of messages without their bytes.
func (in *Inbox) List(ctx context.Context, p store.ListParams) (List, error) {
	p.Topic = Topic
	items, err := in.queue.List(ctx, p)
	if err != nil {
		return List{}, err
	}
	counts, err := in.queue.Counts(ctx, Topic)
	if err != nil {
		return List{}, err
	}
	l := List{Messages: []Message{}, Counts: counts}
	for i := range items {
		l.Messages = append(l.Messages, message(&items[i]))
	}
	if len(items) == p.Limit {
		l.Next = items[len(items)-1].ID
	}
	return l, nil
}

func message(it *store.Item) Message {
	m := Message{ID: it.ID, State: it.State, Label: it.Label, Stored: it.Appended.UTC(), Attempts: it.Attempts, Raw: it.Body}
	if env, err := readEnvelope(it.Note); err == nil {
		m.Envelope = &env
	}
	return m
}

func (in *Inbox) one(w http.ResponseWriter, r *http.Request) (store.Item, bool) {
	it, err := in.queue.Get(r.Context(), r.PathValue("id"))
	if err == nil && it.Topic != Topic {
		err = store.ErrNotFound
	}
	if err != nil {
		in.fail(w, err)
		return it, false
	}
	return it, true
}

func (in *Inbox) serveOne(w http.ResponseWriter, r *http.Request) {
	if it, ok := in.one(w, r); ok {
		reply(w, http.StatusOK, message(&it))
	}
}

func (in *Inbox) serveRaw(w http.ResponseWriter, r *http.Request) {
	if it, ok := in.one(w, r); ok {
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(it.Body)
	}
}

func (in *Inbox) serveTake(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(in.limits.MessageBytes)))
	if err != nil {
		reply(w, http.StatusRequestEntityTooLarge, problem{"the message is larger than " + strconv.Itoa(in.limits.MessageBytes) + " bytes"})
		return
	}
	got, err := in.Receive(r.Context(), r.URL.Query().Get("source"), "http "+r.RemoteAddr, raw)
	if err != nil && got.Answer == nil {
		in.fail(w, err)
		return
	}
	status := http.StatusOK
	if err != nil {
		in.log.Error("take message", "error", err)
		status = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "x-application/hl7-v2+er7")
	w.Header().Set("X-Message-Id", got.ID)
	w.WriteHeader(status)
	_, _ = w.Write(got.Answer)
}

// replayed is the answer to a replay.
type replayed struct {
	Replayed int `json:"replayed"`
}

func (in *Inbox) serveReplay(w http.ResponseWriter, r *http.Request) {
	it, ok := in.one(w, r)
	if !ok {
		return
	}
	if err := in.queue.Requeue(r.Context(), []string{it.ID}); err != nil {
		in.fail(w, err)
		return
	}
	reply(w, http.StatusAccepted, replayed{1})
}

func (in *Inbox) serveReplayAll(w http.ResponseWriter, r *http.Request) {
	state := store.State(r.URL.Query().Get("state"))
	if state != store.Parked && state != store.Done {
		reply(w, http.StatusBadRequest, problem{"state is parked or done"})
		return
	}
	n, err := in.Replay(r.Context(), state, r.URL.Query().Get("label"))
	if err != nil {
		in.fail(w, err)
		return
	}
	reply(w, http.StatusAccepted, replayed{n})
}

// Replay makes all messages of a state and label ("" is any) pending again, and
// says how many there were. They run with the maps and tables as they are now.
func (in *Inbox) Replay(ctx context.Context, state store.State, label string) (int, error) {
	var ids []string
	after := ""
	for len(ids) < maxReplay {
		items, err := in.queue.List(ctx, store.ListParams{Topic: Topic, State: state, Label: label, After: after, Limit: maxPage})
		if err != nil {
			return 0, err
		}
		for _, it := range items {
			ids = append(ids, it.ID)
		}
		if len(items) < maxPage {
			break
		}
		after = items[len(items)-1].ID
	}
	// Oldest first: they are applied in the order in which they came.
	for i, j := 0, len(ids)-1; i < j; i, j = i+1, j-1 {
		ids[i], ids[j] = ids[j], ids[i]
	}
	return len(ids), in.queue.Requeue(ctx, ids)
}
