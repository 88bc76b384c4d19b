package rest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"meridian/fhir/codec"
	"meridian/fhir/schema"
	"meridian/server/interaction"
)

func capability(t *testing.T, s *server) *interaction.CapabilityRest {
	t.Helper()
	w := s.send("GET", "/fhir/metadata", "")
	if w.Code != http.StatusOK {
		t.Fatalf("metadata: %d", w.Code)
	}
	if _, err := codec.Parse(w.Body.Bytes(), codec.Options{Type: "CapabilityStatement"}); err != nil {
		t.Errorf("the CapabilityStatement is not valid: %v", err)
	}
	c := new(interaction.Capability)
	if err := json.Unmarshal(w.Body.Bytes(), c); err != nil {
		t.Fatal(err)
	}
	return &c.Rest[0]
}

// sample is a value that a parameter of a type takes.
var sample = map[string]string{"number": "1", "date": "2026-01-01", "string": "x", "token": "x", "reference": "Patient/1", "quantity": "1", "uri": "http://example.org/x"}

// Every search parameter of every type answers, alone and with each modifier; a composite and
// the special ones with values of their own.
func TestEverySearchParameterThatIsClaimedIsSearched(t *testing.T) {
	s := newServer(t, mapBackend)
	rest := capability(t, s)
	n := 0
	for i := range rest.Resource {
		r := &rest.Resource[i]
		for _, p := range r.SearchParam {
			for _, q := range queriesOf(t, s, r.Type, &p) {
				n++
				if w := s.send("GET", "/fhir/"+r.Type+"?_count=1&"+q, ""); w.Code != http.StatusOK {
					t.Errorf("%s?%s: %d %s", r.Type, q, w.Code, w.Body)
				}
			}
		}
	}
	t.Logf("%d searches", n)
}

func queriesOf(t *testing.T, s *server, typ string, p *interaction.CapabilityParam) (out []string) {
	value := sample[p.Type]
	switch {
	case p.Name == "near":
		value = "31.2|121.5|10|km"
	case p.Name == "_filter":
		value = "_id eq x"
	case p.Name == "_has":
		return []string{"_has:Provenance:target:_id=x"}
	case p.Type == "composite":
		value = compositeSample(t, s, typ, p.Name)
	case p.Type == "special":
		value = "x"
	}
	out = append(out, p.Name+"="+url.QueryEscape(value))
	param, ok := s.service.Registry().Param(typ, p.Name)
	if !ok {
		t.Fatalf("%s has no %s", typ, p.Name)
	}
	for _, m := range s.service.Registry().Modifiers(param) {
		v := value
		switch m {
		case "missing":
			v = "true"
		case "identifier":
			v = "urn:x|1"
		case "in", "not-in":
			v = "http://hl7.org/fhir/ValueSet/administrative-gender"
		case "of-type":
			v = "urn:x|MR|1"
		case "[type]":
			if len(param.Targets) == 0 {
				continue
			}
			m, v = "", "1"
			out = append(out, p.Name+":"+param.Targets[0]+"=1")
			continue
		case "above", "below":
			switch p.Type {
			case "reference":
				v = "http://example.org/q|1"
			case "token":
				v = "http://hl7.org/fhir/administrative-gender|male"
			}
			for _, target := range []string{"CarePlan", "Encounter", "Location", "Organization", "ResearchStudy", "Specimen", "Task"} {
				if p.Type == "reference" && slices.Contains(param.Targets, target) {
					v = target + "/1" // these have a hierarchy
				}
			}
		}
		out = append(out, p.Name+":"+string(m)+"="+url.QueryEscape(v))
	}
	return out
}

