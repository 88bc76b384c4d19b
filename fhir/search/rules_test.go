package search

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// The expected answers are worked out by hand from the specification's sentences.

// https://hl7.org/fhir/R4/search.html#token
func TestTextModifiers(t *testing.T) {
	cases(t, observation(`"category":[{"coding":[{"system":"http://x","code":"a","display":"血红蛋白 [质量/体积]"}],"text":"Hemoglobin [Mass/volume] in Blood"}],
		"subject":{"reference":"Patient/1","display":"Zhang San (张三)"},"performer":[{"display":"Peking Hospital"}]`),
		"category:text=hemo", "category:text=HEMOGLOBIN", "category:text=blood", "category:text=blood hemo", "category:text=mass/vol", "!category:text=lobin", "!category:text=urine",
		"category:text=红蛋", "category:text=血红蛋白", "!category:text=红血", "!category:text=血红 blood", "category:text=质量 血", "category:text=urine,blood",
		"category:code-text=Hemoglobin", "category:code-text=hemoglobin mass vol", "category:code-text=hemoglobin [mass/vol", "!category:code-text=mass", "!category:code-text=hemo mass",
		"category:code-text=血红", "!category:code-text=红", "!category:code-text=hemoglobin in", "!code:text=hemoglobin", "code:missing=false",
		"subject:text=zhang", "subject:text=san", "subject:text=张三", "subject:text=三", "!subject:text=li", "subject:code-text=zhang s", "!subject:code-text=san",
		"patient:text=zhang", "performer:text=hospital", "!patient:text=hospital", "!subject:text=peking")
	cases(t, `{"resourceType":"Patient","identifier":[{"type":{"text":"Medical record number","coding":[{"display":"not asked for"}]},"value":"1"}]}`,
		"identifier:text=record", "!identifier:text=asked", "identifier:code-text=medical rec")
	long := strings.Repeat("红", 200) + "白"
	cases(t, observation(`"category":[{"text":"`+long+`"}]`), "category:text="+long, "category:text=红白", "category:text="+strings.Repeat("红", 199)+"白", "!category:text="+long+"白",
		"category:text="+strings.Repeat("红", 60), "!category:text=白红", "category:code-text="+strings.Repeat("红", 150), "!category:code-text=红白")
	words := strings.Repeat("a", 300)
	cases(t, observation(`"category":[{"text":"`+words+`"}]`), "category:text="+words, "!category:text="+words+"a", "category:text="+words[:299], "category:code-text="+words)
}

// https://hl7.org/fhir/R4/search.html#token: the format is |system|code|value, all three present.
func TestOfType(t *testing.T) {
	const v2 = "http://terminology.hl7.org/CodeSystem/v2-0203"
	cases(t, `{"resourceType":"Patient","identifier":[{"type":{"coding":[{"system":"`+v2+`","code":"MR"},{"code":"local"}]},"system":"urn:x","value":"446053"},
		{"type":{"coding":[{"system":"`+v2+`","code":"SS"}]},"value":"1|2"},{"type":{"coding":[{"system":"a|b","code":"c"}]},"value":"3"}]}`,
		"identifier:of-type="+v2+"|MR|446053", "!identifier:of-type="+v2+"|SS|446053", "!identifier:of-type="+v2+"|MR|44605", `identifier:of-type=`+v2+`|SS|1\|2`,
		"!identifier:of-type="+v2+"|MR|1", `identifier:of-type=a\|b|c|3`, `!identifier:of-type=a|b\|c|3`, "!identifier:of-type=urn:x|MR|446053")
	long := strings.Repeat("s", 300)
	cases(t, `{"resourceType":"Patient","identifier":[{"type":{"coding":[{"system":"http://`+long+`","code":"MR"}]},"value":"`+long+`"}]}`,
		"identifier:of-type=http://"+long+"|MR|"+long, "!identifier:of-type=http://"+long+"|MR|"+long+"x", "!identifier:of-type=http://"+long+"x|MR|"+long)
}

