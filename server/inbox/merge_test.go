package inbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"meridian/mappings/engine"
)

// How a message's resource meets what stands; bodies are minified as the store and the engine write them.
func TestRevise(t *testing.T) {
	const stands = `{"resourceType":"Observation","id":"o","meta":{"versionId":"1","tag":[{"code":"t"}]},"status":"final","valueQuantity":{"value":5.40,"unit":"g"},"issued":"2026-01-01T00:00:00Z"}`
	const patient = `{"resourceType":"Patient","id":"p","meta":{"versionId":"1"},"active":true,"name":[{"text":"a"}],"birthDate":"1949-12-31","_birthDate":{"id":"x"},"deceasedBoolean":false}`
	for _, c := range []struct {
		name    string
		stands  string
		out     engine.Out
		want    string // "" keeps
		finding string
	}{
		{"nothing stands", "", engine.Out{Type: "Patient", JSON: []byte(`{"resourceType":"Patient","id":"p"}`)}, `{"resourceType":"Patient","id":"p"}`, ""},
		{"the same is kept", stands, engine.Out{Type: "Observation", JSON: []byte(`{"resourceType":"Observation","id":"o","status":"final","valueQuantity":{"value":5.40,"unit":"g"},"issued":"2026-01-01T00:00:00Z"}`)}, "", ""},
		{"the same but for meta is kept", stands, engine.Out{Type: "Observation", JSON: []byte(`{"resourceType":"Observation","id":"o","status":"final","valueQuantity":{"value":5.40,"unit":"g"},"issued":"2026-01-01T00:00:00Z"}`), Write: engine.Merge}, "", ""},
		{"another digit is not the same", stands, engine.Out{Type: "Observation", Write: engine.Merge, JSON: []byte(`{"resourceType":"Observation","id":"o","status":"preliminary","valueQuantity":{"value":5.4,"unit":"g"}}`)},
			`{"resourceType":"Observation","id":"o","meta":{"versionId":"1","tag":[{"code":"t"}]},"status":"preliminary","valueQuantity":{"value":5.4,"unit":"g"},"issued":"2026-01-01T00:00:00Z"}`, statusBack},
		{"a label is added to those that stand", stands, engine.Out{Type: "Observation", JSON: []byte(`{"resourceType":"Observation","id":"o","meta":{"security":[{"code":"R"}],"tag":[{"code":"u"}]},"status":"final","valueQuantity":{"value":5.40,"unit":"g"},"issued":"2026-01-01T00:00:00Z"}`)},
			`{"resourceType":"Observation","id":"o","meta":{"versionId":"1","tag":[{"code":"t"},{"code":"u"}],"security":[{"code":"R"}]},"status":"final","valueQuantity":{"value":5.40,"unit":"g"},"issued":"2026-01-01T00:00:00Z"}`, ""},
		{"a label that stands is no change", stands, engine.Out{Type: "Observation", JSON: []byte(`{"resourceType":"Observation","id":"o","meta":{"tag":[{"code":"t"}]},"status":"final","valueQuantity":{"value":5.40,"unit":"g"},"issued":"2026-01-01T00:00:00Z"}`)}, "", ""},
		{"a label on what has no meta", `{"resourceType":"Patient","id":"p","active":true}`, engine.Out{Type: "Patient", Write: engine.Merge, JSON: []byte(`{"resourceType":"Patient","id":"p","meta":{"tag":[{"code":"t"}]}}`)},
			`{"resourceType":"Patient","id":"p","meta":{"tag":[{"code":"t"}]},"active":true}`, ""},
		{"what a message says of a new resource only leaves what stands", `{"resourceType":"Encounter","id":"e","status":"finished"}`, engine.Out{Type: "Encounter", Write: engine.Merge, Initial: []string{"status"}, JSON: []byte(`{"resourceType":"Encounter","id":"e","status":"in-progress","priority":{"text":"x"}}`)},
			`{"resourceType":"Encounter","id":"e","status":"finished","priority":{"text":"x"}}`, ""},
		{"members in another order are the same", stands, engine.Out{Type: "Observation", JSON: []byte(`{"resourceType":"Observation","id":"o","valueQuantity":{"value":5.40,"unit":"g"},"status":"final","issued":"2026-01-01T00:00:00Z"}`)}, "", ""},
		{"a volatile element alone is kept", stands, engine.Out{Type: "Observation", Volatile: []string{"issued"}, JSON: []byte(`{"resourceType":"Observation","id":"o","status":"final","valueQuantity":{"value":5.40,"unit":"g"},"issued":"2026-02-02T00:00:00Z"}`)}, "", ""},
		{"a correction is written, meta stays", stands, engine.Out{Type: "Observation", JSON: []byte(`{"resourceType":"Observation","id":"o","status":"corrected","valueQuantity":{"value":5.41,"unit":"g"}}`)},
			`{"resourceType":"Observation","id":"o","meta":{"versionId":"1","tag":[{"code":"t"}]},"status":"corrected","valueQuantity":{"value":5.41,"unit":"g"}}`, ""},
		{"another value as final is a silent correction", stands, engine.Out{Type: "Observation", JSON: []byte(`{"resourceType":"Observation","id":"o","status":"final","valueQuantity":{"value":5.41,"unit":"g"}}`)},
			`{"resourceType":"Observation","id":"o","meta":{"versionId":"1","tag":[{"code":"t"}]},"status":"corrected","valueQuantity":{"value":5.41,"unit":"g"}}`, silentCorrection},
		{"a unit that a table now knows is no correction", stands, engine.Out{Type: "Observation", JSON: []byte(`{"resourceType":"Observation","id":"o","status":"final","valueQuantity":{"value":5.40,"unit":"g","code":"g"}}`)},
			`{"resourceType":"Observation","id":"o","meta":{"versionId":"1","tag":[{"code":"t"}]},"status":"final","valueQuantity":{"value":5.40,"unit":"g","code":"g"}}`, ""},
		{"corrected stays corrected when it comes again as final", `{"resourceType":"Observation","id":"o","status":"corrected","valueString":"a"}`,
			engine.Out{Type: "Observation", JSON: []byte(`{"resourceType":"Observation","id":"o","status":"final","valueString":"a"}`)}, "", ""},
		{"a step back is the source's", stands, engine.Out{Type: "Observation", JSON: []byte(`{"resourceType":"Observation","id":"o","status":"preliminary","valueQuantity":{"value":5.40,"unit":"g"},"issued":"2026-01-01T00:00:00Z"}`)},
			`{"resourceType":"Observation","id":"o","meta":{"versionId":"1","tag":[{"code":"t"}]},"status":"preliminary","valueQuantity":{"value":5.40,"unit":"g"},"issued":"2026-01-01T00:00:00Z"}`, statusBack},
		{"preliminary to final with another value is no correction", `{"resourceType":"Observation","id":"o","status":"preliminary","valueString":"a"}`,
			engine.Out{Type: "Observation", JSON: []byte(`{"resourceType":"Observation","id":"o","status":"final","valueString":"b"}`)}, `{"resourceType":"Observation","id":"o","status":"final","valueString":"b"}`, ""},
		{"merge leaves what the message does not say", patient, engine.Out{Type: "Patient", Write: engine.Merge, JSON: []byte(`{"resourceType":"Patient","id":"p","name":[{"text":"b"}],"gender":"male"}`)},
			`{"resourceType":"Patient","id":"p","meta":{"versionId":"1"},"active":true,"name":[{"text":"b"}],"birthDate":"1949-12-31","_birthDate":{"id":"x"},"deceasedBoolean":false,"gender":"male"}`, ""},
		{"merge clears an element with its twin", patient, engine.Out{Type: "Patient", Write: engine.Merge, Clear: []string{"birthDate"}, JSON: []byte(`{"resourceType":"Patient","id":"p"}`)},
			`{"resourceType":"Patient","id":"p","meta":{"versionId":"1"},"active":true,"name":[{"text":"a"}],"deceasedBoolean":false}`, ""},
		{"merge replaces another type of a choice", patient, engine.Out{Type: "Patient", Write: engine.Merge, JSON: []byte(`{"resourceType":"Patient","id":"p","deceasedDateTime":"2026"}`)},
			`{"resourceType":"Patient","id":"p","meta":{"versionId":"1"},"active":true,"name":[{"text":"a"}],"birthDate":"1949-12-31","_birthDate":{"id":"x"},"deceasedDateTime":"2026"}`, ""},
		{"merge adds to a union, and doubles nothing", `{"resourceType":"DiagnosticReport","id":"r","result":[{"reference":"a"},{"reference":"b"}]}`,
			engine.Out{Type: "DiagnosticReport", Write: engine.Merge, Union: []string{"result"}, JSON: []byte(`{"resourceType":"DiagnosticReport","id":"r","result":[{"reference":"b"},{"reference":"c"}]}`)},
			`{"resourceType":"DiagnosticReport","id":"r","result":[{"reference":"a"},{"reference":"b"},{"reference":"c"}]}`, ""},
		{"merge keeps the extensions of others", `{"resourceType":"DiagnosticReport","id":"r","extension":[{"url":"x","valueCode":"1"},{"url":"y","valueString":"a,\"]}"}]}`,
			engine.Out{Type: "DiagnosticReport", Write: engine.Merge, JSON: []byte(`{"resourceType":"DiagnosticReport","id":"r","extension":[{"url":"x","valueCode":"2"}]}`)},
			`{"resourceType":"DiagnosticReport","id":"r","extension":[{"url":"x","valueCode":"2"},{"url":"y","valueString":"a,\"]}"}]}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var current []byte
			if c.stands != "" {
				current = []byte(c.stands)
			}
			body, keep, finding := new(reviser).revise(current, &c.out, c.out.Volatile)
			if string(body) != c.want || keep != (c.want == "") || finding != c.finding {
				t.Errorf("got %s\nwant %s\nkeep %v, finding %q", body, c.want, keep, finding)
			}
			if string(current) != c.stands {
				t.Errorf("what stands was changed: %s", current)
			}
		})
	}
}

// The source's time is read from among other extensions.
func TestSourceTime(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{`{"resourceType":"DiagnosticReport","extension":[{"url":"x"},{"url":"` + sourceTimeURL + `","valueInstant":"2026-11-21T08:25:00.500+08:00"}]}`, "2026-11-21T00:25:00.5Z"},
		{`{"resourceType":"DiagnosticReport","extension":[]}`, ""},
		{`{"resourceType":"DiagnosticReport"}`, ""},
		{`{"resourceType":"DiagnosticReport","extension":[{"url":"` + sourceTimeURL + `","valueInstant":"soon"}]}`, ""},
		{`{"resourceType":"DiagnosticReport","extension":[{"url":"` + sourceTimeURL + `","valueInstant":5}]}`, ""},
		{"", ""},
	} {
		at, ok := sourceTime([]byte(c.body), sourceTimeURL)
		if c.body == "" {
			at, ok = sourceTime(nil, sourceTimeURL)
		}
		if got := at.UTC().Format("2006-01-02T15:04:05.999Z"); ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%s: %s %v", c.body, got, ok)
		}
	}
}

// An envelope that grows too long is cut, and says so.
func TestEnvelopeIsBounded(t *testing.T) {
	e := Envelope{Source: "s"}
	for range 20_000 {
		e.Findings = append(e.Findings, Finding{Code: "flag.unknown", Path: "OBX[3].8", Text: "a flag that the table does not know"})
	}
	b := e.marshal()
	short, err := readEnvelope(b)
	if err != nil || len(b) > maxEnvelope || len(short.Findings) < 1000 || short.Findings[len(short.Findings)-1].Code != "findings.cut" {
		t.Errorf("%d bytes, %d findings, %v", len(b), len(short.Findings), err)
	}
	for i := range 3 * maxTimeline {
		e.step(timeAt(i), "retry", "")
	}
	if len(e.Timeline) > maxTimeline || !e.Timeline[0].At.Equal(timeAt(0)) || !e.Timeline[len(e.Timeline)-1].At.Equal(timeAt(3*maxTimeline-1)) {
		t.Errorf("%d steps", len(e.Timeline))
	}
}

// Splitting and joining a minified object gives it back, and finds the members that encoding/json finds.
func FuzzProperties(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1}`, `{"a":"x\",}\\","_a":{"id":"{"},"b":[1,[2,"]"],{"c":null}],"d":-1.50e+2,"":true}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var object map[string]json.RawMessage
		var small bytes.Buffer
		if json.Unmarshal(raw, &object) != nil || object == nil || json.Compact(&small, raw) != nil {
			return
		}
		list := properties(nil, small.Bytes())
		if got := join(list); !bytes.Equal(got, small.Bytes()) {
			t.Errorf("%s came back as %s", small.Bytes(), got)
		}
		for i := range list {
			var name string
			if err := json.Unmarshal(fmt.Appendf(nil, `"%s"`, list[i].name), &name); err != nil {
				t.Fatalf("%s: %v", list[i].name, err)
			}
			if _, ok := object[name]; !ok || !json.Valid(list[i].value) {
				t.Errorf("member %q: %s", name, list[i].value)
			}
		}
	})
}
