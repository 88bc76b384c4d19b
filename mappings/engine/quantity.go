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

// unitCache keeps the last unit: several functions ask for that of one result.
type unitCache struct {
	at    source.Node
	table *Table
	unit  unit
}

func (rt *run) unitOf(n source.Node, table *Table) unit {
	k := &rt.unit
	if k.at != n || k.table != table {
		k.at, k.table, k.unit = n, table, unitOf(n, table)
	}
	return k.unit
}

// unitOf reads OBX-6 (CWE): the text is component 2, else 1; a UCUM code comes
// from component 1 when component 3 says so, else from the table.
func unitOf(n source.Node, table *Table) unit {
	if !n.Valid() {
		return unit{}
	}
	if !n.Leaf() || n.NextSame().Valid() {
		// 10^9/L and 10~9/L are units whose signs the sender did not escape.
		whole := wholeField(n)
		if row, ok := table.Find(whole); ok || brokenPower(n) {
			return unit{text: strings.TrimSpace(whole), code: row.Get("to")}
		}
	}
	code, text := n.C(1).Text(), n.C(2).Text()
	if text == "" {
		text = code
	}
	u := unit{text: strings.TrimSpace(text)}
	if strings.EqualFold(n.C(3).Text(), "UCUM") {
		u.code = strings.TrimSpace(code)
		return u
	}
	if u.code = ucumOf(code, table); u.code == "" && text != code {
		u.code = ucumOf(text, table)
	}
	return u
}

// brokenPower says that a unit was cut inside a power of ten: 10 ^ 9/L.
func brokenPower(n source.Node) bool {
	head, rest := n.C(1).Peek(), n.C(2).Peek()
	if n.Leaf() {
		rest = n.NextSame().Peek()
	}
	return strings.HasSuffix(head, "10") && rest != "" && rest[0] >= '0' && rest[0] <= '9'
}

func ucumOf(s string, table *Table) string {
	if s == "" {
		return ""
	}
	row, _ := table.Find(s)
	return row.Get("to")
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

// maxNumber bounds the lexeme of a number.
const maxNumber = 64

// number turns an HL7 NM into a JSON number without changing its value or its
// precision: a leading plus, a missing digit beside the point and leading zeros
// are all that is touched. Full-width digits are read, `11,49` only where the source says so.
func number(s string, decimalComma bool) (string, bool) {
	s = strings.TrimSpace(s)
	if isNumber(s) && len(s) <= maxNumber { // by far the most
		return s, true
	}
	if !isASCII(s) {
		s = norm.NFKC.String(s)
	}
	if decimalComma && strings.Count(s, ",") == 1 && !strings.Contains(s, ".") {
		s = strings.Replace(s, ",", ".", 1)
	}
	neg := strings.HasPrefix(s, "-")
	if neg || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	if len(s) > 1 { // a lone point is no number
		s = strings.TrimSuffix(s, ".")
	}
	if len(s) > 1 && s[0] == '.' {
		s = "0" + s
	}
	for len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9' {
		s = s[1:]
	}
	if s == "" || s[0] == '-' || len(s) > maxNumber || !isNumber(s) {
		return "", false
	}
	if neg {
		s = "-" + s
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

// measure is a number as laboratories print it: 12.3, <0.01, ≥60, 12.3↑, *12.3, 12.3 H.
type measure struct {
	comparator string // of FHIR
	number     string // JSON lexeme
	flag       string // the sign behind the number
	star       bool   // a star stands before it
	plain      bool   // the number is written as JSON writes it
}

var comparators = [...]struct{ sign, code string }{
	{"<=", "<="}, {">=", ">="}, {"≤", "<="}, {"≥", ">="}, {"⩽", "<="}, {"⩾", ">="}, {"<", "<"}, {">", ">"},
}

// valueFlags are the signs that stand beside a number; `2+` is a grade and none of them.
var valueFlags = [...]string{"↑↑", "↓↓", "↑", "↓", "HH", "LL", "H", "L", "偏高", "偏低", "高", "低", "*"}

// readMeasure reads a number with what may stand around it.
func readMeasure(s string, decimalComma bool) (m measure, ok bool) {
	s = strings.TrimSpace(s)
	if !isASCII(s) {
		s = norm.NFKC.String(s)
	}
	if rest, star := strings.CutPrefix(s, "*"); star {
		s, m.star = strings.TrimSpace(rest), true
	}
	for _, k := range comparators {
		if rest, found := strings.CutPrefix(s, k.sign); found {
			s, m.comparator = strings.TrimSpace(rest), k.code
			break
		}
	}
	for _, f := range valueFlags {
		if rest, found := strings.CutSuffix(s, f); found {
			s, m.flag = strings.TrimSpace(rest), f
			break
		}
	}
	m.number, ok = number(s, decimalComma)
	m.plain = m.number == s || decimalComma && m.number == strings.Replace(s, ",", ".", 1)
	return m, ok
}