// https://hl7.org/fhir/R4/search.html#token: :in, :not-in, :above, :below. testCodes has the answers.
func TestCodeModifiers(t *testing.T) {
	const set = `http://vs/[{"System":"http://loinc.org"\,"Codes":["1-8"\,"718-7"]}]`
	body := observation(`"category":[{"coding":[{"system":"http://x","code":"ab1"}]},{"text":"words"}]`)
	cases(t, body, "code:in="+set, "!code:not-in="+set, "!category:in="+set, "category:not-in="+set, "specimen:missing=true", "value-concept:not-in="+set,
		`category:in=http://vs/[{"System":"http://x"\,"All":true}]`, `!category:in=http://vs/[{"System":"http://y"\,"All":true}]`, `!category:in=http://vs/[{"System":""\,"Codes":["ab1"]}]`,
		`!category:in=http://vs/[]`, `category:not-in=http://vs/[]`, `category:in=http://vs/[],http://vs/[{"System":"http://x"\,"Codes":["ab1"]}]`,
		"category:below=http://x|ab1", "category:below=http://x|ab", "category:above=http://x|ab12", "category:above=http://x|ab1", "!category:below=http://y|ab", "!category:above=http://x|ab", "!category:below=http://x|ab12",
		`status:in=http://vs/[{"System":"http://hl7.org/fhir/observation-status"\,"Codes":["final"]}]`, "combo-code:in="+set)
	none := registryWith(t, Options{Zone: testRegistry(t).zone})
	for _, q := range []string{"code:in=http://x", "code:not-in=http://x", "code:above=http://x|1", "code:below=http://x|1"} {
		_, _, err := none.Parse("Observation", pairs(t, q), false)
		if err == nil || !strings.Contains(err.Error(), "needs terminology") {
			t.Errorf("%s without terminology: %v", q, err)
		}
		if _, warnings, err := none.Parse("Observation", pairs(t, q), true); err != nil || len(warnings) != 1 {
			t.Errorf("%s lenient: %v", q, err)
		}
	}
	many := `http://vs/[{"System":"s"\,"Codes":[` + strings.TrimSuffix(strings.Repeat(`"a"\,`, MaxExpansion+1), `\,`) + `]}]`
	if _, _, err := testRegistry(t).Parse("Observation", []Pair{{"code:in", many}}, false); err == nil || !strings.Contains(err.Error(), "more than 10000 codes") {
		t.Errorf("%.200v", err)
	}
}

// https://hl7.org/fhir/R4/search.html#uri
func TestURLModifiers(t *testing.T) {
	cases(t, `{"resourceType":"ValueSet","status":"active","url":"http://acme.org/fhir/ValueSet/123","meta":{"profile":["http://p/x|2.1.3"],"source":"http://s#1"}}`,
		"url:below=http://acme.org/fhir/", "url:below=http://acme.org/fhir", "url:below=http://acme.org/fhir/ValueSet/123", "!url:below=http://acme.org/fhir/Val", "!url:below=http://acme.org/fhir/ValueSet/123/",
		"!url:below=http://acme.org/fhir/ValueSet/1234", "url:above=http://acme.org/fhir/ValueSet/123/_history/5", "url:above=http://acme.org/fhir/ValueSet/123", "!url:above=http://acme.org/fhir/ValueSet",
		"!url:above=http://acme.org/fhir/ValueSet/1234", "_source:below=http://s", "url:below=http://other,http://acme.org",
		"_profile:below=http://p", "_profile:below=http://p/x", "_profile:below=http://p/x|2", "_profile:below=http://p/x|2.1", "_profile:below=http://p/x|2.1.3", "!_profile:below=http://p/x|2.1.30", "!_profile:below=http://p/x|2.10",
		"!_profile:below=http://p/x|1", "_profile:above=http://p/x|2.1.3.4", "_profile:above=http://p/x|2.1.3", "!_profile:above=http://p/x|2.1", "_profile:above=http://p/x/y", "_profile=http://p/x|2.1.3", "_profile=http://p/x", "!_profile=http://p/x|2.1")
	cases(t, `{"resourceType":"PlanDefinition","status":"active","library":["http://x/l|2.0"],"relatedArtifact":[{"type":"depends-on","resource":"http://x/q/1"}]}`,
		"depends-on:below=http://x/l|2", "depends-on:below=http://x/q", "depends-on:above=http://x/q/1/2", "!depends-on:below=http://y")
	long := "http://x/" + strings.Repeat("p/", 200)
	cases(t, `{"resourceType":"ValueSet","status":"active","url":"`+long+`end"}`, "url:below="+long, "url:below="+long+"end", "!url:below="+long+"en", "url:above="+long+"end/x", "!url:above="+long+"en")
}