// compositeSample asks the server what it takes: the parts by their kinds, joined by a dollar.
func compositeSample(t *testing.T, s *server, typ, name string) string {
	t.Helper()
	values := []string{"1", "2026-01-01", "urn:x|1", "Patient/1", "http://x"}
	for _, a := range values {
		for _, b := range values {
			if w := s.send("GET", "/fhir/"+typ+"?"+name+"="+url.QueryEscape(a+"$"+b), ""); w.Code == http.StatusOK {
				return a + "$" + b
			}
		}
	}
	for _, a := range values {
		if v := a + "$1$1"; s.send("GET", "/fhir/"+typ+"?"+name+"="+url.QueryEscape(v), "").Code == http.StatusOK {
			return v
		}
	}
	t.Errorf("%s: no value of the composite %s is taken", typ, name)
	return "x$x"
}

// rest.searchParam: "these search parameters should include the control search parameters such as _sort, _count",
// https://hl7.org/fhir/R4/capabilitystatement-definitions.html#CapabilityStatement.rest.searchParam
func TestEveryParameterOfAllTypesThatIsClaimedIsTaken(t *testing.T) {
	s := newServer(t, mapBackend)
	values := map[string]string{
		"_id": "x", "_lastUpdated": "2026-01-01", "_profile": "http://x/p", "_security": "x", "_source": "http://x", "_tag": "x",
		"_contained": "true", "_containedType": "contained", "_content": "word", "_count": "1", "_elements": "active", "_explain": "true", "_filter": "active eq true", "_format": "json",
		"_has:Observation:subject:code": "x", "_include": "Patient:link", "_list": "x", "_not-referenced": "Observation:subject", "_pretty": "true",
		"_revinclude": "Observation:subject", "_sort": "_id", "_summary": "data", "_total": "none", "_type": "Patient",
	}
	var claimed, known []string
	for name, v := range values {
		path := "/fhir/Patient?" + name + "="
		if name == "_type" {
			path = "/fhir?_type="
		}
		if w := s.send("GET", path+url.QueryEscape(v), ""); w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		known = append(known, strings.SplitN(name, ":", 2)[0])
	}
	for _, p := range capability(t, s).SearchParam {
		claimed = append(claimed, p.Name)
		if p.Definition == "" {
			continue
		}
		if w := s.send("GET", "/fhir?"+p.Name+"="+url.QueryEscape(values[p.Name]), ""); w.Code != http.StatusOK {
			t.Errorf("of all types by %s: %d %s", p.Name, w.Code, w.Body)
		}
	}
	slices.Sort(known)
	if !slices.Equal(claimed, known) {
		t.Errorf("claimed are %q, taken are %q", claimed, known)
	}
}

func TestEveryIncludeThatIsClaimedIsTaken(t *testing.T) {
	s := newServer(t, mapBackend)
	rest := capability(t, s)
	for i := range rest.Resource {
		r := &rest.Resource[i]
		for name, list := range map[string][]string{"_include": r.SearchInclude, "_revinclude": r.SearchRevInclude} {
			for _, v := range list {
				if w := s.send("GET", "/fhir/"+r.Type+"?_count=1&"+name+"="+url.QueryEscape(v), ""); w.Code != http.StatusOK {
					t.Errorf("%s?%s=%s: %d %s", r.Type, name, v, w.Code, w.Body)
				}
			}
		}
	}
}

// notReached are the issues of an address or a method that there is not.
var notReached = regexp.MustCompile(`"code":"(route\.unknown|method\.unknown|operation\.unknown|operation\.level|operation\.method|type\.unknown)"`)

func TestEveryOperationThatIsClaimedIsReached(t *testing.T) {
	s := newServer(t, mapBackend)
	rest := capability(t, s)
	reach := func(name, path string) {
		for _, method := range []string{"GET", "POST"} {
			w := s.send(method, path, "")
			if w.Code >= 500 || notReached.Match(w.Body.Bytes()) && !(method == "GET" && w.Code == http.StatusMethodNotAllowed) {
				t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
			}
		}
	}
	for _, o := range rest.Operation {
		reach(o.Name, "/fhir/$"+o.Name)
	}
	definitions := s.service.OperationDefinitions()
	for i := range rest.Resource {
		r := &rest.Resource[i]
		for _, o := range r.Operation {
			for _, d := range definitions {
				if d.Name == o.Name && d.On(interaction.TypeLevel, r.Type) {
					reach(o.Name, "/fhir/"+r.Type+"/$"+o.Name)
				}
				if d.Name == o.Name && d.On(interaction.InstanceLevel, r.Type) {
					reach(o.Name, "/fhir/"+r.Type+"/1/$"+o.Name)
				}
			}
		}
	}
}

