package value

import (
	"math/bits"
	"time"
)

// Instant is a point in time in UTC: seconds since 1970-01-01T00:00:00Z and
// nanoseconds 0…999,999,999, without leap seconds. It covers the years
// 0001–9999 in every offset, which an int64 of nanoseconds does not.
type Instant struct {
	Sec  int64
	Nsec int32
}

const (
	instantKeyLen = 12
	// instantBias brings the first second of year 0 to 0: two days before any
	// year 0001 in any offset is far above it.
	instantBias = 62167219200
	// instantAlphabet ascends in ASCII.
	instantAlphabet = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
)

// InstantKeyMin is below, InstantKeyMax above the key of every Instant; they
// stand for an end that is open (a Period without end).
const (
	InstantKeyMin = "------------"
	InstantKeyMax = "zzzzzzzzzzzz"
)

// InstantOf gives t as an Instant.
func InstantOf(t time.Time) Instant { return Instant{t.Unix(), int32(t.Nanosecond())} }

// Time gives i in UTC.
func (i Instant) Time() time.Time { return time.Unix(i.Sec, int64(i.Nsec)).UTC() }

// Compare is -1, 0 or 1.
func (i Instant) Compare(j Instant) int {
	switch {
	case i.Sec < j.Sec || i.Sec == j.Sec && i.Nsec < j.Nsec:
		return -1
	case i == j:
		return 0
	}
	return 1
}

// Add gives the Instant d later.
func (i Instant) Add(d time.Duration) Instant {
	n := int64(i.Nsec) + int64(d%time.Second)
	s := i.Sec + int64(d/time.Second)
	if n < 0 {
		n += 1e9
		s--
	} else if n >= 1e9 {
		n -= 1e9
		s++
	}
	return Instant{s, int32(n)}
}

// Sub gives i - j, held at the ends of time.Duration (some 292 years).
func (i Instant) Sub(j Instant) time.Duration {
	const most = 1<<63 - 1
	s := i.Sec - j.Sec
	hi, lo := bits.Mul64(uint64(max(s, -s)), 1e9)
	if hi != 0 || lo >= most-1e9 {
		if s < 0 {
			return -most
		}
		return most
	}
	return time.Duration(s)*time.Second + time.Duration(i.Nsec-j.Nsec)
}

// AppendKey appends 12 characters whose order as bytes is the order of time:
// seven of seconds since the year 0 (42 bits), five of nanoseconds (30 bits),
// six bits each, written with -, 0–9, A–Z, _, a–z.
func (i Instant) AppendKey(dst []byte) []byte {
	s, n := uint64(i.Sec+instantBias), uint32(i.Nsec)
	var k [instantKeyLen]byte
	for p := 6; p >= 0; p-- {
		k[p] = instantAlphabet[s&63]
		s >>= 6
	}
	for p := instantKeyLen - 1; p > 6; p-- {
		k[p] = instantAlphabet[n&63]
		n >>= 6
	}
	return append(dst, k[:]...)
}
