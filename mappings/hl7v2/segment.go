package hl7v2

import (
	"iter"
	"strings"
)

// Segment is one segment of a Message. The zero Segment stands for one that is not there. It is small: pass it by value.
type Segment struct {
	m          *Message
	start, end uint32 // of the text, without the line end
	first      uint32 // index of the first separator in Message.seps
	fields     uint32 // number of separators
	occurrence uint32 // 1 for the first of its name
	header     bool   // MSH, FHS or BHS: the first field is the field separator itself
}

// Exists is false for the zero Segment.
func (s Segment) Exists() bool { return s.m != nil }

// Name is the three characters the segment starts with: "OBX", "ZPI".
func (s Segment) Name() string {
	if s.m == nil {
		return ""
	}
	return s.m.text[s.start : s.start+3]
}

// Local reports whether the segment is one of the sender's own: its name starts with Z.
func (s Segment) Local() bool { return s.m != nil && s.m.text[s.start]|0x20 == 'z' }

// Occurrence is the number of this segment among those of its name in the message, from 1.
func (s Segment) Occurrence() int { return int(s.occurrence) }

// Raw is the segment as written, without its line end.
func (s Segment) Raw() string {
	if s.m == nil {
		return ""
	}
	return s.m.text[s.start:s.end]
}

// Offset is where the segment begins in Message.Text, in bytes; 0 for the zero Segment.
func (s Segment) Offset() int { return int(s.start) }

// Label names the place of the segment in its message: "OBX[3]".
func (s Segment) Label() string { return s.Position(0, 0, 0, 0).String() }

// Fields is the highest field number that is written, 0 for none.
func (s Segment) Fields() int {
	if s.m == nil {
		return 0
	}
	if s.header {
		return int(s.fields) + 1
	}
	return int(s.fields)
}

// Field is field n as printed in the standard, from 1, with all its repetitions. A field beyond the last one written is
// Absent.
func (s Segment) Field(n int) Value {
	if s.m == nil || n < 1 {
		return Value{}
	}
	if s.header {
		switch n {
		case 1:
			return Value{raw: s.m.text[s.start+3 : s.start+4], state: Present, level: levelAtom, m: s.m}
		case 2:
			return Value{raw: s.between(1), state: Present, level: levelAtom, m: s.m}
		}
		n--
	}
	if n > int(s.fields) {
		return Value{m: s.m}
	}
	raw := s.between(n)
	return Value{raw: raw, state: stateOf(raw), level: levelField, m: s.m}
}

// between is the text after the nth separator, n at most s.fields.
func (s Segment) between(n int) string {
	i := int(s.first) + n
	from := s.m.seps[i-1] + 1
	if n < int(s.fields) {
		return s.m.text[from:s.m.seps[i]]
	}
	return s.m.text[from:s.end]
}

// State tells apart what an update may do with an element: Absent and Empty leave it as it is, Null removes it.
// HL7 v2.5.1 ch. 2.5.3.
type State uint8

const (
	Absent  State = iota // not written: beyond the last delimiter, or in a segment that is not there
	Empty                // nothing between two delimiters
	Null                 // written as ""
	Present              // anything else
)

func (s State) String() string {
	return [...]string{"absent", "empty", "null", "present"}[s]
}

func stateOf(raw string) State {
	switch {
	case len(raw) == 0:
		return Empty
	case len(raw) == 2 && raw == `""`:
		return Null
	}
	return Present
}

type level uint8

const (
	levelField level = iota
	levelRepetition
	levelComponent
	levelSub
	levelAtom // MSH-1 and MSH-2: the delimiters themselves, neither split nor unescaped
)

// Value is a field, a repetition, a component or a subcomponent, as written. The zero Value is Absent. What lies below
// a Null value is Null: a field written as "" removes each of its components.
type Value struct {
	raw   string
	m     *Message
	state State
	level level
}

// Raw is the text as written, with escapes and inner delimiters; "" unless Null or Present.
func (v Value) Raw() string { return v.raw }

// State of the value.
func (v Value) State() State { return v.state }

// Valued reports whether the value is Present.
func (v Value) Valued() bool { return v.state == Present }

// Repetitions is the number of repetitions written: 0 if Absent, else at least 1.
func (v Value) Repetitions() int {
	switch {
	case v.state == Absent:
		return 0
	case v.level > levelField || v.m.delims.Repetition == 0:
		return 1
	}
	return 1 + strings.Count(v.raw, one(v.m.delims.Repetition))
}

// Repetition is the nth repetition of a field, from 1.
func (v Value) Repetition(n int) Value {
	if v.level > levelField {
		if n == 1 {
			return v
		}
		return Value{m: v.m}
	}
	return v.part(n, levelRepetition)
}