// Every interaction of every type, called on an empty server with the smallest body.
func TestEveryInteractionThatIsClaimedIsReached(t *testing.T) {
	s := newServer(t, mapBackend)
	rest := capability(t, s)
	for i := range rest.Resource {
		r := &rest.Resource[i]
		for _, x := range r.Interaction {
			at := "/fhir/" + r.Type
			body := `{"resourceType":"` + r.Type + `"}`
			var method, path string
			header := []string{}
			switch x.Code {
			case "read":
				method, path, body = "GET", at+"/none", ""
			case "vread":
				method, path, body = "GET", at+"/none/_history/1", ""
			case "update":
				method, path = "PUT", at+"/a"
			case "patch":
				method, path, body, header = "PATCH", at+"/none", `[{"op":"add","path":"/language","value":"zh"}]`, []string{"Content-Type", "application/json-patch+json"}
			case "delete":
				method, path, body = "DELETE", at+"/none", ""
			case "history-instance":
				method, path, body = "GET", at+"/none/_history", ""
			case "history-type":
				method, path, body = "GET", at+"/_history", ""
			case "create":
				method, path = "POST", at
			case "search-type":
				method, path, body = "GET", at, ""
			default:
				t.Errorf("%s: the interaction %s is not tested", r.Type, x.Code)
				continue
			}
			if w := s.send(method, path, body, header...); w.Code >= 405 && w.Code != 410 && w.Code != 422 || notReached.Match(w.Body.Bytes()) {
				t.Errorf("%s of %s: %d %s", x.Code, r.Type, w.Code, w.Body)
			}
		}
	}
	for _, x := range rest.Interaction {
		var w int
		switch x.Code {
		case "batch", "transaction":
			w = s.send("POST", "/fhir", `{"resourceType":"Bundle","type":"`+x.Code+`"}`).Code
		case "history-system":
			w = s.send("GET", "/fhir/_history", "").Code
		case "search-system":
			w = s.send("GET", "/fhir?_type=Patient,Observation&_id=x", "").Code
		default:
			t.Errorf("the interaction %s is not tested", x.Code)
		}
		if w != http.StatusOK {
			t.Errorf("%s: %d", x.Code, w)
		}
	}
	for _, c := range rest.Compartment {
		code := c[strings.LastIndexByte(c, '/')+1:]
		code = strings.ToUpper(code[:1]) + code[1:]
		if i := slices.IndexFunc(schema.ResourceTypes(), func(t string) bool { return strings.EqualFold(t, code) }); i >= 0 {
			code = schema.ResourceTypes()[i]
		}
		put := s.send("PUT", "/fhir/"+code+"/c", `{"resourceType":"`+code+`","id":"c"`+map[string]string{
			"Encounter": `,"status":"planned","class":{"code":"AMB"}`, "RelatedPerson": `,"patient":{"reference":"Patient/c"}`}[code]+`}`)
		if w := s.send("GET", "/fhir/"+code+"/c/Observation", ""); w.Code != http.StatusOK {
			t.Errorf("compartment %s: %d %s (put %d)", code, w.Code, w.Body, put.Code)
		}
	}
}

func TestEveryFormatThatIsClaimedIsAnswered(t *testing.T) {
	s := newServer(t, mapBackend)
	s.send("PUT", "/fhir/Patient/p", `{"resourceType":"Patient","id":"p"}`)
	for _, f := range interaction.Formats() {
		if w := s.send("GET", "/fhir/Patient/p?_format="+url.QueryEscape(f), ""); w.Code != http.StatusOK {
			t.Errorf("_format=%s: %d", f, w.Code)
		}
	}
}

