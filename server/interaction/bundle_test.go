package interaction

import (
	"strings"
	"testing"
	"time"

	"meridian/fhir/codec"
	"meridian/fhir/issue"
	"meridian/fhir/patch"
	"meridian/fhir/search"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

// Whatever stands in a bundle, an error is one for clients, of an entry too, and the answer is a Bundle.
func FuzzBundle(f *testing.F) {
	for _, entries := range []string{
		`{"resource":{"resourceType":"Patient","id":"p1","gender":"male"},"request":{"method":"PUT","url":"Patient/p1","ifMatch":"W/\"1\""}}`,
		`{"fullUrl":"urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a","resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient","ifNoneExist":"identifier=1"}},` +
			`{"resource":{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a"}},"request":{"method":"POST","url":"Observation"}}`,
		`{"resource":{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient?gender=male"}},"request":{"method":"PUT","url":"Observation?code=x"}}`,
		`{"resource":{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"add"},{"name":"path","valueString":"Patient"},{"name":"name","valueString":"link"},` +
			`{"name":"value","part":[{"name":"other","valueReference":{"reference":"Patient?gender=male"}},{"name":"type","valueCode":"seealso"}]}]}]},"request":{"method":"PATCH","url":"Patient/seed"}}`,
		`{"resource":{"resourceType":"Binary","contentType":"application/merge-patch+json","data":"eyJiaXJ0aERhdGUiOiIxOTkwIn0="},"request":{"method":"PATCH","url":"Patient?gender=male"}}`,
		`{"request":{"method":"DELETE","url":"Patient?gender=male"}},{"request":{"method":"GET","url":"Patient?gender=male&_include=Patient:link"}},{"request":{"method":"HEAD","url":"Patient/seed/_history/1"}}`,
		`{"request":{"method":"POST","url":"Patient/_search?_sort=-_lastUpdated"}},{"request":{"method":"GET","url":"_history?_count=2"}},{"request":{"method":"GET","url":"Patient/seed/$meta"}}`,
	} {
		for _, typ := range []string{"batch", "transaction"} {
			f.Add([]byte(`{"resourceType":"Bundle","type":"` + typ + `","entry":[` + entries + `]}`))
		}
	}
	registry, err := search.New(search.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		st := storetest.NewMap(storetest.Config{Index: Indexer(registry), IndexVersion: "1", Clock: time.Now})
		s, err := New(Options{Store: st, Registry: registry, Limits: Limits{ConflictRetries: 3}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Update(t.Context(), UpdateParams{Type: "Patient", ID: "seed", Body: []byte(`{"resourceType":"Patient","id":"seed","gender":"male"}`)}); err != nil {
			t.Fatal(err)
		}
		r, err := s.Bundle(t.Context(), BundleParams{Body: body})
		if err != nil {
			checkClientError(t, err)
			return
		}
		for i := range r.Entries {
			if err := r.Entries[i].Err; err != nil {
				checkClientError(t, err)
			}
		}
		out := s.AppendBundle(nil, r, ResponseParams{Return: ReturnRepresentation,
			Status: func(*EntryResult) string { return "200" }, Outcome: func(err error) []issue.Issue { return issue.As(err).Issues }})
		if _, err := codec.Parse(out, codec.Options{Type: "Bundle"}); err != nil && !strings.Contains(err.Error(), "limit") {
			t.Fatalf("the answer is no Bundle: %v\n%s", err, out)
		}
	})
}

func checkClientError(t *testing.T, err error) {
	t.Helper()
	e := issue.As(err)
	if e == nil || len(e.Issues) == 0 {
		t.Fatalf("an error that is not for clients: %v", err)
	}
}

// Another writer comes between reading and commit: the patch is applied again, to what stands then.
func TestAPatchIsAppliedToWhatStandsAtItsCommit(t *testing.T) {
	const parameters = `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"add"},{"name":"path","valueString":"Patient"},` +
		`{"name":"name","valueString":"gender"},{"name":"value","valueCode":"male"}]}]}`
	for _, c := range []struct {
		rule string
		do   func(s *Service) error
	}{
		{"alone", func(s *Service) error {
			_, err := s.Patch(t.Context(), PatchParams{Type: "Patient", ID: "p1", Body: []byte(parameters), Format: patch.Parameters})
			return err
		}},
		{"by a criterion", func(s *Service) error {
			_, err := s.Patch(t.Context(), PatchParams{Type: "Patient", Criterion: "_id=p1", Body: []byte(parameters), Format: patch.Parameters})
			return err
		}},
		{"in a transaction", func(s *Service) error {
			_, err := s.Bundle(t.Context(), BundleParams{Body: []byte(`{"resourceType":"Bundle","type":"transaction","entry":[{"resource":` + parameters +
				`,"request":{"method":"PATCH","url":"Patient/p1"}}]}`)})
			return err
		}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			s, st := newApplyService(t)
			update := func(body string) {
				if _, err := s.Update(t.Context(), UpdateParams{Type: "Patient", ID: "p1", Body: []byte(body)}); err != nil {
					t.Error(err)
				}
			}
			update(`{"resourceType":"Patient","id":"p1","active":true}`)
			st.other = func() { update(`{"resourceType":"Patient","id":"p1","active":false,"birthDate":"1990"}`) }
			if err := c.do(s); err != nil {
				t.Fatal(err)
			}
			r, err := s.Read(t.Context(), ReadParams{Key: store.Key{Type: "Patient", ID: "p1"}})
			if body := string(r.Resource.Body); err != nil || r.Resource.Version != 3 || r.Resource.Method != store.PATCH ||
				!strings.Contains(body, `"active":false,"gender":"male","birthDate":"1990"`) {
				t.Errorf("%s, %v", body, err)
			}
		})
	}
}

// A read of a transaction that cannot be carried out is refused with its place, before anything is written:
// https://hl7.org/fhir/R4/compartmentdefinition.html knows no compartment of an Observation.
func TestATransactionRefusesSearchesOfWhatIsNoCompartment(t *testing.T) {
	s, _ := newApplyService(t)
	for _, url := range []string{"Observation/1/*", "Observation/1/Patient"} {
		_, err := s.Bundle(t.Context(), BundleParams{Body: []byte(`{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"GET","url":"` + url + `"}}]}`)})
		e := issue.As(err)
		if e == nil || e.Issues[0].Code != issue.NotSupported || e.Issues[0].Expression != "Bundle.entry[0].request.url" {
			t.Errorf("%s: %v", url, err)
		}
	}
}
