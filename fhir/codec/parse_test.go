package codec

import (
	"strings"
	"testing"

	"meridian/fhir/issue"
)

// rejected is a body and the first issue that must come of it. The offset is
// that of the mark ‸, which is not part of the body.
type rejected struct {
	rule, body     string
	id, expression string
	contains       string
}

func (c rejected) check(t *testing.T, o Options) {
	t.Helper()
	offset := strings.Index(c.body, "‸")
	src := strings.Replace(c.body, "‸", "", 1)
	tree, err := Parse([]byte(src), o)
	if err == nil || tree != nil {
		t.Fatal("accepted")
	}
	e := issue.As(err)
	if e == nil {
		t.Fatalf("not an issue.Error: %v", err)
	}
	first := e.Issues[0]
	if first.ID != c.id || first.Expression != c.expression || first.Offset != offset || !strings.Contains(first.Text, c.contains) {
		t.Errorf("got %s at %q [%d]: %s; want %s at %q [%d]", first.ID, first.Expression, first.Offset, first.Text, c.id, c.expression, offset)
	}
}

func TestRejectsMalformedJSON(t *testing.T) {
	for _, c := range []rejected{
		{"an empty body", `‸`, idSyntax, "", "empty"},
		{"only white space", "  \n‸", idSyntax, "", "empty"},
		{"an array", `‸[]`, idJSONType, "", "object"},
		{"no quotes around a name", `{"resourceType":"Patient",‸id:"a"}`, idSyntax, "Patient", "name"},
		{"a missing colon", `{"resourceType":"Patient","id"‸"a"}`, idSyntax, "Patient", "colon"},
		{"a missing comma", `{"resourceType":"Patient","id":"a" ‸"active":true}`, idSyntax, "Patient", "comma"},
		{"a comma too many in an object", `{"resourceType":"Patient","active":true,‸}`, idSyntax, "Patient", "name"},
		{"a comma too many in an array", `{"resourceType":"Patient","name":[{"given":["a",‸]}]}`, idSyntax, "Patient.name[0].given", "value"},
		{"an object cut short", `{"resourceType":"Patient","active":true‸`, idSyntax, "Patient", "ends"},
		{"a string cut short", `{"resourceType":"Patient","id":"ab‸`, idSyntax, "Patient.id", "ends"},
		{"something behind the end", `{"resourceType":"Patient"} ‸x`, idSyntax, "Patient", "follows"},
		{"a number with a leading 0", `{"resourceType":"Patient","multipleBirthInteger":‸01}`, idSyntax, "Patient.multipleBirthInteger", "0"},
		{"a number without digits behind the point", `{"resourceType":"Patient","multipleBirthInteger":1.‸}`, idSyntax, "Patient.multipleBirthInteger", "digit"},
		{"a number without an exponent", `{"resourceType":"Patient","multipleBirthInteger":1e‸}`, idSyntax, "Patient.multipleBirthInteger", "digit"},
		{"a half word", `{"resourceType":"Patient","active":‸tru}`, idSyntax, "Patient.active", "value"},
		{"a control character in a string", "{\"resourceType\":\"Patient\",\"id\":\"a‸\n\"}", idSyntax, "Patient.id", "control"},
		{"an escape that does not exist", `{"resourceType":"Patient","id":"‸\x"}`, idSyntax, "Patient.id", "escape"},
		{"too few hexadecimal digits", `{"resourceType":"Patient","id":"‸\u12"}`, idSyntax, "Patient.id", "hexadecimal"},
		{"half of a surrogate pair", `{"resourceType":"Patient","name":[{"text":"‸\ud83d"}]}`, idUTF8, "Patient.name[0].text", "surrogate"},
		{"the second half of a surrogate pair", `{"resourceType":"Patient","name":[{"text":"‸\ude00x"}]}`, idUTF8, "Patient.name[0].text", "surrogate"},
		{"invalid UTF-8", "{\"resourceType\":\"Patient\",\"name\":[{\"text\":\"ab‸\xffcd\"}]}", idUTF8, "Patient.name[0].text", "UTF-8"},
		{"UTF-8 of a surrogate", "{\"resourceType\":\"Patient\",\"name\":[{\"text\":\"‸\xed\xa0\x80\"}]}", idUTF8, "Patient.name[0].text", "UTF-8"},
		{"invalid UTF-8 in a name", "{\"resourceType\":\"Patient\",\"‸\xc0\x80\":1}", idUTF8, "Patient", "UTF-8"},
		{"a byte order mark", "‸\ufeff{\"resourceType\":\"Patient\"}", idSyntax, "", "byte order mark"},
	} {
		t.Run(c.rule, func(t *testing.T) { c.check(t, Options{}) })
	}
}