func TestMetadataModes(t *testing.T) {
	s := newServer(t, mapBackend)
	for query, want := range map[string]string{
		"":                  "CapabilityStatement",
		"?mode=full":        "CapabilityStatement",
		"?mode=normative":   "CapabilityStatement",
		"?mode=terminology": "TerminologyCapabilities",
		"?_summary=true":    "CapabilityStatement",
		"?mode=other":       "OperationOutcome",
		"?name=x":           "OperationOutcome",
	} {
		w := s.send("GET", "/fhir/metadata"+query, "")
		tree, err := codec.Parse(w.Body.Bytes(), codec.Options{AnyCardinality: true})
		if err != nil || tree.Root().Type().Name != want {
			t.Errorf("%q: %d %v", query, w.Code, err)
		}
	}
	for path, want := range map[string]string{"": "POST", "/metadata": "GET", "/Patient/$match": "POST", "/Patient/1/_history": "GET"} {
		w := s.send("OPTIONS", "/fhir"+path, "")
		if w.Code != http.StatusNoContent || !strings.Contains(w.Header().Get("Allow"), want) {
			t.Errorf("OPTIONS %s: %d %v", path, w.Code, w.Header())
		}
	}
}

// TerminologyCapabilities lists the parameters of $expand that are taken, and no other one is.
func TestEveryExpansionParameterThatIsClaimedIsTaken(t *testing.T) {
	s := newServer(t, mapBackend)
	var c struct {
		Expansion struct{ Parameter []struct{ Name string } }
	}
	if err := json.Unmarshal(s.send("GET", "/fhir/metadata?mode=terminology", "").Body.Bytes(), &c); err != nil {
		t.Fatal(err)
	}
	claimed := map[string]bool{}
	for _, p := range c.Expansion.Parameter {
		claimed[p.Name] = true
	}
	const valueSet = "http://hl7.org/fhir/ValueSet/administrative-gender"
	for name, value := range map[string]string{"url": "", "valueSet": "", "valueSetVersion": "4.0.1", "filter": "m", "offset": "1", "count": "1", "includeDesignations": "true", "designation": "zh", "activeOnly": "true",
		"excludeNested": "true", "excludeNotForUI": "true", "excludePostCoordinated": "true", "displayLanguage": "zh", "exclude-system": "urn:x",
		"context": "urn:x", "contextDirection": "incoming", "date": "2026", "includeDefinition": "true", "system-version": "urn:x|1", "check-system-version": "urn:x|1", "force-system-version": "urn:x|1"} {
		if value == "" {
			delete(claimed, name)
			continue
		}
		w := s.send("GET", "/fhir/ValueSet/$expand?url="+valueSet+"&"+name+"="+url.QueryEscape(value), "")
		if taken := w.Code == http.StatusOK; taken != claimed[name] || !taken && w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d, claimed: %v", name, w.Code, claimed[name])
		}
		delete(claimed, name)
	}
	if len(claimed) > 0 {
		t.Errorf("parameters that the specification does not have: %v", claimed)
	}
}

