package inbox

import (
	"context"
	"sync"
	"time"
)

// lanes keep messages about one patient in order and let all others run beside
// them. A lane is the list of messages in hand about one patient; a message
// about several patients stands in several. It is ready when it is first in
// all of its lanes. Since messages enter all of their lanes at once, in one
// order, some message is always ready.
type lanes struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced when messages leave
	list    map[string][]*work
	inHand  map[*work]struct{}
	ready   chan *work // never full: its capacity is that of the whole
}

// newLanes gives empty lanes; open says for how many messages.
func newLanes() *lanes {
	return &lanes{changed: make(chan struct{}), list: map[string][]*work{}, inHand: map[*work]struct{}{}}
}

// open makes room for n messages in hand.
func (l *lanes) open(n int) { l.ready = make(chan *work, n) }

// free waits until there is room and gives how much; 0 when ctx ended.
func (l *lanes) free(ctx context.Context) int {
	for {
		l.mu.Lock()
		n, changed := cap(l.ready)-len(l.inHand), l.changed
		l.mu.Unlock()
		// Half of it: one lease of many messages costs less than many of one.
		if n >= cap(l.ready)/2 {
			return n
		}
		select {
		case <-ctx.Done():
			return 0
		case <-changed:
		}
	}
}

// add puts a message behind the others of its lanes. The caller keeps to free.
func (l *lanes) add(w *work) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inHand[w] = struct{}{}
	for _, k := range w.lanes {
		l.list[k] = append(l.list[k], w)
		if len(l.list[k]) == 1 {
			w.heads++
		}
	}
	if w.heads == len(w.lanes) {
		l.ready <- w
	}
}

// leave takes a message out, and makes those behind it ready.
func (l *lanes) leave(w *work) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.inHand, w)
	for _, k := range w.lanes {
		rest := l.list[k][1:]
		if len(rest) == 0 {
			delete(l.list, k)
			continue
		}
		l.list[k] = rest
		next := rest[0]
		if next.heads++; next.heads == len(next.lanes) {
			l.ready <- next
		}
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// drained waits until nothing is in hand.
func (l *lanes) drained() {
	for {
		l.mu.Lock()
		n, changed := len(l.inHand), l.changed
		l.mu.Unlock()
		if n == 0 {
			return
		}
		<-changed
	}
}

// oldest is the arrival of the oldest message in hand; false when there is none.
func (l *lanes) oldest() (at time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for w := range l.inHand {
		if !ok || w.item.Appended.Before(at) {
			at, ok = w.item.Appended, true
		}
	}
	return at, ok
}

// holds are the lanes that wait for a message that will be tried again, so that
// no later one overtakes it. They are of this process; one that starts learns
// them from the queue.
type holds struct {
	mu   sync.Mutex
	list map[string]hold
}

// hold is one message that others wait for.
type hold struct {
	id    string    // of the message
	until time.Time // when it is due again
}

func newHolds() *holds { return &holds{list: map[string]hold{}} }

// before gives what a message has to wait for; false when it may go. It waits
// for older messages only, so that two never wait for each other.
func (h *holds) before(w *work) (hold, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range w.lanes {
		if x, ok := h.list[k]; ok && x.id < w.item.ID {
			return x, true
		}
	}
	return hold{}, false
}

// set makes the lanes of a message wait for it.
func (h *holds) set(keys []string, x hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range keys {
		h.list[k] = x
	}
}

// add makes those lanes wait for a message that wait for none yet.
func (h *holds) add(keys []string, x hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range keys {
		if _, ok := h.list[k]; !ok {
			h.list[k] = x
		}
	}
}

// release lets the lanes go that wait for the message of this id.
func (h *holds) release(keys []string, id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range keys {
		if h.list[k].id == id {
			delete(h.list, k)
		}
	}
}
