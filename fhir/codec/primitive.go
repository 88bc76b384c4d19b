package codec

import (
	"strconv"
	"unicode/utf8"

	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
	"meridian/fhir/value"
)

// The patterns of the primitive types, written by hand: ten times as fast as
// the definitions' regular expressions, and stricter where those are lax (the
// day must exist, a string is not blank, base64 is whole).
// https://hl7.org/fhir/R4/datatypes.html#primitive

// check reports what is wrong with the value d of node n.
func (p *Parser) check(n int, d *element.Data) {
	got := p.src[d.Start]
	switch types[d.Type].json {
	case 's':
		if got == '"' {
			p.checkString(n, d)
			return
		}
	case 'n':
		if got == '-' || got-'0' <= 9 {
			if !isNumber(d.Type, p.src[d.Start:d.End]) {
				p.badPrimitive(n, d)
			}
			return
		}
	default:
		if got == 't' || got == 'f' {
			return
		}
	}
	p.reportNode(n, issue.Structure, idJSONType, d.Start, "the element must be a JSON "+jsonTypes[types[d.Type].json])
}

var jsonTypes = map[byte]string{'s': "string", 'n': "number", 'b': "boolean"}

func (p *Parser) badPrimitive(n int, d *element.Data) {
	t := schema.ByID(d.Type).Name
	p.reportNode(n, issue.Value, idPrimitive, d.Start, "the value is no "+t+" ("+forms[d.Type]+")")
}

func (p *Parser) checkString(n int, d *element.Data) {
	text := p.src[d.Start+1 : d.End-1]
	if d.Escaped {
		p.scratch = element.AppendUnescaped(p.scratch[:0], text)
		text = p.scratch
		for _, c := range text {
			if c < ' ' && c != '\t' && c != '\n' && c != '\r' {
				p.reportNode(n, issue.Value, idPrimitive, d.Start, "the text holds a control character")
				return
			}
		}
	}
	if d.Type == schema.TypeXhtml {
		p.checkNarrative(n, d, text)
	} else if !isText(d.Type, text) {
		p.badPrimitive(n, d)
	}
}

// forms says in words what each type takes.
var forms = [...]string{
	schema.TypeBase64Binary: "base64 in groups of four",
	schema.TypeBoolean:      "true or false",
	schema.TypeCanonical:    "no white space, not empty",
	schema.TypeCode:         "no white space at either end, single spaces inside, not empty",
	schema.TypeDate:         "YYYY, YYYY-MM or YYYY-MM-DD, a day that exists",
	schema.TypeDateTime:     "YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with a zone, a day that exists",
	schema.TypeDecimal:      "at most " + strconv.Itoa(value.MaxDigits) + " digits, the last at a power of ten of at most " + strconv.Itoa(value.MaxExponent) + " either way",
	schema.TypeId:           "1 to 64 of A-Z, a-z, 0-9, - and .",
	schema.TypeInstant:      "YYYY-MM-DDThh:mm:ss with a zone, a day that exists",
	schema.TypeInteger:      "a whole number of 32 bits, not -0",
	schema.TypeMarkdown:     "not blank, at most 1,048,576 characters",
	schema.TypeOid:          "urn:oid: and numbers joined by dots",
	schema.TypePositiveInt:  "a whole number from 1 to 2,147,483,647",
	schema.TypeString:       "not blank, at most 1,048,576 characters",
	schema.TypeTime:         "hh:mm:ss",
	schema.TypeUnsignedInt:  "a whole number from 0 to 2,147,483,647",
	schema.TypeUri:          "no white space, not empty",
	schema.TypeUrl:          "no white space, not empty",
	schema.TypeUuid:         "urn:uuid: and a UUID in small letters",
	schema.TypeXhtml:        "a div element",
}

