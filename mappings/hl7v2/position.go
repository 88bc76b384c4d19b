package hl7v2

import "strconv"

// Position is a position in a message, as labels print it: OBX[3].5[2].1.4. Zero means not given.
type Position struct {
	Segment    string // "OBX"
	Occurrence int    // among the segments of its name, from 1
	Field      int
	Repetition int
	Component  int
	Sub        int
}

// String is the label: OBX[3].5.1. The first repetition is not printed.
func (p Position) String() string {
	if p.Segment == "" {
		return ""
	}
	b := append(make([]byte, 0, 24), p.Segment...)
	index := func(n int) {
		b = append(b, '[')
		b = strconv.AppendInt(b, int64(n), 10)
		b = append(b, ']')
	}
	index(max(p.Occurrence, 1))
	for i, n := range [...]int{p.Field, p.Component, p.Sub} {
		if n == 0 {
			break
		}
		b = append(b, '.')
		b = strconv.AppendInt(b, int64(n), 10)
		if i == 0 && p.Repetition > 1 {
			index(p.Repetition)
		}
	}
	return string(b)
}

// ParsePosition reads a label. It accepts a segment without an index (PID.3), which is the first of its name.
func ParsePosition(s string) (p Position, ok bool) {
	if len(s) < 3 || !isLetter(s[0]) || !isAlnum(s[1]) || !isAlnum(s[2]) {
		return Position{}, false
	}
	p = Position{Segment: s[:3], Occurrence: 1}
	if s, ok = cutIndex(s[3:], &p.Occurrence); !ok {
		return Position{}, false
	}
	for i, to := range [...]*int{&p.Field, &p.Component, &p.Sub} {
		if s == "" {
			return p, true
		}
		if s[0] != '.' {
			return Position{}, false
		}
		if s, ok = cutNumber(s[1:], to); !ok {
			return Position{}, false
		}
		if i == 0 {
			if s, ok = cutIndex(s, &p.Repetition); !ok {
				return Position{}, false
			}
		}
	}
	return p, s == ""
}

// cutIndex reads [n] from the front of s, if it is there.
func cutIndex(s string, to *int) (rest string, ok bool) {
	if s == "" || s[0] != '[' {
		return s, true
	}
	rest, ok = cutNumber(s[1:], to)
	if !ok || rest == "" || rest[0] != ']' {
		return s, false
	}
	return rest[1:], true
}

func cutNumber(s string, to *int) (rest string, ok bool) {
	i := 0
	for i < len(s) && i < 9 && isDigit(s[i]) {
		i++
	}
	n, err := strconv.Atoi(s[:i])
	if err != nil || n == 0 {
		return s, false
	}
	*to = n
	return s[i:], true
}
