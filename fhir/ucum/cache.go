package ucum

import "sync"

// MaxCached is how many codes a Cache keeps.
const MaxCached = 4096

// Cache is Parse for codes that come again and again: a lookup costs no
// allocation. Once full it keeps what it has. The zero Cache is ready and safe for
// concurrent use.
type Cache struct {
	mu    sync.RWMutex
	units map[string]Unit
}

// Parse is ucum.Parse. Codes that are no unit are not kept.
func (c *Cache) Parse(code string) (Unit, error) {
	c.mu.RLock()
	u, ok := c.units[code]
	c.mu.RUnlock()
	if ok {
		return u, nil
	}
	u, err := Parse(code)
	if err != nil {
		return u, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.units == nil {
		c.units = make(map[string]Unit)
	}
	if len(c.units) < MaxCached {
		c.units[code] = u
	}
	return u, nil
}
