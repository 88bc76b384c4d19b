package pebblestore

import (
	lru "container/list"
	"hash/maphash"
	"sync"

	"meridian/server/store"
)

const (
	cacheShards = 16
	// cacheOverhead is what an entry costs beside its strings and body, in bytes, about.
	cacheOverhead = 256
)

// bodyCache holds current versions by key, least recently read out first. An
// entry is only put in when nothing was dropped from its shard since its
// reader began: what a commit makes old can thus not come back.
type bodyCache struct {
	seed   maphash.Seed
	shards [cacheShards]cacheShard
}

type cacheShard struct {
	mu      sync.Mutex
	limit   int64
	size    int64
	drops   uint64
	entries map[store.Key]*lru.Element
	order   lru.List // of store.Resource, most recently read first
}

func newBodyCache(bytes int64) *bodyCache {
	c := &bodyCache{seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i].limit = bytes / cacheShards
		c.shards[i].entries = map[store.Key]*lru.Element{}
	}
	return c
}

func (c *bodyCache) shard(key store.Key) *cacheShard {
	return &c.shards[maphash.String(c.seed, key.ID)%cacheShards]
}

// get gives the entry, or the ticket with which put may be called after reading.
func (c *bodyCache) get(key store.Key) (r store.Resource, ok bool, ticket uint64) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[key]
	if e == nil {
		return store.Resource{}, false, s.drops
	}
	s.order.MoveToFront(e)
	return e.Value.(store.Resource), true, s.drops
}

func (c *bodyCache) put(r store.Resource, ticket uint64) {
	s := c.shard(r.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	size := cost(&r)
	if s.drops != ticket || s.entries[r.Key] != nil || size > s.limit/8 {
		return
	}
	s.entries[r.Key] = s.order.PushFront(r)
	for s.size += size; s.size > s.limit; {
		s.remove(s.order.Back())
	}
}

// drop forgets an entry, and every reading of its shard that has begun.
func (c *bodyCache) drop(key store.Key) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drops++
	if e := s.entries[key]; e != nil {
		s.remove(e)
	}
}

func (s *cacheShard) remove(e *lru.Element) {
	r := s.order.Remove(e).(store.Resource)
	delete(s.entries, r.Key)
	s.size -= cost(&r)
}

func cost(r *store.Resource) int64 { return int64(len(r.Body)+len(r.ID)) + cacheOverhead }
