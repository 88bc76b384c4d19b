package inbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
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
	defaultPage = 50      // messages
	maxPage     = 1000    // messages
	maxReplay   = 100_000 // messages of one request
)

// Handler serves messages under /ops/messages:
//
//	GET  /ops/messages?state=parked&label=map.missing&after=ID&limit=50
//	GET  /ops/messages/ID          envelope, timeline, findings, raw bytes
//	GET  /ops/messages/ID/raw      the bytes as they came
//	GET  /ops/messages/ID/preview  what a replay would do now
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
	mux.HandleFunc("GET /ops/messages/{id}/preview", in.servePreview)
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
	case errors.Is(err, context.Canceled):
		return // the client went away
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
	state := store.State(q.Get("state"))
	switch state {
	case "", store.Pending, store.Leased, store.Done, store.Parked:
	default:
		reply(w, http.StatusBadRequest, problem{"state is pending, leased, done or parked"})
		return
	}
	list, err := in.List(r.Context(), store.ListParams{State: state, Label: q.Get("label"), After: q.Get("after"), Limit: limit})
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

func (in *Inbox) servePreview(w http.ResponseWriter, r *http.Request) {
	p, err := in.Preview(r.Context(), r.PathValue("id"))
	if err != nil {
		in.fail(w, err)
		return
	}
	reply(w, http.StatusOK, p)
}

// serveTake takes a message as MLLP does. The body of the answer is the
// acknowledgment; the status says whether the message is stored, not how it ended.
func (in *Inbox) serveTake(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(in.limits.MessageBytes)))
	sourceID, remote := r.URL.Query().Get("source"), "http "+r.RemoteAddr
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		got, err := in.Refuse(r.Context(), sourceID, remote, raw[:min(len(raw), refusedHead)], fmt.Sprintf("more than %d bytes", tooLong.Limit))
		in.replyAck(w, http.StatusRequestEntityTooLarge, got, err)
		return
	case err != nil:
		reply(w, http.StatusBadRequest, problem{"the message could not be read whole"})
		return
	case len(raw) == 0:
		reply(w, http.StatusBadRequest, problem{"there is no message in the request"})
		return
	}
	got, err := in.Receive(r.Context(), sourceID, remote, raw)
	status := http.StatusOK
	if err != nil {
		status = http.StatusServiceUnavailable
	}
	in.replyAck(w, status, got, err)
}

// replyAck answers with an acknowledgment, or with the error where there is none.
func (in *Inbox) replyAck(w http.ResponseWriter, status int, got Receipt, err error) {
	if err != nil && got.Answer == nil {
		in.fail(w, err)
		return
	}
	if err != nil {
		in.log.Error("take message", "error", err)
	}
	w.Header().Set("Content-Type", "x-application/hl7-v2+er7")
	if got.ID != "" {
		w.Header().Set("X-Message-Id", got.ID)
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(status)
	_, _ = w.Write(got.Answer)
}

// replayed is the answer to a replay.
type replayed struct {
	Replayed int  `json:"replayed"`
	More     bool `json:"more,omitempty"` // the limit was reached: ask again
}

func (in *Inbox) serveReplay(w http.ResponseWriter, r *http.Request) {
	it, ok := in.one(w, r)
	if !ok {
		return
	}
	if it.State != store.Parked && it.State != store.Done {
		reply(w, http.StatusConflict, problem{"the message is " + string(it.State) + ": it will run by itself"})
		return
	}
	if err := in.queue.Requeue(r.Context(), []string{it.ID}); err != nil {
		in.fail(w, err)
		return
	}
	reply(w, http.StatusAccepted, replayed{Replayed: 1})
}

func (in *Inbox) serveReplayAll(w http.ResponseWriter, r *http.Request) {
	state := store.State(r.URL.Query().Get("state"))
	if state != store.Parked && state != store.Done {
		reply(w, http.StatusBadRequest, problem{"state is parked or done"})
		return
	}
	n, more, err := in.Replay(r.Context(), state, r.URL.Query().Get("label"))
	if err != nil {
		in.fail(w, err)
		return
	}
	reply(w, http.StatusAccepted, replayed{n, more})
}

// Replay makes messages of a state and label ("" is any) pending again, oldest
// first, and says how many there were; more, when maxReplay was reached, of
// which the newest are taken. They run with the maps and tables as they are now.
func (in *Inbox) Replay(ctx context.Context, state store.State, label string) (n int, more bool, err error) {
	var ids []string
	after := ""
	for {
		items, err := in.queue.List(ctx, store.ListParams{Topic: Topic, State: state, Label: label, After: after, Limit: maxPage})
		if err != nil {
			return 0, false, err
		}
		for _, it := range items {
			ids = append(ids, it.ID)
		}
		if len(items) < maxPage {
			break
		}
		if more = len(ids) >= maxReplay; more {
			break
		}
		after = items[len(items)-1].ID
	}
	slices.Reverse(ids) // they are applied in the order in which they came
	for part := range slices.Chunk(ids, maxPage) {
		if err := in.queue.Requeue(ctx, part); err != nil {
			return n, more, err
		}
		n += len(part)
	}
	return n, more, nil
}
