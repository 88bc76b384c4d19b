package inbox

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"meridian/server/store"
)

// call sends one request to the operations interface.
func (b *bench) call(t testing.TB, method, path, body string) (int, http.Header, string) {
	t.Helper()
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	raw, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, w.Header(), string(raw)
}

func decode[T any](t testing.TB, body string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return v
}

// A message is taken, listed, shown and replayed over HTTP.
func TestOperations(t *testing.T) {
	onAll(t, func(t *testing.T, on backend) {
		b := newBench(t, on, setup{})
		good, lost := oru(first, issued("0825"), alt), strings.Replace(oru(header("0900", "8"), issued("0825"), alt), "P0001^^^H001^MR", "", 1)
		var ids []string
		for i, text := range []string{good, lost, lost} {
			code, head, body := b.call(t, "POST", "/ops/messages", text)
			if code != 200 || head.Get("Content-Type") != "x-application/hl7-v2+er7" || !strings.Contains(body, "MSA|AA|") {
				t.Fatalf("take %d: %d %v %q", i, code, head, body)
			}
			ids = append(ids, head.Get("X-Message-Id"))
			b.wait(t, ids[i])
		}
		if ids[1] != ids[2] {
			t.Errorf("a resend got an id of its own: %v", ids)
		}
		code, _, body := b.call(t, "GET", "/ops/messages", "")
		list := decode[List](t, body)
		if code != 200 || len(list.Messages) != 2 || list.Messages[0].ID != ids[1] || list.Counts[store.Done] != 1 || list.Counts[store.Parked] != 1 || list.Next != "" {
			t.Errorf("list: %d %s", code, body)
		}
		_, _, body = b.call(t, "GET", "/ops/messages?state=parked&label=patient.unidentified", "")
		if list := decode[List](t, body); len(list.Messages) != 1 || list.Messages[0].Envelope.Parked.Code != "patient.unidentified" || list.Messages[0].Raw != nil {
			t.Errorf("parked: %s", body)
		}
		_, _, body = b.call(t, "GET", "/ops/messages?limit=1", "")
		page := decode[List](t, body)
		_, _, body = b.call(t, "GET", "/ops/messages?limit=1&after="+page.Next, "")
		if second := decode[List](t, body); len(second.Messages) != 1 || second.Messages[0].ID != ids[0] {
			t.Errorf("second page: %s", body)
		}
		_, _, body = b.call(t, "GET", "/ops/messages/"+ids[0], "")
		if m := decode[Message](t, body); string(m.Raw) != good || m.Envelope.Control != "7" || m.Label != "committed" || m.Envelope.Written != 4 {
			t.Errorf("one: %s", body)
		}
		if _, head, body := b.call(t, "GET", "/ops/messages/"+ids[0]+"/raw", ""); body != good || head.Get("Content-Type") != "application/octet-stream" {
			t.Errorf("raw: %v %q", head, body)
		}
		if code, _, body := b.call(t, "POST", "/ops/messages/"+ids[0]+"/replay", ""); code != 202 || decode[replayed](t, body).Replayed != 1 {
			t.Errorf("replay: %d %s", code, body)
		}
		b.waitFor(t, ids[0], func(it store.Item) bool { return it.State == store.Done && it.Label == "unchanged" })
		if code, _, body := b.call(t, "POST", "/ops/messages/replay?state=parked", ""); code != 202 || decode[replayed](t, body).Replayed != 1 {
			t.Errorf("replay all: %d %s", code, body)
		}
		b.waitFor(t, ids[1], func(it store.Item) bool { env, _ := readEnvelope(it.Note); return len(env.Timeline) >= 4 })
	})
}

// A preview says what a replay would do, and does nothing.
func TestPreview(t *testing.T) {
	onAll(t, func(t *testing.T, on backend) {
		b := newBench(t, on, setup{})
		one := b.give(t, oru(header("0800", "1"), issued("0800"), alt, hbsag))
		b.wait(t, one)
		look := func(id string) Preview {
			t.Helper()
			code, _, body := b.call(t, "GET", "/ops/messages/"+id+"/preview", "")
			if code != 200 {
				t.Fatalf("%d %s", code, body)
			}
			return decode[Preview](t, body)
		}
		if p := look(one); p.Outcome != "unchanged" || len(p.Resources) != 5 {
			t.Errorf("the same: %+v", p)
		}
		before := b.versions(t)
		b.Stop()
		two := b.give(t, oru(header("0900", "2"), issued("0900"), altC, hbsag))
		effects := map[string]int{}
		for _, c := range look(two).Resources {
			effects[c.Type+" "+c.Effect]++
			if c.Type == "Observation" && c.Effect == "update" && !strings.Contains(strings.Join(c.Changed, " "), "valueQuantity") {
				t.Errorf("changed: %v", c.Changed)
			}
		}
		if effects["Observation update"] != 1 || effects["Observation unchanged"] != 1 || effects["DiagnosticReport update"] != 1 || effects["Provenance create"] != 1 || effects["Patient unchanged"] != 1 {
			t.Errorf("a correction: %v", effects)
		}
		lost := b.give(t, strings.Replace(oru(header("0900", "3"), issued("0900"), altC), "P0001^^^H001^MR", "", 1))
		if p := look(lost); p.Outcome != "parked" || p.Parked.Code != "patient.unidentified" {
			t.Errorf("parked: %+v", p)
		}
		late := b.give(t, oru(header("0700", "4"), issued("0700"), altC))
		if p := look(late); p.Outcome != "stale" || len(p.Resources) != 0 {
			t.Errorf("stale: %+v", p)
		}
		for key, v := range b.versions(t) {
			if before[key] != v {
				t.Errorf("%s has version %d", key, v)
			}
		}
	})
}

// What is refused, and how.
func TestOperationErrors(t *testing.T) {
	b := newBench(t, backend{"map", openMap}, setup{limits: Limits{MessageBytes: 6000}, idle: true})
	id := b.give(t, oru(first, issued("0825"), alt))
	for _, c := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"GET", "/ops/messages/unknown", "", 404, "not found"},
		{"GET", "/ops/messages/unknown/raw", "", 404, "not found"},
		{"GET", "/ops/messages/unknown/preview", "", 404, "not found"},
		{"POST", "/ops/messages/unknown/replay", "", 404, "not found"},
		{"POST", "/ops/messages/" + id + "/replay", "", 409, "pending"},
		{"GET", "/ops/messages?limit=0", "", 400, "limit"},
		{"GET", "/ops/messages?limit=x", "", 400, "limit"},
		{"GET", "/ops/messages?state=lost", "", 400, "state"},
		{"POST", "/ops/messages/replay", "", 400, "state"},
		{"POST", "/ops/messages/replay?state=pending", "", 400, "state"},
		{"POST", "/ops/messages?source=nobody", "MSH|^~\\&|\r", 400, "unknown source"},
		{"POST", "/ops/messages", "", 400, "no message"},
		{"POST", "/ops/messages", strings.Repeat("x", 6001), 413, "MSA|AR"},
		{"POST", "/ops/messages", "hello", 200, "MSA|AR"},
		{"DELETE", "/ops/messages", "", 405, ""},
	} {
		t.Run(fmt.Sprintf("%s %s %d", c.method, c.path, c.code), func(t *testing.T) {
			code, _, body := b.call(t, c.method, c.path, c.body)
			if code != c.code || !strings.Contains(body, c.want) {
				t.Errorf("%d %s", code, body)
			}
		})
	}
}
