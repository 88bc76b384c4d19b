package fhirtest

import (
	"fmt"

	"meridian/fhir/schema"
)

// Spellings of primitives as JSON lexemes; each is valid by the patterns of
// https://hl7.org/fhir/R4/datatypes.html#primitive
var (
	texts = []string{`"x"`, `"血红蛋白 (HGB)"`, `"\u8840\u7ea2"`, `"a\/b \"quoted\" \\ back"`, `"\ud83d\ude00 😀 𠮷"`, `"line\nbreak\tand\r\n"`,
		`" leading and trailing "`, `"𝄞 \uD834\uDD1E"`, `"<b>&amp; é"`, `"ﷺ א ا"`, `"\u00e9\u0301 e\u0301"`, `"|,$\\"`, `"\u007f"`, `"\u2028\u2029"`}
	markdowns = []string{`"# 标题\n\n* item"`, `"a  \r\nb"`, `"**bold** \u4e2d"`}
	codes     = []string{`"a"`, `"718-7"`, `"in progress"`, `"<="`, `"mm\/Hg"`, `"男"`, `"\u0061b"`, `"10*9\/L"`, `"_x"`}
	booleans  = []string{"true", "false"}
	integers  = []string{"0", "1", "-1", "42", "2147483647", "-2147483648"}
	positives = []string{"1", "7", "2147483647"}
	unsigned  = []string{"0", "3", "2147483647"}
	decimals  = []string{"0", "5.40", "1.0", "1.00", "-0.0", "1.10e3", "1E-7", "2e+2", "-12.500", "0.000000000000000001", "123456789012345678.125",
		"100", "1e0", "99999999999999999999999999999999"}
	uris = []string{`"http:\/\/example.org\/a?b=c#d"`, `"http://loinc.org"`, `"urn:oid:2.16.840.1.113883.2.23"`, `"urn:uuid:c757873d-ec9a-4326-a141-556f43239520"`,
		`"mailto:a@b.cn"`, `"relative/path"`, `"http://例子.测试/路"`}
	canonicals = []string{`"http://hl7.org/fhir/StructureDefinition/Patient"`, `"http://example.org/ValueSet/a|1.0.0"`, `"#inner"`, `"urn:oid:1.2.3"`}
	oids       = []string{`"urn:oid:1.2.3"`, `"urn:oid:2.16.840.1.113883.4.642.0"`, `"urn:oid:0.0"`}
	uuids      = []string{`"urn:uuid:c757873d-ec9a-4326-a141-556f43239520"`, `"urn:uuid:00000000-0000-0000-0000-000000000000"`}
	dates      = []string{`"1951"`, `"0001"`, `"9999-12-31"`, `"1951-06"`, `"2024-02-29"`, `"2026-04-30"`}
	dateTimes  = []string{`"2015"`, `"2015-02"`, `"2015-02-07"`, `"2015-02-07T13:28:17Z"`, `"2015-02-07T13:28:17-05:00"`, `"2015-02-07T13:28:17.239+08:00"`,
		`"2016-12-31T23:59:60Z"`, `"2015-02-07T00:00:00.000000000+14:00"`}
	instants   = []string{`"2015-02-07T13:28:17.239+02:00"`, `"2015-02-07T13:28:17Z"`, `"2026-11-22T06:18:00.123456789-13:59"`}
	times      = []string{`"00:00:00"`, `"23:59:59.999"`, `"12:30:60"`}
	base64s    = []string{`"AAAA"`, `"YQ=="`, `"YWI="`, `"+\/9A"`, `"YWJj\r\nZGVm"`, `" AAAA BBBB "`}
	narratives = []string{
		`"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"`,
		`"<div xmlns='http://www.w3.org/1999/xhtml'><p class=\"a\">血红蛋白 &lt; 120 &amp; &#160;&#x4E2D;<br/><b>b</b></p></div>"`,
		`"<div xmlns=\"http:\/\/www.w3.org\/1999\/xhtml\">\n<table><tr><td rowspan=\"2\">a<\/td><\/tr><\/table><!-- c --><a href=\"#x\">y<\/a><\/div>"`,
		`"\u003cdiv xmlns=\"http://www.w3.org/1999/xhtml\"\u003e\ud83d\ude00<img src=\"#p\" alt=\"\"/></div>"`,
	}
	statuses = []string{`"generated"`, `"extensions"`, `"additional"`, `"empty"`}
)

// lexical writes a value of a primitive type.
func (g *generator) lexical(p part, s scope) {
	switch {
	case p.e.Path == "Reference.reference":
		g.reference(s.targets)
	case p.e.Path == "Narrative.status":
		g.text(pick(g, statuses))
	case p.typ == schema.TypeId || p.json == "id":
		g.text(`"` + pick(g, []string{"a", "A-1.b", "0", "x-"}) + g.int(1e9) + `"`)
	case p.typ == schema.TypeString && g.one(4):
		g.text(fmt.Sprintf(`"text %d"`, g.IntN(1000)))
	case p.typ == schema.TypeDecimal && g.one(2):
		g.text(fmt.Sprintf("%d.%02d", g.IntN(1000), g.IntN(100)))
	default:
		g.text(pick(g, lexemes(p.typ)))
	}
}

func lexemes(id schema.ID) []string {
	switch id {
	case schema.TypeBase64Binary:
		return base64s
	case schema.TypeBoolean:
		return booleans
	case schema.TypeCanonical:
		return canonicals
	case schema.TypeCode:
		return codes
	case schema.TypeDate:
		return dates
	case schema.TypeDateTime:
		return dateTimes
	case schema.TypeDecimal:
		return decimals
	case schema.TypeInstant:
		return instants
	case schema.TypeInteger:
		return integers
	case schema.TypeMarkdown:
		return markdowns
	case schema.TypeOid:
		return oids
	case schema.TypePositiveInt:
		return positives
	case schema.TypeTime:
		return times
	case schema.TypeUnsignedInt:
		return unsigned
	case schema.TypeUri, schema.TypeUrl:
		return uris
	case schema.TypeUuid:
		return uuids
	case schema.TypeXhtml:
		return narratives
	}
	return texts
}

// reference writes a literal reference to one of the types that the element allows.
func (g *generator) reference(targets []string) {
	target := "Patient"
	if len(targets) > 0 && targets[0] != "Resource" {
		target = pick(g, targets)
	}
	id := g.int(1e6)
	switch g.IntN(6) {
	case 0:
		g.text(`"http://example.org/fhir/` + target + `/` + id + `"`)
	case 1:
		g.text(`"` + target + `/` + id + `/_history/2"`)
	case 2:
		g.text(pick(g, uuids))
	case 3:
		g.text(`"#c` + id + `"`)
	default:
		g.text(`"` + target + `/` + id + `"`)
	}
}
