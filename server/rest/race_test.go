package rest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// send makes one request; headers come in pairs.
func (s *server) send(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	var r *http.Request
	if body == "" {
		r = httptest.NewRequest(method, target, nil)
	} else {
		r = httptest.NewRequest(method, target, strings.NewReader(body))
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

// bundle is what the tests read of a searchset.
type bundle struct {
	Total *int
	Link  []struct{ Relation, URL string }
	Entry []struct {
		Resource struct {
			ResourceType, ID string
			Issue            []struct{ Diagnostics string }
		}
		Search   struct{ Mode string }
		Response struct{ Status, Location string }
	}
}

func (s *server) bundle(t *testing.T, method, target, body string, headers ...string) bundle {
	t.Helper()
	w := s.send(method, target, body, headers...)
	var b bundle
	if err := json.Unmarshal(w.Body.Bytes(), &b); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%s %s: %d %s %v", method, target, w.Code, w.Body, err)
	}
	return b
}

func (b bundle) next(t *testing.T) string {
	t.Helper()
	for _, l := range b.Link {
		if l.Relation == "next" {
			u, err := url.Parse(l.URL)
			if err != nil {
				t.Fatal(err)
			}
			return u.RequestURI()
		}
	}
	return ""
}

// together runs n requests at the same time.
func together(n int, request func(i int)) {
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-begin
			request(i)
		})
	}
	close(begin)
	wg.Wait()
}

// https://hl7.org/fhir/R4/http.html#ccreate
func TestOf200ConditionalCreatesExactlyOneCreates(t *testing.T) {
	for _, b := range backends(t) {
		t.Run(b.name, func(t *testing.T) {
			s := newServer(t, b)
			codes := make([]int, 200)
			together(len(codes), func(i int) {
				w := s.send("POST", "/fhir/Patient", fmt.Sprintf(`{"resourceType":"Patient","identifier":[{"system":"urn:x","value":"1"}],"multipleBirthInteger":%d}`, i),
					"If-None-Exist", "identifier=urn:x|1")
				codes[i] = w.Code
			})
			created := 0
			for i, c := range codes {
				switch c {
				case http.StatusCreated:
					created++
				case http.StatusOK:
				default:
					t.Errorf("request %d: status %d", i, c)
				}
			}
			if got := s.bundle(t, "GET", "/fhir/Patient", ""); created != 1 || *got.Total != 1 {
				t.Errorf("%d were created, %d are there; want 1 and 1", created, *got.Total)
			}
		})
	}
}

// https://hl7.org/fhir/R4/http.html#cond-update
func TestConcurrentConditionalUpdatesMakeOneResource(t *testing.T) {
	for _, b := range backends(t) {
		t.Run(b.name, func(t *testing.T) {
			s := newServer(t, b)
			together(40, func(i int) {
				w := s.send("PUT", "/fhir/Patient?identifier=urn:x|1", fmt.Sprintf(`{"resourceType":"Patient","identifier":[{"system":"urn:x","value":"1"}],"multipleBirthInteger":%d}`, i))
				if w.Code != http.StatusCreated && w.Code != http.StatusOK {
					t.Errorf("request %d: %d %s", i, w.Code, w.Body)
				}
			})
			if got := s.bundle(t, "GET", "/fhir/Patient", ""); *got.Total != 1 {
				t.Errorf("%d resources, want 1", *got.Total)
			}
		})
	}
}

func TestUpdatesWithoutIfMatchNeverConflict(t *testing.T) {
	for _, b := range backends(t) {
		t.Run(b.name, func(t *testing.T) {
			s := newServer(t, b)
			const n = 50
			together(n, func(i int) {
				w := s.send("PUT", "/fhir/Patient/p", fmt.Sprintf(`{"resourceType":"Patient","id":"p","multipleBirthInteger":%d}`, i))
				if w.Code != http.StatusCreated && w.Code != http.StatusOK {
					t.Errorf("request %d: %d %s", i, w.Code, w.Body)
				}
			})
			if etag := s.send("GET", "/fhir/Patient/p", "").Header().Get("Etag"); etag != fmt.Sprintf(`W/"%d"`, n) {
				t.Errorf("after %d updates of different content the version is %s", n, etag)
			}
		})
	}
}

func TestOfUpdatesWithTheSameIfMatchOneWins(t *testing.T) {
	for _, b := range backends(t) {
		t.Run(b.name, func(t *testing.T) {
			s := newServer(t, b)
			s.send("PUT", "/fhir/Patient/p", `{"resourceType":"Patient","id":"p"}`)
			codes := make([]int, 30)
			together(len(codes), func(i int) {
				codes[i] = s.send("PUT", "/fhir/Patient/p", fmt.Sprintf(`{"resourceType":"Patient","id":"p","multipleBirthInteger":%d}`, i), "If-Match", `W/"1"`).Code
			})
			won := 0
			for _, c := range codes {
				if c == http.StatusOK {
					won++
				} else if c != http.StatusPreconditionFailed {
					t.Errorf("status %d, want 200 or 412", c)
				}
			}
			if won != 1 {
				t.Errorf("%d won, want 1", won)
			}
		})
	}
}

