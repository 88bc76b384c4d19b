package engine

import (
	"strings"

	"meridian/mappings/source"
)

const identifierTypeSystem = "http://terminology.hl7.org/CodeSystem/v2-0203"

// Identifier systems of the national OID arc 2.16.156.10011.1, by the type that
// CX.5 names. https://hl7.org/fhir/R4/datatypes.html#Identifier
var nationalSystems = map[string]string{
	"NI": "urn:oid:2.16.156.10011.1.3", "NNCHN": "urn:oid:2.16.156.10011.1.3", "SB": "urn:oid:2.16.156.10011.1.15", "HC": "urn:oid:2.16.156.10011.1.19",
}

// authority is an HD: an assigning authority.
type authority struct{ name, id, kind string }

// authorityOf reads an HD that stands as a component: sub-components 1 to 3.
func authorityOf(n source.Node) authority {
	return authority{strings.TrimSpace(n.C(1).Text()), strings.TrimSpace(n.C(2).Text()), strings.ToUpper(strings.TrimSpace(n.C(3).Text()))}
}

// identifierSystem gives the system of an identifier: the site's table first,
// then an OID or UUID that the authority states, then the national arc, then
// one of the source's own, so that two hospitals' numbers never meet.
func (rt *run) identifierSystem(a authority, kind string) string {
	for _, k := range []string{a.name + "/" + kind, a.name, kind} {
		if s, ok := rt.src.IDSystems[k]; ok && k != "" {
			return s
		}
	}
	switch a.kind {
	case "ISO":
		return "urn:oid:" + a.id
	case "UUID":
		return "urn:uuid:" + strings.ToLower(a.id)
	case "URI":
		return a.id
	}
	if s, ok := nationalSystems[kind]; ok {
		return s
	}
	s := "urn:meridian:source:" + rt.src.id() + ":id"
	if a.name != "" {
		s += ":" + strings.Join(strings.Fields(a.name), "-")
	}
	if kind != "" {
		s += ":" + strings.ToLower(kind)
	}
	return s
}

func appendIdentifier(b []byte, kind, system, value string) []byte {
	b = append(b, '{')
	if kind != "" {
		b = append(b, `"type":{"coding":[{"system":"`+identifierTypeSystem+`","code":`...)
		b = append(appendString(b, kind), `}]},`...)
	}
	b = append(b, `"system":`...)
	b = appendString(b, system)
	b = append(b, `,"value":`...)
	return append(appendString(b, value), '}')
}

// fnIdentifier writes identifiers from CX repetitions. Leading zeros stay; a
// national id is stored in its canonical upper case.
func fnIdentifier(c *call, b []byte) ([]byte, bool) {
	wrote := false
	var buf [8]source.Node
	for _, n := range c.list(0, buf[:0]) {
		value := strings.TrimSpace(n.C(1).Text())
		if value == "" {
			continue
		}
		kind := strings.TrimSpace(n.C(5).Text())
		if kind == "" {
			kind = c.literal(1)
		}
		if kind == "NI" || kind == "NNCHN" {
			v, ok := nationalID(value)
			if !ok {
				c.find("id.check-digit", n, "the citizen id fails its check digit; it is kept as sent")
			}
			value = v
		}
		if wrote {
			b = append(b, ',')
		}
		b = appendIdentifier(b, kind, c.rt.identifierSystem(authorityOf(n.C(4)), kind), value)
		wrote = true
	}
	return b, wrote
}

// fnEntityID writes an Identifier from an EI (entity ^ namespace ^ universal id ^ type).
func fnEntityID(c *call, b []byte) ([]byte, bool) {
	n := c.node(0)
	value := strings.TrimSpace(n.C(1).Text())
	if value == "" {
		return b, false
	}
	a := authority{strings.TrimSpace(n.C(2).Text()), strings.TrimSpace(n.C(3).Text()), strings.ToUpper(strings.TrimSpace(n.C(4).Text()))}
	return appendIdentifier(b, c.literal(1), c.rt.identifierSystem(a, c.literal(1)), value), true
}

