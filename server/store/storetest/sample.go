package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"meridian/fhir/search"
	"meridian/server/store"
)

// Sample is one version of a resource of the suite. Its facts stand in its body.
type Sample struct {
	Type, ID string
	Version  uint64    // 0 is taken as 1
	At       time.Time // lastUpdated
	Facts    []Fact
	Note     string // makes bodies differ where facts do not
}

// Fact is one searchable value: the keys it gives and its sort value in Param.
type Fact struct {
	Param string
	Keys  []search.Key
	Sort  string
}

// Token is code in system, asked for as code or system|code.
func Token(param, system, code string) Fact {
	scope := system
	if scope == "" {
		scope = search.NoSystem
	}
	return Fact{Param: param, Sort: code, Keys: []search.Key{{Param: param, Value: code}, {Param: param, Scope: scope, Value: code}}}
}

// Text is a folded string.
func Text(param, text string) Fact {
	return Fact{Param: param, Sort: text, Keys: []search.Key{{Param: param, Value: text}}}
}

// Ref is a relative reference.
func Ref(param, typ, id string) Fact {
	return Fact{Param: param, Sort: typ + "/" + id, Keys: []search.Key{{Param: param, Scope: typ, Value: id}}}
}

// Span is a date or number with its bounds; units are the scopes beside "".
func Span(param, lo, hi string, units ...string) Fact {
	value := string(search.AppendRange(nil, []byte(lo), []byte(hi)))
	f := Fact{Param: param, Sort: lo, Keys: []search.Key{{Param: param, Value: value}}}
	for _, u := range units {
		f.Keys = append(f.Keys, search.Key{Param: param, Scope: u, Value: value})
	}
	return f
}

// Key names the sample's resource.
func (s Sample) Key() store.Key { return store.Key{Type: s.Type, ID: s.ID} }

// Write is the write that stores s as it is.
func (s Sample) Write() store.Write {
	if s.Version == 0 {
		s.Version = 1
	}
	method := store.PUT
	if s.Version == 1 {
		method = store.POST
	}
	facts := s.facts()
	return store.Write{Key: s.Key(), Version: s.Version, LastUpdated: s.At.UTC().Truncate(time.Millisecond), Method: method, Body: s.body(facts), Facts: facts}
}

func (s Sample) facts() *search.Facts {
	facts := &search.Facts{}
	for _, f := range s.Facts {
		facts.Keys = append(facts.Keys, f.Keys...)
		i := slices.IndexFunc(facts.Forward, func(w search.Forward) bool { return w.Param == f.Param })
		if i < 0 {
			facts.Forward = append(facts.Forward, search.Forward{Param: f.Param, Low: f.Sort, High: f.Sort})
			continue
		}
		w := &facts.Forward[i]
		w.Low, w.High = min(w.Low, f.Sort), max(w.High, f.Sort)
	}
	sortFacts(facts)
	return facts
}

func sortFacts(facts *search.Facts) {
	slices.SortFunc(facts.Keys, compareKeys)
	facts.Keys = slices.Compact(facts.Keys)
	slices.SortFunc(facts.Forward, func(a, b search.Forward) int { return strings.Compare(a.Param, b.Param) })
}

func compareKeys(a, b search.Key) int {
	if c := strings.Compare(a.Param, b.Param); c != 0 {
		return c
	}
	if c := strings.Compare(a.Scope, b.Scope); c != 0 {
		return c
	}
	return strings.Compare(a.Value, b.Value)
}

// sampleBody is the JSON form of a sample.
type sampleBody struct {
	ResourceType string      `json:"resourceType"`
	ID           string      `json:"id"`
	Meta         sampleMeta  `json:"meta"`
	Note         string      `json:"note"`
	Keys         [][3]string `json:"keys"`
	Forward      [][3]string `json:"forward"`
}

type sampleMeta struct {
	VersionID   string `json:"versionId"`
	LastUpdated string `json:"lastUpdated"`
}

func (s Sample) body(facts *search.Facts) []byte {
	b := sampleBody{ResourceType: s.Type, ID: s.ID, Note: s.Note,
		Meta: sampleMeta{VersionID: strconv.FormatUint(s.Version, 10), LastUpdated: s.At.UTC().Format("2006-01-02T15:04:05.000Z")}}
	for _, k := range facts.Keys {
		b.Keys = append(b.Keys, [3]string{k.Param, k.Scope, k.Value})
	}
	for _, f := range facts.Forward {
		b.Forward = append(b.Forward, [3]string{f.Param, f.Low, f.High})
	}
	out, err := json.Marshal(b)
	if err != nil {
		panic(fmt.Sprintf("storetest: a sample has no JSON form: %v", err)) // strings and arrays of strings always have one
	}
	return out
}

// Index finds the facts that a sample's body carries.
func Index(body []byte) (*search.Facts, error) {
	var b sampleBody
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, fmt.Errorf("index a sample: %w", err)
	}
	facts := &search.Facts{}
	for _, k := range b.Keys {
		facts.Keys = append(facts.Keys, search.Key{Param: k[0], Scope: k[1], Value: k[2]})
	}
	for _, f := range b.Forward {
		facts.Forward = append(facts.Forward, search.Forward{Param: f[0], Low: f[1], High: f[2]})
	}
	sortFacts(facts)
	return facts, nil
}

func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }
