package patch

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"meridian/fhir/fhirtest"
)

// The slow and obvious way: RFC 6902 and RFC 7396 on decoded values. Objects
// lose their order here, so results are compared without it.

func decode(src []byte) any {
	d := json.NewDecoder(bytes.NewReader(src))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		panic(err)
	}
	return v
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// slowOperation gives the new document; false where the operation fails.
func slowOperation(doc any, op map[string]any) (any, bool) {
	path := strings.Split(op["path"].(string), "/")[1:]
	switch op["op"] {
	case "add":
		return slowSet(doc, path, op["value"], "add")
	case "remove":
		return slowSet(doc, path, nil, "remove")
	case "replace":
		return slowSet(doc, path, op["value"], "replace")
	case "test":
		v, ok := slowGet(doc, path)
		return doc, ok && slowEqual(v, op["value"])
	}
	from := strings.Split(op["from"].(string), "/")[1:]
	v, ok := slowGet(doc, from)
	if !ok {
		return nil, false
	}
	v = decode(encode(v))
	if op["op"] == "move" {
		if len(path) > len(from) && slices.Equal(path[:len(from)], from) {
			return nil, false
		}
		if doc, ok = slowSet(doc, from, nil, "remove"); !ok {
			return nil, false
		}
	}
	return slowSet(doc, path, v, "add")
}

func slowGet(v any, path []string) (any, bool) {
	if len(path) == 0 {
		return v, true
	}
	switch v := v.(type) {
	case map[string]any:
		if c, ok := v[path[0]]; ok {
			return slowGet(c, path[1:])
		}
	case []any:
		if i, err := strconv.Atoi(path[0]); err == nil && i < len(v) {
			return slowGet(v[i], path[1:])
		}
	}
	return nil, false
}

func slowSet(v any, path []string, val any, how string) (any, bool) {
	if len(path) == 0 {
		return val, how != "remove"
	}
	switch v := v.(type) {
	case map[string]any:
		c, there := v[path[0]]
		switch {
		case len(path) > 1 || how == "replace":
			if !there {
				return nil, false
			}
			c, ok := slowSet(c, path[1:], val, how)
			v[path[0]] = c
			return v, ok
		case how == "remove":
			delete(v, path[0])
			return v, there
		}
		v[path[0]] = val
		return v, true
	case []any:
		i, err := strconv.Atoi(path[0])
		if path[0] == "-" && how == "add" && len(path) == 1 {
			i, err = len(v), nil
		}
		switch {
		case err != nil || i > len(v) || i == len(v) && (len(path) > 1 || how != "add"):
			return nil, false
		case len(path) > 1 || how == "replace":
			c, ok := slowSet(v[i], path[1:], val, how)
			v[i] = c
			return v, ok
		case how == "remove":
			return slices.Delete(v, i, i+1), true
		}
		return slices.Insert(v, i, val), true
	}
	return nil, false
}

func slowEqual(a, b any) bool {
	return fhirtest.DiffValues(encode(a), encode(b)) == "" // numbers are drawn in one spelling each
}

func slowMerge(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	t, ok := target.(map[string]any)
	if !ok {
		t = map[string]any{}
	}
	for name, v := range p {
		if v == nil {
			delete(t, name)
		} else {
			t[name] = slowMerge(t[name], v)
		}
	}
	return t
}

// drawValue gives any JSON value of at most the depth.
func drawValue(t *rapid.T, depth int) any {
	kinds := 7
	if depth == 0 {
		kinds = 5
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2:
		return json.Number(rapid.SampledFrom([]string{"0", "-1", "1.50", "2e3"}).Draw(t, "number"))
	case 3, 4:
		return rapid.SampledFrom([]string{"", "a", "\"\\", "<é>\n", "張"}).Draw(t, "string")
	case 5:
		list := []any{}
		for range rapid.IntRange(0, 4).Draw(t, "items") {
			list = append(list, drawValue(t, depth-1))
		}
		return list
	}
	m := map[string]any{}
	for range rapid.IntRange(0, 20).Draw(t, "members") { // more than indexFrom at times
		m[drawName(t)] = drawValue(t, depth-1)
	}
	return m
}

func drawName(t *rapid.T) string {
	if rapid.Bool().Draw(t, "few") {
		return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
	}
	return "n" + strconv.Itoa(rapid.IntRange(0, 25).Draw(t, "number of the name"))
}

func drawPath(t *rapid.T) string {
	var b strings.Builder
	for range rapid.IntRange(1, 3).Draw(t, "steps") {
		b.WriteByte('/')
		switch rapid.IntRange(0, 3).Draw(t, "step") {
		case 0:
			b.WriteByte('-')
		case 1:
			b.WriteString(strconv.Itoa(rapid.IntRange(0, 3).Draw(t, "index")))
		default:
			b.WriteString(drawName(t))
		}
	}
	return b.String()
}

func drawOperation(t *rapid.T) map[string]any {
	op := map[string]any{"op": rapid.SampledFrom([]string{"add", "remove", "replace", "move", "copy", "test"}).Draw(t, "op"), "path": drawPath(t)}
	switch op["op"] {
	case "add", "replace", "test":
		op["value"] = drawValue(t, 2)
	case "move", "copy":
		op["from"] = drawPath(t)
	}
	return op
}

// Operations go on from what those before made, as long as they apply; then both ways fail.
func TestJSONPatchAgreesWithTheObviousWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slow := any(map[string]any{"a": drawValue(t, 3), "b": drawValue(t, 3), "c": drawValue(t, 3)})
		d := &document{root: newValue(encode(slow)), bytes: 1 << 20, nodes: 1 << 20}
		for range rapid.IntRange(1, 12).Draw(t, "operations") {
			op := drawOperation(t)
			p, err := ParseJSON(encode([]any{op}), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			before := d.root.append(nil)
			want, ok := slowOperation(decode(before), op)
			err = d.apply(&p.json[0])
			if (err == nil) != ok {
				t.Fatalf("%s on %s: %v, the obvious way: %t", encode(op), before, err, ok)
			}
			if err != nil {
				d = &document{root: newValue(before), bytes: 1 << 20, nodes: 1 << 20} // the whole patch ends here
				continue
			}
			if diff := fhirtest.DiffValues(encode(want), d.root.append(nil)); diff != "" {
				t.Fatalf("%s on %s: %s", encode(op), before, diff)
			}
		}
	})
}

func TestMergePatchAgreesWithTheObviousWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body, patch := encode(drawValue(t, 3)), encode(map[string]any{"a": drawValue(t, 3), drawName(t): drawValue(t, 3)})
		p, err := ParseMerge(patch, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		d, err := p.applyText(body)
		if err != nil {
			t.Fatal(err)
		}
		if diff := fhirtest.DiffValues(encode(slowMerge(decode(body), decode(patch))), d.root.append(nil)); diff != "" {
			t.Fatalf("%s on %s: %s", patch, body, diff)
		}
	})
}