// idChecks are the check characters of GB 11643-1999 (ISO 7064 MOD 11-2).
const (
	idChecks = "10X98765432"
)

var idWeightList = [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}

// nationalID gives the canonical form of a citizen id and whether its check
// digit holds. A number of fifteen digits is left as it is.
func nationalID(s string) (string, bool) {
	s = strings.ToUpper(strings.ReplaceAll(FoldKey(s), "-", ""))
	if len(s) == 15 && allDigits(s) {
		return s, true
	}
	if len(s) != 18 || !allDigits(s[:17]) {
		return s, false
	}
	sum := 0
	for i, w := range idWeightList {
		sum += int(s[i]-'0') * w
	}
	return s, idChecks[sum%11] == s[17]
}

func allDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

var nameUse = map[string]string{"L": "official", "R": "official", "D": "usual", "M": "maiden", "N": "nickname", "S": "anonymous", "MSK": "anonymous",
	"BAD": "old", "NAV": "temp", "TEMP": "temp"}

// fnHumanName writes names from XPN repetitions. `text` is always the whole
// name; family and given only where the sender split them: 张三 in one piece is
// not guessed apart.
func fnHumanName(c *call, b []byte) ([]byte, bool) {
	wrote := false
	var buf [4]source.Node
	for _, n := range c.list(0, buf[:0]) {
		family, given, middle := strings.TrimSpace(n.C(1).C(1).Text()), strings.TrimSpace(n.C(2).Text()), strings.TrimSpace(n.C(3).Text())
		if family == "" && given == "" {
			continue
		}
		if wrote {
			b = append(b, ',')
		}
		b = append(b, '{')
		if use := nameUse[strings.ToUpper(n.C(7).Text())]; use != "" {
			b = append(b, `"use":"`+use+`",`...)
		}
		b = append(b, `"text":`...)
		b = appendString(b, fullName(family, given, middle))
		if family != "" && given != "" {
			b = append(b, `,"family":`...)
			b = appendString(b, family)
		}
		if given != "" && family != "" {
			b = append(b, `,"given":[`...)
			b = appendString(b, given)
			if middle != "" {
				b = append(b, ',')
				b = appendString(b, middle)
			}
			b = append(b, ']')
		}
		if p := strings.TrimSpace(n.C(5).Text()); p != "" {
			b = append(b, `,"prefix":[`...)
			b = append(appendString(b, p), ']')
		}
		b = append(b, representation(n.C(8).Text())...)
		b = append(b, '}')
		wrote = true
	}
	return b, wrote
}

// fullName joins the parts as the script does: Han without blanks, family first.
func fullName(family, given, middle string) string {
	if !isASCII(family + given) {
		return family + given + middle
	}
	return strings.Join(strings.Fields(given+" "+middle+" "+family), " ")
}

// representation is XPN.8: A alphabetic (pinyin), I ideographic, P phonetic.
func representation(s string) string {
	code := map[string]string{"A": "ABC", "I": "IDE", "P": "SYL"}[strings.ToUpper(s)]
	if code == "" {
		return ""
	}
	return `,"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation","valueCode":"` + code + `"}]`
}

var addressUse = map[string]string{"H": "home", "O": "work", "B": "work", "C": "temp", "BA": "old", "BI": "billing"}

// fnAddress writes addresses from XAD repetitions.
func fnAddress(c *call, b []byte) ([]byte, bool) {
	wrote := false
	var buf [4]source.Node
	for _, n := range c.list(0, buf[:0]) {
		p := xad{line: texts(n.C(1).C(1), n.C(2)), city: n.C(3).Text(), state: n.C(4).Text(), zip: n.C(5).Text(), country: n.C(6).Text(), district: n.C(9).Text()}
		if len(p.line) == 0 && p.city+p.state+p.zip+p.country+p.district == "" {
			continue
		}
		if wrote {
			b = append(b, ',')
		}
		b = p.append(append(b, '{'), addressUse[strings.ToUpper(n.C(7).Text())])
		b = append(b, '}')
		wrote = true
	}
	return b, wrote
}

