package search

import (
	"strings"
	"testing"
)

// check decides a query on a resource by Match and by plan, facts and residual.
func check(t *testing.T, r *Registry, body, q string, want bool) {
	t.Helper()
	root := parseBody(t, []byte(body))
	if got := agree(t, r, query(t, r, root.Type().Name, q), root); got != want {
		t.Errorf("%s: %v, want %v\n%s", q, got, want, body)
	}
}

// cases: each query with "!" in front must not match the body.
func cases(t *testing.T, body string, queries ...string) {
	t.Helper()
	r := testRegistry(t)
	for _, q := range queries {
		text, not := strings.CutPrefix(q, "!")
		check(t, r, body, text, !not)
	}
}

func observation(member string) string {
	return `{"resourceType":"Observation","id":"o","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]},` + member + `}`
}

// https://hl7.org/fhir/R4/search.html#token
func TestTokens(t *testing.T) {
	cases(t, observation(`"category":[{"coding":[{"code":"lab"},{"system":"http://x","code":"b"},{"system":"http://only"}]},{"text":"words"}]`),
		"code=718-7", "code=http://loinc.org|718-7", "code=http://loinc.org|", "!code=|718-7", "!code=http://other|718-7", "!code=718",
		"category=lab", "category=|lab", "!category=http://x|lab", "category=b", "category=http://x|b", "!category=|b",
		"category=http://only|", "!category=http://only|b", "category=zzz,b", "!category=lab&category=zzz", "category=lab&category=b",
		"category:not=zzz", "!category:not=lab", "!category:not=zzz,lab", "specimen:missing=true", "category:missing=false",
		"status=final", "status=http://hl7.org/fhir/observation-status|final", "!status=|final", "!status=FINAL",
		"value-concept:not=x", "value-concept:missing=true", "_id=o", "_id=x,o", "!_id=x", "!_id:not=o")
	cases(t, observation(`"valueCodeableConcept":{"text":"only words"}`), "value-concept:missing=false", "!value-concept=x", "value-concept:not=x")
	cases(t, `{"resourceType":"Patient","identifier":[{"system":"urn:oid:1.2","value":"a|b,c"},{"value":"bare"}],"active":true,
		"telecom":[{"system":"phone","value":"555"},{"system":"email","value":"a@b"}],"gender":"male","deceasedBoolean":false}`,
		`identifier=a\|b\,c`, `identifier=urn:oid:1.2|a\|b\,c`, "identifier=|bare", "identifier=urn:oid:1.2|", "active=true", "!active=false",
		"telecom=555", "phone=555", "!email=555", "email=a@b", "gender=male", "deceased=false", "!deceased=true")
	cases(t, `{"resourceType":"Patient","deceasedDateTime":"2020"}`, "deceased=true", "death-date=2020")
	cases(t, `{"resourceType":"Patient","_deceasedDateTime":{"id":"a"}}`, "deceased=true", "!deceased=false")
	cases(t, `{"resourceType":"Patient","id":"p"}`, "deceased=false", "!deceased=true")
}

// https://hl7.org/fhir/R4/search.html#string
func TestStrings(t *testing.T) {
	cases(t, `{"resourceType":"Patient","name":[{"family":"van der Berg","given":["Eve","Zoë"],"suffix":["Jr."]}],
		"address":[{"line":["1 Main St."],"city":"Salem","postalCode":"97301"}]}`,
		"name=eve", "name=EVE", "name=ev", "name=Eve", "!name=ve", "name:contains=ve", "name:exact=Eve", "!name:exact=eve", "!name:exact=Ev",
		"name=zoe", "name:contains=OË", "name=van", "family=van der b", "!family=eve", "given=eve", "name=jr", "!name:exact=Jr", "name:exact=Jr.",
		"address=salem", "address=1 main st", "address-city=Salem", "!address-city=97301", "address-postalcode=973", "name=x,eve",
		"family:exact=van der Berg")
	cases(t, `{"resourceType":"Patient","name":[{"period":{"start":"2020"}}]}`, "name:missing=false", "!name=x")
	long := strings.Repeat("ab ", 100) + "tail"
	cases(t, `{"resourceType":"Patient","address":[{"text":"`+long+`"}]}`,
		"address=ab ab", "address="+long, "!address="+long+"x", "address:contains=tail", "!address:contains=nowhere", "address:exact="+long,
		"!address:exact="+strings.TrimSuffix(long, "tail"))
}

