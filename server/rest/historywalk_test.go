package rest_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"
)

// historyPage is what a test reads of a history.
type historyPage struct {
	Link  []struct{ Relation, URL string }
	Entry []struct {
		FullURL  string
		Response struct{ Etag string }
	}
}

// A walk over a history shows every version that stood when it began exactly once, whatever is written meanwhile.
func TestWalkOverAHistoryWhileOthersWrite(t *testing.T) {
	const resources, versions = 12, 5
	for _, b := range backends(t) {
		for _, path := range []string{"/fhir/_history?_count=7", "/fhir/Patient/_history?_count=7", "/fhir/Patient/_history?_count=4&_at=2026-01-01T00:00:02Z"} {
			t.Run(b.name+path, func(t *testing.T) {
				srv := newServer(t, b)
				put := func(id string, n int) {
					if rec := ask(srv.handler, "PUT", "/fhir/Patient/"+id, fmt.Sprintf(`{"resourceType":"Patient","id":%q,"multipleBirthInteger":%d}`, id, n)); rec.Code > 201 {
						t.Error(rec.Body)
					}
				}
				want := map[string]bool{}
				for v := range versions {
					srv.clock.Set(start.Add(time.Duration(v) * time.Second))
					for r := range resources {
						id := fmt.Sprint("p", r)
						put(id, v)
						if key := fmt.Sprintf("http://example.org/fhir/Patient/%s W/\"%d\"", id, v+1); len(path) < 40 || v == 2 {
							want[key] = true
						}
					}
				}
				srv.clock.Set(start.Add(time.Minute))
				stop := make(chan struct{})
				var writers sync.WaitGroup
				for w := range 3 {
					writers.Go(func() {
						for n := 0; ; n++ {
							select {
							case <-stop:
								return
							default:
								put(fmt.Sprint("p", (n*5+w)%resources), 100+n)
							}
						}
					})
				}
				seen := map[string]int{}
				for next, pages := path, 0; next != "" && pages < 200; pages++ {
					rec := ask(srv.handler, "GET", next, "")
					var page historyPage
					if err := json.Unmarshal(rec.Body.Bytes(), &page); err != nil || rec.Code != 200 {
						t.Fatalf("%d %s", rec.Code, rec.Body)
					}
					for _, e := range page.Entry {
						seen[e.FullURL+" "+e.Response.Etag]++
					}
					next = ""
					for _, l := range page.Link {
						if l.Relation == "next" {
							u, err := url.Parse(l.URL)
							if err != nil {
								t.Fatal(err)
							}
							next = u.RequestURI()
						}
					}
				}
				close(stop)
				writers.Wait()
				for key := range want {
					if seen[key] != 1 {
						t.Errorf("%s was shown %d times", key, seen[key])
					}
				}
				for key, n := range seen {
					if n != 1 || len(path) > 40 && !want[key] {
						t.Errorf("%s was shown %d times", key, n)
					}
				}
			})
		}
	}
}
