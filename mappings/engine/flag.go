package engine

import (
	"strings"

	"meridian/mappings/source"
)

const interpretationSystem = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"

// Parameters of flag.
const (
	flagList = iota
	flagTable
	flagOBX
	flagSection
)

var flagParams = []param{{name: "list", kind: argList}, {name: "table", kind: argTable}, {name: "obx", kind: argNode, optional: true},
	{name: "section", kind: argText, optional: true}}

// flagSet collects flags without an allocation; more than it holds are kept in one text.
type flagSet struct {
	of [8]struct{ code, text string }
	n  int
}

func (s *flagSet) add(code, text string) {
	if s.n < len(s.of) {
		s.of[s.n].code, s.of[s.n].text = code, text
		s.n++
		return
	}
	s.of[s.n-1].code, s.of[s.n-1].text = "", s.of[s.n-1].text+" "+text
}

func (s *flagSet) has(code string) bool {
	for i := range s.of[:s.n] {
		if s.of[i].code == code {
			return true
		}
	}
	return false
}

// fnFlag writes interpretation from OBX-8: one concept a repetition, with the
// laboratory's own sign as text. Empty repetitions are dropped, and "normal"
// beside an abnormal flag (Mindray's `H~N`) is dropped with it: the two are
// never combined into normal. A flag that no table knows keeps its text. The
// sign that stands beside a number in OBX-5 (12.3↑) is added where OBX-8 does not say the same.
func fnFlag(c *call, b []byte) ([]byte, bool) {
	var flags flagSet
	var buf [8]source.Node
	abnormal := false
	for _, n := range c.list(flagList, buf[:0]) {
		s := strings.TrimSpace(n.Text())
		if s == "" {
			continue
		}
		code := c.flagCode(s)
		if code == "" {
			c.find("flag.unknown", n, "the flag is not in the table; its text is kept")
			c.rt.missing(Unmapped{Table: c.table(flagTable).Name, Code: s, Path: n.Origin()})
		}
		abnormal = abnormal || code != "N"
		flags.add(code, s)
	}
	if m := c.flagInValue(); m.flag != "" || m.star {
		for _, s := range [...]string{m.flag, star(m)} {
			if code := c.flagCode(s); s != "" && (code == "" || !flags.has(code)) {
				flags.add(code, s)
				abnormal = abnormal || code != "N"
			}
		}
	}
	wrote := false
	for i := range flags.of[:flags.n] {
		f := &flags.of[i]
		if f.code == "N" && abnormal {
			continue
		}
		if wrote {
			b = append(b, ',')
		}
		b = append(b, '{')
		if f.code != "" {
			b = append(b, `"coding":[{"system":"`+interpretationSystem+`","code":`...)
			b = append(appendString(b, f.code), "}]"...)
		}
		if f.code != f.text {
			if f.code != "" {
				b = append(b, ',')
			}
			b = append(b, `"text":`...)
			b = appendString(b, f.text)
		}
		b = append(b, '}')
		wrote = true
	}
	return b, wrote
}

// flagCode asks the table; for the serological sections it has a column of its own (± is weakly reactive there).
func (c *call) flagCode(s string) string {
	row, ok := c.table(flagTable).Find(s)
	if !ok {
		return ""
	}
	if c.given(flagSection) {
		switch section, _ := c.text(flagSection); strings.ToUpper(strings.TrimSpace(section)) {
		case "IMM", "SR", "VR":
			if code := row.Get("serology"); code != "" {
				return code
			}
		}
	}
	return row.Get("to")
}

func star(m measure) string {
	if m.star {
		return "*"
	}
	return ""
}

// flagInValue finds the signs beside a number: in an NM, and in a text that a unit or a range calls a number.
func (c *call) flagInValue() measure {
	if !c.given(flagOBX) {
		return measure{}
	}
	obx := c.node(flagOBX)
	v := obx.F(5)
	if !v.Leaf() || v.State() != source.Present {
		return measure{}
	}
	s := v.Peek()
	if isNumber(s) {
		return measure{}
	}
	m, ok := readMeasure(s, c.rt.src.DecimalComma)
	if !ok || m.flag == "" && !m.star || !strings.EqualFold(obx.F(2).Peek(), "NM") && (!m.plain || !measured(obx)) {
		return measure{}
	}
	c.find("obx.flag-in-value", v, "a flag stands beside the number in OBX-5; the two are kept apart")
	return m
}