// https://hl7.org/fhir/R4/search.html#combining
func TestComposites(t *testing.T) {
	cases(t, observation(`"valueQuantity":{"value":6.2,"unit":"mmol/L","system":"http://unitsofmeasure.org","code":"mmol/L"}`),
		"code-value-quantity=718-7$6.2", "code-value-quantity=http://loinc.org|718-7$gt6|http://unitsofmeasure.org|mmol/L", "code-value-quantity=718-7$gt6000||umol/L,718-7$6.2||mmol/L",
		"code-value-quantity=718-7$gt6000|http://unitsofmeasure.org|umol/L", "!code-value-quantity=718-7$gt6.2", "!code-value-quantity=718-8$6.2", "code-value-quantity=x$1,718-7$6.2",
		"combo-code-value-quantity=718-7$6.2", "!component-code-value-quantity=718-7$6.2", "!code-value-string=718-7$6")
	pressures := observation(`"component":[{"code":{"coding":[{"code":"sys"}]},"valueQuantity":{"value":120}},{"code":{"coding":[{"code":"dia"},{"code":"a$b"}]},"valueQuantity":{"value":80}}]`)
	cases(t, pressures, "component-code-value-quantity=sys$120", "component-code-value-quantity=dia$lt100", "!component-code-value-quantity=sys$80", "!component-code-value-quantity=sys$lt100",
		"component-code-value-quantity=sys$80,dia$80", `component-code-value-quantity=a\$b$80`, "combo-code-value-quantity=dia$80", "!combo-code-value-quantity=718-7$80", "!combo-code-value-quantity=sys$80")
	cases(t, observation(`"valueDateTime":"2026-01-02"`), "code-value-date=718-7$2026", "code-value-date=718-7$lt2027-01", "!code-value-date=718-7$2025")
	cases(t, observation(`"valuePeriod":{"start":"2026-01-02"}`), "code-value-date=718-7$gt2026", "!code-value-date=718-7$2025")
	cases(t, observation(`"valueString":"Small,$ big"`), `code-value-string=718-7$small\,\$`, "!code-value-string=718-7$big")
	cases(t, observation(`"valueCodeableConcept":{"text":"words"}`), "value-string=words", "!code-value-string=718-7$words")
	cases(t, `{"resourceType":"Group","type":"person","actual":true,"characteristic":[{"code":{"coding":[{"code":"gender"}]},"valueCodeableConcept":{"coding":[{"code":"mixed"}]},"exclude":false},
		{"code":{"coding":[{"code":"owner"}]},"valueBoolean":true,"exclude":false}]}`,
		"characteristic-value=gender$mixed", "characteristic-value=owner$true", "!characteristic-value=owner$mixed", "!characteristic-value=gender$true")
	// R4 names relatesto (a reference) first, though its expression there is the code.
	cases(t, `{"resourceType":"DocumentReference","status":"current","content":[{"attachment":{"title":"x"}}],"relatesTo":[{"code":"replaces","target":{"reference":"DocumentReference/1"}},{"code":"appends","target":{"reference":"DocumentReference/2"}}]}`,
		"relationship=DocumentReference/1$replaces", "relationship=1$replaces", "!relationship=DocumentReference/1$appends")
	cases(t, `{"resourceType":"MolecularSequence","coordinateSystem":0,"referenceSeq":{"chromosome":{"coding":[{"code":"1"}]},"windowStart":5,"windowEnd":9},"variant":[{"start":1,"end":2},{"start":3,"end":4}]}`,
		"chromosome-variant-coordinate=1$1$2", "!chromosome-variant-coordinate=1$1$4", "!chromosome-variant-coordinate=2$1$2", "chromosome-window-coordinate=1$gt4$lt10", "chromosome-variant-coordinate=1$ge3$le4")
	cases(t, `{"resourceType":"Library","status":"active","type":{"text":"x"},"useContext":[{"code":{"code":"age"},"valueRange":{"low":{"value":10,"code":"a"},"high":{"value":20,"code":"a"}}},{"code":{"code":"focus"},"valueCodeableConcept":{"coding":[{"code":"c"}]}}]}`,
		"context-type-quantity=age$gt15||a", "!context-type-quantity=focus$gt15", "context-type-value=focus$c", "!context-type-value=age$c")
}

