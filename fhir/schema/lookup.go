package schema

import (
	"encoding/binary"
	"math/bits"
)

// nameTable finds a type's properties by a perfect multiply-shift hash whose
// multiplier was found when the table was generated:
// slots[key*mult>>shift] is the index into props, 0xFF for none. The key
// condenses the first eight bytes, the last eight and the length: no two names
// of one type are alike in all three.
type nameTable struct {
	props []Property
	slots string
	mult  uint64
	shift uint8
}

func (t *nameTable) lookup(name []byte) (*Property, bool) {
	n := len(name)
	var key uint64
	switch {
	case n >= 8:
		key = binary.LittleEndian.Uint64(name) ^ bits.RotateLeft64(binary.LittleEndian.Uint64(name[n-8:]), 29)
	case n >= 4:
		key = uint64(binary.LittleEndian.Uint32(name)) ^ uint64(binary.LittleEndian.Uint32(name[n-4:]))<<29
	case n > 0:
		key = uint64(name[0]) | uint64(name[n/2])<<8 | uint64(name[n-1])<<16
	}
	i := int(t.slots[(key^uint64(n))*t.mult>>(t.shift&63)])
	if i < len(t.props) {
		if p := &t.props[i]; string(name) == p.JSON {
			return p, true
		}
	}
	return nil, false
}

const hashPrime = 0x9E3779B97F4A7C15

// hash reads the whole name: paths of backbone types are alike at both ends.
func hash(name []byte) uint64 {
	h := uint64(len(name)) * hashPrime
	for len(name) >= 8 {
		h = (h ^ binary.LittleEndian.Uint64(name)) * hashPrime
		h ^= h >> 32
		name = name[8:]
	}
	for _, c := range name {
		h = (h ^ uint64(c)) * hashPrime
	}
	return h ^ h>>32
}

func byName(name string) *Type { return ByNameBytes([]byte(name)) }

// ByNameBytes is ByName for bytes; it does not allocate.
func ByNameBytes(name []byte) *Type {
	h := hash(name)
	d := uint64(typeDisplace[h>>56])
	t := &types[typeSlots[(h*(2*d+1)>>40)&(uint64(len(typeSlots))-1)]]
	if t.ID == 0 || string(name) != t.Name {
		return nil
	}
	return t
}
