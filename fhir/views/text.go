package views

import (
	"bytes"
	"strings"

	"meridian/fhir/codec"
	"meridian/fhir/fhirpath"
	"meridian/fhir/schema"
)

// AppendJSON appends the content of column i: null, a value, or an array where
// the column is a collection. A primitive is written as it was sent.
func (r Row) AppendJSON(dst []byte, i int) []byte {
	items := r.Value(i)
	switch {
	case r.Null(i):
		return append(dst, "null"...)
	case !r.columns[i].Collection:
		return appendItem(dst, items[0])
	}
	dst = append(dst, '[')
	for k, item := range items {
		if k > 0 {
			dst = append(dst, ',')
		}
		dst = appendItem(dst, item)
	}
	return append(dst, ']')
}

// AppendObject appends the row as a JSON object, its members in the order of the columns.
func (r Row) AppendObject(dst []byte) []byte {
	dst = append(dst, '{')
	for i := range r.columns {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(codec.AppendString(dst, r.columns[i].Name), ':')
		dst = r.AppendJSON(dst, i)
	}
	return append(dst, '}')
}

// appendItem appends a value as JSON.
func appendItem(dst []byte, i fhirpath.Item) []byte {
	switch i.Kind() {
	case fhirpath.Element:
		if i.Node().Type().Kind == schema.Primitive {
			return append(dst, i.Node().Raw()...)
		}
		return codec.AppendJSON(dst, i.Node(), nil)
	case fhirpath.Boolean, fhirpath.Integer:
		return append(dst, i.String()...)
	case fhirpath.Decimal:
		return append(dst, plain(i)...)
	case fhirpath.KindQuantity:
		q, _ := i.Quantity()
		return AppendQuantity(dst, q)
	}
	return codec.AppendString(dst, plain(i))
}

// AppendQuantity appends a system quantity as FHIR's Quantity: its unit is a code
// of UCUM where it can be one, else text.
// https://hl7.org/fhir/R4/fhirpath.html#quantity
func AppendQuantity(dst []byte, q fhirpath.Quantity) []byte {
	dst = append(append(dst, `{"value":`...), q.Value.String()...)
	unit := codec.AppendString(nil, q.Unit)
	_, err := codec.Parse(append([]byte(nil), unit...), codec.Options{Type: "code"})
	switch {
	case err == nil && !q.Calendar:
		dst = append(append(dst, `,"system":"http://unitsofmeasure.org","code":`...), unit...)
	case q.Unit != "":
		dst = append(append(dst, `,"unit":`...), unit...)
	}
	return append(dst, '}')
}

// plain is the text of a primitive value.
func plain(i fhirpath.Item) string {
	if i.Kind() == fhirpath.Element {
		return i.Node().Text()
	}
	if s, ok := i.Text(); ok {
		return s
	}
	if d, ok := i.DateTime(); ok {
		return d.String()
	}
	if t, ok := i.Time(); ok {
		return t.String()
	}
	if i.Kind() == fhirpath.Decimal {
		d, _ := i.Decimal()
		return d.String()
	}
	return i.String()
}

// text is the content of column i without JSON's quotes: a primitive's text;
// JSON for collections and complex types. ok is false for null.
func (r Row) text(i int) (s string, ok bool) {
	if r.Null(i) {
		return "", false
	}
	if k := r.Value(i); !r.columns[i].Collection && primitive(k[0]) {
		return plain(k[0]), true
	}
	return string(r.AppendJSON(nil, i)), true
}

func primitive(i fhirpath.Item) bool {
	if i.Kind() == fhirpath.Element {
		return i.Node().Type().Kind == schema.Primitive
	}
	return i.Kind() != fhirpath.KindQuantity
}

// appendField appends a field of CSV. A null is an empty field, an empty string is "".
// https://www.rfc-editor.org/rfc/rfc4180.html#section-2
func appendField(dst []byte, s string, ok bool) []byte {
	if ok && s != "" && !strings.ContainsAny(s, "\",\r\n") {
		return append(dst, s...)
	}
	if !ok {
		return dst
	}
	dst = append(dst, '"')
	dst = append(dst, bytes.ReplaceAll([]byte(s), []byte{'"'}, []byte(`""`))...)
	return append(dst, '"')
}