// TestEveryComposite: all composites of R4 have parts; those of the resource itself have exact plans.
func TestEveryComposite(t *testing.T) {
	r, n := testRegistry(t), 0
	var exact []string
	for _, typ := range []string{"ActivityDefinition", "DocumentReference", "Group", "MolecularSequence", "Observation", "ValueSet"} {
		for _, p := range r.Params(typ) {
			if p.Kind != KindComposite {
				continue
			}
			if n++; p.Unsupported != "" || len(p.parts) < 2 {
				t.Errorf("%s of %s: %q, %d parts", p.Code, typ, p.Unsupported, len(p.parts))
			}
			if p.ofResource && !slices.ContainsFunc(p.parts, func(x part) bool { return !x.whole }) {
				exact = append(exact, p.Code)
			}
		}
	}
	if n != 18 || strings.Join(exact, " ") != "code-value-concept code-value-date code-value-quantity" {
		t.Errorf("%d composites, exact: %v", n, exact)
	}
}

// https://hl7.org/fhir/R4/search.html#quantity: "the search may convert units".
func TestUnits(t *testing.T) {
	const u = "|http://unitsofmeasure.org|"
	quantity := func(value, code string) string {
		return observation(`"valueQuantity":{"value":` + value + `,"unit":"as printed","system":"http://unitsofmeasure.org","code":"` + code + `"}`)
	}
	cases(t, quantity("5.4", "g/L"), "value-quantity=5.4"+u+"g/L", "value-quantity=540"+u+"mg/dL", "value-quantity=0.54"+u+"g/dL", "value-quantity=gt530"+u+"mg/dL", "!value-quantity=gt540"+u+"mg/dL",
		"value-quantity=ge540"+u+"mg/dL", "value-quantity=le540"+u+"mg/dL", "!value-quantity=540"+u+"mg/L", "value-quantity=5.4||g/L", "!value-quantity=540||mg/dL", "value-quantity=5.4||as printed",
		"!value-quantity=5.4"+u+"mmol/L", "!value-quantity=gt0"+u+"mmol/L", "!value-quantity=5.4|http://other|g/L", "value-quantity=5.4", "!value-quantity=540", "!value-quantity=5.4"+u+"nonsense")
	// precision is that of the number asked, in the unit asked: 5 g/L is [4.5, 5.5), 500 mg/dL is [499.5, 500.5)
	cases(t, quantity("545", "mg/dL"), "value-quantity=5"+u+"g/L", "!value-quantity=5.4"+u+"g/L", "!value-quantity=ne5"+u+"g/L", "value-quantity=5.45"+u+"g/L")
	cases(t, quantity("550", "mg/dL"), "!value-quantity=5"+u+"g/L", "value-quantity=ne5"+u+"g/L", "value-quantity=6"+u+"g/L", "value-quantity=ap5"+u+"g/L", "!value-quantity=ap4.9"+u+"g/L")
	// 98.6 °F is exactly 37 °C; 37 Cel is [36.5, 37.5); a tenth of 37 Cel is 3.7 Cel
	cases(t, quantity("98.6", "[degF]"), "value-quantity=37"+u+"Cel", "value-quantity=37.00"+u+"Cel", "!value-quantity=gt37"+u+"Cel", "!value-quantity=lt37"+u+"Cel", "value-quantity=310.15"+u+"K", "!value-quantity=37"+u+"K",
		"value-quantity=ap40.7"+u+"Cel", "!value-quantity=ap41.2"+u+"Cel", "value-quantity=ap33.7"+u+"Cel")
	cases(t, quantity("-40", "Cel"), "value-quantity=-40"+u+"[degF]", "value-quantity=lt0"+u+"[degF]", "value-quantity=gt0"+u+"K")
	cases(t, quantity("1", "/min"), "value-quantity=1"+u+"/min", "value-quantity=60"+u+"/h", "value-quantity=gt0.016"+u+"Hz", "value-quantity=lt0.017"+u+"Hz")
	cases(t, quantity("4.5", "10*9/L"), "value-quantity=4500"+u+"/uL", "value-quantity=4.5"+u+"10*3/uL", "value-quantity=4500"+u+"{cells}/uL")
	cases(t, quantity("7.4", "[pH]"), "value-quantity=7.4"+u+"[pH]", "!value-quantity=7.4"+u+"1")
	cases(t, quantity("5", "nonsense"), "value-quantity=5"+u+"nonsense", "!value-quantity=5"+u+"g/L")
	cases(t, observation(`"valueQuantity":{"value":5,"comparator":"<","system":"http://unitsofmeasure.org","code":"g/L"}`), "value-quantity=lt500"+u+"mg/dL", "value-quantity=eb500"+u+"mg/dL", "!value-quantity=eb499"+u+"mg/dL", "!value-quantity=gt500"+u+"mg/dL", "value-quantity=gt499"+u+"mg/dL")
	cases(t, `{"resourceType":"Condition","subject":{"reference":"Patient/1"},"onsetAge":{"value":2,"unit":"years","system":"http://unitsofmeasure.org","code":"a"}}`, "onset-age=24"+u+"mo", "onset-age=gt700"+u+"d", "!onset-age=gt731"+u+"d")
	cases(t, `{"resourceType":"Encounter","status":"finished","class":{"code":"AMB"},"length":{"value":90,"unit":"min","system":"http://unitsofmeasure.org","code":"min"}}`, "length=1.5"+u+"h", "length=gt1"+u+"h", "!length=gt2"+u+"h")
	cases(t, `{"resourceType":"Condition","subject":{"reference":"Patient/1"},"onsetRange":{"low":{"value":1,"system":"http://unitsofmeasure.org","code":"a"},"high":{"value":2,"system":"http://unitsofmeasure.org","code":"a"}}}`, "onset-age=gt18"+u+"mo", "!onset-age=gt24"+u+"mo", "onset-age=lt13"+u+"mo", "onset-age=eb25"+u+"mo")
	cases(t, quantity("1e4990", "km"), "value-quantity=gt1e4989"+u+"km", "value-quantity=gt5"+u+"m")
}