// Component is component n, from 1; of a field, that of its first repetition. Ask Repetitions first where a field repeats.
func (v Value) Component(n int) Value {
	switch {
	case v.level > levelRepetition:
		if n == 1 {
			return v
		}
		return Value{m: v.m}
	case v.state != Present || n < 1:
		return v.Repetition(1).part(n, levelComponent)
	}
	// One pass, since this is the commonest question: stop at the end of the component or of the first repetition.
	sep, end := v.m.delims.Component, v.m.delims.Repetition
	if v.level == levelRepetition {
		end = 0
	}
	raw, start := v.raw, 0
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == sep && sep != 0:
			if n--; n == 0 {
				return Value{raw: raw[start:i], state: stateOf(raw[start:i]), level: levelComponent, m: v.m}
			}
			start = i + 1
		case c == end && end != 0:
			raw = raw[:i]
		}
	}
	if n > 1 {
		return Value{m: v.m}
	}
	return Value{raw: raw[start:], state: stateOf(raw[start:]), level: levelComponent, m: v.m}
}

// Sub is subcomponent n, from 1; of a field or repetition, that of its first component.
func (v Value) Sub(n int) Value {
	if v.level < levelComponent {
		v = v.Component(1)
	}
	if v.level == levelComponent {
		return v.part(n, levelSub)
	}
	if n == 1 {
		return v
	}
	return Value{m: v.m}
}

// Components is the highest component number written in the (first) repetition, 0 if Absent.
func (v Value) Components() int { return v.Repetition(1).count(levelRepetition, 0) }

// Subs is the highest subcomponent number written in the (first) component, 0 if Absent.
func (v Value) Subs() int { return v.Component(1).count(levelComponent, 0) }

func (v Value) count(at level, none int) int {
	if v.state == Absent {
		return none
	}
	sep := v.m.delims.below(at)
	if v.level > at || sep == 0 {
		return 1
	}
	return 1 + strings.Count(v.raw, one(sep))
}

// Each yields the repetitions of a field with their numbers, from 1; none if it is Absent.
func (v Value) Each() iter.Seq2[int, Value] {
	return func(yield func(int, Value) bool) {
		if v.state == Absent {
			return
		}
		if v.level > levelField || v.state == Null || v.m.delims.Repetition == 0 {
			yield(1, v.Repetition(1))
			return
		}
		sep, rest := one(v.m.delims.Repetition), v.raw
		for n, more := 1, true; more; n++ {
			var raw string
			raw, rest, more = strings.Cut(rest, sep)
			if !yield(n, Value{raw: raw, state: stateOf(raw), level: levelRepetition, m: v.m}) {
				return
			}
		}
	}
}

// part is the nth piece of v one level down.
func (v Value) part(n int, to level) Value {
	if n < 1 || v.state == Absent {
		return Value{m: v.m}
	}
	if v.state == Null {
		v.level = to
		return v
	}
	sep := v.m.delims.below(to - 1)
	rest := v.raw
	for ; ; n-- {
		i := -1
		if sep != 0 {
			i = strings.IndexByte(rest, sep)
		}
		switch {
		case n == 1 && i >= 0:
			return Value{raw: rest[:i], state: stateOf(rest[:i]), level: to, m: v.m}
		case n == 1:
			return Value{raw: rest, state: stateOf(rest), level: to, m: v.m}
		case i < 0:
			return Value{m: v.m}
		}
		rest = rest[i+1:]
	}
}

// Text is the value with its escape sequences resolved; "" if Absent, Empty or Null. Inner delimiters stay as they are,
// so it is meant for a value without parts. See Delimiters.Unescape; unknown sequences stay as written.
func (v Value) Text() string {
	if v.state == Present && v.m.delims.Escape != 0 && strings.IndexByte(v.raw, v.m.delims.Escape) < 0 {
		return v.raw
	}
	text, _ := v.Unescape()
	return text
}

// Unescape is Text, and the number of escape sequences that stayed as written.
func (v Value) Unescape() (text string, unknown int) {
	if v.state != Present {
		return "", 0
	}
	if v.level == levelAtom {
		return v.raw, 0
	}
	return v.m.delims.Unescape(v.raw, v.m.hex)
}

// Position of a part of the segment; zero repetition, component and sub leave the part out.
func (s Segment) Position(field, repetition, component, sub int) Position {
	return Position{Segment: s.Name(), Occurrence: int(s.occurrence), Field: field, Repetition: repetition, Component: component, Sub: sub}
}
