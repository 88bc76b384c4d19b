package engine

import (
	"strings"

	"meridian/mappings/source"
)

// fnText writes a text with blanks at its ends removed.
func fnText(c *call, b []byte) ([]byte, bool) {
	s, _ := c.text(0)
	if s = cleanText(s); strings.TrimSpace(s) == "" {
		return b, false
	}
	return appendString(b, s), true
}

// fnJoinLines joins repetitions and rows with line feeds, in their order.
func fnJoinLines(c *call, b []byte) ([]byte, bool) {
	var lines []string
	var buf [16]source.Node
	for _, n := range c.list(0, buf[:0]) {
		if s := cleanText(wholeText(n)); s != "" {
			lines = append(lines, s)
		}
	}
	if len(lines) == 0 {
		return b, false
	}
	return appendString(b, strings.Join(lines, "\n")), true
}

// fnSenderName names the sending system; a sender that names itself nowhere is known by its source.
func fnSenderName(c *call, b []byte) ([]byte, bool) {
	s, _ := c.text(0)
	if s = cleanText(s); s == "" {
		s = c.rt.src.id()
	}
	return appendString(b, s), true
}

// fnMessageID makes a URI of the message's control id, unique to the source only.
func fnMessageID(c *call, b []byte) ([]byte, bool) {
	s, _ := c.text(0)
	return appendString(b, c.rt.prefix+"message:"+strings.Join(strings.Fields(s), "-")), true
}

// fnAmount writes a Quantity from a CQ, number ^ unit (OBR-9, SPM-12).
func fnAmount(c *call, b []byte) ([]byte, bool) {
	n := c.node(0)
	s := n.C(1).Text()
	if strings.TrimSpace(s) == "" {
		return b, false
	}
	v, ok := number(s, c.rt.src.DecimalComma)
	if !ok {
		c.find("quantity.number", n, "not a number; the element is left out")
		return b, false
	}
	var u unit
	if at := n.C(2); at.Valid() {
		if u.text = strings.TrimSpace(at.C(2).Text()); u.text == "" {
			u.text = strings.TrimSpace(at.C(1).Text())
		}
		if u.code = ucumOf(at.C(1).Text(), c.table(1)); u.code == "" {
			u.code = ucumOf(u.text, c.table(1))
		}
	}
	return appendQuantity(b, v, "", u), true
}
