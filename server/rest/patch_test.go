package rest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"meridian/server/interaction"
	"meridian/server/rest"
)

// Patches without If-Match that meet are applied again to what stands then: none is lost.
func TestOf40PatchesAtOnceNoneIsLost(t *testing.T) {
	for _, b := range backends(t) {
		t.Run(b.name, func(t *testing.T) {
			s := newServer(t, b)
			s.send("PUT", "/fhir/Patient/p1", `{"resourceType":"Patient","id":"p1","identifier":[{"system":"urn:x","value":"1"}],"name":[{"text":"0"}]}`)
			const n = 40
			codes := make([]int, n)
			together(n, func(i int) {
				switch i % 3 {
				case 0:
					codes[i] = s.send("PATCH", "/fhir/Patient/p1", fmt.Sprintf(`[{"op":"add","path":"/name/-","value":{"text":"n%d"}}]`, i),
						"Content-Type", "application/json-patch+json").Code
				case 1:
					codes[i] = s.send("PATCH", "/fhir/Patient?identifier=urn:x|1", fmt.Sprintf(`{"resourceType":"Parameters","parameter":[{"name":"operation","part":[`+
						`{"name":"type","valueCode":"add"},{"name":"path","valueString":"Patient"},{"name":"name","valueString":"name"},{"name":"value","valueHumanName":{"text":"n%d"}}]}]}`, i),
						"Content-Type", "application/fhir+json").Code
				default:
					codes[i] = s.send("PATCH", "/fhir/Patient/p1", fmt.Sprintf(`{"_gender":{"extension":[{"url":"http://x/%d","valueInteger":1}]}}`, i), "Content-Type", "application/merge-patch+json").Code
				}
			})
			for i, code := range codes {
				if code != http.StatusOK {
					t.Errorf("patch %d: %d", i, code)
				}
			}
			var p struct {
				Meta struct{ VersionID string }
				Name []struct{ Text string }
			}
			if err := json.Unmarshal(s.send("GET", "/fhir/Patient/p1", "").Body.Bytes(), &p); err != nil {
				t.Fatal(err)
			}
			if len(p.Name) != 28 || p.Meta.VersionID != "41" { // 27 of the 40 add a name
				t.Errorf("%d names, version %s", len(p.Name), p.Meta.VersionID)
			}
		})
	}
}

// Of patches with the same If-Match exactly one is done.
func TestOf20PatchesOfOneVersionExactlyOneIsDone(t *testing.T) {
	for _, b := range backends(t) {
		t.Run(b.name, func(t *testing.T) {
			s := newServer(t, b)
			s.send("PUT", "/fhir/Patient/p1", `{"resourceType":"Patient","id":"p1"}`)
			codes := make([]int, 20)
			together(len(codes), func(i int) {
				codes[i] = s.send("PATCH", "/fhir/Patient/p1", fmt.Sprintf(`{"multipleBirthInteger":%d}`, i), "Content-Type", "application/merge-patch+json", "If-Match", `W/"1"`).Code
			})
			done := map[int]int{}
			for _, code := range codes {
				done[code]++
			}
			if done[http.StatusOK] != 1 || done[http.StatusPreconditionFailed] != 19 {
				t.Errorf("%v", done)
			}
		})
	}
}

// A patch is bounded: in its operations, in what they copy, and in what comes out.
func TestPatchLimits(t *testing.T) {
	s := newServerWith(t, mapBackend, interaction.Limits{BodyBytes: 20_000}, rest.Options{BodyLimit: 20_000})
	s.send("PUT", "/fhir/Patient/p1", `{"resourceType":"Patient","id":"p1","name":[{"text":"`+strings.Repeat("a", 9000)+`"}]}`)
	bomb := `[{"op":"copy","from":"/name","path":"/x"}`
	for i := range 30 {
		bomb += fmt.Sprintf(`,{"op":"copy","from":"","path":"/x%d"}`, i)
	}
	for _, c := range []struct {
		rule, body string
		status     int
		id         string
	}{
		{"a body over the limit", `[{"op":"add","path":"/x","value":"` + strings.Repeat("a", 20_000) + `"}]`, 413, "body.too-long"},
		{"a copy of copies", bomb + `]`, 422, "patch.growth"},
		{"a result over the limit", `[{"op":"copy","from":"/name/0","path":"/name/-"},{"op":"copy","from":"/name/0","path":"/name/-"}]`, 413, "patch.result"},
		{"nested too deep", strings.Repeat("[", 100) + strings.Repeat("]", 100), 400, "json.depth"},
	} {
		w := s.send("PATCH", "/fhir/Patient/p1", c.body, "Content-Type", "application/json-patch+json")
		if w.Code != c.status || !strings.Contains(w.Body.String(), `"`+c.id+`"`) {
			t.Errorf("%s: %d %s", c.rule, w.Code, w.Body)
		}
	}
	many := newServerWith(t, mapBackend, interaction.Limits{PatchOperations: 3}, rest.Options{})
	many.send("PUT", "/fhir/Patient/p1", `{"resourceType":"Patient","id":"p1"}`)
	w := many.send("PATCH", "/fhir/Patient/p1", `[`+strings.Repeat(`{"op":"test","path":"/id","value":"p1"},`, 3)+`{"op":"test","path":"/id","value":"p1"}]`, "Content-Type", "application/json-patch+json")
	if w.Code != 422 || !strings.Contains(w.Body.String(), "patch.operations") || !strings.Contains(w.Body.String(), "at most 3 operations") {
		t.Errorf("operations: %d %s", w.Code, w.Body)
	}
}
