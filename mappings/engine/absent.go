package engine

import (
	"strings"

	"meridian/mappings/source"
)

// noValue finds in the table what a laboratory writes where a value should be: 溶血, 拒收, 待复查.
func (x *valueCall) noValue() (Row, bool) {
	if len(x.rows) > 1 || !x.value.Leaf() || x.value.NextSame().Valid() {
		return Row{}, false
	}
	switch x.typ {
	case "NM", "SN", "ST", "TX", "FT", "":
		return x.table(obxNoValue).Find(x.value.Text())
	}
	return Row{}, false
}

// absentByStatus is the reason of a missing value by OBX-11. HL7 v2.5.1 table 0085
var absentByStatus = map[string]string{"X": "not-performed", "N": "not-asked", "I": "temp-unknown", "R": "temp-unknown", "S": "temp-unknown", "P": "temp-unknown"}

// fnAbsent writes dataAbsentReason where OBX-5 has no value, or words that say why there is none. The words are kept as text.
func fnAbsent(c *call, b []byte) ([]byte, bool) {
	x := openValue(c)
	code, text := "unknown", ""
	if x.ok {
		row, absent := x.noValue()
		if !absent {
			return b, false
		}
		code, text = row.Get("to"), cleanText(x.value.Text())
	} else if len(x.rows) > 0 {
		if v := x.rows[0].F(5); v.State() == source.Null {
			v.Mark()
		}
		if s := absentByStatus[strings.ToUpper(x.rows[0].F(11).Text())]; s != "" {
			code = s
		}
	}
	b = append(b, `{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/data-absent-reason","code":"`...)
	b = append(append(b, code...), `"}]`...)
	if text != "" {
		b = append(b, `,"text":`...)
		b = appendString(b, text)
	}
	return append(b, '}'), true
}
