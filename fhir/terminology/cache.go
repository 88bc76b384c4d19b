package terminology

import (
	"container/list"
	"sync"
)

// cache keeps what was compiled, up to a number of codes; what was not used for
// longest goes first.
type cache struct {
	most   int
	mu     sync.Mutex
	byKey  map[string]*list.Element
	recent list.List // of *cached, the newest in front
	codes  int
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
		c.drop(c.recent.Back())
	}
}

func (c *cache) drop(e *list.Element) {
	k := c.recent.Remove(e).(*cached)
	delete(c.byKey, k.key)
	c.codes -= k.codes
}
