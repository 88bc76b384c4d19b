package pebblestore

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"

	"meridian/fhir/search"
)

// collect drives all matches and keeps the first limit of them.
type collect struct {
	r      *run
	list   list
	at     uint64
	params []*paramName
	first  []hit // a heap, the last of them on top
	after  *hit
	values []sortText // of the match at hand
}

// sortText is a sort value that is only valid until the next one is read.
type sortText struct {
	has  bool
	text []byte
}

func (r *run) newCollect() *collect {
	c := &collect{r: r, values: make([]sortText, len(r.plan.Sort))}
	for _, o := range r.plan.Sort {
		c.params = append(c.params, r.param(o.Param))
	}
	if a := r.plan.After; a != nil {
		c.after = &hit{values: a.Values, number: a.Number}
	}
	return c
}

// run goes on until all matches are seen (true) or so many units are spent.
func (c *collect) run(units int) (done bool) {
	began := c.r.units
	if c.list == nil {
		c.list = c.r.drive(c.r.where, false)
	}
	for c.r.err == nil {
		if c.r.units-began >= units {
			return false
		}
		p, ok := c.list.seek(c.at)
		if !ok {
			return true
		}
		c.at = p + 1
		c.add(p)
	}
	return true
}

// add puts a match among the first ones if it belongs there.
func (c *collect) add(number uint64) {
	for i, o := range c.r.plan.Sort {
		v := &c.values[i]
		v.text, v.has = c.r.sortValue(v.text[:0], number, o, c.params[i])
	}
	if c.after != nil && c.compareTo(number, c.after) <= 0 {
		return
	}
	full := len(c.first) == c.r.want
	if full && c.compareTo(number, &c.first[0]) >= 0 || !c.r.residual(number) {
		return
	}
	values := make([]*string, len(c.values))
	for i := range c.values {
		if c.values[i].has {
			text := string(c.values[i].text)
			values[i] = &text
		}
	}
	h := c.r.hit(number, values)
	if full {
		c.first[0] = h
		heap.Fix(c, 0)
		return
	}
	heap.Push(c, h)
}

// sortValue appends what a resource is sorted by; has is false when it has no value.
func (r *run) sortValue(b []byte, number uint64, o search.Order, p *paramName) (text []byte, has bool) {
	if isID(o.Param) {
		_, id, ok := r.live(number)
		return append(b, id...), ok
	}
	if p == nil {
		return b, false
	}
	if value := r.forwardOf(p).get(number); value != nil {
		low, high, err := sortBounds(value)
		r.fail(err)
		if o.Desc {
			low = high
		}
		return append(b, low...), true
	}
	if p.flags.Load()&paramLoose == 0 {
		return b, false
	}
	f := r.forwardFact(number, o.Param)
	switch {
	case f == nil:
		return b, false
	case o.Desc:
		return append(b, f.High...), true
	}
	return append(b, f.Low...), true
}

// result is the first hits in order.
func (c *collect) result() []hit {
	slices.SortFunc(c.first, func(a, b hit) int { return c.compare(&a, &b) })
	return c.first
}

// compare orders as search.Plan says: by values, what has none last, then by number.
func (c *collect) compare(a, b *hit) int {
	for i := range c.r.plan.Sort {
		x, y := a.values[i], b.values[i]
		if x == nil || y == nil {
			if d := missingLast(x != nil, y != nil); d != 0 {
				return d
			}
		} else if d := c.direct(i, strings.Compare(*x, *y)); d != 0 {
			return d
		}
	}
	return c.tie(a.number, b.number)
}

// compareTo is compare with the match at hand on the left.
func (c *collect) compareTo(number uint64, b *hit) int {
	for i := range c.r.plan.Sort {
		x, y := &c.values[i], b.values[i]
		if !x.has || y == nil {
			if d := missingLast(x.has, y != nil); d != 0 {
				return d
			}
		} else if d := c.direct(i, compareText(x.text, *y)); d != 0 {
			return d
		}
	}
	return c.tie(number, b.number)
}

// direct turns a comparison around where the i-th sort key runs downward.
func (c *collect) direct(i, d int) int {
	if c.r.plan.Sort[i].Desc {
		return -d
	}
	return d
}

// tie compares numbers in the direction of the plan.
func (c *collect) tie(a, b uint64) int {
	if c.r.down {
		return cmp.Compare(b, a)
	}
	return cmp.Compare(a, b)
}

func missingLast(x, y bool) int {
	switch {
	case x == y:
		return 0
	case y:
		return 1
	}
	return -1
}

func compareText(x []byte, y string) int {
	switch {
	case string(x) == y:
		return 0
	case string(x) < y:
		return -1
	}
	return 1
}

// The heap of a collect has the last of the first hits on top.
func (c *collect) Len() int           { return len(c.first) }
func (c *collect) Less(i, j int) bool { return c.compare(&c.first[i], &c.first[j]) > 0 }
func (c *collect) Swap(i, j int)      { c.first[i], c.first[j] = c.first[j], c.first[i] }
func (c *collect) Push(x any)         { c.first = append(c.first, x.(hit)) }
func (c *collect) Pop() any {
	last := c.first[len(c.first)-1]
	c.first = c.first[:len(c.first)-1]
	return last
}