// Distances on a sphere of 6,371,008.8 m; a degree of a great circle is 111,195.08 m.
func TestNear(t *testing.T) {
	at := func(lat, lon string) string {
		return `{"resourceType":"Location","position":{"longitude":` + lon + `,"latitude":` + lat + `}}`
	}
	cases(t, at("0", "1"), "near=0|0|112|km", "!near=0|0|111|km", "near=0|0|111195.1|m", "!near=0|0|111195.0|m", "near=0|0|112", "near=0|0|70|[mi_us]", "!near=0|0|69|[mi_us]", "near=0|1|0", "near=0|0.6", "!near=0|0",
		"near=0|0|1,0|1|1", "near:missing=false", "near=0|0|21000")
	cases(t, at("10.0", "-179.9"), "near=10|179.9|22|km", "!near=10|179.9|21|km", "near=10|180|11", "near=10|-180|11", "!near=10|178|100")
	cases(t, at("89.9", "0"), "near=89.9|180|23|km", "!near=89.9|180|22|km", "near=90|77|12", "!near=88|0|200")
	cases(t, at("-89.9", "-90"), "near=-89.9|90|23|km", "near=-90|0|12", "!near=89|90|500")
	cases(t, at("31.230416", "121.473701"), "near=31.2|121.5|10", "near=39.9042|116.4074|1068|km", "!near=39.9042|116.4074|1066|km")
	cases(t, at("91", "0"), "near:missing=false", "!near=90|0|21000")
	cases(t, `{"resourceType":"Location","name":"x"}`, "near:missing=true", "!near=0|0|21000")
	r := testRegistry(t)
	for _, c := range []struct{ value, text string }{
		{"0", "latitude|longitude|distance|unit"}, {"0|0|0|km|x", "latitude|longitude|distance|unit"}, {"x|0", "the latitude is not"}, {"0|y", "the longitude is not"}, {"0|0|z", "the distance is not"},
		{"91|0", "from -90 to 90"}, {"0|181", "from -90 to 90"}, {"0|0|-1", "negative"}, {"0|0|1|kg", "unit"}, {"0|0|1|furlongish", "unit"},
	} {
		if _, _, err := r.Parse("Location", []Pair{{"near", c.value}}, false); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("near=%s: %v", c.value, err)
		}
	}
	if d := greatCircle(0, 0, 0, 180); math.Abs(d-math.Pi*earthRadius) > 1 {
		t.Error(d)
	}
}