func isNumber(t schema.ID, b []byte) bool {
	switch t {
	case schema.TypeInteger:
		if b[0] == '-' {
			return inRange(b[1:], 1, 1<<31) // R4's pattern has no -0
		}
		return inRange(b, 0, 1<<31-1)
	case schema.TypePositiveInt:
		return inRange(b, 1, 1<<31-1)
	case schema.TypeUnsignedInt:
		return inRange(b, 0, 1<<31-1)
	}
	return isDecimal(b)
}

// isDecimal says that a JSON number is within value.MaxDigits and
// value.MaxExponent, so that the packages above can compute with it: what is
// stored and cannot be searched would be lost in silence.
func isDecimal(b []byte) bool {
	short := len(b) <= value.MaxDigits
	for i := 0; short && i < len(b); i++ {
		short = b[i]|0x20 != 'e'
	}
	if short {
		return true
	}
	_, err := value.ParseDecimal(b)
	return err == nil
}

// inRange reads JSON digits without sign, fraction or exponent.
func inRange(b []byte, low, high int64) bool {
	if len(b) > 10 {
		return false
	}
	v := int64(0)
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
		v = v*10 + int64(c-'0')
	}
	return v >= low && v <= high
}

func isText(t schema.ID, b []byte) bool {
	switch t {
	case schema.TypeString, schema.TypeMarkdown:
		return isString(b)
	case schema.TypeCode:
		return isCode(b)
	case schema.TypeUri, schema.TypeUrl, schema.TypeCanonical:
		return isURI(b)
	case schema.TypeId:
		return isID(b)
	case schema.TypeDateTime:
		return isDateTime(b)
	case schema.TypeDate:
		return len(b) > 0 && dateLen(b) == len(b)
	case schema.TypeInstant:
		return dateLen(b) == 10 && len(b) > 10 && b[10] == 'T' && isZonedTime(b[11:])
	case schema.TypeTime:
		return len(b) > 0 && clockLen(b) == len(b)
	case schema.TypeBase64Binary:
		return isBase64(b)
	case schema.TypeOid:
		return isOID(b)
	case schema.TypeUuid:
		return isUUID(b)
	}
	return true
}

func isString(b []byte) bool {
	for _, c := range b {
		if !isSpace(c) {
			return len(b) <= maxString || utf8.RuneCount(b) <= maxString
		}
	}
	return false
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func isCode(b []byte) bool {
	space := true
	for _, c := range b {
		if s := isSpace(c); s && space {
			return false
		} else {
			space = s
		}
	}
	return !space && (len(b) <= maxString || utf8.RuneCount(b) <= maxString)
}

func isURI(b []byte) bool {
	for _, c := range b {
		if isSpace(c) {
			return false
		}
	}
	return len(b) > 0
}

func isID(b []byte) bool {
	for _, c := range b {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return len(b) > 0 && len(b) <= 64
}

// isBase64 takes RFC 4648 with padding; white space may stand between groups
// of four, as the definition's pattern has it.
func isBase64(b []byte) bool {
	n, padded := 0, false
	for _, c := range b {
		switch {
		case c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9', c == '+', c == '/':
			if padded {
				return false
			}
			n++
		case c == '=':
			if n&3 < 2 {
				return false
			}
			padded = true
			n++
		case !isSpace(c) || n&3 != 0:
			return false
		}
	}
	return n > 0 && n&3 == 0
}

func isOID(b []byte) bool {
	const prefix = "urn:oid:"
	if len(b) < len(prefix)+3 || string(b[:len(prefix)]) != prefix || b[len(prefix)]-'0' > 2 {
		return false
	}
	b = b[len(prefix)+1:]
	for len(b) > 0 {
		k := 1
		for k < len(b) && b[k]-'0' <= 9 {
			k++
		}
		if b[0] != '.' || k == 1 || k > 2 && b[1] == '0' {
			return false
		}
		b = b[k:]
	}
	return true
}

func isUUID(b []byte) bool {
	const prefix = "urn:uuid:"
	if len(b) != len(prefix)+36 || string(b[:len(prefix)]) != prefix {
		return false
	}
	for i, c := range b[len(prefix):] {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}
