package patch

import (
	"testing"

	"meridian/fhir/codec"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// https://hl7.org/fhir/R4/fhirpatch.html
func TestFHIRPathPatch(t *testing.T) {
	for _, c := range []struct{ rule, operations, body, want string }{
		{"no operation changes no byte", ``, observation, observation},
		{"what is not touched keeps digits, escapes, nulls and order", `replace | Observation.status | valueCode="amended"`, observation, changed(observation, `"final"`, `"amended"`)},
		{"a value is put in as spelled", `replace | Observation.value.value | valueDecimal=2.50E+1`, observation, changed(observation, `1.10e1`, `2.50E+1`)},
		{"a choice takes another type", `replace | Observation.value | valueString="high"`, observation,
			changed(observation, `"valueQuantity":{"value":1.10e1,"unit":"g/dL"}`, `"valueString":"high"`)},
		{"a choice is added by its name", `delete | Observation.value
			add | Observation | name=value | valueInteger=3`, observation, changed(observation, `"valueQuantity":{"value":1.10e1,"unit":"g/dL"},`, ``, `"note"`, `"valueInteger":3,"note"`)},
		{"or by value[x]", `add | Observation.component[0] | name=dataAbsentReason | valueCodeableConcept={"text":"d"}
			replace | Observation.component[0].value | valueBoolean=true`, observation,
			changed(observation, `"valueQuantity":{"value":5.40}}`, `"valueBoolean":true,"dataAbsentReason":{"text":"d"}}`)},
		{"an element goes where the definition has it", `add | Patient | name=active | valueBoolean=true`, patient, changed(patient, `"id":"p1"`, `"id":"p1","active":true`)},
		{"a repeating one goes behind its like", `add | Patient | name=name | valueHumanName={"text":"B"}`, patient, changed(patient, `,null]}]`, `,null]},{"text":"B"}]`)},
		{"primitives of a list, with their ids", `insert | Patient.name[0].given | index=1 | valueString="y"`, patient,
			changed(patient, `["x",null,"z"],"_given":[null,{"id":"g"},null]`, `["x","y",null,"z"],"_given":[null,null,{"id":"g"},null]`)},
		{"a primitive is replaced with its extensions", `replace | Patient.birthDate | valueDate="1991-01"`, patient,
			changed(patient, `"1990","_birthDate":{"extension":[{"url":"http://x","valueString":"s"}]}`, `"1991-01"`)},
		{"an extension is added to a primitive", `add | Patient.gender | name=id | valueString="g1"`, patient, changed(patient, `"male"`, `"male","_gender":{"id":"g1"}`)},
		{"a value keeps its own extensions", `replace | Patient.gender | valueCode="other","_valueCode":{"extension":[{"url":"http://y","valueDecimal":1.0}]}`, patient,
			changed(patient, `"male"`, `"other","_gender":{"extension":[{"url":"http://y","valueDecimal":1.0}]}`)},
		{"delete of nothing is fine", `delete | Patient.deceased`, patient, patient},
		{"what is emptied is left out", `delete | Patient.contact[0].name.text`, patient, changed(patient, `,"contact":[{"name":{"text":"n"}}]`, ``)},
		{"an extension leaves its primitive", `delete | Patient.birthDate.extension[0]`, patient,
			changed(patient, `,"_birthDate":{"extension":[{"url":"http://x","valueString":"s"}]}`, ``)},
		{"an index equal to the length appends", `insert | Observation.note | index=3 | valueAnnotation={"text":"four"}`, observation,
			changed(observation, `{"text":"three"}`, `{"text":"three"},{"text":"four"}`)},
		{"a list begins at 0", `insert | Patient.address | index=0 | valueAddress={"city":"c"}`, patient, changed(patient, `"contact"`, `"address":[{"city":"c"}],"contact"`)},
		{"so does one below", `insert | Patient.contact.first().telecom | index=0 | valueContactPoint={"value":"2"}`, patient,
			changed(patient, `{"text":"n"}}`, `{"text":"n"},"telecom":[{"value":"2"}]}`)},
		{"move to the end and back", `move | Observation.note | source=0 | destination=2
			move | Observation.note | source=2 | destination=0`, observation, observation},
		{"move forward", `move | Observation.note | source=0 | destination=1`, observation,
			changed(observation, `{"text":"one"},{"text":"two"}`, `{"text":"two"},{"text":"one"}`)},
		{"move in place", `move | Observation.note | source=1 | destination=1`, observation, observation},
		{"a type without a name is given by parts", `add | Patient | name=communication | part=[{"name":"language","valueCodeableConcept":{"text":"zh"}},{"name":"preferred","valueBoolean":true}]`,
			patient, patient[:len(patient)-1] + `,"communication":[{"language":{"text":"zh"},"preferred":true}]}`},
		{"parts repeat and nest", `add | Patient | name=maritalStatus | part=[{"name":"coding","part":[{"name":"code","valueCode":"M"}]},{"name":"coding","valueCoding":{"code":"X"}}]`, patient,
			changed(patient, `"contact"`, `"maritalStatus":{"coding":[{"code":"M"},{"code":"X"}]},"contact"`)},
		{"an extension by parts", `add | Patient | name=extension | part=[{"name":"url","valueUri":"http://z"},{"name":"value","valueDecimal":1.50}]`, patient,
			changed(patient, `"id":"p1"`, `"id":"p1","extension":[{"url":"http://z","valueDecimal":1.50}]`)},
		{"a contained resource", `add | Patient | name=contained | resource={"resourceType":"Organization","id":"o","name":"O"}`, patient,
			changed(patient, `"id":"p1"`, `"id":"p1","contained":[{"resourceType":"Organization","id":"o","name":"O"}]`)},
		{"resolve() finds what is contained", `add | Patient | name=contained | resource={"resourceType":"Organization","id":"o","name":"O"}
			add | Patient | name=managingOrganization | valueReference={"reference":"#o"}
			replace | Patient.managingOrganization.resolve().name | valueString="P"`, patient,
			changed(patient[:len(patient)-1], `"id":"p1"`, `"id":"p1","contained":[{"resourceType":"Organization","id":"o","name":"P"}]`) + `,"managingOrganization":{"reference":"#o"}}`},
		{"a narrative is given as a string", `add | Patient | name=text | part=[{"name":"status","valueCode":"generated"},{"name":"div","valueString":"<div xmlns=\"http://www.w3.org/1999/xhtml\">a</div>"}]
			replace | Patient.text.div | valueString="<div xmlns=\"http://www.w3.org/1999/xhtml\">b</div>"`, patient,
			changed(patient, `"id":"p1"`, `"id":"p1","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">b</div>"}`)},
		{"a dateTime takes a date", `add | Patient | name=deceased | valueDateTime="2026-01"`, patient, changed(patient, `"contact"`, `"deceasedDateTime":"2026-01","contact"`)},
		{"now() is given", `delete | Patient.where(now() > @2026-01-01).gender`, patient, changed(patient, `"gender":"male",`, ``)},
		{"operations see those before", `add | Patient | name=address | valueAddress={"city":"c"}
			replace | Patient.address.where(city='c').city | valueString="d"
			add | Patient.address | name=line | valueString="l"
			insert | Patient.address.line | index=0 | valueString="k"`, patient, changed(patient, `"contact"`, `"address":[{"line":["k","l"],"city":"d"}],"contact"`)},
	} {
		got, err := applyParameters(t, c.operations, c.body)
		if err != nil || got != c.want {
			t.Errorf("%s:\n got %s\nwant %s\n%v", c.rule, got, c.want, err)
		}
	}
}

func TestFHIRPathPatchErrors(t *testing.T) {
	for _, c := range []struct {
		rule, operations string
		code             issue.Code
		text             string
	}{
		{"no such operation", `put | Patient.name`, issue.Value, "the type is one of add, insert, delete, replace, move (at Parameters.parameter[0])"},
		{"not FHIRPath", "delete | Patient.gender\ndelete | Patient.name[", issue.Invalid, "delete at Patient.name[: fhirpath 1:14"},
		{"a part is missing", `add | Patient | name=gender`, issue.Required, "add at Patient: the part value is missing"},
		{"a part too many", `replace | Patient.gender | name=gender | valueCode="other"`, issue.Invalid, "takes no part name"},
		{"a negative index", `insert | Patient.name | index=-1 | valueHumanName={"text":"x"}`, issue.Value, "the part index"},
		{"add to nothing", `add | Patient.maritalStatus | name=text | valueString="x"`, issue.Processing, "add at Patient.maritalStatus: there is nothing at the path"},
		{"add to several", `add | Observation.note | name=text | valueString="x"`, issue.Processing, "nothing at the path"},
		{"add to what is there", `add | Patient | name=gender | valueCode="other"`, issue.Processing, "the element Patient.gender is there already"},
		{"add an unknown element", `add | Patient | name=nickname | valueString="x"`, issue.Processing, `Patient has no element "nickname"`},
		{"replace nothing", `replace | Patient.active | valueBoolean=true`, issue.Processing, "nothing at the path"},
		{"replace several", `replace | Patient.name.given | valueString="x"`, issue.Processing, "the path names 3 elements"},
		{"delete several", `delete | Patient.name.given`, issue.Processing, "the path names 3 elements"},
		{"delete all", `delete | Patient`, issue.Processing, "this is the resource itself"},
		{"replace all", `replace | Patient | resource={"resourceType":"Patient"}`, issue.Processing, "this is the resource itself"},
		{"a value is no element", `delete | Patient.gender.toString()`, issue.Processing, "the path gives a value"},
		{"a literal is not repeated", `delete | Patient.name.where(family='A' or family='李四').given`, issue.Processing, "delete at Patient.name.where(family='…' or family='…').given: the path names"},
		{"insert beyond the end", `insert | Patient.name | index=2 | valueHumanName={"text":"x"}`, issue.Processing, "the list has 1 elements"},
		{"insert beyond the start of none", `insert | Patient.address | index=1 | valueAddress={"city":"x"}`, issue.Processing, "the list has 0 elements"},
		{"insert into no list", `insert | Patient.gender | index=0 | valueCode="x"`, issue.Processing, "does not repeat"},
		{"insert into an element that cannot be there", `insert | Patient.x | index=0 | valueCode="x"`, issue.Processing, "no list at the path"},
		{"insert into a part of a list", `insert | Patient.name.given.skip(1) | index=0 | valueString="x"`, issue.Processing, "a part of a list"},
		{"insert into the first only", `insert | Patient.name.given[0] | index=0 | valueString="x"`, issue.Processing, "a part of a list"},
		{"move beyond the end", `move | Patient.name.given | source=0 | destination=3`, issue.Processing, "the list has 3 elements"},
		{"move from beyond", `move | Patient.name.given | source=3 | destination=0`, issue.Processing, "the list has 3 elements"},
		{"move in no list", `move | Patient.address | source=0 | destination=0`, issue.Processing, "no list at the path"},
		{"lists of several parents", `move | Patient.name.given.union(Patient.contact.name.text) | source=0 | destination=1`, issue.Processing, "several lists"},
		{"a type that does not fit", `replace | Patient.birthDate | valueString="1990"`, issue.Processing, "the element Patient.birthDate does not take a string"},
		{"a complex type that does not fit", `add | Patient | name=maritalStatus | valueCoding={"code":"M"}`, issue.Processing, "the element Patient.maritalStatus does not take a Coding"},
		{"a choice that is not one", `add | Patient | name=deceased | valueString="yes"`, issue.Processing, "does not take a string"},
		{"a type against the name's", `add | Patient | name=deceasedBoolean | valueDateTime="2026"`, issue.Processing, "does not take a dateTime"},
		{"a primitive by parts", `add | Patient | name=active | part=[{"name":"value","valueBoolean":true}]`, issue.Processing, "is a boolean and has no parts"},
		{"parts of a choice", `add | Patient | name=multipleBirth | part=[{"name":"value","valueBoolean":true}]`, issue.Processing, "several types"},
		{"resolve() goes nowhere else", `add | Patient | name=managingOrganization | valueReference={"reference":"Organization/1"}
			delete | Patient.managingOrganization.resolve().name`, issue.Processing, "resolver"},
		{"a result that is no resource", `add | Patient | name=communication | part=[{"name":"preferred","valueBoolean":true}]`, issue.Required, "the patched resource would not be valid: Patient.communication needs the element language"},
		{"a narrative has no extension", `add | Patient | name=text | part=[{"name":"div","valueString":"x","_valueString":{"extension":[{"url":"http://x","valueCode":"y"}]}}]`, issue.Processing, "the element Narrative.div takes no extension"},
		{"a code that is none", `replace | Patient.gender | valueString=" x "`, issue.Value, "would not be valid"},
	} {
		got, err := applyParameters(t, c.operations, patient)
		check(t, c.rule, got, err, c.code, c.text)
	}
}

func TestParametersErrors(t *testing.T) {
	for _, c := range []struct {
		rule, body string
		code       issue.Code
		text       string
	}{
		{"no Parameters", `{"resourceType":"Patient"}`, issue.Invalid, "is a Parameters resource"},
		{"another parameter", `{"resourceType":"Parameters","parameter":[{"name":"x","valueString":"y"}]}`, issue.Invalid, "named operation"},
		{"another part", `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"x","valueString":"y"}]}]}`, issue.Invalid, "the parts of an operation"},
		{"a part twice", `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"add"},{"name":"type","valueCode":"add"}]}]}`, issue.Invalid, "stands twice"},
		{"no type", `{"resourceType":"Parameters","parameter":[{"name":"operation"}]}`, issue.Value, "the type is one of"},
		{"no path", `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"delete"}]}]}`, issue.Required, "no path"},
		{"a path that is a number", `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"delete"},{"name":"path","valueInteger":1}]}]}`, issue.Required, "no path"},
		{"a value of two kinds", `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},{"name":"path","valueString":"a"},` +
			`{"name":"value","valueString":"a","part":[{"name":"b","valueString":"c"}]}]}]}`, issue.Value, "the part value"},
	} {
		tree, err := codec.Parse([]byte(c.body), codec.Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = ParseParameters(tree.Root(), Limits{})
		check(t, c.rule, "", err, c.code, c.text)
	}
}

// What is copied into an element of a related type loses nothing: both have the same elements.
func TestRelatedTypesHaveTheSameElements(t *testing.T) {
	for id := schema.ID(1); id < schema.Count; id++ {
		for src := schema.ID(1); src < schema.Count; src++ {
			a, b := schema.ByID(id), schema.ByID(src)
			def := &schema.Element{Types: []schema.ID{id}}
			if got, ok := typeFor(def, 0, b); !ok || got != id {
				continue
			}
			for i := range b.Elements {
				if id == schema.TypeXhtml && b.Elements[i].Name == "extension" {
					continue // refused where it is given
				}
				if k := elementLike(a, b, i); k < 0 || a.Elements[k].Types[0] != b.Elements[i].Types[0] {
					t.Errorf("%s in the place of %s loses %s", b.Name, a.Name, b.Elements[i].Name)
				}
			}
		}
	}
}
