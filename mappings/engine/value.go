package engine

import (
	"slices"
	"strings"

	"meridian/mappings/source"
)

// Parameters of obxValue, obxComponents and absent.
const (
	obxRows = iota
	obxUnits
	obxItems
	obxGrades
	obxNoValue
)

var obxParams = []param{{name: "rows", kind: argList}, {name: "units", kind: argTable}, {name: "items", kind: argTable},
	{name: "grades", kind: argTable}, {name: "noValue", kind: argTable}}

// valueCall is one OBX value being written: one repetition of OBX-5, or, for texts, all of them and those of further rows.
type valueCall struct {
	*call
	of    *instance     // whose value it is
	units *Table        // of the call that opened it
	rows  []source.Node // the OBX, and rows that continue it
	obx   source.Node
	value source.Node
	unit  unit
	typ   string
	ok    bool // there is a value
}

// textTypes are the types whose repetitions are lines of one text.
var textTypes = []string{"ST", "TX", "FT", ""}

// openValue reads the row's type, unit and first value; ok is false where there is no value. The three functions that ask
// for one result share it.
func openValue(c *call) *valueCall {
	x := &c.rt.value
	if x.call = c; x.of == c.rt.current && x.units == c.table(obxUnits) && x.of != nil && !c.rt.trace.on { // a memo must see what is read
		if len(x.rows) > 0 {
			x.value = x.obx.F(5)
		}
		return x
	}
	x.of, x.units, x.ok = c.rt.current, c.table(obxUnits), false
	if x.rows = c.list(obxRows, x.rows[:0]); len(x.rows) == 0 {
		return x
	}
	x.obx = x.rows[0]
	x.value = x.obx.F(5)
	if x.value.State() != source.Present || blank(x.value) && len(x.rows) == 1 && !x.value.NextSame().Valid() {
		return x
	}
	x.typ = strings.ToUpper(strings.TrimSpace(x.obx.F(2).Text()))
	if x.typ == "" {
		x.typ = c.rt.src.DefaultType
	}
	x.unit = c.rt.unitOf(x.obx.F(6), c.table(obxUnits))
	x.ok = true
	return x
}

func blank(n source.Node) bool {
	for _, r := range n.Raw() {
		if r != ' ' && r != '\t' && r != '　' {
			return false
		}
	}
	return true
}

// repeated says that OBX-5 has repetitions that are values of their own: they become components.
func (x *valueCall) repeated() bool {
	return x.value.NextSame().Valid() && !slices.Contains(textTypes, x.typ) && x.typ != "NA" && x.typ != "MA"
}

// fnObxValue chooses value[x] by OBX-2 and writes OBX-5. What does not fit its
// declared type is kept as a string, with a finding; nothing is dropped.
func fnObxValue(c *call, b []byte) ([]byte, bool) {
	x := openValue(c)
	if !x.ok || x.repeated() {
		return b, false
	}
	if _, absent := x.noValue(); absent {
		return b, false
	}
	if x.typ == "" {
		c.find("obx.type-missing", x.obx, "OBX-2 is empty; the value is read as text")
	}
	x.compareRows()
	return x.append(b)
}

// compareRows notes that further rows of one text have another status than the first.
func (x *valueCall) compareRows() {
	status := x.obx.F(11).Peek()
	for _, r := range x.rows[1:] {
		if r.F(11).Peek() != status {
			x.find("obx.rows-differ", r, "rows of one text have different statuses; that of the first stands")
		}
	}
}

// fnObxComponents writes one component for each repetition of OBX-5 where they are values of their own. HL7 v2.5.1 ch. 7.4.2.5
func fnObxComponents(c *call, b []byte) ([]byte, bool) {
	x := openValue(c)
	if !x.ok || !x.repeated() {
		return b, false
	}
	wrote := false
	for n := x.value; n.Valid(); n = n.NextSame() {
		if n.State() != source.Present {
			continue
		}
		x.value = n
		mark := len(b)
		if wrote {
			b = append(b, ',')
		}
		var ok bool
		if b, ok = appendConcept(c, append(b, `{"code":`...), x.obx.F(3)); !ok {
			return b, false
		}
		at := len(b)
		var room [256]byte
		text, written := x.append(room[:0])
		if !written {
			b = b[:mark]
			continue
		}
		b = append(append(append(b[:at], `,"value`...), x.suffix...), `":`...)
		b = append(append(b, text...), '}')
		wrote = true
	}
	return b, wrote
}

// append writes one value.
func (x *valueCall) append(b []byte) ([]byte, bool) {
	v := x.value
	switch x.typ {
	case "NM":
		return x.numeric(b)
	case "SN":
		return x.structured(b)
	case "CE", "CWE", "CNE", "CF", "IS", "ID":
		x.suffix = "CodeableConcept"
		return appendConcept(x.call, b, v)
	case "NR":
		return x.interval(b, v.C(1).Text(), v.C(2).Text())
	case "DR":
		return x.period(b)
	case "DT", "DTM", "TS", "TSO":
		return x.dateTime(b)
	case "TM":
		return x.time(b)
	case "ED", "RP":
		return b, false // the report's presentedForm takes it
	case "ST", "TX", "FT", "":
		return x.result(b)
	case "VR":
		if s := joinTexts("-", v.C(1), v.C(2)); s != "" {
			return x.string(b, s, "")
		}
	case "CX", "EI", "XPN", "XCN", "PPN", "XTN":
		if s := displayOf(x.typ, v); s != "" {
			return x.string(b, s, "obx.type-display")
		}
	case "NA", "MA":
		return x.text(b, "obx.array")
	}
	return x.text(b, "obx.type-unknown")
}