// Names in Han characters are found by character, pinyin and initials.
func TestHanNames(t *testing.T) {
	for _, name := range []string{`"text":"张三"`, `"family":"张","given":["三"]`, `"text":"张　三"`} {
		cases(t, `{"resourceType":"Patient","name":[{`+name+`}]}`,
			"name=zhangsan", "name=zhang san", "name=ZhangSan", "name=zhang", "name=zs", "name=张", "name=张三", "name=三", "!name=四", "!name=angs",
			"name:contains=三", "name:contains=zhangs", "phonetic=zhangsan")
	}
	cases(t, `{"resourceType":"Patient","name":[{"text":"张三"}]}`, "name:exact=张三", "!name:exact=zhangsan", "!name:exact=三", "!name:exact=张")
	cases(t, `{"resourceType":"Patient","name":[{"family":"张","given":["三"]}]}`, "name:exact=张三", "!family=zhang", "family=张", "family:exact=张", "!given=san", "given=三")
	cases(t, `{"resourceType":"Patient","name":[{"text":"曾国藩"}]}`, "name=zengguofan", "name=cengguofan", "name=zgf", "name=cgf", "name=国藩")
	cases(t, `{"resourceType":"Patient","name":[{"text":"单雄信"}]}`, "name=shanxiongxin", "name=danxiongxin", "name=sxx")
	cases(t, `{"resourceType":"Patient","name":[{"text":"尉迟恭"}]}`, "name=yuchigong", "name=ycg", "name=尉迟")
	cases(t, `{"resourceType":"Patient","name":[{"text":"买买提·艾力"}]}`, "name=买买提艾力", "name=买买提•艾力", "name=艾力", "name=mmtal")
	cases(t, `{"resourceType":"Patient","name":[{"text":"𬎆珅"}]}`, "name=𬎆", "name=珅")
	cases(t, `{"resourceType":"Organization","name":"北京医院"}`, "name=bjyy", "name=beijing", "name=医院", "name=北京")
}

// https://hl7.org/fhir/R4/search.html#date and #prefix; zone Asia/Shanghai
func TestDates(t *testing.T) {
	cases(t, observation(`"effectiveDateTime":"2013-01-14T10:00:00+08:00"`),
		"date=2013-01-14", "date=eq2013-01-14T10:00", "!date=2013-01-15", "!date=ne2013-01-14", "date=ne2013-01-14T10:01",
		"date=lt2013-01-14T10:01", "!date=lt2013-01-14T10:00", "!date=lt2013-01-14", "date=le2013-01-14", "date=gt2013-01-13",
		"!date=gt2013-01-14", "date=ge2013-01-14", "date=ge2013-01-14T10:00:00", "!date=sa2013-01-14", "date=sa2013-01-13", "date=eb2013-01-15",
		"!date=eb2013-01-14", "date=2013-01-14T02:00:00Z", "date=2013", "date=ap2013-01-15", "!date=ap2026-11-22", "date=2012,2013", "!date=gt2013-01-13&date=lt2013-01-14")
	cases(t, observation(`"effectivePeriod":{"start":"2013-01-21","end":"2013-01-23"}`),
		"date=2013-01", "!date=2013-01-21", "date=ge2013-01-21", "date=gt2013-01-22", "date=lt2013-01-22", "date=sa2013-01-20", "!date=sa2013-01-21",
		"date=eb2013-01-24", "!date=eb2013-01-23", "date=le2013-01-23", "date=ne2013-01-21", "date=gt2013-01-21", "!date=gt2013-01-23", "date=ap2013-01-22")
	cases(t, observation(`"effectivePeriod":{"start":"2013-01-21"}`),
		"date=gt2099", "!date=2013", "date=ge2013-01-21", "date=sa2013-01-20", "!date=eb2099", "!date=lt2013-01-21", "date=ne2013")
	cases(t, observation(`"effectivePeriod":{"end":"2013-01-21"}`), "date=lt1900", "!date=gt2013-01-21", "date=eb2013-01-22", "!date=sa1900")
	cases(t, observation(`"effectiveTiming":{"event":["2013-01-05","2013-01-01T08:00:00Z"],"repeat":{"boundsPeriod":{"start":"2013-01-03","end":"2013-01-07"}}}`),
		"date=2013-01", "date=sa2012-12", "date=eb2013-01-08", "!date=sa2013-01-01", "!date=eb2013-01-07")
	cases(t, observation(`"effectiveTiming":{"code":{"text":"daily"}}`), "date:missing=false", "!date=gt1900", "!date=ne1900")
	cases(t, observation(`"_effectiveDateTime":{"extension":[{"url":"http://x","valueCode":"unknown"}]}`), "date:missing=true", "!date=ne1900")
	cases(t, `{"resourceType":"Patient","birthDate":"1988-05-01"}`, "birthdate=1988-05-01", "birthdate=1988", "!birthdate=1988-04-30", "birthdate=lt1988-05-02")
	cases(t, `{"resourceType":"Patient","meta":{"lastUpdated":"2026-11-22T06:00:00.123Z"}}`,
		"_lastUpdated=2026-11-22", "_lastUpdated=gt2026-11-22T06:00:00.122Z", "_lastUpdated=2026-11-22T06:00:00.123Z", "!_lastUpdated=gt2026-11-22T06:00:00.123Z")
}

