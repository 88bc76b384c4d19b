package interaction

import (
	"testing"

	"meridian/fhir/codec"
	"meridian/fhir/element"
)

func parseTest(t testing.TB, body string) element.Node {
	t.Helper()
	tree, err := codec.Parse([]byte(body), codec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return tree.Root()
}

// https://hl7.org/fhir/R4/bundle.html#references
func TestLinksResolveByTheRulesOfBundles(t *testing.T) {
	l := linker{byURL: map[string]place{
		"urn:uuid:a":                        {"Patient/1", 3},
		"http://lis.example/f/Patient/7":    {"Patient/2", 1},
		"Patient/9":                         {"Patient/10", 1},
		"urn:oid:1.2.3":                     {"Patient/4", 1},
		"http://example.org/fhir/Patient/5": {"Patient/5", 1},
	}}
	for _, tc := range []struct{ name, link, fullURL, want string }{
		{"a urn is replaced", "urn:uuid:a", "", "Patient/1"},
		{"another urn is none of them", "urn:uuid:b", "", ""},
		{"a urn in capital letters is the same", "URN:UUID:A", "", "Patient/1"},
		{"a fragment behind it is kept", "urn:uuid:a#part", "", "Patient/1#part"},
		{"a fragment behind a version too", "urn:uuid:a/_history/9#part", "", "Patient/1/_history/3#part"},
		{"a fragment behind an address is kept", "http://lis.example/f/Patient/7#part", "urn:uuid:x", "Patient/2#part"},
		{"an oid", "URN:oid:1.2.3", "", "Patient/4"},
		{"a versioned link keeps a version, the new one", "urn:uuid:a/_history/9", "", "Patient/1/_history/3"},
		{"an absolute link is replaced", "http://lis.example/f/Patient/7", "urn:uuid:x", "Patient/2"},
		{"a relative link is resolved against the root of its entry", "Patient/7", "http://lis.example/f/Observation/1", "Patient/2"},
		{"with a version too", "Patient/7/_history/4", "http://lis.example/f/Observation/1", "Patient/2/_history/1"},
		{"not against another root", "Patient/7", "http://other.example/f/Observation/1", ""},
		{"not when the entry's fullUrl is a urn", "Patient/7", "urn:uuid:x", ""},
		{"a fullUrl without base matches as it stands", "Patient/9", "", "Patient/10"},
		{"a fragment stays", "#a", "", ""},
		{"an empty link stays", "", "", ""},
		{"of an absolute link only the address is kept", "http://example.org/fhir/Patient/5", "", "Patient/5"},
	} {
		if got := l.resolve(tc.link, restfulRoot(tc.fullURL)); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestRootOfARestfulFullURL(t *testing.T) {
	for in, want := range map[string]string{
		"http://x/fhir/Patient/1": "http://x/fhir/", "https://x/Patient/1": "https://x/", "http://x/fhir/Pazient/1": "", "urn:uuid:1": "",
		"Patient/1": "", "http://x/fhir/Patient/": "",
	} {
		if got := restfulRoot(in); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func TestLinksInNarrative(t *testing.T) {
	for _, tc := range []struct{ tag, want string }{
		{`<a href="x"`, "x"}, {`<a href='x'`, "x"}, {`<a class="href" href = "x" id="y"`, "x"}, {`<a data-href="n" href="x"`, "x"},
		{`<img alt="src" src="x"/`, "x"}, {`<abbr href="x"`, ""}, {`<a name="x"`, ""}, {`<img href="x"`, ""}, {`<a href="x`, ""}, {`<a`, ""}, {`</a`, ""},
	} {
		got := ""
		if from, to, ok := linkAttribute([]byte(tc.tag)); ok {
			got = tc.tag[from:to]
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.tag, got, tc.want)
		}
	}
}

// A bundle inside a transaction is a resource of its own: its entries refer to each other.
func TestEntriesOfAStoredBundleKeepTheirLinks(t *testing.T) {
	root := parseTest(t, `{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:uuid:a","resource":{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"urn:uuid:a"}}}]}`)
	l := linker{byURL: map[string]place{"urn:uuid:a": {"Patient/1", 1}}, conditional: func(string) (string, error) { return "", nil }}
	edit, err := l.links(&entry{root: root}, root, nil)
	if err != nil || edit != nil {
		t.Errorf("edit %v, %v; want none", edit, err)
	}
}

func TestOnlyReferencesUrisAndNarrativeHoldLinks(t *testing.T) {
	root := parseTest(t, `{"resourceType":"DocumentReference","status":"current","description":"urn:uuid:a","masterIdentifier":{"system":"urn:uuid:a","value":"urn:uuid:a"},"subject":{"reference":"urn:uuid:a","display":"urn:uuid:a"},"content":[{"attachment":{"url":"urn:uuid:a","title":"urn:uuid:a"}}]}`)
	l := linker{byURL: map[string]place{"urn:uuid:a": {"Patient/1", 1}}, conditional: func(string) (string, error) { return "", nil }}
	edit, err := l.links(&entry{root: root}, root, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := string(codec.AppendJSON(nil, root, edit))
	want := `{"resourceType":"DocumentReference","status":"current","description":"urn:uuid:a","masterIdentifier":{"system":"Patient/1","value":"urn:uuid:a"},"subject":{"reference":"Patient/1","display":"urn:uuid:a"},"content":[{"attachment":{"url":"Patient/1","title":"urn:uuid:a"}}]}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func FuzzNarrative(f *testing.F) {
	f.Add(`<div xmlns="http://www.w3.org/1999/xhtml"><a href="urn:uuid:a">x</a><img src='urn:uuid:a'/></div>`)
	f.Add(`<a href = "urn:uuid:a`)
	f.Add(`<a href=`)
	l := linker{byURL: map[string]place{"urn:uuid:a": {"Patient/1", 1}}}
	f.Fuzz(func(t *testing.T, div string) {
		body := append(codec.AppendString([]byte(`{"resourceType":"Patient","text":{"status":"generated","div":`), div), `}}`...)
		tree, err := codec.Parse(body, codec.Options{})
		if err != nil {
			return
		}
		n := tree.Root().Path("text", "div")
		if got := l.narrative(n, ""); got != "" && l.narrative(parseTest(t, string(append(codec.AppendString([]byte(`{"resourceType":"Patient","text":{"status":"generated","div":`), got), `}}`...))).Path("text", "div"), "") != "" {
			t.Errorf("%q is rewritten twice", div)
		}
	})
}
