package inbox

import (
	"context"
	"errors"
	"sync"
	"time"

	"meridian/server/store"
)

// lookEvery is how often a sender that waits for the end of its message looks
// into the queue: another process may have worked on it.
const lookEvery = 250 * time.Millisecond

// verdict is how a message ended.
type verdict struct {
	parked  *Parked
	charset string
}

// waiters are the receivers that wait for the end of a message, by its id.
type waiters struct {
	mu   sync.Mutex
	list map[string][]chan verdict
}

func (ws *waiters) add(id string) chan verdict {
	c := make(chan verdict, 1)
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.list == nil {
		ws.list = map[string][]chan verdict{}
	}
	ws.list[id] = append(ws.list[id], c)
	return c
}

func (ws *waiters) drop(id string, c chan verdict) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	rest := ws.list[id][:0]
	for _, x := range ws.list[id] {
		if x != c {
			rest = append(rest, x)
		}
	}
	if ws.list[id] = rest; len(rest) == 0 {
		delete(ws.list, id)
	}
}

// tell gives the end of a message to those that wait for it.
func (ws *waiters) tell(e *ending) {
	if e.State != store.Done && e.State != store.Parked {
		return
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, c := range ws.list[e.ID] {
		select {
		case c <- verdict{e.w.env.Parked, e.w.env.Charset}:
		default: // it has one
		}
	}
}

// errUnfinished: a message did not end within Limits.AckTime. It is stored and goes on.
var errUnfinished = errors.New("inbox: the message has not ended yet")

// outcome waits until a message has ended.
func (in *Inbox) outcome(ctx context.Context, id string) (verdict, error) {
	c := in.waiters.add(id)
	defer in.waiters.drop(id, c)
	end := time.NewTimer(in.limits.AckTime)
	defer end.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		it, err := in.queue.Get(ctx, id)
		if err != nil {
			return verdict{}, err
		}
		if it.State == store.Done || it.State == store.Parked {
			env, err := readEnvelope(it.Note)
			return verdict{env.Parked, env.Charset}, err
		}
		select {
		case v := <-c:
			return v, nil
		case <-end.C:
			return verdict{}, errUnfinished
		case <-ctx.Done():
			return verdict{}, ctx.Err()
		case <-look.C:
		}
	}
}
