package main

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// noSlot marks an empty slot of a property table.
const noSlot = 0xFF

// key is the key that the lookup in schema computes.
func key(name string) uint64 {
	n := len(name)
	var k uint64
	switch {
	case n >= 8:
		k = le64(name) ^ bits.RotateLeft64(le64(name[n-8:]), 29)
	case n >= 4:
		k = le32(name) ^ le32(name[n-4:])<<29
	case n > 0:
		k = uint64(name[0]) | uint64(name[n/2])<<8 | uint64(name[n-1])<<16
	}
	return k ^ uint64(n)
}

// hash is the hash of type names in schema.
func hash(name string) uint64 {
	h := uint64(len(name)) * hashPrime
	for len(name) >= 8 {
		h = (h ^ le64(name)) * hashPrime
		h ^= h >> 32
		name = name[8:]
	}
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * hashPrime
	}
	return h ^ h>>32
}

const hashPrime = 0x9E3779B97F4A7C15

func le64(s string) uint64 { return binary.LittleEndian.Uint64([]byte(s[:8])) }
func le32(s string) uint64 { return uint64(binary.LittleEndian.Uint32([]byte(s[:4]))) }

// perfect is a multiply-shift hash without collisions over the keys it was made for:
// slots[key*mult>>shift] is the position of the key.
type perfect struct {
	mult  uint64
	shift uint8
	slots []byte
}

// seeds is a fixed sequence of odd multipliers (splitmix64), so that output is stable.
type seeds uint64

func (s *seeds) next() uint64 {
	*s += hashPrime
	z := uint64(*s)
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return (z ^ z>>31) | 1
}

// findPerfect tries multipliers for the smallest table, then larger ones.
func findPerfect(names []string) (perfect, error) {
	if len(names) >= noSlot {
		return perfect{}, fmt.Errorf("%d names; a slot holds %d", len(names), noSlot)
	}
	keys := make([]uint64, len(names))
	distinct := map[uint64]string{}
	for i, n := range names {
		keys[i] = key(n)
		if other, ok := distinct[keys[i]]; ok {
			return perfect{}, fmt.Errorf("%s and %s have the same key", other, n)
		}
		distinct[keys[i]] = n
	}
	const tries = 20000
	var s seeds
	for width := bits.Len(uint(len(names))); width <= 13; width++ {
		for range tries {
			if p, ok := tryPerfect(keys, s.next(), width); ok {
				return p, nil
			}
		}
	}
	return perfect{}, fmt.Errorf("no perfect hash for %d names", len(names))
}

func tryPerfect(keys []uint64, mult uint64, width int) (perfect, bool) {
	p := perfect{mult: mult, shift: uint8(64 - width), slots: make([]byte, 1<<width)}
	for i := range p.slots {
		p.slots[i] = noSlot
	}
	for i, k := range keys {
		at := k * mult >> p.shift
		if p.slots[at] != noSlot {
			return p, false
		}
		p.slots[at] = byte(i)
	}
	return p, true
}

// typeIndex is a two-level perfect hash over the type names: the upper bits of
// the hash choose a displacement, which is added to the lower bits.
type typeIndex struct {
	displace []uint16 // length a power of two
	slots    []uint16 // type id; length a power of two
}

// findTypeIndex places the largest buckets first (hash and displace).
func findTypeIndex(names []string) (typeIndex, error) {
	const buckets, size = 256, 1024
	ix := typeIndex{displace: make([]uint16, buckets), slots: make([]uint16, size)}
	var members [buckets][]int
	largest := 0
	for id, n := range names {
		if n == "" {
			continue
		}
		b := hash(n) >> 56
		members[b] = append(members[b], id)
		largest = max(largest, len(members[b]))
	}
	for length := largest; length > 0; length-- {
		for b, ids := range members {
			if len(ids) == length && !ix.place(names, b, ids) {
				return ix, fmt.Errorf("no displacement for bucket %d with %d names", b, length)
			}
		}
	}
	return ix, nil
}

func (ix *typeIndex) place(names []string, bucket int, ids []int) bool {
	mask := uint64(len(ix.slots) - 1)
next:
	for d := range 1 << 16 {
		taken := map[uint64]bool{}
		for _, id := range ids {
			at := (hash(names[id]) * (2*uint64(d) + 1) >> 40) & mask
			if ix.slots[at] != 0 || taken[at] {
				continue next
			}
			taken[at] = true
		}
		ix.displace[bucket] = uint16(d)
		for _, id := range ids {
			ix.slots[(hash(names[id])*(2*uint64(d)+1)>>40)&mask] = uint16(id)
		}
		return true
	}
	return false
}
