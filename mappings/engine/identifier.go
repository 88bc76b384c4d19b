package engine

import (
	"strings"
	"time"

	"meridian/mappings/source"
)

const identifierTypeSystem = "http://terminology.hl7.org/CodeSystem/v2-0203"

// Identifier systems of the national OID arc 2.16.156.10011.1, by the type that
// CX.5 names. https://hl7.org/fhir/R4/datatypes.html#Identifier
var nationalSystems = map[string]string{
	"NI": "urn:oid:2.16.156.10011.1.3", "NNCHN": "urn:oid:2.16.156.10011.1.3", "SB": "urn:oid:2.16.156.10011.1.15", "HC": "urn:oid:2.16.156.10011.1.19",
}

// localTypes are the names that hospital systems write into CX.5 instead of a code of table 0203.
var localTypes = map[string]string{
	"身份证": "NI", "居民身份证": "NI", "身份证号": "NI", "IDCARD": "NI", "护照": "PPN", "医保号": "SB", "医保卡": "SB", "社保卡": "SB", "健康卡": "HC",
	"电子健康码": "HC", "病案号": "MR", "病历号": "MR", "门诊号": "PI", "住院号": "PI", "会员卡号": "MB",
}

// authority is an HD: an assigning authority.
type authority struct{ name, id, kind string }

// authorityOf reads an HD that stands as a component: sub-components 1 to 3.
func authorityOf(n source.Node) authority {
	if !n.Valid() {
		return authority{}
	}
	return authority{strings.TrimSpace(n.C(1).Text()), strings.TrimSpace(n.C(2).Text()), strings.ToUpper(strings.TrimSpace(n.C(3).Text()))}
}

// identifierSystem gives the system of an identifier: the site's table first,
// then an OID or UUID that the authority states, then the national arc, then
// one of the source's own, so that two hospitals' numbers never meet.
func (rt *run) identifierSystem(a authority, kind string) string {
	if len(rt.src.IDSystems) > 0 {
		for _, k := range [...]string{a.name + "/" + kind, a.name, kind} {
			if s, ok := rt.src.IDSystems[k]; ok && k != "" {
				return s
			}
		}
	}
	switch {
	case a.id == "":
	case a.kind == "ISO":
		return "urn:oid:" + a.id
	case a.kind == "UUID":
		return "urn:uuid:" + strings.ToLower(a.id)
	case a.kind == "URI":
		return a.id
	}
	if s, ok := nationalSystems[kind]; ok {
		return s
	}
	s := rt.prefix + "id"
	if a.name != "" {
		s += ":" + strings.Join(strings.Fields(a.name), "-")
	}
	if kind != "" {
		s += ":" + strings.ToLower(kind)
	}
	return s
}

// ident is one Identifier to be written.
type ident struct {
	use, kind, text, system, value string
	start, end                     string // of the period
}

func (d *ident) append(b []byte) []byte {
	b = append(b, '{')
	if d.use != "" {
		b = append(append(append(b, `"use":"`...), d.use...), `",`...)
	}
	if d.kind != "" || d.text != "" {
		b = append(b, `"type":{`...)
		if d.kind != "" {
			b = append(b, `"coding":[{"system":"`+identifierTypeSystem+`","code":`...)
			b = append(appendString(b, d.kind), `}]`...)
		}
		if d.text != "" {
			if d.kind != "" {
				b = append(b, ',')
			}
			b = append(b, `"text":`...)
			b = appendString(b, d.text)
		}
		b = append(b, `},`...)
	}
	b = append(b, `"system":`...)
	b = appendString(b, d.system)
	b = append(b, `,"value":`...)
	b = appendString(b, d.value)
	if d.start != "" || d.end != "" {
		b = append(b, `,"period":`...)
		b = appendPeriod(b, &timeEntry{ok: d.start != "", dateTime: d.start}, &timeEntry{ok: d.end != "", dateTime: d.end})
	}
	return append(b, '}')
}

// Parameters of identifier.
const (
	idList = iota
	idType
	idBirth
	idSex
)

var idParams = []param{{name: "cx", kind: argList}, {name: "type", kind: argLiteral, optional: true},
	{name: "birth", kind: argText, optional: true}, {name: "sex", kind: argText, optional: true}}

// fnIdentifier writes identifiers from CX repetitions. Leading zeros stay; a
// citizen id is stored in its canonical form, one of fifteen digits beside
// itself. Birth date and sex in a citizen id are compared with the record's, never taken.
func fnIdentifier(c *call, b []byte) ([]byte, bool) {
	return c.join(idList, b, c.appendCX)
}

func (c *call) appendCX(b []byte, n source.Node) ([]byte, bool) {
	d := ident{value: strings.TrimSpace(n.C(1).Text()), kind: strings.TrimSpace(n.C(5).Text())}
	if d.value == "" {
		return b, false
	}
	switch code := localTypes[strings.ToUpper(d.kind)]; {
	case d.kind == "":
		if d.kind = c.literal(idType); d.kind == "SB" && citizenID(d.value).valid() {
			d.kind = "NI" // PID-19: the citizen id is the number of social insurance
		}
	case code != "":
		d.kind, d.text = code, d.kind
	case !isASCII(d.kind):
		d.kind, d.text = "", d.kind
	}
	d.start, _ = c.rt.dateTimeText(n.C(7))
	d.end, _ = c.rt.dateTimeText(n.C(8))
	a := authorityOf(n.C(4))
	if d.kind != "NI" && d.kind != "NNCHN" {
		d.system = c.rt.identifierSystem(a, d.kind)
		return d.append(b), true
	}
	return c.appendCitizen(b, n, d, a)
}