// https://hl7.org/fhir/R4/search.html#number
func TestNumbers(t *testing.T) {
	risk := func(p string) string {
		return `{"resourceType":"RiskAssessment","status":"final","subject":{"reference":"Patient/1"},"prediction":[{` + p + `}]}`
	}
	cases(t, risk(`"probabilityDecimal":100`), "probability=100", "probability=100.00", "probability=1e2", "!probability=lt100", "probability=le100",
		"!probability=gt100", "probability=ge100", "!probability=ne100", "probability=ap95", "probability=ap110", "!probability=ap90", "!probability=sa100", "probability=eb101")
	cases(t, risk(`"probabilityDecimal":99.5`), "probability=100", "!probability=100.0", "probability=lt100", "!probability=99.0", "probability=99.5")
	cases(t, risk(`"probabilityDecimal":100.5`), "!probability=100", "probability=ne100", "probability=gt100", "probability=1e2")
	cases(t, risk(`"probabilityDecimal":-0.05`), "probability=lt0", "probability=-0.05", "probability=-0.050", "!probability=0.05", "probability=ge-0.05", "probability=0.0")
	cases(t, risk(`"probabilityRange":{"low":{"value":10},"high":{"value":20}}`), "probability=gt15", "probability=lt15", "!probability=gt20", "probability=ge10",
		"!probability=15", "probability=2e1,5e1,15e0,1.5e1,15,1e1,100,sa9", "probability=sa9", "!probability=sa10", "probability=eb21", "!probability=eb20")
	cases(t, risk(`"probabilityRange":{"low":{"value":10}}`), "probability=gt1000", "!probability=eb1000", "probability=sa9", "!probability=lt10")
}