func TestRejectsStructure(t *testing.T) {
	deep := strings.Repeat(`{"extension":[`, 40)
	for _, c := range []rejected{
		{"a name given twice", `{"resourceType":"Patient","active":true,‸"active":true}`, idDuplicate, "Patient.active", "twice"},
		{"a name given twice, once with an escape", `{"resourceType":"Patient","active":true,‸"\u0061ctive":true}`, idDuplicate, "Patient.active", "twice"},
		{"an array given twice", `{"resourceType":"Patient","name":[{"text":"a"}],‸"name":[{"text":"b"}]}`, idDuplicate, "Patient.name", "twice"},
		{"a _name given twice", `{"resourceType":"Patient","_active":{"id":"a"},‸"_active":{"id":"b"}}`, idDuplicate, "Patient.active", "twice"},
		{"resourceType given twice", `{"resourceType":"Patient",‸"resourceType":"Patient"}`, idDuplicate, "Patient.resourceType", "twice"},
		{"an unknown element", `{"resourceType":"Patient",‸"birthdate":"1990"}`, idUnknown, "Patient.birthdate", "did you mean birthDate?"},
		{"an unknown element inside a datatype", `{"resourceType":"Patient","name":[{"text":"x"},{‸"famly":"x"}]}`, idUnknown, "Patient.name[1].famly", "HumanName has no element \"famly\"; did you mean family?"},
		{"an unknown _name", `{"resourceType":"Patient",‸"_birthdat":{"id":"a"}}`, idUnknown, "Patient.birthdat", "did you mean _birthDate?"},
		{"_name of an element that is no primitive", `{"resourceType":"Patient",‸"_name":[{"id":"a"}]}`, idUnknown, "Patient.name", "no id or extension"},
		{"_id of an element", `{"resourceType":"Patient","name":[{"text":"a",‸"_id":{"id":"a"}}]}`, idUnknown, "Patient.name[0].id", "no id or extension"},
		{"an empty name", `{"resourceType":"Patient",‸"":1}`, idUnknown, "Patient", "no element"},
		{"a choice without its type", `{"resourceType":"Observation","status":"final","code":{"text":"x"},‸"value":"1"}`, idUnknown, "Observation.value", "value[x] is written with its type: valueQuantity, valueCodeableConcept, valueString"},
		{"a choice with a type that it does not have", `{"resourceType":"Observation","status":"final","code":{"text":"x"},‸"valueDecimal":1}`, idUnknown, "Observation.valueDecimal", "has no element \"valueDecimal\"; value[x] is written with its type: valueQuantity,"},
		{"a choice given twice", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueString":"1",‸"valueInteger":1}`, idChoice, "Observation.value", "twice"},
		{"a choice given twice, once by its _name", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueString":"1",‸"_valueInteger":{"id":"a"}}`, idChoice, "Observation.value", "twice"},
		{"a choice given twice, first by its _name", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"_valueString":{"id":"a"},‸"valueInteger":1}`, idChoice, "Observation.value", "twice"},
		{"an empty object", `{"resourceType":"Patient","maritalStatus":‸{}}`, idEmptyObject, "Patient.maritalStatus", "empty"},
		{"an empty object in an array", `{"resourceType":"Patient","name":[{"text":"a"},‸{}]}`, idEmptyObject, "Patient.name[1]", "empty"},
		{"an empty _name", `{"resourceType":"Patient","_active":‸{}}`, idEmptyObject, "Patient.active", "empty"},
		{"an empty array", `{"resourceType":"Patient","name":‸[]}`, idEmptyArray, "Patient.name", "empty"},
		{"an empty array of primitives", `{"resourceType":"Patient","name":[{"given":‸[]}]}`, idEmptyArray, "Patient.name[0].given", "empty"},
		{"null", `{"resourceType":"Patient","active":‸null}`, idNull, "Patient.active", "null"},
		{"null for an array", `{"resourceType":"Patient","name":‸null}`, idJSONType, "Patient.name", "array"},
		{"null in an array of objects", `{"resourceType":"Patient","name":[{"text":"a"},‸null]}`, idNull, "Patient.name[1]", "null"},
		{"null for a _name", `{"resourceType":"Patient","active":true,"_active":‸null}`, idJSONType, "Patient.active", "object"},
		{"null in an array of primitives without an extension", `{"resourceType":"Patient","name":[{"given":["a",‸null]}]}`, idNull, "Patient.name[0].given[1]", "neither"},
		{"null in both arrays", `{"resourceType":"Patient","name":[{"given":["a",‸null],"_given":[{"id":"x"},null]}]}`, idNull, "Patient.name[0].given[1]", "neither"},
		{"a _name array that is longer", `{"resourceType":"Patient","name":[{"given":["a"],"_given":[null,‸{"id":"x"}]}]}`, idUnpaired, "Patient.name[0].given", "length"},
		{"a _name array that is shorter", `{"resourceType":"Patient","name":[{"given":["a","b"],"_given":‸[{"id":"x"}]}]}`, idUnpaired, "Patient.name[0].given", "length"},
		{"a longer array behind its _name array", `{"resourceType":"Patient","name":[{"_given":[{"id":"x"}],"given":["a",‸"b"]}]}`, idUnpaired, "Patient.name[0].given", "length"},
		{"a shorter array behind its _name array", `{"resourceType":"Patient","name":[{"_given":[{"id":"x"},{"id":"y"}],"given":‸["a"]}]}`, idUnpaired, "Patient.name[0].given", "length"},
		{"a string for a boolean", `{"resourceType":"Patient","active":‸"true"}`, idJSONType, "Patient.active", "boolean"},
		{"a number for a string", `{"resourceType":"Patient","name":[{"text":‸1}]}`, idJSONType, "Patient.name[0].text", "string"},
		{"a string for a number", `{"resourceType":"Patient","multipleBirthInteger":‸"1"}`, idJSONType, "Patient.multipleBirth", "number"},
		{"an object for a primitive", `{"resourceType":"Patient","active":‸{"value":true}}`, idJSONType, "Patient.active", "boolean"},
		{"a primitive for an object", `{"resourceType":"Patient","maritalStatus":‸"M"}`, idJSONType, "Patient.maritalStatus", "object"},
		{"an object for an array", `{"resourceType":"Patient","name":‸{"text":"x"}}`, idJSONType, "Patient.name", "array"},
		{"an array for an object", `{"resourceType":"Patient","maritalStatus":‸[{"text":"x"}]}`, idJSONType, "Patient.maritalStatus", "not be an array"},
		{"a required element is missing", `{"resourceType":"Patient","link":[‸{"other":{"display":"x"}}]}`, idRequired, "Patient.link[0].type", "needs the element type"},
		{"a required choice is missing", `‸{"resourceType":"MedicationRequest","status":"active","intent":"order","subject":{"display":"x"}}`, idRequired, "MedicationRequest.medication", "medication"},
		{"nested too deep", `{"resourceType":"Patient","extension":[` + deep[:len(`{"extension":[`)*31] + `‸` + deep, idTooDeep, "Patient" + strings.Repeat(".extension[0]", 32), "64"},
	} {
		t.Run(c.rule, func(t *testing.T) { c.check(t, Options{}) })
	}
}

func TestRejectsResourceTypes(t *testing.T) {
	for _, c := range []rejected{
		{"no resourceType", `‸{"id":"a"}`, idTypeMissing, "", "missing"},
		{"an empty object", `‸{}`, idTypeMissing, "", "missing"},
		{"an unknown resourceType", `{"resourceType":‸"Patiant"}`, idTypeUnknown, "", "did you mean Patient?"},
		{"a data type", `{"resourceType":‸"HumanName"}`, idTypeUnknown, "", "no resource type"},
		{"an abstract type", `{"resourceType":‸"DomainResource"}`, idTypeUnknown, "", "no resource type"},
		{"a number", `{"resourceType":‸1}`, idJSONType, "", "string"},
		{"an unknown contained type", `{"resourceType":"Patient","contained":[{"resourceType":‸"Foo"}]}`, idTypeUnknown, "Patient.contained[0]", "no resource type"},
		{"a contained resource without a type", `{"resourceType":"Patient","contained":[‸{"id":"a"}]}`, idTypeMissing, "Patient.contained[0]", "missing"},
		{"a contained string", `{"resourceType":"Patient","contained":[{"resourceType":"Basic","code":{"text":"x"}},‸"x"]}`, idJSONType, "Patient.contained[1]", "object"},
		{"malformed JSON before the type of a contained resource", `{"resourceType":"Patient","contained":[{"resourceType":"Basic","code":{"text":"x"}},{‸id:"a"}]}`, idSyntax, "Patient.contained[1]", "name"},
	} {
		t.Run(c.rule, func(t *testing.T) { c.check(t, Options{}) })
	}
	t.Run("another type than expected", func(t *testing.T) {
		rejected{"", `‸{"resourceType":"Patient"}`, idTypeMismatch, "Patient", "Observation is expected"}.check(t, Options{Type: "Observation"})
	})
	t.Run("no resourceType where a type is expected", func(t *testing.T) {
		rejected{"", `‸{"id":"a"}`, idTypeMissing, "Patient", "missing"}.check(t, Options{Type: "Patient"})
	})
}

// What follows from a mistake is not told as another one.
func TestOneMistakeIsOneIssue(t *testing.T) {
	for _, c := range []rejected{
		{"an empty _name", `{"resourceType":"Patient","_gender":‸{}}`, idEmptyObject, "Patient.gender", "empty"},
		{"an array for a _name", `{"resourceType":"Patient","_gender":‸[{"id":"a"}]}`, idJSONType, "Patient.gender", "object"},
		{"a string for a _name", `{"resourceType":"Patient","_gender":‸"x"}`, idJSONType, "Patient.gender", "object"},
		{"an unknown member of a _name", `{"resourceType":"Patient","_gender":{‸"x":1}}`, idUnknown, "Patient.gender.x", "no element"},
		{"a number in a _name array", `{"resourceType":"Patient","name":[{"given":[null],"_given":[‸1]}]}`, idJSONType, "Patient.name[0].given[0]", "object"},
		{"null alone in a _name array", `{"resourceType":"Patient","name":[{"_given":[‸null]}]}`, idNull, "Patient.name[0].given[0]", "neither"},
		{"null for an array", `{"resourceType":"Patient","name":‸null}`, idJSONType, "Patient.name", "array"},
		{"a string for an array of objects", `{"resourceType":"Patient","name":‸"x"}`, idJSONType, "Patient.name", "array"},
		{"an object for an array of primitives", `{"resourceType":"Patient","name":[{"given":‸{"a":1}}]}`, idJSONType, "Patient.name[0].given", "array"},
		{"null in an array of objects", `{"resourceType":"Patient","name":[‸null,{"text":"x"}]}`, idNull, "Patient.name[0]", "null"},
		{"a contained resource of an unknown type", `{"resourceType":"Patient","contained":[{"resourceType":‸"Foo"}]}`, idTypeUnknown, "Patient.contained[0]", "no resource type"},
		{"a mandatory element is missing: the place of its object", `  ‸{"resourceType":"Account","id":"a"}`, idRequired, "Account.status", "status"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			c.check(t, Options{})
			_, err := Parse([]byte(strings.Replace(c.body, "‸", "", 1)), Options{})
			if e := issue.As(err); e != nil && len(e.Issues) > 1 {
				t.Errorf("%d issues: %v", len(e.Issues), err)
			}
		})
	}
}

// An item that cannot be read counts: those behind it keep their index.
func TestItemsBehindABadOneKeepTheirIndex(t *testing.T) {
	_, err := Parse([]byte(`{"resourceType":"Patient","name":[null,{"x":1}],"contained":[{"resourceType":"Foo"},1,{"resourceType":"Basic","code":{"x":1}}]}`), Options{})
	e := issue.As(err)
	if e == nil {
		t.Fatal(err)
	}
	var got []string
	for _, is := range e.Issues {
		got = append(got, is.Expression)
	}
	want := "Patient.name[0] Patient.name[1].x Patient.contained[0] Patient.contained[1] Patient.contained[2].code.x"
	if strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestLimits(t *testing.T) {
	patient := `{"resourceType":"Patient","name":[{"given":["a","b","c"]}]}`
	t.Run("body", func(t *testing.T) {
		if _, err := Parse([]byte(patient), Options{MaxBytes: len(patient)}); err != nil {
			t.Error(err)
		}
		_, err := Parse([]byte(patient), Options{MaxBytes: len(patient) - 1})
		if e := issue.As(err); e == nil || e.Issues[0].Code != issue.TooLong || e.Issues[0].Offset != len(patient)-1 {
			t.Error(err)
		}
	})
	t.Run("nodes", func(t *testing.T) {
		if _, err := Parse([]byte(patient), Options{MaxNodes: 5}); err != nil {
			t.Error(err)
		}
		_, err := Parse([]byte(patient), Options{MaxNodes: 4})
		if e := issue.As(err); e == nil || e.Issues[0].Code != issue.TooCostly || e.Issues[0].Expression != "Patient.name[0].given" {
			t.Error(err)
		}
	})
	t.Run("depth", func(t *testing.T) {
		nested := func(n int) []byte { // 2n-1 objects and arrays below the resource's own
			return []byte(`{"resourceType":"Patient"` + strings.Repeat(`,"extension":[{"url":"x"`, n) + strings.Repeat(`}]`, n) + `}`)
		}
		if _, err := Parse(nested(31), Options{}); err != nil {
			t.Error(err)
		}
		_, err := Parse(nested(32), Options{})
		if e := issue.As(err); e == nil || e.Issues[0].Code != issue.Structure {
			t.Errorf("65 levels are an error of structure: %v", err)
		}
		if _, err := Parse([]byte(`{"resourceType":"Patient","x":`+strings.Repeat("[", 100000)), Options{}); err == nil {
			t.Error("accepted 100,000 levels of an unknown element")
		}
	})
	t.Run("issues", func(t *testing.T) {
		_, err := Parse([]byte(`{"resourceType":"Patient","name":[`+strings.Repeat(`{},`, 99)+`{}]}`), Options{MaxIssues: 10})
		e := issue.As(err)
		if e == nil || len(e.Issues) != 11 || e.Issues[10].Text != "90 more issues are not listed" {
			t.Error(err)
		}
	})
	t.Run("look-ahead", func(t *testing.T) {
		nested := `{"resourceType":"Patient"}`
		for range 20 {
			nested = `{"entry":[{"resource":` + nested + `}],"type":"collection","resourceType":"Bundle"}`
		}
		_, err := Parse([]byte(nested), Options{})
		if e := issue.As(err); e == nil || e.Issues[0].ID != idLookAhead {
			t.Error(err)
		}
	})
}

func TestAllIssuesAreCollected(t *testing.T) {
	_, err := Parse([]byte(`{"resourceType":"Patient","gender":1,"birthDate":"2026-02-30","nam":[],"contact":[{}],"active":tru`), Options{})
	e := issue.As(err)
	if e == nil {
		t.Fatal(err)
	}
	var got []string
	for _, is := range e.Issues {
		got = append(got, is.ID+" "+is.Expression)
	}
	want := "element.json-type Patient.gender; primitive.pattern Patient.birthDate; element.unknown Patient.nam; " +
		"element.empty-object Patient.contact[0]; json.syntax Patient.active"
	if strings.Join(got, "; ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "; "), want)
	}
	if last := e.Issues[len(e.Issues)-1]; last.Severity != issue.Fatal {
		t.Error("the syntax error is not fatal")
	}
}
