package patch

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"meridian/fhir/codec"
	"meridian/fhir/issue"
)

// stored is a resource as the server keeps it: spelled numbers and escapes, primitive extensions, nulls.
const stored = `{"resourceType":"Observation","id":"o1","meta":{"versionId":"3","lastUpdated":"2026-01-01T00:00:00.000Z"},` +
	`"status":"final","code":{"coding":[{"system":"http:\/\/loinc.org","code":"718-7"},{"code":"x"}],"text":"H\u0062 <b>&"},` +
	`"valueQuantity":{"value":1.10e1,"unit":"g/dL"},"_effectiveDateTime":{"extension":[{"url":"http://x","valueCode":"unknown"}]},` +
	`"note":[{"text":"one"},{"text":"two"},{"text":"three"}],"component":[{"code":{"text":"c"},"valueDecimal":5.40}]}`

var observation = strings.Replace(stored, `"valueDecimal":5.40`, `"valueQuantity":{"value":5.40}`, 1)

const patient = `{"resourceType":"Patient","id":"p1","name":[{"family":"A","given":["x",null,"z"],"_given":[null,{"id":"g"},null]}],"telecom":[{"value":"1"}],"gender":"male",` +
	`"birthDate":"1990","_birthDate":{"extension":[{"url":"http://x","valueString":"s"}]},"contact":[{"name":{"text":"n"}}]}`

