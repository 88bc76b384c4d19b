package rest_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"meridian/fhir/search"
	"meridian/server/interaction"
	"meridian/server/store"
)

// seedPatients writes n patients, every third one active.
func seedPatients(t *testing.T, srv *server, n int) {
	t.Helper()
	var puts []interaction.Put
	for i := range n {
		id := fmt.Sprint("p", i)
		body := fmt.Sprintf(`{"resourceType":"Patient","id":%q,"active":%t,"name":[{"text":"0"}]}`, id, i%3 == 0)
		puts = append(puts, interaction.Put{Key: store.Key{Type: "Patient", ID: id}, Revise: func(*store.Resource) ([]byte, bool, error) { return []byte(body), false, nil }})
	}
	if srv.store.Transactions() {
		if _, err := srv.service.Apply(t.Context(), puts); err != nil {
			t.Fatal(err)
		}
		return
	}
	for i := range puts {
		if _, err := srv.service.Apply(t.Context(), puts[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
}

// A walk gives every resource once, as it was when the walk began, whatever is written meanwhile.
func TestAWalkIsOfOneMoment(t *testing.T) {
	const n = 2500 // three pages
	for _, b := range backends(t) {
		t.Run(b.name, func(t *testing.T) {
			srv := newServer(t, b)
			seedPatients(t, srv, n)
			write := func(method, id, body string) {
				srv.clock.Add(time.Millisecond)
				if rec := srv.send(method, "/fhir/Patient/"+id, body); rec.Code >= 300 && rec.Code != http.StatusGone && rec.Code != http.StatusNotFound {
					t.Fatalf("%s %s: %d %s", method, id, rec.Code, rec.Body)
				}
			}
			write("DELETE", "p7", "") // gone before
			srv.clock.Add(time.Second)
			rng := rand.New(rand.NewPCG(1, 2))
			seen, calls := map[string]string{}, 0
			err := srv.service.Walk(t.Context(), interaction.WalkParams{Type: "Patient", All: []search.Pair{{Name: "active", Value: "true"}}}, func(r *store.Resource) error {
				if _, twice := seen[r.ID]; twice {
					t.Errorf("%s comes twice", r.ID)
				}
				seen[r.ID] = string(r.Body)
				if calls++; calls%20 == 1 {
					id := fmt.Sprint("p", rng.IntN(n+50)) // some are new
					switch rng.IntN(4) {
					case 0:
						write("DELETE", id, "")
					case 1:
						write("DELETE", id, "")
						write("PUT", id, fmt.Sprintf(`{"resourceType":"Patient","id":%q,"active":true,"name":[{"text":"2"}]}`, id))
					default: // may enter the set, or leave it
						write("PUT", id, fmt.Sprintf(`{"resourceType":"Patient","id":%q,"active":%t,"name":[{"text":"1"}]}`, id, rng.IntN(2) == 0))
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				id := fmt.Sprint("p", i)
				body, ok := seen[id]
				if ok != (i%3 == 0 && i != 7) || ok && !strings.Contains(body, `"text":"0"`) {
					t.Errorf("%s: %t %s", id, ok, body)
				}
				delete(seen, id)
			}
			if len(seen) > 0 {
				t.Errorf("created meanwhile: %v", seen)
			}
		})
	}
}

const longView = `{"resourceType":"Parameters","parameter":[{"name":"viewResource","resource":{"resourceType":"ViewDefinition","status":"active","resource":"Patient",
"select":[{"column":[{"name":"id","path":"id"},{"name":"pad","path":"'%s'"},{"name":"t","path":"name.text"}]}]}},{"name":"_format","valueCode":"%s"}]}`

// A table that fails when a part of it was sent is broken off; one that fails before is an error.
func TestAStreamThatFailsIsBrokenOff(t *testing.T) {
	for _, c := range []struct {
		pad    int
		status int
	}{{10, http.StatusUnprocessableEntity}, {1000, http.StatusOK}} {
		srv := newServer(t, mapBackend)
		seedPatients(t, srv, 500)
		srv.send("PUT", "/fhir/Patient/z", `{"resourceType":"Patient","id":"z","name":[{"text":"a"},{"text":"b"}]}`)
		web := httptest.NewServer(srv.handler)
		defer web.Close()
		body := fmt.Sprintf(longView, strings.Repeat("x", c.pad), "csv")
		res, err := http.Post(web.URL+"/fhir/$viewdefinition-run", "application/fhir+json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		data, err := io.ReadAll(res.Body)
		if res.StatusCode != c.status || (err != nil) != (c.status == http.StatusOK) {
			t.Errorf("with %d bytes a row: %d, %v", c.pad, res.StatusCode, err)
		}
		if c.status != http.StatusOK && !strings.Contains(string(data), "(Patient/z)") {
			t.Errorf("%s", data)
		}
	}
}

// A long table comes whole, gzip where the client takes it, in every format.
func TestALongTableComesWhole(t *testing.T) {
	srv := newServer(t, mapBackend)
	seedPatients(t, srv, 1500)
	web := httptest.NewServer(srv.handler)
	defer web.Close()
	for format, rows := range map[string]string{"ndjson": `{"id":`, "json": `{"id":`, "csv": "\r\np", "parquet": ""} {
		body := fmt.Sprintf(longView, strings.Repeat("x", 500), format)
		res, err := http.Post(web.URL+"/fhir/$viewdefinition-run", "application/fhir+json", strings.NewReader(body)) // Go's client asks for gzip
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d, %v", format, res.StatusCode, err)
		}
		if rows != "" && strings.Count(string(data), rows) != 1500 {
			t.Errorf("%s: %d rows", format, strings.Count(string(data), rows))
		}
		if format == "parquet" && (string(data[:4]) != "PAR1" || string(data[len(data)-4:]) != "PAR1") {
			t.Error("no Parquet file")
		}
	}
}

// A table that a job makes has the format that the request accepts.
func TestAJobKeepsTheFormatOfATable(t *testing.T) {
	srv := newServer(t, mapBackend)
	seedPatients(t, srv, 1)
	body := strings.Replace(fmt.Sprintf(longView, "x", "csv"), `,{"name":"_format","valueCode":"csv"}`, "", 1)
	rec := ask(srv.handler, "POST", "/fhir/$viewdefinition-run", body, "Prefer: respond-async", "Accept: text/csv")
	if rec.Code != http.StatusAccepted {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	if err := srv.jobs.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	rec = ask(srv.handler, "GET", strings.TrimPrefix(rec.Header().Get("Content-Location"), "http://example.org"), "")
	if rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), `"contentType":"text/csv`) {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}
