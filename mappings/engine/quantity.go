package engine

import (
	"strings"

	"golang.org/x/text/unicode/norm"

	"meridian/mappings/source"
)

const ucumSystem = "http://unitsofmeasure.org"

// unit is what a unit field says: the text as the laboratory prints it, and its
// UCUM code where the table knows it. An unknown unit keeps its text alone.
type unit struct{ text, code string }

// unitOf reads OBX-6 (CWE): the text is component 2, else 1; a UCUM code comes
// from component 1 when component 3 says so, else from the table.
func unitOf(n source.Node, table *Table) unit {
	if !n.Valid() {
		return unit{}
	}
	code, text, system := n.C(1).Text(), n.C(2).Text(), n.C(3).Text()
	if text == "" {
		text = code
	}
	u := unit{text: strings.TrimSpace(text)}
	if strings.EqualFold(system, "UCUM") {
		u.code = strings.TrimSpace(code)
		return u
	}
	for _, s := range []string{code, text} {
		if row, ok := table.Find(s); ok && s != "" {
			u.code = row.Get("to")
			return u
		}
	}
	return u
}

func (u unit) append(b []byte) []byte {
	if u.text != "" {
		b = append(b, `,"unit":`...)
		b = appendString(b, u.text)
	}
	if u.code != "" {
		b = append(b, `,"system":"`+ucumSystem+`","code":`...)
		b = appendString(b, u.code)
	}
	return b
}

// appendQuantity writes a Quantity with the number as its lexeme.
func appendQuantity(b []byte, number, comparator string, u unit) []byte {
	b = append(append(b, `{"value":`...), number...)
	if comparator != "" {
		b = append(b, `,"comparator":`...)
		b = appendString(b, comparator)
	}
	return append(u.append(b), '}')
}

// number turns an HL7 NM into a JSON number without changing its value or its
// precision: a leading plus, a missing digit beside the point and leading zeros
// are all that is touched. Full-width digits are read, `11,49` only where the source says so.
func number(s string, decimalComma bool) (string, bool) {
	s = strings.TrimSpace(s)
	if !isASCII(s) {
		s = norm.NFKC.String(s)
	}
	if decimalComma && strings.Count(s, ",") == 1 && !strings.Contains(s, ".") {
		s = strings.Replace(s, ",", ".", 1)
	}
	s = strings.TrimPrefix(s, "+")
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	s = strings.TrimSuffix(s, ".")
	if strings.HasPrefix(s, ".") {
		s = "0" + s
	}
	for len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9' {
		s = s[1:]
	}
	if neg {
		s = "-" + s
	}
	if len(s) > 64 || !isNumber(s) {
		return "", false
	}
	return s, true
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// fnObxValue chooses value[x] by OBX-2 and writes OBX-5. What does not fit its
// declared type is kept as a string, with a finding; nothing is dropped.
func fnObxValue(c *call, b []byte) ([]byte, bool) {
	obx := c.node(0)
	v := obx.F(5)
	if v.State() != source.Present {
		return b, false
	}
	typ := strings.ToUpper(strings.TrimSpace(obx.F(2).Text()))
	if typ == "" {
		if typ = c.rt.src.DefaultType; typ == "" {
			c.find("obx.type-missing", obx, "OBX-2 is empty; the value is kept as text")
		}
	}
	x := valueCall{call: c, obx: obx, value: v, unit: unitOf(obx.F(6), c.table(1))}
	switch typ {
	case "NM":
		return x.numeric(b)
	case "SN":
		return x.structured(b)
	case "CE", "CWE", "CNE", "CF", "IS", "ID":
		c.suffix = "CodeableConcept"
		return appendConcept(c, b, v)
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
	case "ST", "TX", "FT", "VR", "":
		return x.text(b, "")
	}
	return x.text(b, "obx.type-unknown")
}

// valueCall is one OBX value being written.
type valueCall struct {
	*call
	obx, value source.Node
	unit       unit
}

// text keeps the value as valueString; code, when not empty, says why.
func (x *valueCall) text(b []byte, code string) ([]byte, bool) {
	x.suffix = "String"
	var lines []string
	for n := x.value; n.Valid(); n = n.NextSame() {
		if s := wholeText(n); s != "" {
			lines = append(lines, s)
		}
	}
	if len(lines) == 0 {
		return b, false
	}
	if code != "" {
		x.find(code, x.value, "the value does not fit OBX-2; it is kept as text")
	}
	return appendString(b, cleanText(strings.Join(lines, "\n"))), true
}

// wholeText is the text of a field with its components as the sender wrote them.
func wholeText(n source.Node) string {
	if n.Leaf() {
		return n.Text()
	}
	markAll(n)
	return n.Whole()
}

func markAll(n source.Node) {
	n.Mark()
	for c := n.First(); c.Valid(); c = c.Next() {
		markAll(c)
	}
}