func apply(t *testing.T, p *Patch, err error, body string) (string, error) {
	t.Helper()
	if err != nil {
		return "", err
	}
	tree, err := p.Apply(Target{Body: []byte(body), Parser: codec.NewParser(codec.Options{}), Now: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		return "", err
	}
	return string(codec.AppendJSON(nil, tree.Root(), nil)), nil
}

func applyJSON(t *testing.T, patch, body string) (string, error) {
	t.Helper()
	p, err := ParseJSON([]byte(patch), Limits{Operations: 20, Bytes: 4000})
	return apply(t, p, err, body)
}

func applyMerge(t *testing.T, patch, body string) (string, error) {
	t.Helper()
	p, err := ParseMerge([]byte(patch), Limits{})
	return apply(t, p, err, body)
}

func applyParameters(t *testing.T, operations, body string) (string, error) {
	t.Helper()
	tree, err := codec.Parse([]byte(`{"resourceType":"Parameters"`+parameters(operations)+`}`), codec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParseParameters(tree.Root(), Limits{Operations: 20})
	return apply(t, p, err, body)
}

// parameters makes operations of lines such as
//
//	add | Patient | name=birthDate | valueDate="1990"
func parameters(lines string) string {
	if strings.TrimSpace(lines) == "" {
		return ""
	}
	var b strings.Builder
	for _, line := range strings.Split(strings.TrimSpace(lines), "\n") {
		parts := strings.Split(line, " | ")
		b.WriteString(`,{"name":"operation","part":[{"name":"type","valueCode":"` + strings.TrimSpace(parts[0]) + `"}`)
		b.WriteString(`,{"name":"path","valueString":` + string(codec.AppendString(nil, strings.TrimSpace(parts[1]))) + `}`)
		for _, p := range parts[2:] {
			name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
			switch name {
			case "name":
				b.WriteString(`,{"name":"name","valueString":"` + value + `"}`)
			case "index", "source", "destination":
				b.WriteString(`,{"name":"` + name + `","valueInteger":` + value + `}`)
			default:
				b.WriteString(`,{"name":"value","` + name + `":` + value + `}`)
			}
		}
		b.WriteString(`]}`)
	}
	return `,"parameter":[` + b.String()[1:] + `]`
}

// changed says what body is with old, new, old, new … replaced.
func changed(body string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(body) }

func TestJSONPatch(t *testing.T) {
	for _, c := range []struct{ rule, patch, body, want string }{
		{"no operation changes no byte", `[]`, observation, observation},
		{"what is not touched keeps digits, escapes and order", `[{"op":"replace","path":"/status","value":"amended"}]`, observation,
			changed(observation, `"final"`, `"amended"`)},
		{"opening a neighbour changes nothing in it", `[{"op":"test","path":"/code/coding/0/system","value":"http://loinc.org"},{"op":"test","path":"/note/2/text","value":"three"}]`, observation, observation},
		{"a value is put in as spelled", `[{"op":"replace","path":"/valueQuantity/value","value":2.50E+1}]`, observation, changed(observation, `1.10e1`, `2.50E+1`)},
		{"numbers are tested by value", `[{"op":"test","path":"/valueQuantity/value","value":11.0},{"op":"test","path":"/component/0/valueQuantity","value":{"value":5.4}}]`, observation, observation},
		{"objects are tested whatever their order", `[{"op":"test","path":"/valueQuantity","value":{"unit":"g\/dL","value":11}}]`, observation, observation},
		{"a member goes behind the others", `[{"op":"add","path":"/valueQuantity/code","value":"g"}]`, observation, changed(observation, `"unit":"g/dL"`, `"unit":"g/dL","code":"g"`)},
		{"add replaces a member in its place", `[{"op":"add","path":"/status","value":"amended"}]`, observation, changed(observation, `"final"`, `"amended"`)},
		{"an item goes in front of the one at its index", `[{"op":"add","path":"/note/1","value":{"text":"new"}}]`, observation, changed(observation, `{"text":"two"}`, `{"text":"new"},{"text":"two"}`)},
		{"- is behind the last", `[{"op":"add","path":"/note/-","value":{"text":"new"}}]`, observation, changed(observation, `{"text":"three"}`, `{"text":"three"},{"text":"new"}`)},
		{"move keeps the text", `[{"op":"move","from":"/note/2","path":"/note/0"}]`, observation,
			changed(observation, `{"text":"one"},{"text":"two"},{"text":"three"}`, `{"text":"three"},{"text":"one"},{"text":"two"}`)},
		{"a move to where it is changes nothing", `[{"op":"move","from":"/status","path":"/status"}]`, observation, observation},
		{"a copy is its own", `[{"op":"copy","from":"/note/0","path":"/note/-"},{"op":"replace","path":"/note/3/text","value":"4"}]`, observation,
			changed(observation, `{"text":"three"}`, `{"text":"three"},{"text":"4"}`)},
		{"a copy of what was changed", `[{"op":"replace","path":"/note/0/text","value":"1"},{"op":"copy","from":"/note/0","path":"/note/1"}]`, observation,
			changed(observation, `{"text":"one"}`, `{"text":"1"},{"text":"1"}`)},
		{"an added value is changed by the next operation, the document is not", `[{"op":"add","path":"/note/0","value":{"text":"a"}},{"op":"replace","path":"/note/0/text","value":"b"},{"op":"remove","path":"/note/0"}]`, observation, observation},
		{"what is emptied is left out, up to the resource", `[{"op":"remove","path":"/contact/0/name/text"}]`, patient, changed(patient, `,"contact":[{"name":{"text":"n"}}]`, ``)},
		{"the last item takes its array with it", `[{"op":"remove","path":"/telecom/0"}]`, patient, changed(patient, `,"telecom":[{"value":"1"}]`, ``)},
		{"an extension is taken off a primitive", `[{"op":"remove","path":"/_birthDate/extension/0"}]`, patient,
			changed(patient, `,"_birthDate":{"extension":[{"url":"http://x","valueString":"s"}]}`, ``)},
		{"an array of ids goes when its last one is taken", `[{"op":"remove","path":"/name/0/_given/1/id"},{"op":"replace","path":"/name/0/given/1","value":"y"}]`, patient,
			changed(patient, `["x",null,"z"],"_given":[null,{"id":"g"},null]`, `["x","y","z"]`)},
		{"a name with an escape", `[{"op":"add","path":"/gender","value":"female"}]`, changed(patient, `"gender"`, `"g\u0065nder"`), changed(patient, `"male"`, `"female"`)},
		{"unknown members of an operation say nothing", `[{"op":"remove","path":"/gender","note":1}]`, patient, changed(patient, `"gender":"male",`, ``)},
		{"the whole resource is replaced", `[{"op":"replace","path":"","value":{"resourceType":"Patient","id":"p1"}}]`, patient, `{"resourceType":"Patient","id":"p1"}`},
	} {
		got, err := applyJSON(t, c.patch, c.body)
		if err != nil || got != c.want {
			t.Errorf("%s:\n got %s\nwant %s\n%v", c.rule, got, c.want, err)
		}
	}
}

func TestJSONPatchErrors(t *testing.T) {
	many := `[` + strings.Repeat(`{"op":"remove","path":"/gender"},`, 20) + `{"op":"remove","path":"/gender"}]`
	for _, c := range []struct {
		rule, patch string
		code        issue.Code
		text        string
	}{
		{"no JSON", `[`, issue.Structure, "the body ends too early"},
		{"nothing", ``, issue.Structure, "empty"},
		{"no array", `{"op":"remove","path":"/gender"}`, issue.Invalid, "array of operations"},
		{"no object", `[1]`, issue.Invalid, "operation[0]: an operation is an object"},
		{"no op", `[{"path":"/a"}]`, issue.Required, `operation[0] "/a": an operation has an op`},
		{"op twice (RFC 6902 A.13)", `[{"op":"add","path":"/baz","value":"qux","op":"remove"}]`, issue.Structure, "operation[0]: an object has two members"},
		{"an unknown op is not repeated", `[{"op":"张三","path":"/a"}]`, issue.Value, `operation[0] "/a": op is one of`},
		{"op is a string", `[{"op":1,"path":"/a"}]`, issue.Value, "op is a string"},
		{"no path", `[{"op":"remove"}]`, issue.Required, "operation[0] remove: the operation has no path"},
		{"no value", `[{"op":"add","path":"/a"}]`, issue.Required, "has no value"},
		{"no from", `[{"op":"move","path":"/a"}]`, issue.Required, "has no from"},
		{"path without a slash", `[{"op":"remove","path":"gender"}]`, issue.Value, "starts with a slash"},
		{"~ not escaped", `[{"op":"remove","path":"/a~2"}]`, issue.Value, "~0"},
		{"all bad operations are named", `[{"op":"add","path":"/a"},{"op":"remove","path":"/gender"},{"op":"x","path":""}]`, issue.Required, "operation[2]: op is one of"},
		{"no such member", `[{"op":"test","path":"/gender","value":"male"},{"op":"remove","path":"/active"}]`, issue.Processing, `operation[1] remove "/active": there is no such member`},
		{"replace needs a target", `[{"op":"replace","path":"/active","value":true}]`, issue.Processing, "no such member"},
		{"parents are not made", `[{"op":"add","path":"/maritalStatus/text","value":"x"}]`, issue.Processing, "does not exist"},
		{"an index too high", `[{"op":"remove","path":"/name/1"}]`, issue.Processing, "no item there"},
		{"an index too high to add", `[{"op":"add","path":"/name/2","value":{"text":"x"}}]`, issue.Processing, "no item there"},
		{"an index with a leading zero", `[{"op":"remove","path":"/name/00"}]`, issue.Processing, "without leading zeros"},
		{"a negative index", `[{"op":"remove","path":"/name/-1"}]`, issue.Processing, "without leading zeros"},
		{"an index with a sign", `[{"op":"add","path":"/name/+0","value":{"text":"x"}}]`, issue.Processing, "without leading zeros"},
		{"an index beyond all", `[{"op":"remove","path":"/name/99999999999999999999"}]`, issue.Processing, "no item there"},
		{"- names no item", `[{"op":"remove","path":"/name/-"}]`, issue.Processing, "no item there"},
		{"below a string", `[{"op":"add","path":"/gender/x","value":1}]`, issue.Processing, "neither an object nor an array"},
		{"the whole is not removed", `[{"op":"remove","path":""}]`, issue.Processing, "cannot be removed"},
		{"into itself", `[{"op":"move","from":"/name","path":"/name/0"}]`, issue.Processing, "into itself"},
		{"from nowhere", `[{"op":"copy","from":"/active","path":"/x"}]`, issue.Processing, "no such member"},
		{"too many operations", many, issue.TooCostly, "at most 20"},
		{"an unknown element", `[{"op":"add","path":"/nickname","value":"x"}]`, issue.Structure, "the patched resource would not be valid: Patient has no element"},
		{"an empty object that the client sent", `[{"op":"add","path":"/maritalStatus","value":{}}]`, issue.Structure, "must not be empty"},
		{"a name that stands twice in a value", `[{"op":"add","path":"/maritalStatus","value":{"text":"a","text":"b"}}]`, issue.Structure, "twice"},
		{"a value of the wrong form", `[{"op":"replace","path":"/birthDate","value":"no date"}]`, issue.Value, "would not be valid"},
		{"ids and values out of step", `[{"op":"remove","path":"/name/0/given/0"}]`, issue.Structure, "would not be valid"},
	} {
		got, err := applyJSON(t, c.patch, patient)
		check(t, c.rule, got, err, c.code, c.text)
	}
}

func check(t *testing.T, rule, got string, err error, code issue.Code, text string) {
	t.Helper()
	e := issue.As(err)
	if e == nil || e.Issues[0].Code != code || !strings.Contains(err.Error(), text) {
		t.Errorf("%s: %s, %v; want %s: %s", rule, got, err, code, text)
	}
}

func TestFailedTest(t *testing.T) {
	for _, patch := range []string{
		`[{"op":"test","path":"/gender","value":"female"}]`,
		`[{"op":"test","path":"/gender","value":null}]`,
		`[{"op":"test","path":"/telecom","value":[{"value":1}]}]`,
		`[{"op":"test","path":"/telecom","value":[]}]`,
		`[{"op":"test","path":"/telecom/0","value":{"system":"1"}}]`,
	} {
		_, err := applyJSON(t, patch, patient)
		e := issue.As(err)
		if e == nil || e.Issues[0].ID != "patch.test" || e.Issues[0].Code != issue.Processing || strings.Contains(err.Error(), "female") {
			t.Errorf("%s: %v", patch, err)
		}
	}
}

// A document that doubles with each operation ends at the limit (Bytes: 4000), not in memory.
func TestCopyBomb(t *testing.T) {
	patch := `[{"op":"add","path":"/x","value":{"a":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}}`
	for i := range 15 {
		patch += `,{"op":"copy","from":"/x","path":"/x/` + string(rune('b'+i)) + `"}`
	}
	_, err := applyJSON(t, patch+`]`, patient)
	check(t, "copies", "", err, issue.TooCostly, "copy")
	p, err := ParseJSON([]byte(`[{"op":"test","path":"/name/0/given/0","value":"x"}]`), Limits{Nodes: 3})
	_, err = apply(t, p, err, patient)
	check(t, "nodes", "", err, issue.TooCostly, "look into")
}

func TestMergePatch(t *testing.T) {
	for _, c := range []struct{ rule, patch, body, want string }{
		{"nothing changes nothing", `{}`, observation, observation},
		{"a member is replaced in its place", `{"status":"amended"}`, observation, changed(observation, `"final"`, `"amended"`)},
		{"a member goes behind the others, as spelled", `{"issued":"2026-01-01T00:00:00Z"}`, observation, observation[:len(observation)-1] + `,"issued":"2026-01-01T00:00:00Z"}`},
		{"null removes", `{"note":null,"subject":null}`, observation, changed(observation, `"note":[{"text":"one"},{"text":"two"},{"text":"three"}],`, ``)},
		{"an object goes into what is there", `{"valueQuantity":{"unit":null,"value":12.0}}`, observation, changed(observation, `{"value":1.10e1,"unit":"g/dL"}`, `{"value":12.0}`)},
		{"an array replaces", `{"note":[{"text":"x"}]}`, observation, changed(observation, `{"text":"one"},{"text":"two"},{"text":"three"}`, `{"text":"x"}`)},
		{"nulls in a new object say nothing", `{"method":{"text":"m","coding":null}}`, observation, observation[:len(observation)-1] + `,"method":{"text":"m"}}`},
		{"what is emptied is left out", `{"valueQuantity":{"unit":null,"value":null},"method":{"text":null}}`, observation, changed(observation, `"valueQuantity":{"value":1.10e1,"unit":"g/dL"},`, ``)},
		{"a primitive's extension", `{"_effectiveDateTime":null,"effectiveDateTime":"2026"}`, observation,
			changed(observation[:len(observation)-1], `"_effectiveDateTime":{"extension":[{"url":"http://x","valueCode":"unknown"}]},`, ``) + `,"effectiveDateTime":"2026"}`},
	} {
		got, err := applyMerge(t, c.patch, c.body)
		if err != nil || got != c.want {
			t.Errorf("%s:\n got %s\nwant %s\n%v", c.rule, got, c.want, err)
		}
	}
	for _, c := range []struct {
		rule, patch string
		code        issue.Code
		text        string
	}{
		{"no JSON", `{"a":}`, issue.Structure, "a value is expected"},
		{"no object", `[]`, issue.Invalid, "is an object"},
		{"too deep", strings.Repeat(`{"a":`, 70) + `1` + strings.Repeat(`}`, 70), issue.Structure, "nested deeper"},
		{"a name twice", `{"code":{"text":"a","text":"b"}}`, issue.Structure, "same name"},
		{"a result that is no resource", `{"status":null}`, issue.Required, "would not be valid: Observation needs the element status"},
		{"an empty object", `{"method":{}}`, issue.Structure, "must not be empty"},
	} {
		got, err := applyMerge(t, c.patch, observation)
		check(t, c.rule, got, err, c.code, c.text)
	}
}

// The examples of RFC 7396 appendix A whose patch is an object.
func TestMergePatchRFC(t *testing.T) {
	for _, c := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		p, err := ParseMerge([]byte(c[1]), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		d, err := p.applyText([]byte(c[0]))
		if err != nil || !bytes.Equal(d.root.append(nil), []byte(c[2])) {
			t.Errorf("%s on %s: %s, %v", c[1], c[0], d.root.append(nil), err)
		}
	}
}

func TestFormatOf(t *testing.T) {
	for src, want := range map[string]Format{
		` [{"op":"remove","path":"/a"}]`: JSON,
		`[]`:                             JSON,
		`{"parameter":[],"resourceType":"Parameters"}`: Parameters,
		`{"resourceType":"Patient","gender":"male"}`:   Merge,
		`{"resourceType":1}`:                           Merge,
		`{}`:                                           Merge,
		`1`:                                            0,
		`{"a"`:                                         0,
		``:                                             0,
	} {
		got, err := FormatOf([]byte(src))
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("%s: %d, %v", src, got, err)
		}
	}
}
