package codec

import (
	"testing"

	"meridian/fhir/element"
)

func parse(t testing.TB, src string) element.Node {
	t.Helper()
	tree, err := Parse([]byte(src), Options{})
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	return tree.Root()
}

func TestAppendJSON(t *testing.T) {
	for _, c := range []struct{ rule, in, want string }{
		{"white space goes", "{ \"resourceType\" : \"Patient\" ,\n\t\"active\" : true }\r\n", `{"resourceType":"Patient","active":true}`},
		{"numbers and escapes stay as they are",
			`{"resourceType":"Observation","status":"final","code":{"text":"a\/b\u00e9\ud83d\ude00é"},"valueQuantity":{"value":1.10e3}}`,
			`{"resourceType":"Observation","status":"final","code":{"text":"a\/b\u00e9\ud83d\ude00é"},"valueQuantity":{"value":1.10e3}}`},
		{"an escaped name is written plainly", `{"resourceType":"Patient","\u0061ctive":true}`, `{"resourceType":"Patient","active":true}`},
		{"resourceType comes first", `{"active":true,"resourceType":"Patient"}`, `{"resourceType":"Patient","active":true}`},
		{"also in contained resources",
			`{"contained":[{"id":"a","resourceType":"Patient"}],"resourceType":"Patient"}`,
			`{"resourceType":"Patient","contained":[{"resourceType":"Patient","id":"a"}]}`},
		{"members keep their order", `{"resourceType":"Patient","gender":"male","active":true,"id":"x"}`, `{"resourceType":"Patient","gender":"male","active":true,"id":"x"}`},
		{"_name moves behind its name",
			`{"resourceType":"Patient","birthDate":"1990","gender":"male","_birthDate":{"id":"b"}}`,
			`{"resourceType":"Patient","birthDate":"1990","_birthDate":{"id":"b"},"gender":"male"}`},
		{"_name before its name moves to it",
			`{"resourceType":"Patient","_birthDate":{"id":"b"},"gender":"male","birthDate":"1990","active":true}`,
			`{"resourceType":"Patient","gender":"male","birthDate":"1990","_birthDate":{"id":"b"},"active":true}`},
		{"a _name array before its name moves to it",
			`{"resourceType":"Patient","name":[{"_given":[{"id":"b"},null],"use":"usual","given":["x","y"],"text":"t"}]}`,
			`{"resourceType":"Patient","name":[{"use":"usual","given":["x","y"],"_given":[{"id":"b"},null],"text":"t"}]}`},
		{"a _name alone", `{"resourceType":"Patient","_birthDate":{"id":"b"}}`, `{"resourceType":"Patient","_birthDate":{"id":"b"}}`},
		{"a _name array alone", `{"resourceType":"Patient","name":[{"_given":[{"id":"b"}]}]}`, `{"resourceType":"Patient","name":[{"_given":[{"id":"b"}]}]}`},
		{"nulls fill both arrays",
			`{"resourceType":"Patient","name":[{"given":["a",null,"c"],"_given":[null,{"id":"b"},null]}]}`,
			`{"resourceType":"Patient","name":[{"given":["a",null,"c"],"_given":[null,{"id":"b"},null]}]}`},
		{"an array of nulls stays",
			`{"resourceType":"Patient","name":[{"given":[null],"_given":[{"id":"b"}]}]}`,
			`{"resourceType":"Patient","name":[{"given":[null],"_given":[{"id":"b"}]}]}`},
		{"a _name array of nulls stays",
			`{"resourceType":"Patient","name":[{"given":["a"],"_given":[null]}]}`,
			`{"resourceType":"Patient","name":[{"given":["a"],"_given":[null]}]}`},
		{"a choice is written with its type", `{"resourceType":"Patient","deceasedDateTime":"2020","_deceasedDateTime":{"id":"b"}}`,
			`{"resourceType":"Patient","deceasedDateTime":"2020","_deceasedDateTime":{"id":"b"}}`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if got := string(AppendJSON(nil, parse(t, c.in), nil)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// Whatever order the members came in, the arena stands in depth-first order.
func TestArenaOrder(t *testing.T) {
	root := parse(t, `{"_birthDate":{"id":"b"},"name":[{"_given":[{"id":"b"},{"id":"c"}],"text":"t","given":["x","y"]}],"birthDate":"1990","resourceType":"Patient"}`)
	next := 0
	var walk func(n element.Node)
	walk = func(n element.Node) {
		if n.Index() != next {
			t.Errorf("%s stands at %d, want %d", n.Location(), n.Index(), next)
		}
		next++
		for c := n.First(); c.Valid(); c = c.Next() {
			if c.Parent() != n {
				t.Errorf("%s has another parent", c.Location())
			}
			walk(c)
		}
	}
	walk(root)
	if next != root.Tree().Len() {
		t.Errorf("%d of %d nodes reached", next, root.Tree().Len())
	}
}

func TestAppendStored(t *testing.T) {
	meta := Meta{"p1", "3", "2026-01-02T03:04:05.678Z"}
	const head = `{"resourceType":"Patient","id":"p1","meta":{"versionId":"3","lastUpdated":"2026-01-02T03:04:05.678Z"`
	for _, c := range []struct{ rule, in, want string }{
		{"a resource without id and meta", `{"resourceType":"Patient","active":true}`, head + `},"active":true}`},
		{"nothing but a type", `{"resourceType":"Patient"}`, head + `}}`},
		{"the client's id, version and time are replaced, the rest of meta stays",
			`{"active":true,"meta":{"tag":[{"code":"a"}],"versionId":"9","lastUpdated":"2000-01-01T00:00:00Z","source":"urn:x"},"resourceType":"Patient","id":"zz"}`,
			head + `,"tag":[{"code":"a"}],"source":"urn:x"},"active":true}`},
		{"extensions of the id stand behind meta",
			`{"resourceType":"Patient","id":"zz","_id":{"id":"q"},"active":true}`, head + `},"_id":{"id":"q"},"active":true}`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got := AppendStored(nil, parse(t, c.in), meta)
			if string(got) != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if again := AppendStored(nil, parse(t, string(got)), meta); string(again) != c.want {
				t.Errorf("stored again it is %s", again)
			}
			m, tail := StoredMeta(got)
			if m != meta || head+string(tail) != c.want {
				t.Errorf("StoredMeta gives %v and %s", m, tail)
			}
			if got := string(StoredType(got)); got != "Patient" {
				t.Errorf("StoredType gives %s", got)
			}
		})
	}
}

func TestStoredMetaOfOtherBytes(t *testing.T) {
	for _, s := range []string{``, `{}`, `{"resourceType":"Patient","active":true}`, `{"resourceType":"Patient","id":"a","meta":{"lastUpdated":"x"}}`,
		`{"resourceType":"Patient","id":"a","meta":{"versionId":"1","lastUpdated":"x`} {
		if m, tail := StoredMeta([]byte(s)); m != (Meta{}) || tail != nil {
			t.Errorf("%s: %v, %s", s, m, tail)
		}
	}
}

func TestSameContent(t *testing.T) {
	stored := func(src string, m Meta) []byte { return AppendStored(nil, parse(t, src), m) }
	a := stored(`{"resourceType":"Patient","active":true}`, Meta{"p", "1", "2026-01-01T00:00:00Z"})
	for _, c := range []struct {
		rule string
		b    []byte
		want bool
	}{
		{"another version and time", stored(`{"resourceType":"Patient","active":true}`, Meta{"p", "12", "2026-01-01T00:00:00.5Z"}), true},
		{"another id", stored(`{"resourceType":"Patient","active":true}`, Meta{"q", "1", "2026-01-01T00:00:00Z"}), false},
		{"another value", stored(`{"resourceType":"Patient","active":false}`, Meta{"p", "1", "2026-01-01T00:00:00Z"}), false},
		{"another type", stored(`{"resourceType":"Practitioner","active":true}`, Meta{"p", "1", "2026-01-01T00:00:00Z"}), false},
		{"a tag more", stored(`{"resourceType":"Patient","meta":{"tag":[{"code":"x"}]},"active":true}`, Meta{"p", "1", "2026-01-01T00:00:00Z"}), false},
		{"no stored form", []byte(`{}`), false},
	} {
		if got := SameContent(a, c.b); got != c.want {
			t.Errorf("%s: %v", c.rule, got)
		}
	}
}

func TestEdit(t *testing.T) {
	const src = `{"resourceType":"Patient","id":"p","meta":{"versionId":"1","tag":[{"code":"x"}]},"active":true,"_active":{"id":"a"},` +
		`"name":[{"family":"Z","given":["a","b"],"_given":[{"id":"q"},null]},{"text":"t"}],"managingOrganization":{"reference":"urn:uuid:1","display":"d"}}`
	root := parse(t, src)
	without := func(names ...string) func(element.Node) bool {
		return func(n element.Node) bool {
			for _, name := range names {
				if n.Name() == name {
					return false
				}
			}
			return true
		}
	}
	reference := root.Path("managingOrganization", "reference").Index()
	const (
		start = `{"resourceType":"Patient","id":"p","meta":{"versionId":"1","tag":[{"code":"x"}]}`
		names = `,"name":[{"family":"Z","given":["a","b"],"_given":[{"id":"q"},null]},{"text":"t"}]`
		org   = `,"managingOrganization":{"reference":"urn:uuid:1","display":"d"}}`
		sub   = `{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}`
	)
	for _, c := range []struct {
		rule string
		edit Edit
		want string
	}{
		{"nothing", Edit{}, src},
		{"a reference is replaced", Edit{Replace: map[int][]byte{reference: []byte(`"Organization/7"`)}},
			start + `,"active":true,"_active":{"id":"a"}` + names + `,"managingOrganization":{"reference":"Organization/7","display":"d"}}`},
		{"a primitive goes with its id", Edit{Keep: without("active")}, start + names + org},
		{"items that lose everything go", Edit{Keep: without("active", "text", "reference")},
			start + `,"name":[{"family":"Z","given":["a","b"],"_given":[{"id":"q"},null]}],"managingOrganization":{"display":"d"}}`},
		{"a primitive's id and extensions are not asked for", Edit{Keep: func(n element.Node) bool { return n.Name() != "id" || n.Parent().Name() == "Patient" }}, src},
		{"a tag is added", Edit{Subsetted: true, Keep: without("name", "active", "managingOrganization", "tag")},
			`{"resourceType":"Patient","id":"p","meta":{"versionId":"1","tag":[{"code":"x"},` + sub + `]}}`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got := string(AppendJSON(nil, root, &c.edit))
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			parse(t, got)
		})
	}
	t.Run("a tag in a meta of its own", func(t *testing.T) {
		got := string(AppendJSON(nil, parse(t, `{"resourceType":"Patient","id":"p","active":true}`), &Edit{Subsetted: true}))
		if want := `{"resourceType":"Patient","id":"p","meta":{"tag":[` + sub + `]},"active":true}`; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
	t.Run("a tag in a meta without tags", func(t *testing.T) {
		got := string(AppendJSON(nil, parse(t, `{"resourceType":"Patient","meta":{"versionId":"1"},"active":true}`), &Edit{Subsetted: true}))
		if want := `{"resourceType":"Patient","meta":{"versionId":"1","tag":[` + sub + `]},"active":true}`; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
	t.Run("the tag is not given twice", func(t *testing.T) {
		in := `{"resourceType":"Patient","meta":{"tag":[` + sub + `]}}`
		if got := string(AppendJSON(nil, parse(t, in), &Edit{Subsetted: true})); got != in {
			t.Errorf("got %s", got)
		}
	})
	t.Run("a part of a resource", func(t *testing.T) {
		if got := string(AppendJSON(nil, root.Child("name").Next(), nil)); got != `{"text":"t"}` {
			t.Errorf("got %s", got)
		}
		if got := string(AppendJSON(nil, root.Child("active"), nil)); got != `true` {
			t.Errorf("got %s", got)
		}
	})
}

func TestAppendPretty(t *testing.T) {
	const in = `{"a":[1,{"b":"x,{}:\"\\"}],"c":{},"d":[]}`
	const want = "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"x,{}:\\\"\\\\\"\n    }\n  ],\n  \"c\": {},\n  \"d\": []\n}"
	if got := string(AppendPretty(nil, []byte(in))); got != want {
		t.Errorf("got %s", got)
	}
}

func TestAppendString(t *testing.T) {
	for in, want := range map[string]string{
		"":               `""`,
		"张三 a/b":         `"张三 a/b"`,
		"\"\\\n\r\t\x01": `"\"\\\n\r\t\u0001"`,
		"a\xffb":         `"a` + "\uFFFD" + `b"`,
	} {
		if got := string(AppendString(nil, in)); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}
