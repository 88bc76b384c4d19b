package operation

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"meridian/fhir/definitions"
	"meridian/fhir/search"
	"meridian/server/interaction"
	"meridian/server/store"
	"meridian/server/store/pebblestore"
	"meridian/server/store/storetest"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// newService gives a service over an empty embedded store in memory.
func newService(t testing.TB) *interaction.Service {
	t.Helper()
	clock := &storetest.Clock{}
	clock.Set(start)
	registry, err := search.New(search.Options{Zone: time.FixedZone("Asia/Shanghai", 8*3600), BaseURL: "http://example.org/fhir", Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	s, err := pebblestore.Open(pebblestore.Options{Dir: "db", FS: vfs.NewMem(), Index: interaction.Indexer(registry), IndexVersion: registry.IndexVersion(), Clock: clock.Now,
		CacheBytes: 32 << 20, MemTableBytes: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	var ids atomic.Int64
	service, err := interaction.New(interaction.Options{Store: s, Registry: registry, BaseURL: "http://example.org/fhir", Clock: clock.Now, Operations: List(),
		NewID: func() string { return "id-" + strconv.FormatInt(ids.Add(1), 10) }})
	if err != nil {
		t.Fatal(err)
	}
	return service
}

// put writes resources, each under the id in its body, as one commit.
func put(t testing.TB, s *interaction.Service, bodies ...string) {
	t.Helper()
	var puts []interaction.Put
	for _, body := range bodies {
		var head struct{ ResourceType, ID string }
		if err := json.Unmarshal([]byte(body), &head); err != nil {
			t.Fatal(err)
		}
		puts = append(puts, interaction.Put{Key: store.Key{Type: head.ResourceType, ID: head.ID},
			Revise: func(*store.Resource) ([]byte, bool, error) { return []byte(body), false, nil }})
	}
	if _, err := s.Apply(t.Context(), puts); err != nil {
		t.Fatal(err)
	}
}

// testBundle is what tests read of a searchset.
type testBundle struct {
	Total *int
	Link  []struct{ Relation, URL string }
	Entry []struct {
		FullURL  string
		Resource json.RawMessage
		Search   struct {
			Mode  string
			Score json.Number
		}
	}
}

func (b *testBundle) paths() (out []string) {
	for _, e := range b.Entry {
		out = append(out, strings.TrimPrefix(e.FullURL, "http://example.org/fhir/"))
	}
	return out
}

func (b *testBundle) next() string {
	for _, l := range b.Link {
		if l.Relation == "next" {
			return l.URL
		}
	}
	return ""
}

// get calls an operation by GET: name and key, and a query string.
func get(t testing.TB, s *interaction.Service, name string, key store.Key, query string) *testBundle {
	t.Helper()
	pairs, err := interaction.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Operate(context.Background(), interaction.OperateParams{Name: name, Key: key, Query: pairs, Get: true})
	if err != nil {
		t.Fatalf("$%s?%s: %v", name, query, err)
	}
	b := new(testBundle)
	if err := json.Unmarshal(r.Body, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// Definitions of the specification say what theirs do: levels, types, and of each
// parameter use, cardinality and type. What is added is named here.
func TestDefinitionsAreTheOfficialOnes(t *testing.T) {
	var set definitions.Set
	for _, o := range List() {
		d := o.Definition()
		body, err := set.Resource("OperationDefinition", d.URL)
		if err != nil {
			if strings.HasPrefix(d.URL, "http://hl7.org/fhir/OperationDefinition/") && !slices.Contains(later, d.URL) {
				t.Errorf("%s: %v", d.URL, err)
			}
			continue
		}
		var official struct {
			Code                   string
			System, Type, Instance bool
			Resource               []string
			AffectsState           bool
			Parameter              []struct {
				Name, Use, Max, Type string
				Min                  int
			}
		}
		if err := json.Unmarshal(body, &official); err != nil {
			t.Fatal(err)
		}
		types := d.Types
		if types == nil {
			types = []string{"Resource"}
		}
		if official.Code != d.Name || official.System != d.System || official.Type != d.Type || official.Instance != d.Instance || !slices.Equal(official.Resource, types) {
			t.Errorf("%s: name, level or type differ: %+v", d.URL, official)
		}
		var want, got []string
		for _, p := range official.Parameter {
			want = append(want, fmt.Sprintf("%s %s %d..%s %s", p.Name, p.Use, p.Min, p.Max, p.Type))
		}
		for _, p := range d.Params {
			use, most := "in", "*"
			if p.Out {
				use = "out"
			}
			if p.Max > 0 {
				most = strconv.Itoa(p.Max)
			}
			got = append(got, fmt.Sprintf("%s %s %d..%s %s", p.Name, use, p.Min, most, p.Type))
		}
		if got = slices.DeleteFunc(got, func(p string) bool { return slices.Contains(beside[d.URL], p) }); !slices.Equal(want, got) {
			t.Errorf("%s: parameters\n got %q\nwant %q", d.URL, got, want)
		}
	}
}

// beside are parameters that another standard has for the same operation: https://graphql.org/learn/serving-over-http/
var beside = map[string][]string{
	"http://hl7.org/fhir/OperationDefinition/Resource-graphql": {"operationName in 0..1 string", "variables in 0..1 string"},
}

// later are canonicals of a later version of FHIR.
var later = []string{"http://hl7.org/fhir/OperationDefinition/Patient-merge"}