// The OpenAPI document: references resolve, what stands in braces is declared, ids are unique, and every path and method is one of the server's.
func TestOpenAPIIsTrue(t *testing.T) {
	s := newServer(t, mapBackend)
	w := s.send("GET", "/openapi.json", "")
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	t.Logf("%d bytes", w.Body.Len())
	var doc map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if v, _ := doc["openapi"].(string); !strings.HasPrefix(v, "3.0.") {
		t.Errorf("openapi: %q", v)
	}
	checkRefs(t, doc, doc)
	ids := map[string]bool{}
	braces := regexp.MustCompile(`\{([a-z]+)\}`)
	for path, item := range doc["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			at := method + " " + path
			o := op.(map[string]any)
			id, _ := o["operationId"].(string)
			if id == "" || ids[id] {
				t.Errorf("%s: operationId %q is not unique", at, id)
			}
			ids[id] = true
			if _, ok := o["responses"].(map[string]any); !ok {
				t.Errorf("%s: no responses", at)
			}
			params := fmt.Sprint(o["parameters"])
			for _, m := range braces.FindAllStringSubmatch(path, -1) {
				if !strings.Contains(params, "#/components/parameters/"+m[1]) {
					t.Errorf("%s: {%s} is not declared", at, m[1])
				}
			}
			target := strings.NewReplacer("{id}", "none", "{version}", "1", "{type}", "Observation", "{token}", "none").Replace(path)
			if w := s.send(strings.ToUpper(method), "/fhir"+target, ""); notReached.Match(w.Body.Bytes()) {
				t.Errorf("%s is no address of the server: %d %s", at, w.Code, w.Body)
			}
		}
	}
}

// What is searched by more than one type, and what an asynchronous request leads to, stand in it too; and a parameter that
// was added since it was made.
func TestOpenAPIHasWhatTheCapabilityStatementHas(t *testing.T) {
	s := newServer(t, mapBackend)
	document := func() string { return s.send("GET", "/openapi.json", "").Body.String() }
	first := document()
	for _, part := range []string{`"/_search":`, `"/Patient/{id}/{type}":`, `"/RelatedPerson/{id}/{type}":`, `"/_async/{token}":`, `"_filter":`, `"_list":`, `"_explain":`} {
		if !strings.Contains(first, part) {
			t.Errorf("there is no %s", part)
		}
	}
	shoe := `{"resourceType":"SearchParameter","id":"shoe","url":"http://example.org/SearchParameter/shoe-size","name":"ShoeSize","status":"active","description":"Size of shoes",` +
		`"code":"shoe-size","base":["Patient"],"type":"number","expression":"Patient.extension('http://example.org/shoe-size').value"}`
	if w := s.send("PUT", "/fhir/SearchParameter/shoe", shoe, "Content-Type", "application/fhir+json"); w.Code != http.StatusCreated {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if err := s.jobs.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if claimed := s.send("GET", "/fhir/metadata", "").Body.String(); !strings.Contains(claimed, `"shoe-size"`) {
		t.Error("an added parameter is not in metadata")
	}
	if !strings.Contains(document(), `"Patient.shoe-size":`) {
		t.Error("an added parameter is not in OpenAPI")
	}
}

// An operation whose bodies and answers are no resources says so.
func TestOpenAPINamesOtherContentTypes(t *testing.T) {
	s := newServer(t, mapBackend)
	type contents struct{ Content map[string]any }
	var doc struct {
		Paths map[string]map[string]struct {
			RequestBody contents
			Responses   map[string]contents
		}
	}
	if err := json.Unmarshal(s.send("GET", "/openapi.json", "").Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/$graphql", "/Patient/{id}/$graphql"} {
		post := doc.Paths[path]["post"]
		for _, typ := range []string{"application/graphql", "application/json", "application/fhir+json"} {
			if post.RequestBody.Content[typ] == nil {
				t.Errorf("%s: no body of %s", path, typ)
			}
		}
		if ok := post.Responses["200"].Content; len(ok) != 1 || ok["application/json"] == nil {
			t.Errorf("%s answers %v", path, ok)
		}
	}
}

func checkRefs(t *testing.T, doc map[string]any, v any) {
	switch x := v.(type) {
	case map[string]any:
		if r, ok := x["$ref"].(string); ok {
			var at any = doc
			for _, step := range strings.Split(strings.TrimPrefix(r, "#/"), "/") {
				m, _ := at.(map[string]any)
				at = m[step]
			}
			if at == nil {
				t.Errorf("%s names nothing", r)
			}
		}
		for _, c := range x {
			checkRefs(t, doc, c)
		}
	case []any:
		for _, c := range x {
			checkRefs(t, doc, c)
		}
	}
}
