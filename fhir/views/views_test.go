package views

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/issue"
)

func parse(t testing.TB, src string) element.Node {
	t.Helper()
	tree, err := codec.Parse([]byte(src), codec.Options{AnyCardinality: true})
	if err != nil {
		t.Fatal(err)
	}
	return tree.Root()
}

// view compiles the members of a ViewDefinition behind its type.
func view(t testing.TB, members string) (*View, error) {
	return Compile(parse(t, `{"resourceType":"ViewDefinition","status":"active",`+members+`}`))
}

func mustView(t testing.TB, members string) *View {
	t.Helper()
	v, err := view(t, members)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// table writes the rows that resources give, in a format.
func table(t testing.TB, v *View, f Format, resources ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	w, err := v.NewWriter(&out, f, WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	run := v.NewRunner(fhirpath.Env{})
	for _, src := range resources {
		if err := run.Rows(t.Context(), parse(t, src), w.Write); err != nil {
			return "", err
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String(), nil
}

const response = `{"resourceType":"QuestionnaireResponse","id":"q","status":"completed","item":[
{"linkId":"1","item":[{"linkId":"1.1","answer":[{"valueString":"a","item":[{"linkId":"1.1.1"}]}]},{"linkId":"1.2"}]},{"linkId":"2"}]}`

const patient = `{"resourceType":"Patient","id":"p","active":true,"name":[{"family":"王","given":["小","明"]},{"family":"Wang","use":"usual"}],
"_birthDate":{"extension":[{"url":"http://x","valueCode":"unknown"}]},"multipleBirthInteger":2,
"managingOrganization":{"reference":"Organization/o/_history/3"},"generalPractitioner":[{"reference":"Practitioner/1"},{"reference":"http://other/fhir/Practitioner/2"}]}`

const observation = `{"resourceType":"Observation","id":"o","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"2345-7"}],"text":"Gl, \"ser\""},
"subject":{"reference":"Patient/p"},"effectivePeriod":{"start":"2026-01","end":"2026-02-03"},"valueQuantity":{"value":5.40,"unit":"mmol/L"}}`

func TestRows(t *testing.T) {
	for _, c := range []struct{ rule, view, on, want string }{
		{"repeat gives every depth, parents first", `"resource":"QuestionnaireResponse","select":[{"repeat":["item","answer.item"],"column":[{"name":"n","path":"%rowIndex"},{"name":"id","path":"linkId"}]}]`, response,
			`{"n":0,"id":"1"} {"n":1,"id":"1.1"} {"n":2,"id":"1.1.1"} {"n":3,"id":"1.2"} {"n":4,"id":"2"}`},
		{"repeat of one path leaves the other", `"resource":"QuestionnaireResponse","select":[{"repeat":["item"],"column":[{"name":"id","path":"linkId"}]}]`, response,
			`{"id":"1"} {"id":"1.1"} {"id":"1.2"} {"id":"2"}`},
		{"repeat with forEach below", `"resource":"QuestionnaireResponse","select":[{"repeat":["item"],"column":[{"name":"id","path":"linkId"}],"select":[{"forEach":"answer","column":[{"name":"a","path":"value.ofType(string)"}]}]}]`, response,
			`{"id":"1.1","a":"a"}`},
		{"repeat with forEachOrNull below", `"resource":"QuestionnaireResponse","select":[{"repeat":["item"],"column":[{"name":"id","path":"linkId"}],"select":[{"forEachOrNull":"answer","column":[{"name":"a","path":"value.ofType(string)"}]}]}]`, response,
			`{"id":"1","a":null} {"id":"1.1","a":"a"} {"id":"1.2","a":null} {"id":"2","a":null}`},
		{"repeat that finds nothing gives no row", `"resource":"QuestionnaireResponse","select":[{"column":[{"name":"id","path":"id"}]},{"repeat":["contained.children()"],"column":[{"name":"x","path":"'x'"}]}]`, response, ``},
		{"keys join", `"resource":"Patient","select":[{"column":[{"name":"id","path":"getResourceKey()"},{"name":"org","path":"managingOrganization.getReferenceKey()"}]}]`, patient,
			`{"id":"Patient/p","org":"Organization/o"}`},
		{"a reference of another type has no key", `"resource":"Observation","select":[{"column":[{"name":"p","path":"subject.getReferenceKey(Patient)"},{"name":"g","path":"subject.getReferenceKey(Group)"}]}]`, observation,
			`{"p":"Patient/p","g":null}`},
		{"references by URL have no key", `"resource":"Patient","select":[{"column":[{"name":"gp","path":"generalPractitioner.getReferenceKey()","collection":true}]}]`, patient, `{"gp":["Practitioner/1"]}`},
		{"decimals as sent", `"resource":"Observation","select":[{"column":[{"name":"v","path":"value.ofType(Quantity).value"}]}]`, observation, `{"v":5.40}`},
		{"boundaries of a Period", `"resource":"Observation","select":[{"column":[{"name":"lo","path":"effective.ofType(Period).lowBoundary()"},{"name":"hi","path":"effective.ofType(Period).highBoundary()"}]}]`, observation,
			`{"lo":"2026-01-01T00:00:00.000+14:00","hi":"2026-02-03T23:59:59.999-12:00"}`},
		{"a complex value", `"resource":"Patient","select":[{"forEach":"name","column":[{"name":"n","path":"$this","type":"HumanName"}]}]`, patient,
			`{"n":{"family":"王","given":["小","明"]}} {"n":{"family":"Wang","use":"usual"}}`},
		{"a primitive without a value is null", `"resource":"Patient","select":[{"column":[{"name":"b","path":"birthDate"}]}]`, patient, `{"b":null}`},
		{"a nested select repeats its parent", `"resource":"Patient","select":[{"column":[{"name":"id","path":"id"}],"select":[{"forEach":"name","column":[{"name":"f","path":"family"}],"select":[{"forEachOrNull":"given","column":[{"name":"g","path":"$this"}]}]}]}]`, patient,
			`{"id":"p","f":"王","g":"小"} {"id":"p","f":"王","g":"明"} {"id":"p","f":"Wang","g":null}`},
		{"siblings are joined each with each", `"resource":"Patient","select":[{"forEach":"name[0].given","column":[{"name":"g","path":"$this"}]},{"forEach":"name","column":[{"name":"f","path":"family"}]}]`, patient,
			`{"g":"小","f":"王"} {"g":"小","f":"Wang"} {"g":"明","f":"王"} {"g":"明","f":"Wang"}`},
		{"another type gives no rows", `"resource":"Patient","select":[{"column":[{"name":"id","path":"id"}]}]`, observation, ``},
		{"join of names", `"resource":"Patient","select":[{"column":[{"name":"g","path":"name.given.join('·')"}]}]`, patient, `{"g":"小·明"}`},
		{"constants", `"resource":"Patient","constant":[{"name":"use","valueCode":"usual"}],"where":[{"path":"name.exists(use = %use)"}],"select":[{"column":[{"name":"f","path":"name.where(use = %use).family"}]}]`, patient, `{"f":"Wang"}`},
		{"the null row has no literals", `"resource":"Patient","select":[{"forEachOrNull":"contact","column":[{"name":"i","path":"%rowIndex"},{"name":"l","path":"'x'"},{"name":"c","path":"name.given","collection":true}]}]`, patient, `{"i":0,"l":null,"c":null}`},
		{"an unsure type is checked", `"resource":"Patient","select":[{"column":[{"name":"x","path":"extension('u').children().first()","type":"string"}]}]`, patient, `{"x":null}`},
		{"an integer is a decimal", `"resource":"Patient","select":[{"column":[{"name":"m","path":"multipleBirth.ofType(integer)","type":"decimal"}]}]`, patient, `{"m":2}`},
	} {
		got, err := table(t, mustView(t, c.view), NDJSON, c.on)
		if got = strings.ReplaceAll(strings.TrimSpace(got), "\n", " "); err != nil || got != c.want {
			t.Errorf("%s: %s (%v), want %s", c.rule, got, err, c.want)
		}
	}
}

func TestBadViews(t *testing.T) {
	const ok = `"select":[{"column":[{"name":"id","path":"id"}]}]`
	col := func(members string) string { return `"resource":"Patient","select":[{"column":[{` + members + `}]}]` }
	for _, c := range []struct {
		rule, view, at, text string
		code                 issue.Code
	}{
		{"no resource", ok, "ViewDefinition", "names the resource type", issue.Required},
		{"no such resource", `"resource":"Patiant",` + ok, "ViewDefinition.resource", "no resource type", issue.CodeInvalid},
		{"no select", `"resource":"Patient"`, "ViewDefinition", "has a select", issue.Required},
		{"an empty select", `"resource":"Patient","select":[{"forEach":"name"}]`, "ViewDefinition.select[0]", "columns, selects or a union", issue.Required},
		{"no FHIRPath", col(`"name":"a","path":"@@"`), "ViewDefinition.select[0].column[0].path", "1:1", issue.Invalid},
		{"an unknown element", col(`"name":"a","path":"name.firstName"`), "ViewDefinition.select[0].column[0].path", `HumanName has no element "firstName"`, issue.Invalid},
		{"an unknown function", col(`"name":"a","path":"name.foo()"`), "ViewDefinition.select[0].column[0].path", "no function", issue.Invalid},
		{"an unknown constant", col(`"name":"a","path":"%x"`), "ViewDefinition.select[0].column[0].path", "no variable %x", issue.Invalid},
		{"a choice without ofType", `"resource":"Observation","select":[{"column":[{"name":"a","path":"valueQuantity.value"}]}]`, "ViewDefinition.select[0].column[0].path", "write value.ofType(Quantity)", issue.Invalid},
		{"a column of several types", col(`"name":"a","path":"deceased"`), "ViewDefinition.select[0].column[0]", "one type", issue.Value},
		{"no primitive and no type", col(`"name":"a","path":"name"`), "ViewDefinition.select[0].column[0]", "needs a type", issue.Required},
		{"an unknown type", col(`"name":"a","path":"id","type":"text"`), "ViewDefinition.select[0].column[0].type", "no such type", issue.CodeInvalid},
		{"another type", col(`"name":"a","path":"birthDate","type":"boolean"`), "ViewDefinition.select[0].column[0].type", "the path gives date", issue.Value},
		{"a bad name", col(`"name":"a b","path":"id"`), "ViewDefinition.select[0].column[0].name", "letters, digits", issue.Value},
		{"no name", col(`"path":"id"`), "ViewDefinition.select[0].column[0]", "has a name", issue.Required},
		{"no path", col(`"name":"id"`), "ViewDefinition.select[0].column[0]", "path is missing", issue.Required},
		{"a column twice", `"resource":"Patient","select":[{"column":[{"name":"a","path":"id"}]},{"column":[{"name":"a","path":"id"}]}]`, "ViewDefinition.select[1].column[0]", "there already", issue.Duplicate},
		{"forEach and forEachOrNull", `"resource":"Patient","select":[{"forEach":"name","forEachOrNull":"name","column":[{"name":"a","path":"family"}]}]`, "ViewDefinition.select[0]", "one of", issue.Invariant},
		{"forEach and repeat", `"resource":"Patient","select":[{"forEach":"name","repeat":["name"],"column":[{"name":"a","path":"family"}]}]`, "ViewDefinition.select[0]", "one of", issue.Invariant},
		{"forEach of nothing that is", `"resource":"Patient","select":[{"forEach":"nam","column":[{"name":"a","path":"family"}]}]`, "ViewDefinition.select[0].forEach", "no element", issue.Invalid},
		{"a path of the wrong context", `"resource":"Patient","select":[{"forEach":"name","column":[{"name":"a","path":"Patient.id"}]}]`, "ViewDefinition.select[0].column[0].path", "the context is HumanName", issue.Invalid},
		{"repeat of nothing that is", `"resource":"Patient","select":[{"repeat":["item"],"column":[{"name":"a","path":"'x'"}]}]`, "ViewDefinition.select[0].repeat[0]", "no element", issue.Invalid},
		{"where is no boolean", `"resource":"Patient","where":[{"path":"name.family"}],` + ok, "ViewDefinition.where[0].path", "a condition is a boolean", issue.Value},
		{"where is an element", `"resource":"Patient","where":[{"path":"name"}],` + ok, "ViewDefinition.where[0].path", "a condition is a boolean", issue.Value},
		{"a constant without value", `"resource":"Patient","constant":[{"name":"a"}],` + ok, "ViewDefinition.constant[0]", "name and a value", issue.Required},
		{"a constant twice", `"resource":"Patient","constant":[{"name":"a","valueCode":"x"},{"name":"a","valueCode":"y"}],` + ok, "ViewDefinition.constant[1].name", "another constant", issue.Duplicate},
		{"a standard constant", `"resource":"Patient","constant":[{"name":"resource","valueCode":"x"}],` + ok, "ViewDefinition.constant[0].name", "meaning already", issue.Value},
		{"other columns in a union", `"resource":"Patient","select":[{"unionAll":[{"column":[{"name":"a","path":"id"}]},{"column":[{"name":"b","path":"id"}]}]}]`, "ViewDefinition.select[0].unionAll[1]", "the same columns", issue.Value},
		{"other types in a union", `"resource":"Patient","select":[{"unionAll":[{"column":[{"name":"a","path":"id"}]},{"column":[{"name":"a","path":"active"}]}]}]`, "ViewDefinition.select[0].unionAll[1]", "other types", issue.Value},
		{"a collection in one of a union", `"resource":"Patient","select":[{"unionAll":[{"column":[{"name":"a","path":"name.family","collection":true}]},{"column":[{"name":"a","path":"id"}]}]}]`, "ViewDefinition.select[0].unionAll[1]", "other types", issue.Value},
		{"a modifier", `"modifierExtension":[{"url":"http://x","valueCode":"y"}],"resource":"Patient",` + ok, "ViewDefinition.modifierExtension[0]", "not understood", issue.Extension},
		{"for another version", `"fhirVersion":["5.0.0"],"resource":"Patient",` + ok, "ViewDefinition.fhirVersion[0]", "other versions", issue.NotSupported},
		{"a key of no reference", col(`"name":"a","path":"name.getReferenceKey()"`), "ViewDefinition.select[0].column[0].path", "of a Reference", issue.Invalid},
	} {
		_, err := view(t, c.view)
		e := issue.As(err)
		if e == nil || len(e.Issues) != 1 || e.Issues[0].Expression != c.at || e.Issues[0].Code != c.code || !strings.Contains(e.Issues[0].Text, c.text) {
			t.Errorf("%s: %+v", c.rule, err)
		}
	}
	_, err := view(t, `"resource":"Patient","select":[{"column":[{"name":"a","path":"x"},{"name":"2","path":"y"}]}],"where":[{"path":"z"}]`)
	if e := issue.As(err); e == nil || len(e.Issues) != 4 {
		t.Errorf("all issues: %v", err)
	}
}

// What only data can tell is an error of the run, with its place.
func TestRunErrors(t *testing.T) {
	for _, c := range []struct {
		rule, view, at, text string
		code                 issue.Code
	}{
		{"several values", `"resource":"Patient","select":[{"column":[{"name":"f","path":"name.family"}]}]`, "ViewDefinition.select[0].column[0]", "2 values and is no collection", issue.Processing},
		{"several values in a union", `"resource":"Patient","select":[{"unionAll":[{"column":[{"name":"f","path":"id","type":"string"}]},{"column":[{"name":"f","path":"name.family","type":"string"}]}]}]`,
			"ViewDefinition.select[0].unionAll[1].column[0]", "2 values", issue.Processing},
		{"a value of another type", `"resource":"Patient","select":[{"column":[{"name":"f","path":"children().where($this is boolean).first()","type":"string"}]}]`, "ViewDefinition.select[0].column[0]", "of string, here is FHIR.boolean", issue.Value},
		{"no primitive where any was expected", `"resource":"Patient","select":[{"column":[{"name":"f","path":"children().where($this is HumanName).first()"}]}]`, "ViewDefinition.select[0].column[0]", "any primitive, here is FHIR.HumanName", issue.Value},
		{"a condition that is none", `"resource":"Patient","where":[{"path":"children().first()"}],"select":[{"column":[{"name":"f","path":"id"}]}]`, "ViewDefinition.where[0].path", "one boolean", issue.Value},
		{"an operator on several", `"resource":"Patient","select":[{"column":[{"name":"f","path":"name.family & 'x'"}]}]`, "ViewDefinition.select[0].column[0]", "one item is asked for", issue.Processing},
		{"a reference that cannot be resolved here", `"resource":"Patient","select":[{"column":[{"name":"f","path":"managingOrganization.resolve().id","type":"id"}]}]`, "ViewDefinition.select[0].column[0]", "no resolver", issue.NotSupported},
		{"a repeat without end", `"resource":"Patient","select":[{"repeat":["$this"],"column":[{"name":"f","path":"'x'"}]}]`, "ViewDefinition.select[0]", "deeper than", issue.TooCostly},
		{"too many cells", `"resource":"Patient","select":[` + strings.Repeat(`{"forEach":"'a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p'.split(',')","select":[{"column":[{"name":"c%d","path":"$this"}]}]},`, 5) + `{"column":[{"name":"id","path":"id"}]}]`, "", "1048576 cells", issue.TooCostly},
	} {
		for k := 0; strings.Contains(c.view, "%d"); k++ {
			c.view = strings.Replace(c.view, "%d", fmt.Sprint(k), 1)
		}
		_, err := table(t, mustView(t, c.view), NDJSON, patient)
		e := issue.As(err)
		if e == nil || len(e.Issues) != 1 || e.Issues[0].Expression != c.at || e.Issues[0].Code != c.code || !strings.Contains(e.Issues[0].Text, c.text) {
			t.Errorf("%s: %+v", c.rule, err)
		}
	}
	v := mustView(t, `"resource":"Patient","select":[{"column":[{"name":"id","path":"id"}]}]`)
	ended, end := context.WithCancel(t.Context())
	end()
	if err := v.NewRunner(fhirpath.Env{}).Rows(ended, parse(t, patient), func(Row) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ended: %v", err)
	}
	stop := errors.New("stop")
	if err := v.NewRunner(fhirpath.Env{}).Rows(t.Context(), parse(t, patient), func(Row) error { return stop }); err != stop {
		t.Errorf("emit's error: %v", err)
	}
}

const formats = `"resource":"Observation","select":[{"column":[{"name":"id","path":"id"},{"name":"text","path":"code.text"},{"name":"value","path":"value.ofType(Quantity).value"},
{"name":"final","path":"status = 'final'"},{"name":"n","path":"code.coding.count()"},{"name":"codes","path":"code.coding.code","collection":true},{"name":"coding","path":"code.coding.first()","type":"Coding"},{"name":"empty","path":"note.text.join()"}]}]`

func TestFormats(t *testing.T) {
	bare := `{"resourceType":"Observation","id":"b","status":"final","code":{"id":"c"}}`
	v := mustView(t, formats)
	for f, want := range map[Format]string{
		JSON: "[{\"id\":\"o\",\"text\":\"Gl, \\\"ser\\\"\",\"value\":5.40,\"final\":true,\"n\":1,\"codes\":[\"2345-7\"],\"coding\":{\"system\":\"http://loinc.org\",\"code\":\"2345-7\"},\"empty\":\"\"},\n" +
			"{\"id\":\"b\",\"text\":null,\"value\":null,\"final\":true,\"n\":0,\"codes\":[],\"coding\":null,\"empty\":\"\"}]\n",
		CSV: "id,text,value,final,n,codes,coding,empty\r\n" +
			"o,\"Gl, \"\"ser\"\"\",5.40,true,1,\"[\"\"2345-7\"\"]\",\"{\"\"system\"\":\"\"http://loinc.org\"\",\"\"code\"\":\"\"2345-7\"\"}\",\"\"\r\n" +
			"b,,,true,0,[],,\"\"\r\n",
	} {
		if got, err := table(t, v, f, observation, bare); err != nil || got != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", f.ContentType(), err, got, want)
		}
	}
	for f, want := range map[Format]string{JSON: "[]\n", NDJSON: "", CSV: "id,text,value,final,n,codes,coding,empty\r\n"} {
		if got, err := table(t, v, f); err != nil || got != want {
			t.Errorf("without rows: %q, %v", got, err)
		}
	}
	one := mustView(t, `"resource":"Patient","select":[{"column":[{"name":"b","path":"birthDate"}]}]`)
	if got, err := table(t, one, CSV, patient); err != nil || got != "b\r\n\"\"\r\n" {
		t.Errorf("a row of one null: %q, %v", got, err)
	}
}

// What is written as Parquet is read back by the library's own reader.
func TestParquet(t *testing.T) {
	bare := `{"resourceType":"Observation","id":"b","status":"final","code":{"id":"c"}}`
	data, err := table(t, mustView(t, formats), Parquet, observation, bare)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(strings.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, field := range f.Schema().Fields() {
		names = append(names, field.Name())
	}
	if got := strings.Join(names, ","); got != "id,text,value,final,n,codes,coding,empty" {
		t.Errorf("columns %s", got)
	}
	rows := make([]parquet.Row, 3)
	n, _ := parquet.NewReader(f).ReadRows(rows)
	var got []string
	for _, row := range rows[:n] {
		got = append(got, fmt.Sprintf("%+v", row))
	}
	want := []string{
		`[C:0 D:1 R:0 V:o C:1 D:1 R:0 V:Gl, "ser" C:2 D:1 R:0 V:5.40 C:3 D:1 R:0 V:true C:4 D:1 R:0 V:1 C:5 D:2 R:0 V:2345-7 C:6 D:1 R:0 V:{"system":"http://loinc.org","code":"2345-7"} C:7 D:1 R:0 V:]`,
		`[C:0 D:1 R:0 V:b C:1 D:0 R:0 V:<null> C:2 D:0 R:0 V:<null> C:3 D:1 R:0 V:true C:4 D:1 R:0 V:0 C:5 D:1 R:0 V:<null> C:6 D:0 R:0 V:<null> C:7 D:1 R:0 V:]`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("rows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{formats, `"resource":"Patient","constant":[{"name":"a","valueDecimal":1.0}],"where":[{"path":"active"}],"select":[{"forEachOrNull":"name","unionAll":[{"column":[{"name":"a","path":"family"}]},{"repeat":["extension"],"column":[{"name":"a","path":"url"}]}]}]`} {
		f.Add(`{"resourceType":"ViewDefinition","status":"active",` + s + `}`)
	}
	resources := []element.Node{parse(f, patient), parse(f, observation), parse(f, response)}
	f.Fuzz(func(t *testing.T, s string) {
		tree, err := codec.Parse([]byte(s), codec.Options{Type: "ViewDefinition", AnyCardinality: true})
		if err != nil {
			return
		}
		v, err := Compile(tree.Root())
		if err != nil {
			if issue.As(err) == nil {
				t.Fatal(err)
			}
			return
		}
		run := v.NewRunner(fhirpath.Env{Limits: fhirpath.Limits{Steps: 5000, Items: 5000, Bytes: 1 << 16}})
		for _, root := range resources {
			var out bytes.Buffer
			w, _ := v.NewWriter(&out, NDJSON, WriterOptions{})
			if err := run.Rows(t.Context(), root, w.Write); err != nil {
				if issue.As(err) == nil {
					t.Fatal(err)
				}
				continue
			}
			for line := range strings.Lines(out.String()) {
				if err := codec.CheckSyntax([]byte(line), codec.Options{}); err != nil {
					t.Fatalf("%v in %s", err, line)
				}
			}
		}
	})
}

// Rows per second with all that a run does with a stored body: parse, evaluate, write.
func BenchmarkRows(b *testing.B) {
	v := mustView(b, `"resource":"Observation","where":[{"path":"status = 'final'"}],"select":[{"column":[{"name":"id","path":"getResourceKey()"},{"name":"patient","path":"subject.getReferenceKey(Patient)"},
{"name":"time","path":"effective.ofType(Period).start"},{"name":"value","path":"value.ofType(Quantity).value"},{"name":"unit","path":"value.ofType(Quantity).unit"}]},{"forEach":"code.coding","column":[{"name":"code","path":"code"}]}]`)
	body := []byte(observation)
	for _, f := range []Format{NDJSON, CSV, Parquet} {
		b.Run(strings.TrimPrefix(f.ContentType(), "application/"), func(b *testing.B) {
			b.ReportAllocs()
			run, p := v.NewRunner(fhirpath.Env{}), codec.NewParser(codec.Options{})
			w, err := v.NewWriter(discard{}, f, WriterOptions{})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				tree, err := p.Parse(body)
				if err != nil {
					b.Fatal(err)
				}
				if err := run.Rows(b.Context(), tree.Root(), w.Write); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
