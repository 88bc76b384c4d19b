package codec_test

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"

	"meridian/fhir/codec"
	"meridian/fhir/fhirtest"
	"meridian/fhir/issue"
)

const fhir = ` xmlns="http://hl7.org/fhir"`

// https://hl7.org/fhir/R4/xml.html
func TestXMLReads(t *testing.T) {
	for _, c := range []struct{ rule, xml, json string }{
		{"an empty resource", `<Patient` + fhir + `/>`, `{"resourceType":"Patient"}`},
		{"a declaration, comments and processing instructions", "<?xml version='1.0' encoding='utf-8' standalone=\"yes\" ?>\n<!-- a -->\n<?x y?><Patient" + fhir +
			`><!-- b --><active value="true"/><?z?></Patient><!-- c --> `, `{"resourceType":"Patient","active":true}`},
		{"where a schema lies plays no part", `<Patient` + fhir + ` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://hl7.org/fhir ../patient.xsd"/>`,
			`{"resourceType":"Patient"}`},
		{"a prefix", `<f:Patient xmlns:f="http://hl7.org/fhir"><f:active value="true"/></f:Patient>`, `{"resourceType":"Patient","active":true}`},
		{"a prefix declared where it is needed", `<Patient` + fhir + `><f:active xmlns:f="http://hl7.org/fhir" value="true"/><gender value="male"/></Patient>`,
			`{"resourceType":"Patient","active":true,"gender":"male"}`},
		{"the id of a resource is an element, that of an element an attribute", `<Patient` + fhir + `><id value="a"/><name id="b"><text id="c" value="x"/></name></Patient>`,
			`{"resourceType":"Patient","id":"a","name":[{"id":"b","text":"x","_text":{"id":"c"}}]}`},
		{"an extension", `<Patient` + fhir + `><extension url="http://x"><valueDecimal value="1.10e3"/></extension></Patient>`,
			`{"resourceType":"Patient","extension":[{"url":"http://x","valueDecimal":1.10e3}]}`},
		{"url stands where the definition has it", `<Patient` + fhir + `><extension id="i" url="u"><extension url="v"><valueCode value="c"/></extension></extension></Patient>`,
			`{"resourceType":"Patient","extension":[{"id":"i","extension":[{"url":"v","valueCode":"c"}],"url":"u"}]}`},
		{"a primitive with an extension and no value", `<Patient` + fhir + `><birthDate><extension url="u"><valueCode value="c"/></extension></birthDate></Patient>`,
			`{"resourceType":"Patient","_birthDate":{"extension":[{"url":"u","valueCode":"c"}]}}`},
		{"start and end tag of a mere value", `<Patient` + fhir + `><birthDate value="1990" ><!-- x -->` + "\n" + `</birthDate ></Patient>`, `{"resourceType":"Patient","birthDate":"1990"}`},
		{"repeating primitives", `<HealthcareService` + fhir + `><availableTime><daysOfWeek value="mon"/><daysOfWeek id="i" value="tue"/><daysOfWeek value="wed"/></availableTime></HealthcareService>`,
			`{"resourceType":"HealthcareService","availableTime":[{"daysOfWeek":["mon","tue","wed"],"_daysOfWeek":[null,{"id":"i"},null]}]}`},
		{"repeating primitives, the first without a value", `<Patient` + fhir + `><name><given id="i"/><given value="b"></given></name></Patient>`,
			`{"resourceType":"Patient","name":[{"given":[null,"b"],"_given":[{"id":"i"},null]}]}`},
		{"repeating primitives without any value", `<Patient` + fhir + `><name><family value="x"/><given id="i"/><given id="j"/></name></Patient>`,
			`{"resourceType":"Patient","name":[{"family":"x","_given":[{"id":"i"},{"id":"j"}]}]}`},
		{"repeating primitives inside a primitive's extension", `<Patient` + fhir + `><name><given id="i"><extension url="u"><valueHumanName><given value="x"/><given id="k" value="y"/></valueHumanName></extension></given><given value="b"/></name></Patient>`,
			`{"resourceType":"Patient","name":[{"given":[null,"b"],"_given":[{"id":"i","extension":[{"url":"u","valueHumanName":{"given":["x","y"],"_given":[null,{"id":"k"}]}}]},null]}]}`},
		{"contained resources, each in an element of its own", `<Patient` + fhir + `><contained><Basic><code><text value="x"/></code></Basic></contained><contained><Basic><id value="b"/><code><text value="x"/></code></Basic></contained></Patient>`,
			`{"resourceType":"Patient","contained":[{"resourceType":"Basic","code":{"text":"x"}},{"resourceType":"Basic","id":"b","code":{"text":"x"}}]}`},
		{"white space in an attribute is a space, a reference is what it says", "<Patient" + fhir + "><name><text value=\"a\tb\nc\r\nd&#10;e&#13;&#9;&#x4E2d;&quot;&amp;&lt;&gt;&apos;\\\"/></name></Patient>",
			`{"resourceType":"Patient","name":[{"text":"a b c d\ne\r\t中\"&<>'\\"}]}`},
		{"quotes of the other kind", `<Patient` + fhir + `><name><text value='a "b"'/></name></Patient>`, `{"resourceType":"Patient","name":[{"text":"a \"b\""}]}`},
		{"a byte order mark", "\uFEFF<Patient" + fhir + `/>`, `{"resourceType":"Patient"}`},
		{"the narrative as it stands", `<Basic` + fhir + `><text><status value="generated"/><div xmlns='http://www.w3.org/1999/xhtml' id="a">` + "\r\n<!-- c --><p  class = 'x'>&#160;\"<br /></p></div></text><code><text value=\"x\"/></code></Basic>",
			`{"resourceType":"Basic","text":{"status":"generated","div":"<div xmlns='http://www.w3.org/1999/xhtml' id=\"a\">\r\n<!-- c --><p  class = 'x'>&#160;\"<br /></p></div>"},"code":{"text":"x"}}`},
		{"the narrative without its prefix", `<Basic` + fhir + ` xmlns:h="http://www.w3.org/1999/xhtml"><text><status value="generated"/><h:div lang="zh">a<h:br/><h:b xmlns:i="http://x">c</h:b></h:div></text><code><text value="x"/></code></Basic>`,
			`{"resourceType":"Basic","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"zh\">a<br/><b>c</b></div>"},"code":{"text":"x"}}`},
	} {
		tree, err := codec.ParseXML([]byte(c.xml), codec.Options{})
		if err != nil {
			t.Errorf("%s: %v", c.rule, err)
			continue
		}
		if d := fhirtest.Diff([]byte(c.json), codec.AppendJSON(nil, tree.Root(), nil)); d != "" {
			t.Errorf("%s: %s", c.rule, d)
		}
	}
}