// https://hl7.org/fhir/R4/search.html#content
func TestFullText(t *testing.T) {
	r := fullRegistry(t)
	body := `{"resourceType":"Observation","id":"idword","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>Bone <b>mar</b>row &amp; liver</p><!-- hidden --><p>患者有糖尿病史</p>H<sub>2</sub>O</div>"},
		"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"718-7","display":"Hemoglobin"}]},"subject":{"reference":"Patient/refword","display":"Zhang"},
		"note":[{"text":"no change"}],"valueString":"高血压"}`
	for _, q := range []string{"_text=bone", "_text=BONE liver", "_text=marrow", "!_text=mar", "!_text=bon", "!_text=hidden", "!_text=amp", "_text=h2o", `_text="bone marrow"`, `!_text="marrow bone"`, `_text="marrow %26 liver"`, `!_text="bone liver"`,
		"_text=糖尿病", "_text=糖尿", "_text=病", "_text=患者", "!_text=病患", "!_text=糖病", "_text=史", "_text=糖尿病史", "!_text=尿糖", `_text="liver 患者"`, `!_text="liver 者有"`, `_text="病史 h2o"`, `!_text="糖尿 h2o"`,
		"_text=(bone OR lung) and liver", "!_text=(lung OR heart) and liver", "_text=lung or bone", "_text=lung OR liver AND bone", "!_text=lung OR liver AND heart", "_text=lung,liver", "!_text=hemoglobin", "!_text=zhang",
		"_content=hemoglobin", "_content=bone hemoglobin", "_content=zhang", "!_content=refword", "!_content=idword", "_content=718", "_content=final", "_content=change", "_content=高血压", "!_content=糖血", "_content=血压 糖尿病", `_content="no change"`, `!_content="change no"`,
		"!_content=loinc", "_text:missing=false", "_content:missing=false"} {
		text, not := strings.CutPrefix(q, "!")
		check(t, r, body, text, !not)
	}
	check(t, r, `{"resourceType":"Basic","id":"x","code":{"coding":[{"userSelected":true}]}}`, "_text:missing=true", true)
	check(t, r, `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Basic","text":{"status":"generated","div":"<div>bone</div>"},"code":{"text":"marrow"}}}]}`, "_content=bone marrow", true)
	for _, c := range []struct{ value, text string }{{"--", "no word"}, {"(a", "has no ')'"}, {"a)", "has no '('"}, {`"a`, "not closed"}, {"and", "no word"}, {strings.Repeat("a ", MaxTerms), "100 words"}, {strings.Repeat("(", 5000), "100 words"}} {
		if _, _, err := r.Parse("Observation", []Pair{{"_text", c.value}}, false); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("_text=%.20s: %v", c.value, err)
		}
	}
	if a, b := r.IndexVersion(), testRegistry(t).IndexVersion(); a == b {
		t.Error("full text changes what is indexed")
	}
}

// https://hl7.org/fhir/R4/search.html#number and #prefix: the table of a number as asked and the numbers at the edges of its
// range. "" stands for eq; in marks what the range holds. The comparators other than eq, ne and ap take the number as exact.
func TestPrecision(t *testing.T) {
	for _, c := range []struct{ asked, in, out string }{
		{"100", "99.5 100 100.4999", "99.4999 100.5"},
		{"100.00", "99.995 100 100.00499", "99.99499 100.005"},
		{"1e2", "95 100 104.999", "94.999 105"},
		{"1.0e2", "95 104.9", "94.9 105"},
		{"5.4", "5.35 5.4 5.4499", "5.3499 5.45"},
		{"5.40e-3", "0.005395 0.005404", "0.0053949 0.005405"},
		{"0", "-0.5 0 0.4999", "-0.5001 0.5"},
		{"-5", "-5.5 -4.5001", "-5.5001 -4.5"},
		{"-0.0", "-0.05 0.0499", "0.05"},
	} {
		for _, v := range strings.Fields(c.in) {
			cases(t, observation(`"valueQuantity":{"value":`+v+`}`), "value-quantity="+c.asked, "value-quantity=eq"+c.asked, "!value-quantity=ne"+c.asked)
		}
		for _, v := range strings.Fields(c.out) {
			cases(t, observation(`"valueQuantity":{"value":`+v+`}`), "!value-quantity="+c.asked, "value-quantity=ne"+c.asked)
		}
	}
	for _, c := range []struct{ value, yes, no string }{
		{"100", "ge100 le100 ge1e2 ge100.00 gt99.9999 lt100.0001 ap110 ap91", "gt100 lt100 gt100.00 sa100 eb100 ap112 ap90"},
		{"100.4", "gt100 ge100 sa100", "le100 lt100 eb100 le100.3999"},
		{"-100", "ap-110 ap-91 lt-99", "ap-112 ap-90 gt-99"},
		{"0", "ap0 ge0 le0", "ap1 gt0 lt0"},
	} {
		for _, q := range strings.Fields(c.yes) {
			cases(t, observation(`"valueQuantity":{"value":`+c.value+`}`), "value-quantity="+q)
		}
		for _, q := range strings.Fields(c.no) {
			cases(t, observation(`"valueQuantity":{"value":`+c.value+`}`), "!value-quantity="+q)
		}
	}
}