type xad struct {
	line                                []string
	city, district, state, zip, country string
}

func (p *xad) append(b []byte, use string) []byte {
	first := true
	put := func(name, value string) {
		if value = strings.TrimSpace(value); value == "" {
			return
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(append(append(b, '"'), name...), '"', ':')
		b = appendString(b, value)
	}
	put("use", use)
	if len(p.line) > 0 {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, `"line":[`...)
		for i, l := range p.line {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, l)
		}
		b = append(b, ']')
	}
	put("city", p.city)
	put("district", p.district)
	put("state", p.state)
	put("postalCode", p.zip)
	put("country", p.country)
	return b
}

func texts(nodes ...source.Node) []string {
	var out []string
	for _, n := range nodes {
		if s := strings.TrimSpace(n.Text()); s != "" {
			out = append(out, s)
		}
	}
	return out
}

var (
	telecomSystem = map[string]string{"PH": "phone", "CP": "phone", "FX": "fax", "BP": "pager", "INTERNET": "email", "X.400": "email"}
	telecomUse    = map[string]string{"PRN": "home", "WPN": "work", "VHN": "home", "PRS": "mobile", "ORN": "temp"}
)

// fnContactPoint writes telephone numbers and mail addresses from XTN
// repetitions: component 12 or 1, or the parts 5 to 8, or the mail address in 4.
func fnContactPoint(c *call, b []byte) ([]byte, bool) {
	wrote := false
	var buf [4]source.Node
	for _, n := range c.list(0, buf[:0]) {
		kind := strings.ToUpper(strings.TrimSpace(n.C(3).Text()))
		system := telecomSystem[kind]
		value := strings.TrimSpace(n.C(12).Text())
		if mail := strings.TrimSpace(n.C(4).Text()); mail != "" {
			value, system = mail, "email"
		}
		if value == "" {
			value = strings.TrimSpace(n.C(1).Text())
		}
		if value == "" {
			value = strings.Join(texts(n.C(5), n.C(6), n.C(7), n.C(8)), "-")
		}
		if value == "" {
			continue
		}
		if system == "" {
			system = "phone"
		}
		use := telecomUse[strings.ToUpper(n.C(2).Text())]
		if kind == "CP" || system == "phone" && use == "" && isMobile(value) {
			use = "mobile"
		}
		if use == "" {
			use = c.literal(1)
		}
		if wrote {
			b = append(b, ',')
		}
		b = append(b, `{"system":"`+system+`","value":`...)
		b = appendString(b, value)
		if use != "" {
			b = append(b, `,"use":"`+use+`"`...)
		}
		b = append(b, '}')
		wrote = true
	}
	return b, wrote
}

// isMobile knows the numbering plan of the mainland: eleven digits, the first a 1.
func isMobile(s string) bool { return len(s) == 11 && s[0] == '1' && allDigits(s) }

// fnPerformer writes references to people from XCN repetitions: a display, and
// an identifier where the sender gives a staff number. A name alone makes no
// shared Practitioner.
func fnPerformer(c *call, b []byte) ([]byte, bool) {
	wrote := false
	var buf [4]source.Node
	for _, n := range c.list(0, buf[:0]) {
		id, family, given := strings.TrimSpace(n.C(1).Text()), strings.TrimSpace(n.C(2).C(1).Text()), strings.TrimSpace(n.C(3).Text())
		name := fullName(family, given, "")
		if name == "" && id != "" && (n.Leaf() || !isASCII(id)) { // 检验者 as one text
			name, id = id, ""
		}
		if name == "" && id == "" {
			continue
		}
		if wrote {
			b = append(b, ',')
		}
		b = append(b, '{')
		if id != "" {
			b = append(b, `"identifier":`...)
			b = appendIdentifier(b, "", "urn:meridian:source:"+c.rt.src.id()+":staff", id)
			if name != "" {
				b = append(b, ',')
			}
		}
		if name != "" {
			b = append(b, `"display":`...)
			b = appendString(b, name)
		}
		b = append(b, '}')
		wrote = true
	}
	return b, wrote
}
