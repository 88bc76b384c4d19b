package element

import (
	"testing"

	"meridian/fhir/schema"
)

func elem(t *testing.T, typ, name string) (index int, value schema.ID) {
	t.Helper()
	for i, e := range schema.ByName(typ).Elements {
		if e.Name == name {
			return i, e.Types[0]
		}
	}
	t.Fatalf("no %s.%s", typ, name)
	return 0, 0
}

// patient builds, by hand, {"resourceType":"Patient","active":true,"name":[{"family":"\u5f20"},{"text":"x"}]}
func patient(t *testing.T) *Tree {
	t.Helper()
	tree := &Tree{Src: []byte(`true "\u5f20" "x" {}{}`)}
	root := tree.Add(-1, -1, Data{Start: 0, End: 22, Type: schema.TypePatient, Elem: -1})
	active, boolean := elem(t, "Patient", "active")
	name, human := elem(t, "Patient", "name")
	family, str := elem(t, "HumanName", "family")
	text, _ := elem(t, "HumanName", "text")
	a := tree.Add(root, -1, Data{Start: 0, End: 4, Type: boolean, Elem: active})
	n1 := tree.Add(root, a, Data{Start: 18, End: 20, Type: human, Elem: name})
	tree.Add(n1, -1, Data{Start: 5, End: 13, Type: str, Elem: family, String: true, Escaped: true})
	n2 := tree.Add(root, n1, Data{Start: 20, End: 22, Type: human, Elem: name})
	tree.Add(n2, -1, Data{Start: 14, End: 17, Type: str, Elem: text, String: true})
	return tree
}

func TestNavigation(t *testing.T) {
	root := patient(t).Root()
	family := root.Path("name", "family")
	second := root.Child("name").Next()
	for _, c := range []struct {
		rule      string
		got, want any
	}{
		{"the root has its type's name", root.Name(), "Patient"},
		{"the root stands under no element", root.ElementIndex(), -1},
		{"the root has no parent", root.Parent().Valid(), false},
		{"a value without quotes", root.Child("active").Text(), "true"},
		{"an unescaped value", family.Text(), "张"},
		{"the value as sent", string(family.Raw()), `"\u5f20"`},
		{"escaped", family.Escaped(), true},
		{"no escape", second.Child("text").Escaped(), false},
		{"a boolean is no string", root.Child("active").IsString(), false},
		{"the place of a repeated element", second.Child("text").Location(), "Patient.name[1].text"},
		{"the place of a single element", root.Child("active").Location(), "Patient.active"},
		{"the second of its name", second.Ordinal(), 1},
		{"the last has no next", second.Next().Valid(), false},
		{"no such child", root.Child("gender").Valid(), false},
		{"nothing below nothing", root.Path("gender", "x").Text(), ""},
		{"the definition", family.Element().Path, "HumanName.family"},
		{"the type", family.Type().Name, "string"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %v, want %v", c.rule, c.got, c.want)
		}
	}
}

func TestZeroNode(t *testing.T) {
	var n Node
	if n.Valid() || n.First().Valid() || n.Next().Valid() || n.Parent().Valid() || n.HasValue() || n.IsString() || n.Escaped() ||
		n.NullSent() || n.TwinSent() || n.Name() != "" || n.Location() != "" || n.Text() != "" || n.Raw() != nil || n.TypeID() != 0 ||
		n.Element() != nil || n.ElementIndex() != -1 || n.Offset() != -1 || n.End() != -1 {
		t.Error("the zero Node is not nothing")
	}
	if (&Tree{}).Root().Valid() || (*Tree)(nil).Root().Valid() {
		t.Error("an empty tree has a root")
	}
}

