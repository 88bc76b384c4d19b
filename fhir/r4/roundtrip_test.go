package r4_test

import (
	"errors"
	"testing"

	"meridian/fhir/codec"
	"meridian/fhir/fhirtest"
	"meridian/fhir/r4"
	"meridian/fhir/schema"
)

// roundTrip reads body into its struct and writes it back.
func roundTrip(t *testing.T, body []byte) {
	t.Helper()
	tree, err := codec.Parse(body, codec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	res, err := r4.Read(tree.Root())
	if err != nil {
		t.Fatal(err)
	}
	got, err := r4.Marshal(res)
	if err != nil {
		t.Fatal(err)
	}
	if d := fhirtest.DiffValues(body, got); d != "" {
		t.Error(d)
	}
}

func TestExamplesRoundTrip(t *testing.T) {
	examples := fhirtest.Examples(t)
	if len(examples) != 355 {
		t.Errorf("%d examples", len(examples))
	}
	for _, ex := range examples {
		t.Run(ex.Name, func(t *testing.T) { roundTrip(t, ex.Body) })
	}
}

func TestGeneratedResourcesRoundTrip(t *testing.T) {
	for _, name := range schema.ResourceTypes() {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(8) {
				roundTrip(t, fhirtest.Generate(name, seed))
			}
		})
	}
}

func TestRoundTrip(t *testing.T) {
	cases := []struct{ rule, body string }{
		{"decimals as written", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.10e3},
			"component":[{"code":{"text":"y"},"valueQuantity":{"value":-0.0}}]}`},
		{"twin before its value", `{"resourceType":"Patient","_birthDate":{"extension":[{"url":"u","valueString":"x"}]},"birthDate":"1990"}`},
		{"twin without value", `{"resourceType":"Patient","_active":{"id":"a"},"_birthDate":{"id":"b"}}`},
		{"choice without value keeps its type", `{"resourceType":"Patient","_deceasedDateTime":{"id":"a"},"_multipleBirthInteger":{"id":"b"}}`},
		{"nulls and twins in a list", `{"resourceType":"Patient","name":[{"given":["A",null,"C"],"_given":[null,{"id":"b"},{"id":"c"}]}]}`},
		{"only twins in a list", `{"resourceType":"Patient","name":[{"_given":[{"id":"b"}]}]}`},
		{"escapes", `{"resourceType":"Patient","name":[{"text":"a\/b\u5f20\n\"\ud83d\ude00"}]}`},
		{"false and zero", `{"resourceType":"Patient","active":false,"multipleBirthInteger":0}`},
		{"contained and nested resources", `{"resourceType":"Bundle","type":"collection","entry":[{"resource":
			{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o","name":"h"}]}}]}`},
		{"every kind of choice value", `{"resourceType":"Parameters","parameter":[{"name":"a","valueBase64Binary":"AAAA"},{"name":"a","valueBoolean":true},
			{"name":"a","valueCanonical":"u"},{"name":"a","valueCode":"u"},{"name":"a","valueDate":"2026"},{"name":"a","valueDateTime":"2026"},
			{"name":"a","valueDecimal":1.50},{"name":"a","valueId":"i"},{"name":"a","valueInstant":"2026-01-01T00:00:00Z"},{"name":"a","valueInteger":-1},
			{"name":"a","valueMarkdown":"m"},{"name":"a","valueOid":"urn:oid:1.2"},{"name":"a","valuePositiveInt":1},{"name":"a","valueString":"s"},
			{"name":"a","valueTime":"12:00:00"},{"name":"a","valueUnsignedInt":0},{"name":"a","valueUri":"u"},{"name":"a","valueUrl":"u"},
			{"name":"a","valueUuid":"urn:uuid:c757873d-ec9a-4326-a141-556f43239520"},{"name":"a","valueMoney":{"value":1}},
			{"name":"a","part":[{"name":"b","resource":{"resourceType":"Basic","code":{"text":"x"}}}]}]}`},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) { roundTrip(t, []byte(c.body)) })
	}
}

func TestUnmarshal(t *testing.T) {
	tree, err := codec.Parse([]byte(`{"resourceType":"Observation","status":"final","code":{"text":"Hb"},"valueQuantity":{"value":5.40,"unit":"g/L"}}`), codec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var obs r4.Observation
	if err := r4.Unmarshal(tree.Root(), &obs); err != nil {
		t.Fatal(err)
	}
	if q, ok := obs.Value.(*r4.Quantity); !ok || *q.Value != "5.40" || *q.Unit != "g/L" || obs.Status != "final" || *obs.Code.Text != "Hb" {
		t.Errorf("%+v", obs)
	}
	var q r4.Quantity
	if err := r4.Unmarshal(tree.Root().Child("value"), &q); err != nil || *q.Value != "5.40" {
		t.Errorf("a datatype below a resource: %+v, %v", q, err)
	}
	for _, v := range []any{&r4.Patient{}, r4.Observation{}, nil, (*r4.Observation)(nil), &struct{}{}} {
		if err := r4.Unmarshal(tree.Root(), v); !errors.Is(err, r4.ErrType) {
			t.Errorf("into %T: %v", v, err)
		}
	}
	if _, err := r4.Read(tree.Root().Child("code")); !errors.Is(err, r4.ErrType) {
		t.Errorf("a datatype read as a resource: %v", err)
	}
}

const observation = `{"resourceType":"Observation","id":"o1","meta":{"versionId":"1","lastUpdated":"2026-01-01T00:00:00Z"},"status":"final",
"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory"}]}],
"code":{"coding":[{"system":"http://loinc.org","code":"718-7","display":"Hemoglobin"}]},"subject":{"reference":"Patient/1"},
"effectiveDateTime":"2026-01-01T08:00:00+08:00","issued":"2026-01-01T10:00:00+08:00","performer":[{"reference":"Organization/1"}],
"valueQuantity":{"value":135.0,"unit":"g/L","system":"http://unitsofmeasure.org","code":"g/L"},
"interpretation":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation","code":"N"}]}],
"referenceRange":[{"low":{"value":115,"unit":"g/L"},"high":{"value":150,"unit":"g/L"},"text":"115-150"}]}`

func BenchmarkRead(b *testing.B) {
	tree, err := codec.Parse([]byte(observation), codec.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r4.Read(tree.Root()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMarshal(b *testing.B) {
	tree, err := codec.Parse([]byte(observation), codec.Options{})
	if err != nil {
		b.Fatal(err)
	}
	res, err := r4.Read(tree.Root())
	if err != nil {
		b.Fatal(err)
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		if buf, err = r4.Append(buf[:0], res); err != nil {
			b.Fatal(err)
		}
	}
}
