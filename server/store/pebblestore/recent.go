package pebblestore

import (
	"hash/maphash"

	"meridian/server/store"
)

// maxRecent is how many changed resources one generation of recent remembers.
const maxRecent = 32 << 10

// recent remembers which resources the latest commits changed, so that a
// prepared commit is validated without reading. Two generations: when the
// younger is full the older is forgotten, and floor rises to the youngest
// position in it. A hash that two keys share only makes a commit be prepared
// once more.
type recent struct {
	seed         maphash.Seed
	young, old   map[uint64]uint64 // key's hash to the position that changed it
	floor, turn  uint64            // positions up to floor are forgotten; turn is the youngest in old
	youngestSeen uint64
}

func newRecent() recent {
	return recent{seed: maphash.MakeSeed(), young: map[uint64]uint64{}, old: map[uint64]uint64{}}
}

func (r *recent) hash(key store.Key) uint64 {
	var h maphash.Hash
	h.SetSeed(r.seed)
	h.WriteString(key.Type)
	h.WriteByte(0)
	h.WriteString(key.ID)
	return h.Sum64()
}

// changed says whether a resource that p writes or requires may have changed after position at.
func (r *recent) changed(p *store.CommitParams, at uint64) bool {
	if at < r.floor {
		return true
	}
	if at >= r.youngestSeen {
		return false
	}
	for i := range p.Writes {
		if r.after(p.Writes[i].Key, at) {
			return true
		}
	}
	for i := range p.Requires {
		if r.after(p.Requires[i].Key, at) {
			return true
		}
	}
	return false
}

func (r *recent) after(key store.Key, at uint64) bool {
	h := r.hash(key)
	return r.young[h] > at || r.old[h] > at
}

// note remembers the writes of a commit.
func (r *recent) note(p *store.CommitParams, position uint64) {
	if len(r.young) >= maxRecent {
		r.floor, r.turn = r.turn, r.youngestSeen
		r.old, r.young = r.young, r.old
		clear(r.young)
	}
	for i := range p.Writes {
		r.young[r.hash(p.Writes[i].Key)] = position
	}
	r.youngestSeen = position
}
