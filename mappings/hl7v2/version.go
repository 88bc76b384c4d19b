package hl7v2

import "strconv"

// version is MSH-12.1 as major*1000 + minor*100 + ..: 2.3 is 230, 2.5.1 is 251.
type version int

const (
	v23  version = 230
	v231 version = 231
	v24  version = 240
	v25  version = 250
	v251 version = 251
	v26  version = 260
	v27  version = 270
	v271 version = 271
	v28  version = 280
	v282 version = 282

	// anyVersion is no version: grammars take it for "legal in some version".
	anyVersion version = -1
)

// defaultVersion is taken where MSH-12 is empty: the one most senders mean.
const defaultVersion = v251

// parseVersion reads 2.5.1 and its like. What lies outside 2.3 to 2.8.2, and what is no number, becomes the nearest version with known false. Versions
// 2.1 and 2.2 are read as 2.3.
func parseVersion(s string) (v version, known bool) {
	if s == "" {
		return defaultVersion, false
	}
	n, parts := 0, 0
	for i := 0; i < len(s) && parts < 3; i++ {
		switch {
		case isDigit(s[i]):
			n = n*10 + int(s[i]-'0')
			parts++
		case s[i] != '.':
			return defaultVersion, false
		}
	}
	for ; parts < 3; parts++ {
		n *= 10
	}
	switch v = version(n); {
	case v < v23:
		return v23, v >= 210
	case v > v282:
		return v282, false
	}
	return v, true
}

func (v version) String() string {
	s := strconv.Itoa(int(v)/100) + "." + strconv.Itoa(int(v)/10%10)
	if v%10 != 0 {
		s += "." + strconv.Itoa(int(v)%10)
	}
	return s
}
