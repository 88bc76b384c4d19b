package pebblestore

import (
	"encoding/binary"
	"strings"

	"meridian/fhir/search"
)

// First bytes of keys. They are on disk.
const (
	prefixMeta     = 'M'
	prefixName     = 'N'
	prefixBody     = 'R'
	prefixVersion  = 'V'
	prefixID       = 'I'
	prefixAll      = 'A'
	prefixPosting  = 'P'
	prefixWide     = 'W'
	prefixForward  = 'D'
	prefixSort     = 'S'
	prefixLog      = 'L'
	prefixTypeLog  = 'H'
	prefixLogTimes = 'T'
	prefixQueue    = 'Q'
	prefixReceipt  = 'C'
	prefixExpiry   = 'X'
)

// numberLen is the width of a resource number in a key, big endian.
const numberLen = 8

// appendNum writes a name's number so that no code is the prefix of another
// and bytes order as numbers: below 192 one byte, below 16,320 two, else five.
func appendNum(b []byte, n uint32) []byte {
	const one, two = 192, 192 + 63<<8
	switch {
	case n < one:
		return append(b, byte(n))
	case n < two:
		n -= one
		return append(b, byte(one+n>>8), byte(n))
	}
	return binary.BigEndian.AppendUint32(append(b, 0xff), n)
}

// cutNum undoes appendNum; ok is false when b is too short.
func cutNum(b []byte) (n uint32, rest []byte, ok bool) {
	switch {
	case len(b) >= 1 && b[0] < 192:
		return uint32(b[0]), b[1:], true
	case len(b) >= 2 && b[0] < 0xff:
		return 192 + uint32(b[0]-192)<<8 + uint32(b[1]), b[2:], true
	case len(b) >= 5 && b[0] == 0xff:
		return binary.BigEndian.Uint32(b[1:]), b[5:], true
	}
	return 0, nil, false
}

func appendNumber(b []byte, number uint64) []byte { return binary.BigEndian.AppendUint64(b, number) }

func bodyKey(b []byte, number uint64) []byte { return appendNumber(append(b, prefixBody), number) }

// versionKey orders the versions of a resource newest first.
func versionKey(b []byte, number, version uint64) []byte {
	return appendNumber(appendNumber(append(b, prefixVersion), number), ^version)
}

func idKey(b []byte, typ uint32, id string) []byte {
	return append(appendNum(append(b, prefixID), typ), id...)
}

func allKey(b []byte, typ uint32, number uint64) []byte {
	return appendNumber(appendNum(append(b, prefixAll), typ), number)
}

func logKey(b []byte, seq uint64) []byte { return appendNumber(append(b, prefixLog), seq) }

// forwardPrefix is the forward values of one parameter, in the order of numbers.
func forwardPrefix(b []byte, typ, param uint32) []byte {
	return appendNum(appendNum(append(b, prefixForward), typ), param)
}

func sortPrefix(b []byte, typ, param uint32) []byte {
	return appendNum(appendNum(append(b, prefixSort), typ), param)
}

func paramPrefix(b []byte, typ, param uint32) []byte {
	return appendNum(appendNum(append(b, prefixPosting), typ), param)
}

func scopePrefix(b []byte, typ, param, scope uint32) []byte {
	return appendNum(paramPrefix(b, typ, param), scope)
}

// widePrefix is the wide ranges of one class.
func widePrefix(b []byte, typ, param, scope uint32, class byte) []byte {
	return append(appendNum(appendNum(appendNum(append(b, prefixWide), typ), param), scope), class)
}

// splitValue halves a key's Value at the first separator; hi keeps the
// separator, so that lo+hi is the value and an empty hi means there was none.
// Splitting there lets all ranges with one low bound stand in number order,
// which is the order of a sort, whatever their high bounds are.
func splitValue(value string) (lo, hi string) {
	if i := strings.IndexByte(value, search.RangeSep[0]); i >= 0 {
		return value[:i], value[i:]
	}
	return value, ""
}

// appendPosting ends a posting after its scope.
func appendPosting(b []byte, lo string, number uint64, hi string) []byte {
	b = append(append(b, lo...), 0)
	return append(appendNumber(b, number), hi...)
}

// cutPosting takes apart what follows a prefix: lo 0 number hi.
func cutPosting(b []byte) (lo []byte, number uint64, hi []byte, ok bool) {
	for i, c := range b {
		if c != 0 {
			continue
		}
		if len(b) < i+1+numberLen {
			return nil, 0, nil, false
		}
		return b[:i], binary.BigEndian.Uint64(b[i+1:]), b[i+1+numberLen:], true
	}
	return nil, 0, nil, false
}

// after is the first key that does not begin with prefix; nil when there is none.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
