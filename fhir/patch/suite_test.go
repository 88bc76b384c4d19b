package patch

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"meridian/fhir/codec"
	"meridian/fhir/fhirtest"
	"meridian/fhir/issue"
)

// suiteFile reads a file of the published suites, which are not part of the checkout.
func suiteFile(t *testing.T, name string) []byte {
	dir := os.Getenv("MERIDIAN_SUITES")
	if dir == "" {
		dir = filepath.Join(fhirtest.ModuleRoot(t), "..", "shared", "suites")
	}
	data, err := os.ReadFile(filepath.Join(dir, "patch-r4", name))
	if err != nil {
		t.Skipf("SKIPPED: the patch suite (MERIDIAN_SUITES/patch-r4/%s) is not here", name)
	}
	return data
}

// TestJSONPatchSuite runs every case of the published JSON Patch suite.
func TestJSONPatchSuite(t *testing.T) {
	var cases []struct {
		Comment, Error       string
		Doc, Patch, Expected json.RawMessage
	}
	if err := json.Unmarshal(suiteFile(t, "json-patch-tests.json"), &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) != 16 {
		t.Errorf("the suite has %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.Comment, func(t *testing.T) {
			p, err := ParseJSON(c.Patch, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			d, err := p.applyText(c.Doc)
			switch {
			case c.Error != "" && (err == nil || issue.As(err) == nil):
				t.Errorf("no error for clients, %v, where there is one: %s", err, c.Error)
			case c.Error == "" && err != nil:
				t.Error(err)
			case c.Error == "":
				if diff := fhirtest.DiffValues(c.Expected, d.root.append(nil)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// suiteXML is one resource inside the suite, as text.
type suiteXML struct {
	Inner string `xml:",innerxml"`
}

// TestFHIRPathPatchSuite runs every case of the published FHIRPath Patch suite.
func TestFHIRPathPatchSuite(t *testing.T) {
	var suite struct {
		Cases []struct {
			Name   string   `xml:"name,attr"`
			Input  suiteXML `xml:"input"`
			Diff   suiteXML `xml:"diff"`
			Output suiteXML `xml:"output"`
			Error  struct {
				Text string `xml:"msg,attr"`
			} `xml:"error"`
		} `xml:"case"`
	}
	if err := xml.Unmarshal(suiteFile(t, "fhir-patch-tests.xml"), &suite); err != nil {
		t.Fatal(err)
	}
	if len(suite.Cases) != 33 {
		t.Errorf("the suite has %d cases", len(suite.Cases))
	}
	for _, c := range suite.Cases {
		t.Run(c.Name, func(t *testing.T) {
			params, err := codec.ParseXML([]byte(c.Diff.Inner), codec.Options{Type: "Parameters"})
			if err != nil {
				t.Fatal(err)
			}
			p, err := ParseParameters(params.Root(), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			tree, err := p.Apply(Target{Body: fromXML(t, []byte(c.Input.Inner)), Parser: codec.NewParser(codec.Options{})})
			switch {
			case c.Error.Text != "" && (err == nil || issue.As(err) == nil):
				t.Errorf("no error for clients, %v, where there is one: %s", err, c.Error.Text)
			case c.Error.Text == "" && err != nil:
				t.Error(err)
			case c.Error.Text == "":
				got := codec.AppendJSON(nil, tree.Root(), nil)
				if diff := fhirtest.DiffValues(oneSpace(fromXML(t, []byte(c.Output.Inner))), oneSpace(got)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// fromXML gives a resource of the suite as JSON.
func fromXML(t *testing.T, src []byte) []byte {
	t.Helper()
	body, err := codec.NewXMLReader(codec.Options{}).JSON(src)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// oneSpace makes of all space between the tags of a narrative a single one, since the
// suite indents the two sides of a case differently, and of &quot; the quote that it is.
func oneSpace(body []byte) []byte {
	body = bytes.ReplaceAll(body, []byte("&quot;"), []byte(`\"`))
	body = regexp.MustCompile(`(\\n|\\r|\\t| )+`).ReplaceAll(body, []byte(" "))
	return bytes.ReplaceAll(body, []byte("> <"), []byte("><"))
}
