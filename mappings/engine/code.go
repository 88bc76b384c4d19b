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

// codingList holds the codings of one concept without an allocation: three triplets, and a mapped one before them.
type codingList struct {
	of [4]coding
	n  int
}

func (l *codingList) add(k coding) {
	if l.n < len(l.of) {
		l.of[l.n] = k
		l.n++
	}
}

func (l *codingList) list() []coding { return l.of[:l.n] }

// systemOf gives the URI of a coding system's name; a name that nobody knows is
// local to the source.
func (rt *run) systemOf(name string) string {
	name = strings.TrimSpace(name)
	if s, ok := rt.src.CodeSystems[name]; ok {
		return s
	}
	if name == "" || name == "L" || name == "l" || strings.HasPrefix(name, "99") {
		return rt.itemSystem
	}
	if s, ok := codingSystems[strings.ToUpper(name)]; ok {
		return s
	}
	return rt.prefix + strings.ToLower(strings.Join(strings.Fields(name), "-"))
}

// triplets are where a CWE has its codings: components 1, 4 and, since HL7 v2.7, 10. HL7 v2.8.2 ch. 2A.2.13
var triplets = [...]int{1, 4, 10}

// codings appends the codings of a CWE.
func (rt *run) codings(n source.Node, into *codingList) {
	for _, at := range triplets {
		if at > 1 && n.Leaf() {
			return
		}
		part := n.C(at)
		code, system := strings.TrimSpace(part.Text()), n.C(at+2).Text()
		if code == "" {
			continue
		}
		k := coding{system: rt.systemOf(system), code: code, display: strings.TrimSpace(n.C(at + 1).Text())}
		if !part.Leaf() && k.system != loincSystem { // a suffix such as &IMP is part of a local code
			k.code = strings.TrimSpace(wholeText(part))
		}
		into.add(k)
	}
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
		b = appendString(b, oneBlank(k.code))
		if k.display != "" {
			b = append(b, `,"display":`...)
			b = appendString(b, k.display)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

// oneBlank folds blanks, as FHIR's code asks. https://hl7.org/fhir/R4/datatypes.html#code
func oneBlank(s string) string {
	if !strings.ContainsAny(s, " \t\r\n") {
		return s
	}
	return strings.Join(strings.Fields(s), " ")
}

// conceptText is the text of a CWE: component 9, else the display of one without a code.
func conceptText(n source.Node, codings int) string {
	text := n.C(9).Text()
	if text == "" && codings == 0 {
		text = n.C(2).Text()
	}
	return cleanText(text)
}

func appendConceptOf(b []byte, list []coding, text string) ([]byte, bool) {
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

// appendConcept writes a CodeableConcept from a CWE.
func appendConcept(c *call, b []byte, n source.Node) ([]byte, bool) {
	var list codingList
	c.rt.codings(n, &list)
	return appendConceptOf(b, list.list(), conceptText(n, list.n))
}

func fnConcept(c *call, b []byte) ([]byte, bool) { return appendConcept(c, b, c.node(0)) }

// fnConcepts writes one concept a repetition.
func fnConcepts(c *call, b []byte) ([]byte, bool) {
	return c.join(0, b, func(b []byte, n source.Node) ([]byte, bool) { return appendConcept(c, b, n) })
}

// fnMappedConcept writes a concept of a code system of FHIR's: the table's code first, then the sender's own.
// What the table does not know keeps the sender's coding and goes to the work list.
func fnMappedConcept(c *call, b []byte) ([]byte, bool) {
	var list codingList
	n := c.node(0)
	if k, ok := c.mapped(n); ok {
		list.add(k)
	}
	c.rt.codings(n, &list)
	return appendConceptOf(b, list.list(), conceptText(n, list.n))
}

// fnMappedCoding is fnMappedConcept for an element that takes one Coding.
func fnMappedCoding(c *call, b []byte) ([]byte, bool) {
	n := c.node(0)
	k, ok := c.mapped(n)
	if !ok {
		var list codingList
		c.rt.codings(n, &list)
		if list.n == 0 {
			return b, false
		}
		k = list.of[0]
	}
	var buf [512]byte
	s := appendCodings(buf[:0], []coding{k})
	return append(b, s[len(`"coding":[`):len(s)-1]...), true
}

// mapped asks the table (argument 1) for the code of a CWE, or for its text; the system is argument 2.
func (c *call) mapped(n source.Node) (coding, bool) {
	for _, i := range [...]int{1, 2} {
		s := strings.TrimSpace(n.C(i).Text())
		if s == "" {
			continue
		}
		row, ok := c.table(1).Find(s)
		if !ok {
			c.rt.missing(Unmapped{Table: c.table(1).Name, Code: s, Path: n.Origin()})
			return coding{}, false
		}
		if to := row.Get("to"); to != "" {
			return coding{system: c.literal(2), code: to}, true
		}
		return coding{}, false
	}
	return coding{}, false
}

// fnCode writes a code as sent, blanks folded.
func fnCode(c *call, b []byte) ([]byte, bool) {
	s, _ := c.text(0)
	if s = oneBlank(strings.TrimSpace(s)); s == "" {
		return b, false
	}
	return appendString(b, s), true
}
