package codec_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/fhirtest"
	"meridian/fhir/schema"
)

// throughXML writes JSON as XML and reads it again.
func throughXML(t *testing.T, json []byte, pretty bool) (xml, again []byte) {
	t.Helper()
	xml, err := toXML(t, json, pretty)
	if err != nil {
		t.Fatal(err)
	}
	back, err := codec.ParseXML(xml, codec.Options{})
	if err != nil {
		t.Fatalf("%v\n%s", err, xml)
	}
	return xml, codec.AppendJSON(nil, back.Root(), nil)
}

func toXML(t *testing.T, json []byte, pretty bool) ([]byte, error) {
	t.Helper()
	tree, err := codec.Parse(json, codec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return codec.AppendXML(nil, tree.Root(), codec.XMLOptions{Pretty: pretty})
}

// Every official example comes back from XML token by token, save for the
// exceptions, and its XML comes back byte for byte.
func TestExamplesThroughXML(t *testing.T) {
	unused := map[string]bool{}
	for name := range xmlExceptions {
		unused[name] = true
	}
	n, size := 0, 0
	for _, ex := range fhirtest.Examples(t) {
		n++
		xml, again := throughXML(t, ex.Body, n%2 == 0)
		size += len(xml)
		d := fhirtest.DiffAnyOrder(ex.Body, again)
		if _, excepted := xmlExceptions[ex.Name]; excepted {
			delete(unused, ex.Name)
			if d == "" {
				t.Errorf("%s is listed as an exception and comes back the same", ex.Name)
			}
			d = fhirtest.DiffValues(ex.Body, again)
		}
		if d != "" {
			t.Errorf("%s: %s", ex.Name, d)
		}
		if twice, _ := throughXML(t, again, n%2 == 0); !bytes.Equal(xml, twice) {
			t.Errorf("%s: the XML of what came back differs", ex.Name)
		}
	}
	if n != 355 {
		t.Errorf("%d examples, want 355", n)
	}
	for name := range unused {
		t.Errorf("exception for %s, which is no example", name)
	}
	t.Logf("%d examples, %d bytes of XML", n, size)
}

// The XML that is published beside the FHIRPath suite is the JSON of the
// examples, but for meta, which the package of the examples has added to.
func TestPublishedXML(t *testing.T) {
	dir := os.Getenv("MERIDIAN_SUITES")
	if dir == "" {
		dir = "../../../shared/suites"
	}
	n := 0
	for _, ex := range fhirtest.Examples(t) {
		name := strings.TrimSuffix(ex.Name, ".json") + ".xml"
		xml, err := os.ReadFile(filepath.Join(dir, "fhirpath-r4", name))
		if err != nil || name == "observation-example.xml" { // which has an extension that the example does not
			continue
		}
		n++
		tree, err := codec.ParseXML(xml, codec.Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want, err := codec.Parse(ex.Body, codec.Options{})
		if err != nil {
			t.Fatal(err)
		}
		noMeta := &codec.Edit{Keep: func(n element.Node) bool { return n.Name() != "meta" || n.Parent().Parent().Valid() }}
		if d := fhirtest.DiffAnyOrder(codec.AppendJSON(nil, want.Root(), noMeta), codec.AppendJSON(nil, tree.Root(), noMeta)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if n == 0 {
		t.Skip("SKIPPED: the XML beside the FHIRPath suite (MERIDIAN_SUITES/fhirpath-r4/*.xml) is not here")
	}
	t.Logf("%d documents", n)
}

// Generated resources that together use every element of every type come back
// value by value: XML has an order of its own and none of JSON's escapes.
func TestGeneratedThroughXML(t *testing.T) {
	n, without, size := 0, 0, 0
	for _, name := range schema.ResourceTypes() {
		for seed := range seeds(name) {
			body := fhirtest.Generate(name, seed)
			if bytes.Contains(body, []byte(`"_div"`)) {
				body = besideDiv.ReplaceAll(body, nil)
			}
			if _, err := codec.Parse(body, codec.Options{}); err != nil {
				without++ // a narrative was nothing but such an id
				continue
			}
			n++
			size += len(body)
			xml, again := throughXML(t, body, seed%4 == 0)
			if d := fhirtest.DiffValues(body, again); d != "" {
				t.Fatalf("%s seed %d: %s\n%s\n%s", name, seed, d, body, xml)
			}
			if seed%4 != 0 {
				continue
			}
			if twice, same := throughXML(t, again, true); !bytes.Equal(xml, twice) || !bytes.Equal(again, same) {
				t.Errorf("%s seed %d: what came back is not stable", name, seed)
			}
		}
	}
	t.Logf("%d resources, %d bytes; left out %d with an id instead of a div", n, size, without)
	if without*10 > n {
		t.Error("too many are left out")
	}
}