// valueFindings says why a value stands as a string.
var valueFindings = map[string]string{
	"obx.number":       "OBX-5 is not the number that OBX-2 announces; it is kept as text",
	"obx.type-unknown": "OBX-2 has no counterpart among FHIR's values; the value is kept as text",
	"obx.type-display": "OBX-2 has no counterpart among FHIR's values; what people read of it is kept as text",
	"obx.array":        "a numeric array without its sampling period is no SampledData; it is kept as text",
}

// text keeps all lines of the value as valueString; code, when not empty, says why.
func (x *valueCall) text(b []byte, code string) ([]byte, bool) { return x.string(b, x.lines(), code) }

func (x *valueCall) string(b []byte, s, code string) ([]byte, bool) {
	x.suffix = "String"
	if s = cleanText(s); s == "" {
		return b, false
	}
	if code != "" {
		why := valueFindings[code]
		if why == "" {
			why = "OBX-5 does not fit OBX-2; it is kept as text"
		}
		x.find(code, x.value, why)
	}
	return appendString(b, s), true
}

// lines joins the repetitions, and those of further rows. In TX and FT a repetition is a line; in ST it is rather a sign that the
// sender did not escape (0~2), and stays. Of a value that is one of several components only itself.
func (x *valueCall) lines() string {
	if x.repeated() || x.value.Ordinal() > 0 {
		return wholeText(x.value)
	}
	if len(x.rows) == 1 && !x.value.NextSame().Valid() {
		return wholeText(x.value)
	}
	var lines []string
	for _, r := range x.rows {
		if x.typ != "TX" && x.typ != "FT" {
			lines = append(lines, wholeField(r.F(5)))
			continue
		}
		for n := r.F(5); n.Valid(); n = n.NextSame() {
			lines = append(lines, wholeText(n))
		}
	}
	return strings.Join(lines, "\n")
}

// wholeField is the text of a field that does not repeat by the standard: where it seems to, the sender did not escape the sign (OBX-7 `7~40`).
func wholeField(n source.Node) string {
	s := wholeText(n)
	for r := n.NextSame(); r.Valid(); r = r.NextSame() {
		s += "~" + wholeText(r)
	}
	return s
}

// wholeText is the text of a field with its components as the sender wrote them.
func wholeText(n source.Node) string {
	if n.Leaf() {
		return n.Text()
	}
	n.MarkAll()
	return n.Whole()
}

// cleanText drops the control characters that FHIR strings cannot hold and blanks at the ends.
func cleanText(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 && c != '\n' && c != '\r' && c != '\t' {
			s = strings.Map(func(r rune) rune {
				if r < 0x20 && r != '\n' && r != '\r' && r != '\t' {
					return -1
				}
				return r
			}, s)
			break
		}
	}
	return strings.TrimRight(s, " \t\r\n")
}

// numeric reads NM. A flag that stands beside the number is taken by interpretation.
func (x *valueCall) numeric(b []byte) ([]byte, bool) {
	if !x.value.Leaf() {
		return x.text(b, "obx.number")
	}
	raw := x.value.Text()
	if n, ok := number(raw, x.rt.src.DecimalComma); ok {
		x.suffix = "Quantity"
		return appendQuantity(b, n, "", x.unit), true
	}
	m, ok := readMeasure(raw, x.rt.src.DecimalComma)
	if !ok {
		return x.text(b, "obx.number")
	}
	x.suffix = "Quantity"
	return appendQuantity(b, m.number, m.comparator, x.unit), true
}

// result reads a text. It is a number only where a unit or a numeric range says
// that it is one, and only as written; it is coded only where the item table
// calls the item ordinal. Everything else stays a text.
func (x *valueCall) result(b []byte) ([]byte, bool) {
	if len(x.rows) > 1 || x.value.NextSame().Valid() || !x.value.Leaf() {
		return x.text(b, "")
	}
	raw := x.value.Text()
	if m, ok := readMeasure(raw, x.rt.src.DecimalComma); ok && m.plain && measured(x.obx) {
		x.suffix = "Quantity"
		return appendQuantity(b, m.number, m.comparator, x.unit), true
	}
	if row, ok := x.table(obxGrades).Find(raw); ok && x.rt.ordinal(x.obx.F(3), x.table(obxItems), x.unit) {
		x.suffix = "CodeableConcept"
		return x.grade(b, row, raw), true
	}
	return x.string(b, raw, "")
}

// measured says that an item has a unit or a numeric range.
func measured(obx source.Node) bool {
	if blank(obx.F(6)) {
		r := readBounds(obx.F(7).Raw())
		return r.low != "" || r.high != ""
	}
	return true
}

// ordinalSystem is the code system of graded results; tables/grade.csv has its codes in their order.
const ordinalSystem = "https://meridian.health/fhir/CodeSystem/ordinal-result"

// grade writes 阴性, ±, 2+ as a concept with a code of an ordered system, the LOINC answer where there is one, and the text as sent.
func (x *valueCall) grade(b []byte, row Row, raw string) []byte {
	var list codingList
	list.add(coding{system: ordinalSystem, code: row.Get("to")})
	if a := row.Get("loinc"); a != "" {
		list.add(coding{system: loincSystem, code: a})
	}
	b, _ = appendConceptOf(b, list.list(), cleanText(raw))
	return b
}