// The place is what stands at the offset.
func TestXMLRefuses(t *testing.T) {
	const basic = `<Basic` + fhir + `>%<code><text value="x"/></code></Basic>`
	const narrative = `<Basic` + fhir + `><text><status value="generated"/>%</text><code><text value="x"/></code></Basic>`
	in := func(frame, part string) string { return strings.Replace(frame, "%", part, 1) }
	for _, c := range []struct{ rule, xml, id, expression, place string }{
		{"nothing", ``, "xml.syntax", "", ""},
		{"JSON", `{"resourceType":"Patient"}`, "xml.syntax", "", `{"res`},
		{"an unknown element", in(basic, `<codes value="x"/>`), "element.unknown", "Basic.codes", `<codes`},
		{"a choice without its type", `<Patient` + fhir + `><deceased value="true"/></Patient>`, "element.unknown", "Patient.deceased", "<deceased"},
		{"a name that JSON has", in(basic, `<resourceType value="Patient"/>`), "element.unknown", "Basic", "<resourceType"},
		{"an element out of order", `<Patient` + fhir + `><gender value="male"/><active value="true"/></Patient>`, "xml.order", "Patient.active", "<active"},
		{"repetitions apart", `<Patient` + fhir + `><name><text value="x"/></name><gender value="male"/><name><text value="y"/></name></Patient>`, "xml.order", "Patient.name", "<name><text value=\"y\""},
		{"an element twice", `<Patient` + fhir + `><gender value="male"/><gender value="male"/></Patient>`, "json.duplicate-name", "Patient.gender", `<gender value="male"/></Patient>`},
		{"a choice twice", `<Patient` + fhir + `><deceasedBoolean value="true"/><deceasedDateTime value="2001"/></Patient>`, "element.choice-twice", "Patient.deceased", "<deceasedDateTime"},
		{"a required element is missing", `<Basic` + fhir + `/>`, "element.required", "Basic.code", "<Basic"},
		{"a code with a space at its end", `<Patient` + fhir + `><gender value="male "/></Patient>`, "primitive.pattern", "Patient.gender", `"male "`},
		{"an empty value", `<Patient` + fhir + `><gender value=""/></Patient>`, "primitive.pattern", "Patient.gender", `""`},
		{"a boolean that is none", `<Patient` + fhir + `><active value="1"/></Patient>`, "primitive.pattern", "Patient.active", `"1"`},
		{"a number that is none", `<Patient` + fhir + `><multipleBirthInteger value="+1"/></Patient>`, "primitive.pattern", "Patient.multipleBirth", `"+1"`},
		{"a day that does not exist", `<Patient` + fhir + `><birthDate value="2001-02-29"/></Patient>`, "primitive.pattern", "Patient.birthDate", `"2001-02-29"`},
		{"an item of an array", `<Patient` + fhir + `><name><given value="a"/><given value=" "/></name></Patient>`, "primitive.pattern", "Patient.name[0].given[1]", `" "`},
		{"inside an extension of a repeating primitive", `<Patient` + fhir + `><name><given value="a"/><given value="b"><extension url="u"><valueCode value=" c"/></extension></given></name></Patient>`,
			"primitive.pattern", "Patient.name[0].given[1].extension[0].value", `" c"`},
		{"neither value nor content", `<Patient` + fhir + `><gender/></Patient>`, "element.empty-object", "Patient.gender", "<gender"},
		{"an element without content", `<Patient` + fhir + `><name/></Patient>`, "element.empty-object", "Patient.name[0]", "<name"},
		{"no namespace", `<Patient/>`, "xml.namespace", "", "<Patient"},
		{"another namespace", `<Patient xmlns="urn:hl7-org:v3"/>`, "xml.namespace", "", "<Patient"},
		{"an element of another namespace", in(basic, `<x xmlns="urn:x"/>`), "xml.namespace", "Basic.x", "<x"},
		{"a prefix that is not declared", in(basic, `<x:id value="a"/>`), "xml.namespace", "Basic", "<x:id"},
		{"a prefix after its scope", `<Patient` + fhir + `><f:active xmlns:f="http://hl7.org/fhir" value="true"/><f:gender value="male"/></Patient>`, "xml.namespace", "Patient", "<f:gender"},
		{"an attribute that FHIR does not have", in(basic, `<id value="a" x="1"/>`), "xml.attribute", "Basic.id", `x="1"`},
		{"an attribute of a resource", `<Basic` + fhir + ` id="a"><code><text value="x"/></code></Basic>`, "xml.attribute", "Basic", `id="a"`},
		{"a value of what has none", `<Patient` + fhir + `><name value="x"><text value="x"/></name></Patient>`, "xml.attribute", "Patient.name[0]", `value="x"><text`},
		{"a type by schema", `<Patient` + fhir + ` xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:type="x"/>`, "xml.attribute", "Patient", `i:type`},
		{"url as an element", `<Patient` + fhir + `><extension url="u"><url value="u"/><valueCode value="x"/></extension></Patient>`, "xml.attribute", "Patient.extension[0].url", "<url"},
		{"text", `<Patient` + fhir + `>张三<active value="true"/></Patient>`, "xml.text", "Patient", "张三"},
		{"a value as text", `<Patient` + fhir + `><gender>male</gender></Patient>`, "element.empty-object", "Patient.gender", "<gender>"},
		{"CDATA", `<Patient` + fhir + `><![CDATA[ ]]></Patient>`, "xml.text", "Patient", "<![CDATA["},
		{"an unknown type", `<Pazient` + fhir + `/>`, "resource-type.unknown", "", "Pazient"},
		{"a data type", `<HumanName` + fhir + `/>`, "resource-type.unknown", "", "HumanName"},
		{"nothing contained", `<Patient` + fhir + `><contained/></Patient>`, "resource-type.missing", "Patient.contained[0]", "<contained"},
		{"two contained in one", in(basic, `<contained><Patient/><Patient/></contained>`), "xml.resource", "Basic.contained[0]", "<Patient/></contained>"},
		{"a DOCTYPE", `<!DOCTYPE Patient [<!ENTITY x SYSTEM "file:///etc/passwd">]><Patient` + fhir + `>&x;</Patient>`, "xml.doctype", "", "<!DOCTYPE"},
		{"a DOCTYPE inside", in(basic, `<!DOCTYPE x>`), "xml.doctype", "Basic", "<!DOCTYPE"},
		{"an entity", in(basic, `<id value="a&x;"/>`), "xml.syntax", "Basic", "&x;"},
		{"a control character by its number", in(basic, `<id value="&#0;"/>`), "xml.syntax", "Basic", "&#0;"},
		{"a control character", in(basic, "<id value=\"\x01\"/>"), "xml.syntax", "", "\x01"},
		{"not UTF-8", in(basic, "<id value=\"\xff\"/>"), "json.utf8", "", "\xff"},
		{"an encoding that is not read", "<?xml version=\"1.0\" encoding=\"GB18030\"?><Patient" + fhir + "/>", "xml.encoding", "", "<?xml"},
		{"UTF-16 that is none", "<?xml version=\"1.0\" encoding=\"UTF-16\"?><Patient" + fhir + "/>", "xml.encoding", "", "<?xml"},
		{"XML 1.1", "<?xml version=\"1.1\"?><Patient" + fhir + "/>", "xml.syntax", "", "<?xml"},
		{"a declaration that is not first", " <?xml version=\"1.0\"?><Patient" + fhir + "/>", "xml.syntax", "", "<?xml"},
		{"not closed", `<Patient` + fhir + `>`, "xml.syntax", "Patient", ""},
		{"closed with another name", `<Patient` + fhir + `></Patien>`, "xml.syntax", "Patient", "</Patien>"},
		{"closed with a longer name", `<Patient` + fhir + `></Patients>`, "xml.syntax", "Patient", "</Patients>"},
		{"something behind", `<Patient` + fhir + `/><Patient/>`, "xml.syntax", "Patient", "<Patient/>"},
		{"an attribute twice", in(basic, `<id value="a" value="b"/>`), "xml.syntax", "Basic", `value="b"`},
		{"attributes without a space", in(basic, `<id value="a"id="b"/>`), "xml.syntax", "Basic", `id="b"`},
		{"< in an attribute", in(basic, `<id value="a<b"/>`), "xml.syntax", "Basic", `<b`},
		{"an attribute without quotes", in(basic, `<id value=a/>`), "xml.syntax", "Basic", `a/>`},
		{"-- in a comment", in(basic, `<!-- a -- b -->`), "xml.syntax", "Basic", `<!-- a`},
		{"a div without its namespace", in(narrative, `<div>x</div>`), "xml.namespace", "Basic.text.div", "<div>"},
		{"script in a narrative", in(narrative, `<div xmlns="http://www.w3.org/1999/xhtml">"a"<script>x</script></div>`), "narrative.xhtml", "Basic.text.div", "<script>"},
		{"an entity of HTML in a narrative", in(narrative, "<div xmlns=\"http://www.w3.org/1999/xhtml\">\n\\\"&nbsp;</div>"), "narrative.xhtml", "Basic.text.div", "&nbsp;"},
		{"a narrative that is not closed", in(narrative, `<div xmlns="http://www.w3.org/1999/xhtml"><p></div>`), "xml.syntax", "Basic.text.div", "</div>"},
		{"a narrative without its div", in(narrative, ``), "element.required", "Basic.text.div", "<text>"},
		{"a narrative with a foreign prefix", in(narrative, `<div xmlns="http://www.w3.org/1999/xhtml" xmlns:s="urn:s"><s:p>x</s:p></div>`), "narrative.xhtml", "Basic.text.div", "<s:p>"},
	} {
		_, err := codec.ParseXML([]byte(c.xml), codec.Options{})
		e := issue.As(err)
		if e == nil {
			t.Errorf("%s: accepted, or %v", c.rule, err)
			continue
		}
		is := e.Issues[0]
		if is.ID != c.id || is.Expression != c.expression || !strings.HasPrefix(c.xml[is.Offset:], c.place) || c.place == "" && is.Offset < len(c.xml) {
			t.Errorf("%s: %+v at %.20q", c.rule, is, c.xml[is.Offset:])
		}
		if len(e.Issues) > 1 && c.rule != "a value as text" {
			t.Errorf("%s: more than one issue: %v", c.rule, err)
		}
	}
}