// https://hl7.org/fhir/R4/search.html#quantity
func TestQuantities(t *testing.T) {
	cases(t, observation(`"valueQuantity":{"value":5.40,"unit":"milligram","system":"http://unitsofmeasure.org","code":"mg"}`),
		"value-quantity=5.4|http://unitsofmeasure.org|mg", "value-quantity=5.40|http://unitsofmeasure.org|mg", "value-quantity=5.4||mg", "value-quantity=5.4||milligram",
		"value-quantity=5.4", "!value-quantity=5.41", "value-quantity=5", "!value-quantity=5.4||g", "!value-quantity=5.4|http://other|mg", "value-quantity=gt5||mg",
		"value-quantity=le5.4|http://unitsofmeasure.org|mg", "value-quantity=ap5.4", "value-quantity=ap5", "!value-quantity=ap4", "combo-value-quantity=5.4",
		"!component-value-quantity=5.4", "value-quantity=5.4e0")
	cases(t, observation(`"valueQuantity":{"value":5,"comparator":"<","unit":"mg"}`), "value-quantity=lt5", "!value-quantity=5", "!value-quantity=gt5", "!value-quantity=ge5",
		"value-quantity=le5", "value-quantity=eb5", "!value-quantity=eb4", "value-quantity=gt4.9", "value-quantity=ne5", "!value-quantity=sa0", "value-quantity=ap4||mg", "!value-quantity=ap6")
	cases(t, observation(`"valueQuantity":{"value":5,"comparator":"<="}`), "!value-quantity=eb5", "value-quantity=le5", "value-quantity=eb5.1")
	cases(t, observation(`"valueQuantity":{"value":0,"comparator":"<"}`), "value-quantity=eb0", "value-quantity=lt-100", "!value-quantity=gt0", "value-quantity=gt-0.001")
	cases(t, observation(`"valueQuantity":{"value":-5,"comparator":"<"}`), "value-quantity=eb-5", "value-quantity=gt-5.001", "!value-quantity=gt-5", "!value-quantity=eb-5.1")
	cases(t, observation(`"valueQuantity":{"value":5,"comparator":">"}`), "value-quantity=gt5", "value-quantity=sa5", "!value-quantity=sa5.1", "!value-quantity=lt5", "value-quantity=gt1e300")
	cases(t, observation(`"valueQuantity":{"value":5,"comparator":">="}`), "!value-quantity=sa5", "value-quantity=sa4", "!value-quantity=lt5", "value-quantity=ge5")
	cases(t, observation(`"valueQuantity":{"unit":"mg"}`), "value-quantity:missing=false", "!value-quantity=ne5", "!value-quantity=lt5")
	cases(t, observation(`"valueSampledData":{"origin":{"value":0},"period":10,"dimensions":1,"data":"1 2"}`), "value-quantity:missing=false", "!value-quantity=ne5")
	cases(t, observation(`"component":[{"code":{"text":"a"},"valueQuantity":{"value":120,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}},{"code":{"text":"b"},"valueQuantity":{"value":80}}]`),
		"component-value-quantity=120||mm[Hg]", "component-value-quantity=80", "!component-value-quantity=80||mm[Hg]", "combo-value-quantity=80", "!value-quantity=80", "value-quantity:missing=true")
	cases(t, `{"resourceType":"Invoice","status":"issued","totalNet":{"value":10.50,"currency":"CNY"}}`,
		"totalnet=10.5", "totalnet=10.5||CNY", "totalnet=10.5|urn:iso:std:iso:4217|CNY", "!totalnet=10.5||USD")
	cases(t, `{"resourceType":"Condition","subject":{"reference":"Patient/1"},"onsetRange":{"low":{"value":10,"unit":"a"},"high":{"value":20,"unit":"a"}}}`,
		"onset-age=gt15||a", "!onset-age=15", "onset-age=lt10.5", "!onset-age=gt20", "onset-date:missing=true")
	cases(t, `{"resourceType":"Condition","subject":{"reference":"Patient/1"},"onsetAge":{"value":35,"unit":"岁","system":"http://unitsofmeasure.org","code":"a"}}`,
		"onset-age=35||岁", "onset-age=35|http://unitsofmeasure.org|a")
}

