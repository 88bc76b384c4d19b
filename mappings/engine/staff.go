package engine

import (
	"strings"

	"meridian/mappings/source"
)

// staffOf reads a person of the staff: XCN (id ^ family ^ given), CNN inside the
// first component of an NDL (id & family & given), or a name in one piece.
func staffOf(n source.Node) (id, name string) {
	if first := n.C(1); !n.Leaf() && !first.Leaf() && first.Valid() {
		n = first
	}
	id = strings.TrimSpace(n.C(1).Text())
	p := person{family: strings.TrimSpace(n.C(2).C(1).Text()), given: strings.TrimSpace(n.C(3).Text()), middle: strings.TrimSpace(n.C(4).Text())}
	if name = p.text(); name == "" && id != "" && !isASCII(id) { // 检验者 as one text
		return "", id
	}
	return id, name
}

// appendStaff writes a Reference to a person: a display, and an identifier where
// the sender gives a staff number. A name alone makes no shared Practitioner.
func (c *call) appendStaff(b []byte, n source.Node) ([]byte, bool) {
	id, name := staffOf(n)
	return c.appendLogical(b, "staff", id, name)
}

// appendLogical writes a Reference by identifier and display. https://hl7.org/fhir/R4/references.html#logical
func (c *call) appendLogical(b []byte, kind, id, name string) ([]byte, bool) {
	if name == "" && id == "" {
		return b, false
	}
	b = append(b, '{')
	if id != "" {
		b = append(b, `"identifier":{"system":"`...)
		b = append(b, c.rt.prefixJSON...)
		b = append(append(b, kind...), `","value":`...)
		b = append(appendString(b, id), '}')
		if name != "" {
			b = append(b, ',')
		}
	}
	if name != "" {
		b = append(b, `"display":`...)
		b = appendString(b, name)
	}
	return append(b, '}'), true
}

// fnPerformer writes references to people from XCN or NDL repetitions.
func fnPerformer(c *call, b []byte) ([]byte, bool) { return c.join(0, b, c.appendStaff) }

// fnPractitioner writes a reference to one person.
func fnPractitioner(c *call, b []byte) ([]byte, bool) { return c.appendStaff(b, c.node(0)) }

// fnPersonName writes the name of a person of the staff, or the number.
func fnPersonName(c *call, b []byte) ([]byte, bool) {
	id, name := staffOf(c.node(0))
	if name == "" {
		name = id
	}
	if name == "" {
		return b, false
	}
	return appendString(b, name), true
}

// fnOrganization writes a reference to an organisation from an XON (name ^^ id … ^ identifier) or a CWE (code ^ name).
func fnOrganization(c *call, b []byte) ([]byte, bool) {
	n := c.node(0)
	name, id := strings.TrimSpace(n.C(1).Text()), strings.TrimSpace(n.C(10).Text())
	if id == "" {
		id = strings.TrimSpace(n.C(3).Text())
	}
	return c.appendLogical(b, "organization", id, name)
}

// fnProducer writes a reference to an organisation from a CWE, code ^ name (OBX-15).
func fnProducer(c *call, b []byte) ([]byte, bool) {
	n := c.node(0)
	id, name := strings.TrimSpace(n.C(1).Text()), strings.TrimSpace(n.C(2).Text())
	if name == "" && !isASCII(id) {
		id, name = "", id
	}
	return c.appendLogical(b, "organization", id, name)
}

// fnDevice writes a reference to a device from an EI (OBX-18).
func fnDevice(c *call, b []byte) ([]byte, bool) {
	n := c.node(0)
	return c.appendLogical(b, "device", strings.TrimSpace(n.C(1).Text()), strings.TrimSpace(n.C(2).Text()))
}

// fnLocation writes a reference to a place from a PL: by its description and the number of the point of care, or by facility,
// building, floor, point of care, room and bed, as people say it.
func fnLocation(c *call, b []byte) ([]byte, bool) {
	n := c.node(0)
	if name := strings.TrimSpace(n.C(9).Text()); name != "" {
		if parts := joinTexts(" ", n.C(2), n.C(3)); parts != "" {
			name += " " + parts
		}
		n.C(4).C(1).Mark()
		return c.appendLogical(b, "location", strings.TrimSpace(n.C(1).Text()), name)
	}
	s := joinTexts(" ", n.C(4).C(1), n.C(7), n.C(8), n.C(1), n.C(2), n.C(3))
	return c.appendLogical(b, "location", "", s)
}

// fnDeceased writes deceased[x] from PID-29 and PID-30.
func fnDeceased(c *call, b []byte) ([]byte, bool) {
	if e := c.stamp(0); e.ok {
		c.suffix = "DateTime"
		if flag, _ := c.text(1); strings.EqualFold(strings.TrimSpace(flag), "N") {
			_, n := c.text(1)
			c.find("patient.deceased", n, "there is a time of death, but the indicator denies the death; the time is kept")
		}
		return appendString(b, e.dateTime), true
	}
	return c.appendYesNo(b, 1)
}

// fnMultipleBirth writes multipleBirth[x] from PID-25 and PID-24.
func fnMultipleBirth(c *call, b []byte) ([]byte, bool) {
	if s, _ := c.text(0); allDigits(strings.TrimSpace(s)) && len(strings.TrimSpace(s)) <= 2 {
		n, _ := number(s, false)
		c.suffix = "Integer"
		return append(b, n...), true
	}
	return c.appendYesNo(b, 1)
}

// appendYesNo writes a boolean from HL7 table 0136.
func (c *call) appendYesNo(b []byte, i int) ([]byte, bool) {
	c.suffix = "Boolean"
	switch s, n := c.text(i); strings.ToUpper(strings.TrimSpace(s)) {
	case "Y":
		return append(b, "true"...), true
	case "N":
		return append(b, "false"...), true
	case "":
	default:
		c.find("indicator.unknown", n, "neither Y nor N; the element is left out")
	}
	return b, false
}