// One answer names what is wrong with the XML and with the resource, in the order of the body.
func TestXMLCollectsIssues(t *testing.T) {
	xml := `<Patient` + fhir + `><gender value=" "/><active value="true"/><birthDate value="x"/>text</Patient>`
	_, err := codec.ParseXML([]byte(xml), codec.Options{})
	var got []string
	for _, is := range issue.As(err).Issues {
		got = append(got, is.ID)
	}
	if want := "primitive.pattern xml.order primitive.pattern xml.text"; strings.Join(got, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
	_, err = codec.ParseXML([]byte(xml), codec.Options{MaxIssues: 2})
	if list := issue.As(err).Issues; len(list) != 3 || list[2].Text != "2 more issues are not listed" {
		t.Errorf("%v", err)
	}
}

func TestXMLLimits(t *testing.T) {
	deep := `<Questionnaire` + fhir + `><status value="draft"/>` + strings.Repeat("<item>", 200) + strings.Repeat("</item>", 200) + `</Questionnaire>`
	div := `<Basic` + fhir + `><text><status value="generated"/><div xmlns="http://www.w3.org/1999/xhtml">` + strings.Repeat("<b>", 200) + strings.Repeat("</b>", 200) + `</div></text></Basic>`
	var attrs strings.Builder
	for i := range 40 {
		attrs.WriteString(` a` + strings.Repeat("x", i) + `="1"`)
	}
	for _, c := range []struct {
		rule, xml, id string
		o             codec.Options
	}{
		{"bytes", `<Patient` + fhir + `/>`, "json.size", codec.Options{MaxBytes: 20}},
		{"depth", deep, "json.depth", codec.Options{}},
		{"depth of what is skipped", strings.ReplaceAll(deep, "item>", "unknown>"), "json.depth", codec.Options{}},
		{"depth of the narrative", div, "json.depth", codec.Options{}},
		{"elements", `<Patient` + fhir + `><name><given value="a"/><given value="b"/></name></Patient>`, "json.nodes", codec.Options{MaxNodes: 3}},
		{"attributes", `<Patient` + fhir + attrs.String() + `/>`, "xml.syntax", codec.Options{}},
	} {
		_, err := codec.ParseXML([]byte(c.xml), c.o)
		if e := issue.As(err); e == nil || e.Issues[len(e.Issues)-1].ID != c.id {
			t.Errorf("%s: %v", c.rule, err)
		}
	}
}

// Places in UTF-16 are those of the bytes that were sent.
func TestXMLInUTF16(t *testing.T) {
	const text = `<?xml version="1.0" encoding="UTF-16"?><Patient` + fhir + `><name><text value="张三😀"/></name><gender value="x y "/></Patient>`
	for _, c := range []struct {
		rule  string
		order binary.AppendByteOrder
		mark  bool
	}{{"little endian", binary.LittleEndian, true}, {"big endian", binary.BigEndian, true}, {"no mark", binary.LittleEndian, false}, {"no mark, big endian", binary.BigEndian, false}} {
		encoded := func(s string) (b []byte) {
			if c.mark {
				b = c.order.AppendUint16(b, 0xFEFF)
			}
			for _, u := range utf16.Encode([]rune(s)) {
				b = c.order.AppendUint16(b, u)
			}
			return b
		}
		_, err := codec.ParseXML(encoded(text), codec.Options{})
		before, _, _ := strings.Cut(text, `"x y `)
		if e := issue.As(err); e == nil || e.Issues[0].ID != "primitive.pattern" || e.Issues[0].Offset != len(encoded(before)) {
			t.Errorf("%s: %v, want byte %d", c.rule, err, len(encoded(before)))
		}
		tree, err := codec.ParseXML(encoded(strings.Replace(text, "x y ", "male", 1)), codec.Options{})
		if err != nil || tree.Root().Path("name", "text").Text() != "张三😀" {
			t.Errorf("%s: %v", c.rule, err)
		}
		if _, err = codec.ParseXML(encoded(text)[:61], codec.Options{}); err == nil {
			t.Errorf("%s: half a character is accepted", c.rule)
		}
	}
}

func TestXMLWrites(t *testing.T) {
	for _, c := range []struct{ rule, json, xml string }{
		{"the order is that of the definition", `{"resourceType":"Patient","birthDate":"1990","active":true,"id":"a"}`,
			`<Patient` + fhir + `><id value="a"/><active value="true"/><birthDate value="1990"/></Patient>`},
		{"characters that do not stand for themselves", `{"resourceType":"Patient","name":[{"text":"<a> & \"b\"\n\r\t'c'\u4e2d\ud83d\ude00\ufffd"}]}`,
			`<Patient` + fhir + `><name><text value="&lt;a&gt; &amp; &quot;b&quot;&#10;&#13;&#9;'c'中😀` + "\uFFFD" + `"/></name></Patient>`},
		{"ids and extensions of primitives", `{"resourceType":"Patient","name":[{"given":["a",null],"_given":[null,{"id":"i","extension":[{"url":"u","valueCode":"c"}]}]}]}`,
			`<Patient` + fhir + `><name><given value="a"/><given id="i"><extension url="u"><valueCode value="c"/></extension></given></name></Patient>`},
		{"a resource inside", `{"resourceType":"Parameters","parameter":[{"name":"a","resource":{"resourceType":"Patient"}}]}`,
			`<Parameters` + fhir + `><parameter><name value="a"/><resource><Patient/></resource></parameter></Parameters>`},
		{"a narrative says its namespace", `{"resourceType":"Patient","text":{"div":" <div lang='zh'>x</div>\n","status":"empty"}}`,
			`<Patient` + fhir + `><text><status value="empty"/><div xmlns="http://www.w3.org/1999/xhtml" lang='zh'>x</div></text></Patient>`},
		{"an id beside the div is the div's", `{"resourceType":"Patient","text":{"status":"empty","div":"<div xmlns='http://www.w3.org/1999/xhtml'>x</div>","_div":{"id":"i"}}}`,
			`<Patient` + fhir + `><text><status value="empty"/><div id="i" xmlns='http://www.w3.org/1999/xhtml'>x</div></text></Patient>`},
	} {
		tree, err := codec.Parse([]byte(c.json), codec.Options{})
		if err != nil {
			t.Fatal(c.rule, err)
		}
		got, err := codec.AppendXML(nil, tree.Root(), codec.XMLOptions{})
		if want := `<?xml version="1.0" encoding="UTF-8"?>` + c.xml; err != nil || string(got) != want {
			t.Errorf("%s: %v\n%s\n%s", c.rule, err, got, want)
		}
	}
}

func TestXMLWritesIndented(t *testing.T) {
	tree, err := codec.Parse([]byte(`{"resourceType":"Patient","text":{"status":"empty","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>x</p></div>"},`+
		`"contained":[{"resourceType":"Patient"}],"active":true,"_active":{"extension":[{"url":"u","valueCode":"c"}]}}`), codec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := codec.AppendXML(nil, tree.Root(), codec.XMLOptions{Pretty: true})
	want := `<?xml version="1.0" encoding="UTF-8"?>
<Patient xmlns="http://hl7.org/fhir">
  <text>
    <status value="empty"/>
    <div xmlns="http://www.w3.org/1999/xhtml"><p>x</p></div>
  </text>
  <contained>
    <Patient/>
  </contained>
  <active value="true">
    <extension url="u">
      <valueCode value="c"/>
    </extension>
  </active>
</Patient>
`
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
}

// What XML cannot hold is refused, not written otherwise.
func TestXMLCannotWrite(t *testing.T) {
	for _, c := range []struct{ rule, json, id, expression string }{
		{"a character that XML does not have", `{"resourceType":"Patient","name":[{"text":"a\uffff"}]}`, "xml.character", "Patient.name[0].text"},
		{"the same in a narrative", `{"resourceType":"Patient","text":{"status":"empty","div":"<div>\ufffe</div>"}}`, "xml.character", "Patient.text.div"},
		{"an id instead of a div", `{"resourceType":"Patient","text":{"status":"empty","_div":{"id":"i"}}}`, "xml.div-id", "Patient.text.div"},
		{"two ids of a div", `{"resourceType":"Patient","text":{"status":"empty","div":"<div id='j'>x</div>","_div":{"id":"i"}}}`, "xml.div-id", "Patient.text.div"},
	} {
		tree, err := codec.Parse([]byte(c.json), codec.Options{})
		if err != nil {
			t.Fatal(c.rule, err)
		}
		got, err := codec.AppendXML([]byte("x"), tree.Root(), codec.XMLOptions{})
		if e := issue.As(err); e == nil || e.Issues[0].ID != c.id || e.Issues[0].Expression != c.expression || string(got) != "x" {
			t.Errorf("%s: %v, %s", c.rule, err, got)
		}
	}
}
