package search

// A Key is one searchable fact of one resource: a posting. Stores keep, for
// each key, the resources that have it, ordered by resource number, and write
// keys in their own way (numbers for Param and Scope, or text).
//
// Param is a search parameter's code, or a code with a form suffix of ours:
//
//	kind        Param              Scope                 Value
//	token       code               ""                    718-7                 asked without a system
//	            code               http://loinc.org      718-7                 system|code; all Values of a Scope: "system|"
//	            code               NoSystem              718-7                 |code
//	            code:text          ""                    the words of a text beside it: _hemoglobin_mass_volume
//	            identifier:of-type system|code           the identifier's value; scope is its type
//	string      name               ""                    folded text; each part is a key
//	            name:py            ""                    pinyin, initials and inner characters of Han names
//	            name:cut           ""                    (empty) a text was longer than MaxValue
//	reference   subject            Patient               123                   relative, or absolute to our base
//	            subject            ""                    http://other/Patient/1  any other absolute URL, canonical or URN
//	            subject            Patient               (empty) a reference to that type which is not local
//	            subject:identifier like token
//	uri         url                ""                    the text; for a canonical with version also "url|version"
//	date        date               ""                    AppendRange(lo, last)
//	number      probability        ""                    AppendRange(low, high)
//	quantity    value-quantity     ""                    AppendRange: asked without a unit
//	            value-quantity     system|code or |unit  AppendRange: asked with one
//	            value-quantity     =g.m-3                AppendRange in base units, in place of system|code of UCUM
//	special     near               lat, lon              AppendRange of a point
//	full text   _content           ""                    a word; _text for the narrative
//
//	any         code               NoSystem              (empty) there is a value, but nothing to ask it by
//
// docs/format/postings.md has examples. Values are valid UTF-8 without U+0000, at most MaxValue bytes; a longer text
// is cut there on a rune boundary, and every leaf that could be wrong because
// of it carries a residual.
type Key struct {
	Param, Scope, Value string
}

const (
	// NoSystem is the Scope of a token without a system.
	NoSystem = "|"
	// MaxValue is the longest Value in bytes.
	MaxValue = 256
)

// An Expr is the boolean tree of a plan. Its leaves are Point, Prefix, Box,
// Contains, IDs, All and Missing; each says exactly which resources match.
type Expr interface{ expr() }

type (
	// All matches every resource of the plan's type.
	All struct{}
	// Point: the resource has exactly this key. It has a list in resource order and drives.
	Point struct{ Key Key }
	// Prefix: the resource has a key of Param and Scope whose Value begins
	// with Value (empty: any value, which is `system|`). A range: not in resource order.
	Prefix struct{ Key Key }
	// Contains: the resource has a key of Param whose Value contains Text.
	Contains struct{ Param, Text string }
	// Box: the resource has a range key of Param and Scope with
	// LoMin <= lo < LoMax and HiMin <= hi < HiMax, in the byte order of the
	// encoded bounds; an empty bound is open. Both bounds hold on the same key.
	// Every prefix of R4 on dates, numbers and quantities is one Box or an Or of two.
	Box struct {
		Param, Scope               string
		LoMin, LoMax, HiMin, HiMax string
	}
	// Present: the resource has any key of Param (`:missing=false`; `:missing=true` is Not of it).
	Present struct{ Param string }
	// IDs: the resource's logical id is one of these.
	IDs struct{ IDs []string }
	// And, Or, Not. An empty And is All; an empty Or matches nothing.
	And struct{ Of []Expr }
	Or  struct{ Of []Expr }
	Not struct{ Of Expr }
	// ChainForward: a reference key of Param names a live resource of Type that
	// matches Where and, where it is not nil, whose body passes Check. Check is
	// what a plan's Residual is, for the other resource, and as pure.
	ChainForward struct {
		Param, Type string
		Where       Expr
		Check       func(body []byte) (bool, error)
	}
	// ChainReverse: a live resource of Type that matches Where and Check names
	// this one by a reference key of Param (`_has`).
	ChainReverse struct {
		Type, Param string
		Where       Expr
		Check       func(body []byte) (bool, error)
	}
)

func (All) expr()          {}
func (Point) expr()        {}
func (Prefix) expr()       {}
func (Contains) expr()     {}
func (Box) expr()          {}
func (Present) expr()      {}
func (IDs) expr()          {}
func (And) expr()          {}
func (Or) expr()           {}
func (Not) expr()          {}
func (ChainForward) expr() {}
func (ChainReverse) expr() {}

// Order is one sort key. Param "" or "_id" is the logical id's place in Param
// order ("_id" sorts by id as bytes). The value of a resource is its lowest
// (ascending) or highest (descending) forward value of Param; resources
// without one come last in either direction.
type Order struct {
	Param string
	Desc  bool
}

// Cursor is the place of a row in the order of a plan: its sort values (nil
// for "has none"), then its resource number.
type Cursor struct {
	Values []*string
	Number uint64
}

// Plan is a compiled search: what matches, in which order, how many. Rows come
// ordered by Sort, then by resource number, ascending (descending when the
// first sort key descends).
type Plan struct {
	Type  string // resource type
	Where Expr
	Sort  []Order
	After *Cursor // rows strictly after this one; nil starts at the beginning
	Limit int     // at most so many rows; 0 only counts
	// Residual, when not nil, decides on the body of each candidate; it is set
	// where the keys are not enough (:exact, cut texts). It must be pure.
	Residual func(body []byte) (bool, error)
}

// Facts is what Index finds in one resource.
type Facts struct {
	// Keys, sorted and without duplicates.
	Keys []Key
	// Forward holds for each sortable parameter that is present its lowest and
	// highest value, sorted by Param. For dates, numbers, quantities (without
	// unit) the encoded low bound of the range; for strings the folded text;
	// for tokens the code; for references "Type/id"; for uri the text; cut at MaxValue.
	Forward []Forward
	// Generation is that of the catalog of added parameters that the facts are of (Registry.Adopt); 0 where none was added.
	Generation uint64
}

// Forward is the lowest and highest sort value of one parameter.
type Forward struct {
	Param     string
	Low, High string
}

// The width in bytes of one encoded bound differs by kind (12 for dates,
// variable for numbers); RangeSep stands between the two bounds of a range key
// and sorts before every byte of a bound.
const RangeSep = " "

// AppendRange joins the encoded low and high bound of a range key: lo RangeSep hi.
func AppendRange(dst []byte, lo, hi []byte) []byte {
	dst = append(dst, lo...)
	dst = append(dst, RangeSep...)
	return append(dst, hi...)
}

// SplitRange undoes AppendRange.
func SplitRange(value string) (lo, hi string) {
	for i := 0; i < len(value); i++ {
		if value[i] == RangeSep[0] {
			return value[:i], value[i+1:]
		}
	}
	return value, ""
}

// InBox says whether a range key's Value lies in b.
func (b *Box) InBox(value string) bool {
	lo, hi := SplitRange(value)
	return (b.LoMin == "" || lo >= b.LoMin) && (b.LoMax == "" || lo < b.LoMax) &&
		(b.HiMin == "" || hi >= b.HiMin) && (b.HiMax == "" || hi < b.HiMax)
}
