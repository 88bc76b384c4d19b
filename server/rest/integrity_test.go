package rest_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"meridian/server/interaction"
	"meridian/server/rest"
)

// Of a delete and new references to its target that race, one side gives way: nobody is left to refer to nothing.
func TestADeleteAndNewReferencesThatRace(t *testing.T) {
	for _, b := range backends(t) {
		t.Run(b.name, func(t *testing.T) {
			srv := newServerOf(t, b, interaction.Options{Integrity: interaction.Policies{Default: interaction.PolicyEnforce}}, rest.Options{})
			if !srv.store.Transactions() && b.name == "mongodb" {
				t.Skip("SKIPPED on a standalone MongoDB: without transactions it cannot promise it")
			}
			for round := range 10 {
				patient := fmt.Sprint("p", round)
				if rec := ask(srv.handler, "PUT", "/fhir/Patient/"+patient, `{"resourceType":"Patient","id":"`+patient+`"}`); rec.Code != http.StatusCreated {
					t.Fatal(rec.Body)
				}
				statuses := make([]int, 9)
				var wg sync.WaitGroup
				begin := make(chan struct{})
				for i := range statuses {
					wg.Go(func() {
						<-begin
						if i == 4 {
							statuses[i] = ask(srv.handler, "DELETE", "/fhir/Patient/"+patient, "").Code
							return
						}
						statuses[i] = ask(srv.handler, "POST", "/fhir/Observation", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/`+patient+`"}}`).Code
					})
				}
				close(begin)
				wg.Wait()
				referring := countOf(t, srv, "Observation?subject=Patient/"+patient)
				if deleted := statuses[4] == http.StatusNoContent; deleted && referring > 0 || !deleted && (referring == 0 || statuses[4] != http.StatusConflict) {
					t.Errorf("round %d: statuses %v, %d refer to it", round, statuses, referring)
				}
			}
		})
	}
}

// A delete that is refused names at most ten of those that refer to it, of whatever type.
func TestReferrersAreNamed(t *testing.T) {
	srv := newServerOf(t, mapBackend, interaction.Options{Integrity: interaction.Policies{Types: map[string]interaction.Policy{"Patient": interaction.PolicyEnforce}}}, rest.Options{})
	put := func(typ, id, rest string) {
		t.Helper()
		if rec := ask(srv.handler, "PUT", "/fhir/"+typ+"/"+id, `{"resourceType":"`+typ+`","id":"`+id+`"`+rest+`}`); rec.Code != http.StatusCreated {
			t.Fatal(rec.Body)
		}
	}
	put("Patient", "p", "")
	put("Provenance", "v", `,"target":[{"reference":"Patient/p"}],"recorded":"2026-01-01T00:00:00Z","agent":[{"who":{"display":"x"}}]`)
	for i := range 12 {
		put("Observation", fmt.Sprint("o", i), `,"status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p"}`)
	}
	rec := ask(srv.handler, "DELETE", "/fhir/Patient/p", "")
	body := rec.Body.String()
	if rec.Code != http.StatusConflict || strings.Count(body, "Observation/o") != 10 || !strings.Contains(body, " and others") {
		t.Errorf("%d %s", rec.Code, body)
	}
	for i := range 12 {
		if rec := ask(srv.handler, "DELETE", fmt.Sprint("/fhir/Observation/o", i), ""); rec.Code != http.StatusNoContent {
			t.Fatal(rec.Body)
		}
	}
	if body := ask(srv.handler, "DELETE", "/fhir/Patient/p", "").Body.String(); !strings.Contains(body, "is referred to by Provenance/v") {
		t.Error(body)
	}
}

func TestParseIntegrity(t *testing.T) {
	for text, ok := range map[string]bool{"off": true, "warn": true, "enforce, Patient=off": true, "off,Patient=enforce,Observation=warn": true, "": false, "yes": false, "Patinet=warn": false, "Patient=maybe": false} {
		if _, err := interaction.ParsePolicies(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}
