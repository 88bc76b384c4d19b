package source

import (
	"os"
	"path/filepath"
	"testing"

	"meridian/mappings/hl7v2"
)

func v2Tree(text string) *Tree {
	m, err := hl7v2.Parse(text, hl7v2.ParseOptions{})
	if err != nil {
		return nil
	}
	return FromV2(m, hl7v2.GroupMessage(m, hl7v2.GroupOptions{}))
}

// Whatever the message: a child is the first sibling of its name, the next of the same name is the next one in the chain,
// ordinals count, and the leaves come in the order of the text.
func FuzzV2Children(f *testing.F) {
	names, err := filepath.Glob("../../testdata/hl7v2/*.hl7")
	if err != nil || len(names) == 0 {
		f.Fatal("no messages in testdata/hl7v2", err)
	}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(raw))
	}
	const head = "MSH|^~\\&|L|H|F|H|20261121083000||ORU^R01^ORU_R01|1|P|2.5\r"
	f.Add(head + "PID|1||a~~b^c&d~\"\"^x\rOBR|1\rOBX|1|ST|A\\F\\^^B&C^^D||~|&|^|&^&\r")
	f.Add("MSH|^^\\^|L|H|F|H|20261121083000||ORU^R01^ORU_R01|1|P|2.5\rPID|1||a^b^c\r")
	f.Fuzz(func(t *testing.T, text string) {
		tree := v2Tree(text)
		if tree == nil {
			return
		}
		for i := range tree.nodes {
			checkChildren(t, tree.At(i))
		}
		end := uint32(0)
		tree.Leaves(func(n Node, _, _ bool) {
			d := &tree.nodes[n.i]
			if d.start < end {
				t.Errorf("%s comes before what stands before it", n.Origin())
			}
			end = d.end
		})
	})
}

func checkChildren(t *testing.T, n Node) {
	last, count := map[Sym]Node{}, map[Sym]int{}
	for c := n.First(); c.Valid(); c = c.Next() {
		y := c.Sym()
		if count[y] == 0 && n.Child(y) != c {
			t.Errorf("%s: child %s is another", n.Origin(), c.Name())
		}
		if count[y] > 0 && last[y].NextSame() != c {
			t.Errorf("%s is not the next after %s", c.Origin(), last[y].Origin())
		}

		if !n.t.nodes[c.i].object && c.Ordinal() != count[y] {
			t.Errorf("%s has the ordinal %d", c.Origin(), c.Ordinal())
		}
		if c.Parent() != n {
			t.Errorf("%s has another parent", c.Origin())
		}
		last[y], count[y] = c, count[y]+1
	}
	for _, c := range last {
		if c.NextSame().Valid() {
			t.Errorf("there is another after %s", c.Origin())
		}
	}
	for y := Sym(1); y <= MaxField+MaxComponent; y++ {
		if c := n.Child(y); c.Valid() && count[y] == 0 && (c != n || y != n.t.one) {
			t.Errorf("%s: child %d is not its own", n.Origin(), y)
		}
	}
}

// HL7 v2.5.1 ch. 2.5.3: repetitions, components and sub-components of a field; an empty one keeps the numbers of those after it.
func TestV2Values(t *testing.T) {
	tree := v2Tree("MSH|^~\\&|L\rPID|1||a~~b^c&d~\"\"\rOBX|1|ST|A\\T\\B^^C||5")
	if tree == nil {
		t.Fatal("no message")
	}
	var pid, obx Node
	for i := range tree.nodes {
		switch n := tree.At(i); n.Name() {
		case "PID":
			pid = n
		case "OBX":
			obx = n
		}
	}
	second := pid.F(3).NextSame()
	third := second.NextSame()
	for _, c := range []struct {
		name, want string
		n          Node
		state      State
	}{
		{"PID-3(1)", "a", pid.F(3), Present},
		{"PID-3(1).1 of a scalar", "a", pid.F(3).C(1), Present},
		{"PID-3(2)", "", second, Empty},
		{"PID-3(3).1", "b", third.C(1), Present},
		{"PID-3(3).2.1", "c", third.C(2).C(1), Present},
		{"PID-3(3).2.2", "d", third.C(2).C(2), Present},
		{"PID-3(3).3", "", third.C(3), Absent},
		{"PID-3(4)", "", third.NextSame(), Null},
		{"PID-2", "", pid.F(2), Absent},
		{"OBX-3.1 with an escaped ampersand", "A&B", obx.F(3).C(1), Present},
		{"OBX-3.2", "", obx.F(3).C(2), Absent},
		{"OBX-3.3", "C", obx.F(3).C(3), Present},
		{"OBX-5", "5", obx.F(5), Present},
		{"OBX-70", "", obx.F(70), Absent},
	} {
		if c.n.State() != c.state || c.n.Text() != c.want {
			t.Errorf("%s: %q, state %d; want %q, state %d", c.name, c.n.Text(), c.n.State(), c.want, c.state)
		}
	}
}