func TestTransactionsThatCollideAreTriedAgainInside(t *testing.T) {
	for _, b := range backends(t) {
		t.Run(b.name, func(t *testing.T) {
			s := newServer(t, b)
			if !s.store.Transactions() {
				t.Skipf("SKIPPED on %s: it has no transactions", b.name)
			}
			const n = 40
			together(n, func(i int) {
				body := fmt.Sprintf(`{"resourceType":"Bundle","type":"transaction","entry":[
{"fullUrl":"urn:uuid:p","resource":{"resourceType":"Patient","identifier":[{"system":"urn:x","value":"1"}]},"request":{"method":"POST","url":"Patient","ifNoneExist":"identifier=urn:x|1"}},
{"resource":{"resourceType":"Group","id":"g","type":"person","actual":true,"quantity":%d},"request":{"method":"PUT","url":"Group/g"}},
{"resource":{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"urn:uuid:p"}},"request":{"method":"POST","url":"Observation"}}]}`, i)
				if w := s.send("POST", "/fhir", body); w.Code != http.StatusOK {
					t.Errorf("bundle %d: %d %s", i, w.Code, w.Body)
				}
			})
			p := s.bundle(t, "GET", "/fhir/Patient", "")
			if *p.Total != 1 {
				t.Fatalf("%d patients, want 1", *p.Total)
			}
			o := s.bundle(t, "GET", "/fhir/Observation?_count=0&subject=Patient/"+p.Entry[0].Resource.ID, "")
			if *o.Total != n {
				t.Errorf("%d observations of the patient, want %d", *o.Total, n)
			}
			if etag := s.send("GET", "/fhir/Group/g", "").Header().Get("Etag"); etag != fmt.Sprintf(`W/"%d"`, n) {
				t.Errorf("the group is at %s, want version %d", etag, n)
			}
		})
	}
}

// A resource that matches throughout a walk stands in it exactly once,
// whatever is written meanwhile; for each order.
func TestWalkOverPagesWhileOthersWriteShowsEachSteadyResourceOnce(t *testing.T) {
	for _, b := range backends(t) {
		t.Run(b.name, func(t *testing.T) {
			for _, order := range []string{"", "&_sort=date", "&_sort=-date", "&_sort=-_lastUpdated", "&_sort=status,-date", "&_sort=_id"} {
				t.Run(order, func(t *testing.T) { walkWhileWriting(t, newServer(t, b), order) })
			}
		})
	}
}

func walkWhileWriting(t *testing.T, s *server, order string) {
	put := func(id string, i int, status string) {
		day := fmt.Sprintf(`"effectiveDateTime":"2026-01-%02d",`, 1+i%28)
		if i%5 == 0 {
			day = "" // without a sort value
		}
		w := s.send("PUT", "/fhir/Observation/"+id, fmt.Sprintf(`{"resourceType":"Observation","id":%q,"status":%q,%s"code":{"text":"x"},"valueInteger":%d}`, id, status, day, i))
		if w.Code >= 300 {
			t.Errorf("put: %d %s", w.Code, w.Body)
		}
	}
	const steady = 60
	for i := range steady {
		put(fmt.Sprintf("steady-%d", i), i, "final")
		put(fmt.Sprintf("moving-%d", i), i, "final")
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			put(fmt.Sprintf("moving-%d", i%steady), i/2, []string{"final", "amended", "preliminary"}[i%3])
			put(fmt.Sprintf("new-%d", i%300), i, "final")
			s.send("DELETE", fmt.Sprintf("/fhir/Observation/moving-%d", (i*7)%steady), "")
		}
	}()
	seen := map[string]int{}
	pages := 0
	for target := "/fhir/Observation?status=final&_count=7" + order; target != "" && pages < 500; pages++ {
		page := s.bundle(t, "GET", target, "")
		for _, e := range page.Entry {
			seen[e.Resource.ID]++
		}
		target = page.next(t)
	}
	close(stop)
	<-done
	for i := range steady {
		if id := fmt.Sprintf("steady-%d", i); seen[id] != 1 {
			t.Errorf("%s was seen %d times", id, seen[id])
		}
	}
}

// There is no cap on the entries of a transaction below that of the body, and
// conditional references do not make it slow.
func TestATransactionOfManyEntriesIsOneCommit(t *testing.T) {
	for _, b := range backends(t) {
		t.Run(b.name, func(t *testing.T) {
			s := newServer(t, b)
			if !s.store.Transactions() || b.name == "map" {
				t.Skipf("SKIPPED on %s: the embedded store, and MongoDB with transactions, are meant", b.name)
			}
			const n = 1500
			var body strings.Builder
			body.WriteString(`{"resourceType":"Bundle","type":"transaction","entry":[`)
			for i := range n {
				fmt.Fprintf(&body, `{"resource":{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient?identifier=urn:x|%d"}},"request":{"method":"POST","url":"Observation"}},`, i)
				fmt.Fprintf(&body, `{"resource":{"resourceType":"Patient","identifier":[{"system":"urn:x","value":"%d"}]},"request":{"method":"POST","url":"Patient"}},`, i)
			}
			body.WriteString(`{"request":{"method":"GET","url":"Observation?_summary=count"}}]}`)
			w := s.send("POST", "/fhir", body.String())
			var got struct {
				Entry []struct{ Resource struct{ Total int } }
			}
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
				t.Fatalf("%d %.300s %v", w.Code, w.Body, err)
			}
			if len(got.Entry) != 2*n+1 || got.Entry[2*n].Resource.Total != n {
				t.Errorf("%d entries, %d observations", len(got.Entry), got.Entry[2*n].Resource.Total)
			}
		})
	}
}

func TestConcurrentConditionalUpdatesWithTheSameIDAllSucceed(t *testing.T) {
	for _, b := range backends(t) {
		t.Run(b.name, func(t *testing.T) {
			s := newServer(t, b)
			together(40, func(i int) {
				w := s.send("PUT", "/fhir/Patient?identifier=urn:x|1", fmt.Sprintf(`{"resourceType":"Patient","id":"p","identifier":[{"system":"urn:x","value":"1"}],"multipleBirthInteger":%d}`, i))
				if w.Code != http.StatusCreated && w.Code != http.StatusOK {
					t.Errorf("request %d: %d %s", i, w.Code, w.Body)
				}
			})
		})
	}
}
