package engine

import (
	"strings"

	"meridian/mappings/source"
)

const loincSystem = "http://loinc.org"

// codingSystems maps HL7 table 0396 names to URIs; a site's own stand in Source.CodeSystems.
var codingSystems = map[string]string{
	"LN": loincSystem, "LOINC": loincSystem, "UCUM": ucumSystem, "SCT": "http://snomed.info/sct", "SNM": "http://snomed.info/sct",
	"I10": "http://hl7.org/fhir/sid/icd-10", "ICD10": "http://hl7.org/fhir/sid/icd-10", "I9": "http://hl7.org/fhir/sid/icd-9-cm",
	"HL70074": "http://terminology.hl7.org/CodeSystem/v2-0074", "HL70078": "http://terminology.hl7.org/CodeSystem/v2-0078",
	"HL70487": "http://terminology.hl7.org/CodeSystem/v2-0487", "HL70065": "http://terminology.hl7.org/CodeSystem/v2-0065",
}

// coding is one Coding to be written.
type coding struct{ system, code, display string }

// systemOf gives the URI of a coding system's name; a name that nobody knows is
// local to the source.
func (rt *run) systemOf(name string) string {
	name = strings.TrimSpace(name)
	if s, ok := rt.src.CodeSystems[name]; ok {
		return s
	}
	if s, ok := codingSystems[strings.ToUpper(name)]; ok {
		return s
	}
	if name == "" || strings.EqualFold(name, "L") || strings.HasPrefix(name, "99") {
		return rt.src.itemSystem()
	}
	return "urn:meridian:source:" + rt.src.id() + ":" + strings.ToLower(strings.Join(strings.Fields(name), "-"))
}

// codings reads the triplets 1–3 and 4–6 of a CWE.
func (rt *run) codings(n source.Node) []coding {
	var out []coding
	for _, at := range []int{1, 4} {
		code, display, system := strings.TrimSpace(n.C(at).Text()), strings.TrimSpace(n.C(at+1).Text()), n.C(at+2).Text()
		if code == "" {
			continue
		}
		out = append(out, coding{system: rt.systemOf(system), code: code, display: display})
	}
	return out
}

func appendCodings(b []byte, list []coding) []byte {
	b = append(b, `"coding":[`...)
	for i, k := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"system":`...)
		b = appendString(b, k.system)
		b = append(b, `,"code":`...)
		b = appendString(b, strings.Join(strings.Fields(k.code), " "))
		if k.display != "" {
			b = append(b, `,"display":`...)
			b = appendString(b, k.display)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

// appendConcept writes a CodeableConcept from a CWE: both triplets, and CWE.9
// (else the display of a text without a code) as text.
func appendConcept(c *call, b []byte, n source.Node) ([]byte, bool) {
	list := c.rt.codings(n)
	text := n.C(9).Text()
	if text == "" && len(list) == 0 {
		text = n.C(2).Text()
	}
	text = cleanText(text)
	if len(list) == 0 && text == "" {
		return b, false
	}
	b = append(b, '{')
	if len(list) > 0 {
		b = appendCodings(b, list)
	}
	if text != "" {
		if len(list) > 0 {
			b = append(b, ',')
		}
		b = append(b, `"text":`...)
		b = appendString(b, text)
	}
	return append(b, '}'), true
}

func fnConcept(c *call, b []byte) ([]byte, bool) { return appendConcept(c, b, c.node(0)) }

// itemKeys are the spellings under which the item table is asked: the code with
// its unit first, since the unit selects the code (mass or substance), then the
// code alone.
func itemKeys(code string, u unit) []string {
	if u.code != "" {
		return []string{code + "@" + u.code, code}
	}
	return []string{code + "@" + u.text, code}
}

// unitFits says whether a row of the item table is meant for the unit. A row
// that lists units abstains for others; a result without a unit is not held against it.
func unitFits(row Row, u unit) bool {
	units := row.Get("units")
	if units == "" || u.code == "" && u.text == "" {
		return true
	}
	for _, s := range strings.Split(units, ";") {
		if s == u.code && u.code != "" || s == u.text {
			return true
		}
	}
	return false
}

// plainName strips the decorations that laboratories put before a name.
func plainName(s string) string {
	s = strings.TrimSpace(s)
	for {
		t := strings.TrimLeft(s, "*★▲△ ")
		for _, p := range []string{"(干化学)", "（干化学）", "(全自动)", "（全自动）"} {
			t = strings.TrimPrefix(t, p)
		}
		if t == s {
			return s
		}
		s = t
	}
}

// fnItemCode writes Observation.code: the LOINC code where the item table has
// exactly this item in this unit, always the laboratory's own code, and the
// plain name as text. No code is guessed: an item that the table does not know
// is noted for the work list.
func fnItemCode(c *call, b []byte) ([]byte, bool) {
	n := c.node(0)
	local := c.rt.codings(n)
	name := n.C(2).Text()
	if c.given(2) {
		if s, _ := c.text(2); name == "" {
			name = s
		}
	}
	if len(local) == 0 {
		if name = cleanText(name); name == "" {
			c.rt.parkNow("obx.no-code", n.Origin(), "OBX-3 has neither a code nor a name", "OBX-3 没有项目代码和名称")
			return b, false
		}
		local = nil
	}
	var u unit
	if c.given(1) {
		u = unitOf(c.node(1), c.table(4))
	}
	list := c.withLOINC(local, u, n, name)
	b = append(b, '{')
	if len(list) > 0 {
		b = append(appendCodings(b, list), ',')
	}
	if name = plainName(name); name == "" {
		name = list[len(list)-1].code
	}
	b = append(b, `"text":`...)
	return append(appendString(b, cleanText(name)), '}'), true
}

// otherSpecimenWords tell that a specimen is not blood: the same letters (GLU,
// WBC, PRO) then stand for another item.
var otherSpecimenWords = []string{"尿", "便", "粪", "脑脊液", "胸水", "腹水", "精液", "urine", "stool", "feces", "csf"}

// otherSpecimen says that the specimen or the panel is of urine, stool or a
// puncture: the item table holds blood items, so it abstains.
func (c *call) otherSpecimen() bool {
	var buf [8]source.Node
	for _, n := range c.list(5, buf[:0]) {
		s := strings.ToLower(n.Text())
		if s == "ur" || s == "stl" || s == "u" {
			return true
		}
		for _, w := range otherSpecimenWords {
			if strings.Contains(s, w) {
				return true
			}
		}
	}
	return false
}

// withLOINC puts the mapped code before the local ones.
func (c *call) withLOINC(local []coding, u unit, n source.Node, name string) []coding {
	for _, k := range local {
		if k.system == loincSystem {
			return local
		}
	}
	items := c.table(3)
	for _, k := range local {
		if c.otherSpecimen() {
			break
		}
		for _, key := range itemKeys(k.code, u) {
			row, ok := items.Find(key)
			if ok && row.Get("loinc") != "" && unitFits(row, u) {
				return append([]coding{{system: loincSystem, code: row.Get("loinc"), display: row.Get("display")}}, local...)
			}
		}
	}
	code := ""
	if len(local) > 0 {
		code = local[0].code
	}
	c.rt.unmapped = append(c.rt.unmapped, Unmapped{Table: items.Name, Code: code, Display: cut(name, 200), Unit: u.text, Path: n.Origin()})
	return local
}
