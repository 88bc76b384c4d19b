package engine

import (
	"strings"

	"meridian/mappings/source"
)

const interpretationSystem = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"

// fnFlag writes interpretation from OBX-8: one concept a repetition, with the
// laboratory's own sign as text. Empty repetitions are dropped, and "normal"
// beside an abnormal flag (Mindray's `H~N`) is dropped with it: the two are
// never combined into normal. A flag that no table knows keeps its text.
func fnFlag(c *call, b []byte) ([]byte, bool) {
	type flag struct{ code, text string }
	var flags []flag
	var buf [8]source.Node
	abnormal := false
	for _, n := range c.list(0, buf[:0]) {
		s := strings.TrimSpace(n.Text())
		if s == "" {
			continue
		}
		f := flag{text: s}
		if row, ok := c.table(1).Find(s); ok {
			f.code = row.Get("to")
		} else {
			c.find("flag.unknown", n, "the flag is not in the table; its text is kept")
			c.rt.unmapped = append(c.rt.unmapped, Unmapped{Table: c.table(1).Name, Code: s, Path: n.Origin()})
		}
		abnormal = abnormal || f.code != "N"
		flags = append(flags, f)
	}
	wrote := false
	for _, f := range flags {
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
