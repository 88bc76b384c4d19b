package engine

import (
	"strings"

	"meridian/mappings/source"
)

// plainName strips the decorations that laboratories put before a name.
func plainName(s string) string {
	s = strings.TrimSpace(s)
	for decorated(s) {
		t := strings.TrimLeft(s, "*★▲△ ")
		for _, p := range [...]string{"(干化学)", "（干化学）", "(全自动)", "（全自动）"} {
			t = strings.TrimPrefix(t, p)
		}
		if t == s {
			break
		}
		s = t
	}
	return s
}

// decorated says that a name may begin with a decoration: by its first byte, that of ★▲△ or of a bracket included.
func decorated(s string) bool {
	return s != "" && (s[0] == '*' || s[0] == ' ' || s[0] == '(' || s[0] == "★"[0] || s[0] == "（"[0])
}

// unitFits says whether a row of the item table is meant for the unit. A row
// that lists units abstains for others; a result without a unit is not held against it.
func unitFits(row Row, u unit) bool {
	units := row.Get("units")
	if units == "" || u.code == "" && u.text == "" {
		return true
	}
	for s := range strings.SplitSeq(units, ";") {
		if s == u.code && u.code != "" || s == u.text {
			return true
		}
	}
	return false
}

// findItem asks the item table under the code with its unit first, since the unit selects the
// code (mass or substance), then under the code alone.
func findItem(items *Table, code string, u unit) (Row, bool) {
	if items.units {
		var buf [96]byte
		key := append(append(buf[:0], code...), '@')
		if u.code != "" {
			key = append(key, u.code...)
		} else {
			key = append(key, u.text...)
		}
		if row, ok := items.findBytes(key); ok && unitFits(row, u) {
			return row, true
		}
	}
	row, ok := items.Find(code)
	return row, ok && unitFits(row, u)
}

// fnItemCode writes Observation.code: the LOINC code where the item table has
// exactly this item in this unit, always the laboratory's own code, and the
// plain name as text. No code is guessed: an item that the table does not know
// is noted for the work list.
func fnItemCode(c *call, b []byte) ([]byte, bool) {
	n := c.node(0)
	var local codingList
	c.rt.codings(n, &local)
	name := n.C(2).Text()
	if name == "" && c.given(2) {
		name, _ = c.text(2)
	}
	if local.n == 0 && cleanText(name) == "" {
		c.rt.parkNow("obx.no-code", n.Origin(), "OBX-3 has neither a code nor a name", "OBX-3 没有项目代码和名称")
		return b, false
	}
	var u unit
	if c.given(1) {
		u = c.rt.unitOf(c.node(1), c.table(4))
	}
	var list codingList
	if k, ok := c.loinc(&local, u, n, name); ok {
		list.add(k)
	}
	for _, k := range local.list() {
		list.add(k)
	}
	text := cleanText(n.C(9).Text())
	if text == "" {
		text = cleanText(plainName(name))
	}
	if text == "" {
		text = local.of[0].code
	}
	return appendConceptOf(b, list.list(), text)
}

// loinc finds the mapped code of an item. Where the sender gave LOINC itself, there is nothing to map.
func (c *call) loinc(local *codingList, u unit, n source.Node, name string) (coding, bool) {
	for _, k := range local.list() {
		if k.system == loincSystem {
			return coding{}, false
		}
	}
	items := c.table(3)
	if !c.otherSpecimen() {
		for _, k := range local.list() {
			row, ok := findItem(items, k.code, u)
			if code := ""; ok {
				if code = row.Get("loinc"); code != "" {
					return coding{system: loincSystem, code: code, display: row.Get("display")}, true
				}
			}
		}
	}
	c.rt.missing(Unmapped{Table: items.Name, Code: local.of[0].code, Display: cut(name, 200), Unit: u.text, Path: n.Origin()})
	return coding{}, false
}

// otherCache keeps what otherSpecimen found for the scope of the current resource.
type otherCache struct {
	args  *arg
	scope int32
	other bool
}

// otherSpecimenWords tell that a specimen is not blood: the same letters (GLU,
// WBC, PRO) then stand for another item.
var otherSpecimenWords = [...]string{"尿", "便", "粪", "脑脊液", "胸水", "腹水", "精液", "urine", "stool", "feces", "csf"}

// otherSpecimen says that the specimen or the panel is of urine, stool or a
// puncture: the item table holds blood items, so it abstains.
func (c *call) otherSpecimen() bool {
	o := &c.rt.other
	if o.args == &c.args[5] && o.scope == c.rt.current.scope && !c.rt.trace.on { // a memo must see what is read
		return o.other
	}
	*o = otherCache{args: &c.args[5], scope: c.rt.current.scope}
	var buf [8]source.Node
	for _, n := range c.list(5, buf[:0]) {
		s := strings.ToLower(n.Text())
		if s == "ur" || s == "stl" || s == "u" {
			o.other = true
		}
		for _, w := range otherSpecimenWords {
			o.other = o.other || strings.Contains(s, w)
		}
	}
	return o.other
}

// ordinal says that the item table calls an item ordinal or nominal: its answers are words, not measurements.
func (rt *run) ordinal(n source.Node, items *Table, u unit) bool {
	for _, at := range triplets {
		code := strings.TrimSpace(n.C(at).Text())
		if code == "" {
			continue
		}
		if row, ok := findItem(items, code, u); ok {
			return row.Get("scale") == "ord"
		}
	}
	return false
}
