package search

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"meridian/fhir/value"
)

// Pair is one name=value of a query string, decoded.
type Pair struct{ Name, Value string }

// Query is a search as it was understood. It is immutable once parsed.
type Query struct {
	Type        string
	Criteria    []Criterion // all must hold; none matches every resource of Type
	Sort        []SortKey
	Count       int // _count; -1 where it was not given
	Total       Total
	Summary     Summary
	Elements    []string // _elements, names of elements at the top of Type; nil is all
	Includes    []Include
	RevIncludes []Include
	Contained   *Contained // _contained=true or both; nil for false
	Format      string     // _format as given
	Pretty      Choice     // _pretty
	// Beyond are queries that match where a hierarchy that a criterion follows goes on beyond MaxHierarchy levels, or in a circle: what the
	// query then finds may not be all.
	Beyond []*Query

	at   value.Instant // when it was parsed; `ap` measures from here
	used []Pair
}

// Choice is a boolean that may not have been given.
type Choice uint8

const (
	NotGiven Choice = iota
	No
	Yes
)

// Total is _total; empty where it was not given.
// https://hl7.org/fhir/R4/search.html#total
type Total string

const (
	TotalNone     Total = "none"
	TotalEstimate Total = "estimate"
	TotalAccurate Total = "accurate"
)

// Summary is _summary; empty where it was not given.
// https://hl7.org/fhir/R4/search.html#summary
type Summary string

const (
	SummaryTrue  Summary = "true"
	SummaryText  Summary = "text"
	SummaryData  Summary = "data"
	SummaryCount Summary = "count"
	SummaryFalse Summary = "false"
)

// SortKey is one rule of _sort.
type SortKey struct {
	Param *Param
	Desc  bool
}

// Include is one _include or _revinclude.
// https://hl7.org/fhir/R4/search.html#include
type Include struct {
	Source  string // the type that has the reference; "" for any (_include=*, _revinclude=*)
	Param   *Param // a reference parameter of Source; nil for all of them
	Target  string // only references to this type; "" for all
	Iterate bool   // applies to what is included, too
}

// Modifier of a search parameter.
// https://hl7.org/fhir/R4/search.html#modifiers
type Modifier string

const (
	ModNone       Modifier = ""
	ModMissing    Modifier = "missing"
	ModExact      Modifier = "exact"
	ModContains   Modifier = "contains"
	ModNot        Modifier = "not"
	ModIdentifier Modifier = "identifier"
	ModType       Modifier = "[type]" // Criterion.Target names it
)

// Comparator is the prefix of an ordered value, as in ge2026.
// https://hl7.org/fhir/R4/search.html#prefix
type Comparator string

const (
	Eq Comparator = "eq"
	Ne Comparator = "ne"
	Gt Comparator = "gt"
	Lt Comparator = "lt"
	Ge Comparator = "ge"
	Le Comparator = "le"
	Sa Comparator = "sa"
	Eb Comparator = "eb"
	Ap Comparator = "ap"
)

// Criterion is one parameter with its alternatives; or, without a Param, one of
// Joins; or what Op makes of the criteria Of.
type Criterion struct {
	Param    *Param
	Modifier Modifier
	Target   string // of ModType
	Missing  bool   // of ModMissing: the value that was asked for
	Values   []Value

	Joins []Join // one of them must hold: chained parameters, _has, _list
	Op    Op
	Of    []Criterion
}

// Op joins criteria: those of _filter, and of a compartment.
type Op uint8

const (
	AllOf Op = iota + 1
	AnyOf
	NoneOf
)

// Join asks for another resource, live, which the resource refers to or which
// refers to it.
type Join struct {
	Reverse bool
	Type    string      // of the other resource
	Param   *Param      // a reference parameter of the resource itself; where Reverse is set, of Type
	Where   []Criterion // all must hold on the same other resource
}