// appendCitizen writes a citizen id, or what stands in its place.
func (c *call) appendCitizen(b []byte, n source.Node, d ident, a authority) ([]byte, bool) {
	k := citizenID(d.value)
	switch {
	case k.placeholder:
		c.find("id.placeholder", n, "the citizen id is a placeholder; it identifies nobody and is left out")
		return b, false
	case k.permit: // 外国人永久居留身份证
		d.kind = "PRC"
	case k.resident:
		d.text = "港澳台居民居住证"
	}
	d.system = c.rt.identifierSystem(a, d.kind)
	if d.kind == "PRC" && a == (authority{}) {
		d.system = c.rt.prefix + "id:prc"
	}
	if d.value = k.canonical; !k.valid() && !k.permit {
		c.find("id.check-digit", n, "the citizen id fails its check digit; it is kept as sent")
	} else if k.valid() {
		c.compareCitizen(n, k)
	}
	if k.short != "" {
		old := d
		old.use, old.value = "old", k.short
		b = append(old.append(b), ',')
	}
	return d.append(b), true
}

// compareCitizen compares birth date and sex in a citizen id with those of the record.
func (c *call) compareCitizen(n source.Node, k citizen) {
	if c.given(idBirth) {
		if s, at := c.text(idBirth); len(s) >= 8 && allDigits(s[:8]) && !placeholderTime(s) && s[:8] != k.birth {
			c.find("id.birthdate", at, "the birth date differs from that in the citizen id; both are kept")
		}
	}
	if c.given(idSex) {
		if s, at := c.text(idSex); sexCode(s) != "" && sexCode(s) != k.sex {
			c.find("id.sex", at, "the sex differs from that in the citizen id; both are kept")
		}
	}
}

// fnEntityID writes an Identifier from an EI (entity ^ namespace ^ universal id ^ type).
func fnEntityID(c *call, b []byte) ([]byte, bool) {
	return appendEntity(c, b, c.node(0), c.literal(1))
}

// fnEntityIDs writes one Identifier a repetition.
func fnEntityIDs(c *call, b []byte) ([]byte, bool) {
	return c.join(0, b, func(b []byte, n source.Node) ([]byte, bool) { return appendEntity(c, b, n, c.literal(1)) })
}

func appendEntity(c *call, b []byte, n source.Node, kind string) ([]byte, bool) {
	d := ident{kind: kind, value: strings.TrimSpace(n.C(1).Text())}
	if d.value == "" {
		return b, false
	}
	a := authority{strings.TrimSpace(n.C(2).Text()), strings.TrimSpace(n.C(3).Text()), strings.ToUpper(strings.TrimSpace(n.C(4).Text()))}
	d.system = c.rt.identifierSystem(a, kind)
	return d.append(b), true
}

// citizen is what a citizen id of GB 11643-1999 says.
type citizen struct {
	canonical   string // eighteen characters, upper case; else as sent
	short       string // the fifteen digits as sent
	birth, sex  string // YYYYMMDD, and the code of administrative gender
	checked     bool   // the check digit holds and the date is one
	placeholder bool   // zeros, ones or nines
	permit      bool   // a permanent residence permit of a foreigner: begins with 9
	resident    bool   // a residence permit of Hong Kong, Macao or Taiwan: 81, 82, 83
}

func (k citizen) valid() bool { return k.checked }

// idChecks are the check characters (ISO 7064 MOD 11-2), idWeights the weights of the digits before it.
const idChecks = "10X98765432"

var idWeights = [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}

// citizenID reads a citizen id: eighteen characters with a check digit, or the
// fifteen digits of before 1999, to which the century and the check digit are added.
func citizenID(s string) citizen {
	id := strings.ToUpper(strings.ReplaceAll(FoldKey(s), "-", ""))
	k := citizen{canonical: id}
	if len(id) >= 6 && (strings.Trim(id, "0") == "" || strings.Trim(id, "1") == "" || strings.Trim(id, "9") == "") {
		k.placeholder = true
		return k
	}
	if len(id) == 15 && allDigits(id) {
		k.short = id
		id = id[:6] + "19" + id[6:]
		id += string(checkDigit(id))
	}
	if len(id) != 18 || !allDigits(id[:17]) {
		k.short = ""
		return k
	}
	if k.permit = id[0] == '9'; k.permit {
		return k
	}
	k.birth, k.sex = id[6:14], "female"
	if (id[16]-'0')%2 == 1 {
		k.sex = "male"
	}
	_, err := time.Parse("20060102", k.birth)
	if k.checked = err == nil && checkDigit(id[:17]) == id[17]; !k.checked {
		k.short = ""
		return k
	}
	k.canonical = id
	k.resident = strings.HasPrefix(id, "81") || strings.HasPrefix(id, "82") || strings.HasPrefix(id, "83")
	return k
}

func checkDigit(seventeen string) byte {
	sum := 0
	for i, w := range idWeights {
		sum += int(seventeen[i]-'0') * w
	}
	return idChecks[sum%11]
}

func allDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