// cleanText drops the control characters that FHIR strings cannot hold and blanks at the ends.
func cleanText(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\n' && r != '\r' && r != '\t' {
			return -1
		}
		return r
	}, s)
	return strings.TrimRight(s, " \t\r\n")
}

func (x *valueCall) numeric(b []byte) ([]byte, bool) {
	raw := x.value.Text()
	n, ok := number(raw, x.rt.src.DecimalComma)
	if !ok || x.value.NextSame().Valid() {
		return x.text(b, "obx.number")
	}
	x.suffix = "Quantity"
	return appendQuantity(b, n, "", x.unit), true
}

// structured reads SN: comparator ^ num1 ^ separator ^ num2. HL7 v2.5.1 ch. 2.A.70
func (x *valueCall) structured(b []byte) ([]byte, bool) {
	comparator, sep := x.value.C(1).Text(), x.value.C(3).Text()
	n1, ok1 := number(x.value.C(2).Text(), x.rt.src.DecimalComma)
	n2, ok2 := number(x.value.C(4).Text(), x.rt.src.DecimalComma)
	if comparator == "=" {
		comparator = ""
	}
	switch {
	case !ok1 || comparator == "<>":
		return x.text(b, "obx.structured")
	case sep == "":
		switch comparator {
		case "", "<", ">", "<=", ">=":
			x.suffix = "Quantity"
			return appendQuantity(b, n1, comparator, x.unit), true
		}
	case sep == "-" && ok2 && comparator == "":
		return x.interval(b, n1, n2)
	case (sep == "/" || sep == ":") && ok2:
		x.suffix = "Ratio"
		b = append(b, `{"numerator":`...)
		b = appendQuantity(b, n1, comparator, unit{})
		b = append(b, `,"denominator":`...)
		return append(appendQuantity(b, n2, "", unit{}), '}'), true
	}
	return x.text(b, "obx.structured")
}

func (x *valueCall) interval(b []byte, low, high string) ([]byte, bool) {
	lo, ok1 := number(low, x.rt.src.DecimalComma)
	hi, ok2 := number(high, x.rt.src.DecimalComma)
	if !ok1 && low != "" || !ok2 && high != "" || low == "" && high == "" {
		return x.text(b, "obx.range")
	}
	x.suffix = "Range"
	b = append(b, '{')
	if ok1 {
		b = append(b, `"low":`...)
		b = appendQuantity(b, lo, "", x.unit)
	}
	if ok2 {
		if ok1 {
			b = append(b, ',')
		}
		b = append(b, `"high":`...)
		b = appendQuantity(b, hi, "", x.unit)
	}
	return append(b, '}'), true
}

func (x *valueCall) period(b []byte) ([]byte, bool) {
	start, ok1 := x.rt.dateTimeText(x.value.C(1))
	end, ok2 := x.rt.dateTimeText(x.value.C(2))
	if !ok1 && !ok2 {
		return x.text(b, "obx.period")
	}
	x.suffix = "Period"
	b = append(b, '{')
	if ok1 {
		b = append(b, `"start":"`+start+`"`...)
	}
	if ok2 {
		if ok1 {
			b = append(b, ',')
		}
		b = append(b, `"end":"`+end+`"`...)
	}
	return append(b, '}'), true
}

func (x *valueCall) dateTime(b []byte) ([]byte, bool) {
	s, ok := x.rt.dateTimeText(x.value)
	if !ok {
		return x.text(b, "obx.time")
	}
	x.suffix = "DateTime"
	return appendString(b, s), true
}

// time writes a FHIR time, which needs seconds: 0830 is 08:30:00.
func (x *valueCall) time(b []byte) ([]byte, bool) {
	s := strings.TrimSpace(x.value.Text())
	digits, frac, _ := strings.Cut(s, ".")
	for _, d := range digits + frac {
		if d < '0' || d > '9' {
			return x.text(b, "obx.time")
		}
	}
	if len(digits) == 4 && frac == "" {
		digits += "00"
	}
	if len(digits) != 6 || digits[:2] > "23" || digits[2:4] > "59" || digits[4:] > "59" {
		return x.text(b, "obx.time")
	}
	x.suffix = "Time"
	s = digits[:2] + ":" + digits[2:4] + ":" + digits[4:]
	if frac != "" {
		s += "." + frac
	}
	return appendString(b, s), true
}

// fnAbsent writes dataAbsentReason where OBX-5 has no value. HL7 v2.5.1 table 0085.
func fnAbsent(c *call, b []byte) ([]byte, bool) {
	obx := c.node(0)
	if s := obx.F(5).State(); s == source.Present {
		return b, false
	}
	code := "unknown"
	switch strings.ToUpper(obx.F(11).Text()) {
	case "X":
		code = "not-performed"
	case "N":
		code = "not-asked"
	case "I", "R", "S", "P":
		code = "temp-unknown"
	}
	return append(b, `{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/data-absent-reason","code":"`+code+`"}]}`...), true
}