func TestMoveLastAndRenumber(t *testing.T) {
	tree := patient(t)
	names := func() (s string) {
		for c := tree.Root().First(); c.Valid(); c = c.Next() {
			s += c.Name() + " "
		}
		return s
	}
	tree.MoveLast(0, 1, 1, 4) // active, the first child, behind the second name
	if got := names(); got != "name name active " {
		t.Fatalf("moved: %s", got)
	}
	tree.Renumber()
	if got := names(); got != "name name active " {
		t.Errorf("renumbered: %s", got)
	}
	for i, want := range []string{"Patient", "Patient.name[0]", "Patient.name[0].family", "Patient.name[1]", "Patient.name[1].text", "Patient.active"} {
		if got := tree.At(i).Location(); got != want {
			t.Errorf("node %d is %s, want %s", i, got, want)
		}
	}
	tree.MoveLast(0, 3, 3, 5) // the second name, from the middle
	tree.MoveLast(0, 3, 3, 3) // the last is there already
	if got := names(); got != "name active name " {
		t.Errorf("moved from the middle: %s", got)
	}
}

func TestValuesAndTwins(t *testing.T) {
	tree := patient(t)
	n := tree.At(1)
	tree.SetTwin(1)
	tree.SetValue(1, Data{Start: 4, End: 4})
	if n.HasValue() || !n.NullSent() || !n.TwinSent() {
		t.Error("a null that was sent")
	}
	tree.SetValue(1, Data{})
	if n.HasValue() || n.NullSent() || !n.TwinSent() {
		t.Error("no value was sent")
	}
	tree.SetValue(1, Data{Start: 14, End: 17, String: true})
	if n.Text() != "x" || !n.IsString() || !n.TwinSent() {
		t.Error("a value set later")
	}
}

func TestGrowAndReset(t *testing.T) {
	tree := patient(t)
	tree.Grow(1000)
	if tree.Cap() < 1005 || tree.Len() != 6 || tree.At(5).Text() != "x" {
		t.Errorf("after Grow: %d of %d", tree.Len(), tree.Cap())
	}
	tree.Reset(nil)
	if tree.Len() != 0 || tree.Cap() < 1005 || tree.Root().Valid() {
		t.Error("after Reset")
	}
}

func TestAppendUnescaped(t *testing.T) {
	for in, want := range map[string]string{
		``:                   "",
		`plain 张`:            "plain 张",
		`\"\\\/\b\f\n\r\t`:   "\"\\/\b\f\n\r\t",
		`\u0041\u00e9\u4E2d`: "Aé中",
		`a\ud83d\ude00b`:     "a😀b",
		`\ud83d\u0041`:       "\uFFFDA", // never from checked text
		`\u12`:               "\uFFFD",
	} {
		if got := string(AppendUnescaped(nil, []byte(in))); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func TestEdit(t *testing.T) {
	tree := patient(t)
	names := func() (s string) {
		for c := tree.Root().First(); c.Valid(); c = c.Next() {
			s += c.Name()
			if c.Name() == "name" {
				s += "=" + c.First().Text()
			}
			s += " "
		}
		return s
	}
	name, human := elem(t, "Patient", "name")
	text, str := elem(t, "HumanName", "text")
	add := func(prev int, s string) int {
		n := tree.Insert(0, prev, Data{Start: 0, End: 1, Type: human, Elem: name})
		start, end := tree.AppendText([]byte(`"` + s + `"`))
		tree.Insert(n, -1, Data{Start: start, End: end, Type: str, Elem: text, String: true})
		return n
	}
	step := func(rule, want string) {
		t.Helper()
		if got := names(); got != want {
			t.Errorf("%s: %s, want %s", rule, got, want)
		}
	}
	between := add(2, "b")
	step("behind a sibling, before the next", "active name=张 name=b name=x ")
	add(4, "z")
	step("behind the last", "active name=张 name=b name=x name=z ")
	tree.Remove(1)
	step("the first is taken out", "name=张 name=b name=x name=z ")
	tree.Remove(between)
	step("one is taken out of the middle", "name=张 name=x name=z ")
	tree.Restore(between, -1)
	step("and put back at the start", "name=b name=张 name=x name=z ")
	tree.Remove(between)
	tree.Restore(between, 4)
	step("and behind another", "name=张 name=x name=b name=z ")
	add(-1, "first")
	step("before the first", "name=first name=张 name=x name=b name=z ")
	tree.Renumber()
	step("renumbered", "name=first name=张 name=x name=b name=z ")
	if tree.At(1).First().Text() != "first" || tree.Len() != 11 {
		t.Errorf("after Renumber: %d nodes", tree.Len())
	}
}
