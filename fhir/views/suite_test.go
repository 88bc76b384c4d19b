package views

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"meridian/fhir/codec"
	"meridian/fhir/fhirpath"
	"meridian/fhir/value"
)

// suiteDir is where the published suite of SQL on FHIR lies; it is not part of the checkout.
func suiteDir(t testing.TB) string {
	dir := os.Getenv("MERIDIAN_SUITES")
	if dir == "" {
		dir = "../../../shared/suites"
	}
	dir = filepath.Join(dir, "sql-on-fhir")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("SKIPPED: the suite of SQL on FHIR (MERIDIAN_SUITES/sql-on-fhir) is not here")
	}
	return dir
}

type suiteFile struct {
	Resources []json.RawMessage
	Tests     []suiteTest
}

type suiteTest struct {
	Title         string
	View          map[string]any
	Expect        []map[string]any
	ExpectError   bool
	ExpectColumns []string
}

// TestSuite runs the published suite: every case, none excepted.
func TestSuite(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(suiteDir(t), "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var f suiteFile
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		if err := d.Decode(&f); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, c := range f.Tests {
			if problem := c.run(t, f.Resources); problem != "" {
				t.Errorf("%s: %s: %s", filepath.Base(path), c.Title, problem)
				continue
			}
			passed++
		}
	}
	t.Logf("%d cases of %d files pass", passed, len(files))
}

// run says what is wrong, nothing when the case passes.
func (c *suiteTest) run(t *testing.T, resources []json.RawMessage) string {
	rows, columns, err := c.rows(t, resources)
	switch {
	case c.ExpectError && err == nil:
		return "no error where one is expected"
	case c.ExpectError:
		return ""
	case err != nil:
		return err.Error()
	case c.ExpectColumns != nil && !slices.Equal(columns, c.ExpectColumns):
		return "columns are " + strings.Join(columns, ", ")
	}
	var want []string
	for _, row := range c.Expect {
		want = append(want, canonical(t, row))
	}
	slices.Sort(want)
	slices.Sort(rows)
	if !slices.Equal(rows, want) {
		return "gives\n" + strings.Join(rows, "\n") + "\nwant\n" + strings.Join(want, "\n")
	}
	return ""
}

// rows runs the view over the resources. Those of the suite lack elements that R4 requires, as its views do.
func (c *suiteTest) rows(t *testing.T, resources []json.RawMessage) (rows, columns []string, err error) {
	c.View["resourceType"] = "ViewDefinition"
	text, err := json.Marshal(c.View)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := codec.Parse(text, codec.Options{AnyCardinality: true})
	if err != nil {
		return nil, nil, err
	}
	v, err := Compile(tree.Root())
	if err != nil {
		return nil, nil, err
	}
	for _, col := range v.Columns {
		columns = append(columns, col.Name)
	}
	run := v.NewRunner(fhirpath.Env{})
	for _, body := range resources {
		tree, err := codec.Parse(body, codec.Options{AnyCardinality: true})
		if err != nil {
			t.Fatal(err)
		}
		err = run.Rows(t.Context(), tree.Root(), func(r Row) error {
			var row map[string]any
			d := json.NewDecoder(bytes.NewReader(r.AppendObject(nil)))
			d.UseNumber()
			if err := d.Decode(&row); err != nil {
				return err
			}
			rows = append(rows, canonical(t, row))
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return rows, columns, nil
}

// canonical writes a row with sorted members and numbers without needless places.
func canonical(t *testing.T, row map[string]any) string {
	for k, v := range row {
		if n, ok := v.(json.Number); ok {
			d, err := value.ParseDecimal(n.String())
			if err != nil {
				t.Fatal(err)
			}
			text := d.String()
			if strings.Contains(text, ".") {
				text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
			}
			row[k] = json.Number(text)
		}
	}
	out, err := json.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
