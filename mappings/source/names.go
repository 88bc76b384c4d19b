package source

import "strconv"

// Limits of the fixed part of a name table.
const (
	MaxField     = 199
	MaxComponent = 99
)

// Field gives the name of HL7 field n ("f5"), 1 <= n <= MaxField. Fields and
// components have the same numbers in every table that v2Names begins.
func Field(n int) Sym { return Sym(n) }

// Component gives the name of component n ("1"), 1 <= n <= MaxComponent.
func Component(n int) Sym { return Sym(MaxField + n) }

// positions lists the names of fields and components, in the order of Field and Component.
func positions() []string {
	out := make([]string, 0, MaxField+MaxComponent)
	for i := 1; i <= MaxField; i++ {
		out = append(out, "f"+strconv.Itoa(i))
	}
	for i := 1; i <= MaxComponent; i++ {
		out = append(out, strconv.Itoa(i))
	}
	return out
}

// F gives field n of a segment (its first repetition).
func (n Node) F(i int) Node { return n.Child(Field(i)) }

// C gives component i of a field, or sub-component i of a component.
func (n Node) C(i int) Node { return n.Child(Component(i)) }
