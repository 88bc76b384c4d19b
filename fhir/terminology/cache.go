package terminology

import (
	"container/list"
	"sync"
	"sync/atomic"
)

// cache keeps what was compiled, up to a number of codes; what was not used for
// longest goes first.
type cache struct {
	most   int
	mu     sync.Mutex
	byKey  map[string]*list.Element
	recent list.List // of *cached, the newest in front
	codes  int
	gone   atomic.Uint64 // how often something had to go
}

type cached struct {
	key   string
	value any
	codes int
}

func (c *cache) get(key string) (any, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[key]
	if !ok {
		return nil, false
	}
	c.recent.MoveToFront(e)
	return e.Value.(*cached).value, true
}

// put keeps value; what is there under the key already is replaced.
func (c *cache) put(key string, value any, codes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey == nil {
		c.byKey = map[string]*list.Element{}
	}
	if e, ok := c.byKey[key]; ok {
		c.drop(e)
	}
	c.byKey[key] = c.recent.PushFront(&cached{key, value, codes + 1})
	c.codes += codes + 1
	for c.codes > c.most && c.recent.Len() > 1 {
		c.gone.Add(1)
		c.drop(c.recent.Back())
	}
}

func (c *cache) drop(e *list.Element) {
	k := c.recent.Remove(e).(*cached)
	delete(c.byKey, k.key)
	c.codes -= k.codes
}

// maxAtHand is how many answers are at hand.
const maxAtHand = 4096

// epoch is a time in which the Source gives the same, and nothing goes from the cache.
type epoch struct{ source, gone uint64 }

// atHand are the answers to what was asked in the present epoch, without a look.
// It refers to nothing that is no longer in the cache, as that begins an epoch.
type atHand struct {
	mu    sync.RWMutex
	epoch epoch
	sets  map[string]found[*bound]         // by canonical
	codes map[[2]string]found[*codeSystem] // by url and version
}

// found is an answer; the error is one that stands as long as the epoch.
type found[T any] struct {
	value T
	err   error
}

func (h *atHand) set(now epoch, canonical string) (found[*bound], bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	f, ok := h.sets[canonical]
	return f, ok && h.epoch == now
}

func (h *atHand) system(now epoch, url, version string) (found[*codeSystem], bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	f, ok := h.codes[[2]string{url, version}]
	return f, ok && h.epoch == now
}

// put keeps an answer by calling add; those of another epoch are forgotten.
func (h *atHand) put(now epoch, err error, add func()) {
	if Passing(err) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.epoch != now || len(h.sets)+len(h.codes) >= maxAtHand || h.sets == nil {
		h.epoch, h.sets, h.codes = now, map[string]found[*bound]{}, map[[2]string]found[*codeSystem]{}
	}
	add()
}