// Value is one alternative; which fields count depends on the parameter's kind.
type Value struct {
	Comparator Comparator     // date, number, quantity; never empty there
	Token      Token          // token, reference with ModIdentifier; with ModOfType the type
	Text       string         // string and uri, unescaped; the value with ModOfType; a text, or the URL of a value set
	Reference  Reference      // reference; of an id alone ID is set and Type is empty
	Date       value.DateTime // date
	Number     value.Decimal  // number, quantity
	Unit       Unit           // quantity
	Parts      []Value        // composite: a value of each part
	Codes      []CodeSet      // :in, :not-in, :above and :below of tokens: what Text or Token stands for
	Near       Circle         // near

	find *finding // _text and _content: Text as it was understood
}

// Token is [code], system|code, |code or system|.
type Token struct {
	System string // "" with HasSystem: explicitly none
	Code   string // "": any code of System
	// HasSystem says that there was a '|'.
	HasSystem bool
}

// Unit is what follows a quantity's number; the zero Unit is none.
type Unit struct {
	System string // "": Code is a code or a unit's text
	Code   string
}

// Canonical lists what was understood and used, in the order of the request:
// the self link. What a lenient search left out is not in it.
func (q *Query) Canonical() []Pair { return slices.Clone(q.used) }

// UnlessKey is the same for two queries of one type with the same criteria in
// any order, whatever their result parameters: the key under which two
// conditional writers race. It says nothing of the values.
func UnlessKey(q *Query) string {
	var all []string
	for i := range q.Criteria {
		all = append(all, q.Criteria[i].normal())
	}
	slices.Sort(all)
	all = slices.Compact(all)
	sum := sha256.Sum256([]byte(q.Type + "\x00" + strings.Join(all, "\x00")))
	return q.Type + "-" + hex.EncodeToString(sum[:16])
}

// normal writes a criterion so that equal ones are equal texts.
func (c *Criterion) normal() string {
	if c.Param == nil {
		return c.normalJoins()
	}
	var values []string
	for i := range c.Values {
		values = append(values, c.Values[i].normal(c.Param))
	}
	if c.Modifier == ModMissing {
		values = append(values, map[bool]string{true: "true", false: "false"}[c.Missing])
	}
	slices.Sort(values)
	return c.Param.Code + ":" + string(c.Modifier) + ":" + c.Target + "\x01" + strings.Join(slices.Compact(values), "\x01")
}

func (c *Criterion) normalJoins() string {
	all := func(of []Criterion) string {
		var parts []string
		for i := range of {
			parts = append(parts, of[i].normal())
		}
		slices.Sort(parts)
		return strings.Join(slices.Compact(parts), "\x04")
	}
	parts := []string{strconv.Itoa(int(c.Op)), all(c.Of)}
	for i := range c.Joins {
		j := &c.Joins[i]
		parts = append(parts, strconv.FormatBool(j.Reverse)+j.Type+"\x05"+j.Param.Code+"\x05"+all(j.Where))
	}
	return "\x06" + strings.Join(parts, "\x06") + "\x07"
}

func (v *Value) normal(p *Param) string {
	text := v.Text
	switch p.Kind {
	case KindComposite:
		var parts []string
		for i := range v.Parts {
			parts = append(parts, v.Parts[i].normal(p.parts[i].param))
		}
		return strings.Join(parts, "\x04")
	case KindSpecial:
		text = fmt.Sprint(v.Near)
	case KindDate:
		text = v.Date.String()
	case KindNumber, KindQuantity:
		text = v.Number.String() + "\x02" + v.Unit.System + "\x02" + v.Unit.Code
	case KindReference:
		text += v.Reference.Type + "/" + v.Reference.ID + "/" + v.Reference.Version + "\x02" + v.Reference.URL
	}
	t := v.Token
	return strings.Join([]string{string(v.Comparator), text, t.System, t.Code, map[bool]string{true: "|"}[t.HasSystem]}, "\x03")
}