// https://hl7.org/fhir/R4/search.html#reference
func TestReferenceValues(t *testing.T) {
	cases(t, observation(`"subject":{"reference":"Patient/23"}`),
		"subject=Patient/23", "subject=23", "subject:Patient=23", "!subject:Group=23", "subject=http://our.example/fhir/Patient/23", "patient=23", "patient=Patient/23",
		"!patient=Group/23", "!subject=Patient/2", "!subject=http://other/fhir/Patient/23", "patient:missing=false", "subject:missing=false", "subject=Patient/23,Patient/24")
	cases(t, observation(`"subject":{"reference":"http://our.example/fhir/Patient/23"}`), "subject=Patient/23", "patient=23")
	cases(t, observation(`"subject":{"reference":"Patient/23/_history/2"}`), "subject=Patient/23", "subject=Patient/23/_history/2", "!subject=Patient/23/_history/1", "patient=23")
	cases(t, observation(`"subject":{"reference":"http://other/fhir/Patient/23"}`), "subject=http://other/fhir/Patient/23", "patient=http://other/fhir/Patient/23",
		"!subject=23", "!subject=Patient/23", "patient:missing=false", "!patient=http://other/fhir/Group/23")
	cases(t, observation(`"subject":{"reference":"http://other/fhir/Patient/23/_history/4"}`), "subject=http://other/fhir/Patient/23", "subject=http://other/fhir/Patient/23/_history/4")
	cases(t, observation(`"subject":{"reference":"urn:uuid:c757873d-ec9a-4326-a141-556f43239520"}`), "subject=urn:uuid:c757873d-ec9a-4326-a141-556f43239520",
		"patient:missing=true", "!patient=urn:uuid:c757873d-ec9a-4326-a141-556f43239520")
	cases(t, observation(`"subject":{"reference":"urn:uuid:c757873d-ec9a-4326-a141-556f43239520","type":"Patient"}`), "patient=urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "patient:missing=false")
	cases(t, observation(`"subject":{"identifier":{"system":"http://mrn","value":"7"}}`), "subject:identifier=http://mrn|7", "subject:identifier=7", "!subject:identifier=|7",
		"!subject=7", "subject:missing=false", "patient:missing=true")
	cases(t, observation(`"subject":{"type":"Patient","identifier":{"system":"http://mrn","value":"7"}}`), "patient:identifier=http://mrn|7", "patient:missing=false")
	cases(t, observation(`"subject":{"display":"Zhang"}`), "subject:missing=false", "!subject=Zhang")
	cases(t, `{"resourceType":"Observation","contained":[{"resourceType":"Patient","id":"p"}],"status":"final","code":{"text":"x"},"subject":{"reference":"#p"}}`,
		"subject:missing=false", "patient:missing=false", "!subject=p", "!patient=p")
	cases(t, `{"resourceType":"EpisodeOfCare","status":"active","patient":{"reference":"Patient/1"},"careManager":{"reference":"PractitionerRole/2"}}`,
		"!care-manager=2", "care-manager:missing=true")
	cases(t, `{"resourceType":"PlanDefinition","status":"active","library":["http://x/l|2.0"],"relatedArtifact":[{"type":"depends-on","resource":"http://x/q"},{"type":"predecessor","resource":"http://x/p"}]}`,
		"depends-on=http://x/l", "depends-on=http://x/l|2.0", "!depends-on=http://x/l|1.0", "depends-on=http://x/q", "!depends-on=http://x/p", "predecessor=http://x/p")
	cases(t, `{"resourceType":"Bundle","type":"document","entry":[{"resource":{"resourceType":"Composition","id":"c","status":"final","type":{"text":"x"},"date":"2020","author":[{"display":"x"}],"title":"x"}},{"resource":{"resourceType":"Patient","id":"p"}}]}`,
		"composition=Composition/c", "composition=c", "!message=p")
}

// https://hl7.org/fhir/R4/search.html#uri
func TestURIs(t *testing.T) {
	cases(t, `{"resourceType":"ValueSet","status":"active","url":"http://acme.org/fhir/ValueSet/123","meta":{"profile":["http://p/x|1"],"source":"http://s#1"}}`,
		"url=http://acme.org/fhir/ValueSet/123", "!url=http://acme.org/fhir/ValueSet", "!url=http://acme.org/fhir/valueset/123", "url:missing=false",
		"_profile=http://p/x", "_profile=http://p/x|1", "!_profile=http://p/x|2", "_source=http://s#1", "!_source=http://s")
}

// Texts around MaxValue: what is cut off still decides.
func TestLongValues(t *testing.T) {
	r := testRegistry(t)
	for _, unit := range []string{"a", "é", "张", "𬎆"} {
		for n := MaxValue/len(unit) - 2; n <= MaxValue/len(unit)+2; n++ {
			text := strings.Repeat(unit, n)
			body := `{"resourceType":"Patient","identifier":[{"system":"` + text + `","value":"` + text + `"}],"name":[{"text":"` + text + `"}],
				"managingOrganization":{"reference":"http://x/` + text + `"},"meta":{"source":"` + text + `"}}`
			for _, more := range []string{"", unit, "b"} {
				for _, q := range []string{"identifier=", "identifier=" + text + "|", "identifier:not=", "name=", "name:exact=", "name:contains=", "_source=", "organization=http://x/"} {
					check(t, r, body, q+text+more, (more == "") != (q == "identifier:not="))
				}
				check(t, r, body, "identifier="+text+more+"|", more == "")
			}
		}
	}
}
