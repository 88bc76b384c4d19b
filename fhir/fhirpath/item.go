package fhirpath

import (
	"strconv"
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/schema"
	"meridian/fhir/value"
)

// Kind says what an Item is.
type Kind uint8

const (
	Element Kind = iota + 1 // a node of a tree
	Boolean
	String
	Integer
	Decimal
	Date
	DateTime
	Time
	KindQuantity
	TypeInfo // what type() gives
	Referred // a resource that is known by its type only: resolve() on a reference's text
	terminologies
)

var kindNames = [...]string{
	Boolean: "Boolean", String: "String", Integer: "Integer", Decimal: "Decimal", Date: "Date", DateTime: "DateTime",
	Time: "Time", KindQuantity: "Quantity",
}

// maxInteger is the largest Integer; FHIRPath's has 32 bits.
const maxInteger = 1<<31 - 1

// Quantity is System.Quantity. Calendar marks units written as words (4 days),
// which for months and years are not UCUM's.
// https://hl7.org/fhirpath/N1/#quantity
type Quantity struct {
	Value    value.Decimal
	Unit     string // "mg", "1", "day"; a word as written, singular or plural
	Calendar bool
}

// String is q as a literal.
func (q Quantity) String() string {
	var b strings.Builder
	b.WriteString(q.Value.String())
	b.WriteByte(' ')
	if q.Calendar {
		b.WriteString(q.Unit)
	} else {
		printQuoted(&b, q.Unit, '\'')
	}
	return b.String()
}

// Item is an element or a system value. Items are small values; what they hold
// must not be changed.
type Item struct {
	node element.Node
	str  string // String; TypeInfo: the name
	num  int64  // Boolean 0 or 1, Integer; Referred: schema.ID; TypeInfo: 1 for System, 0 for FHIR
	box  any    // value.Decimal, value.DateTime, value.Time, *Quantity
	kind Kind
}

// Collection is an ordered list of Items; nil is {}.
type Collection []Item

// NodeItem gives an element.
func NodeItem(n element.Node) Item { return Item{kind: Element, node: n} }

// BooleanItem gives a System.Boolean.
func BooleanItem(b bool) Item {
	if b {
		return Item{kind: Boolean, num: 1}
	}
	return Item{kind: Boolean}
}

// StringItem gives a System.String.
func StringItem(s string) Item { return Item{kind: String, str: s} }

// IntegerItem gives a System.Integer; i must have at most 32 bits.
func IntegerItem(i int64) Item { return Item{kind: Integer, num: i} }

// DecimalItem gives a System.Decimal.
func DecimalItem(d value.Decimal) Item { return Item{kind: Decimal, box: d} }

// DateItem gives a System.Date.
func DateItem(d value.DateTime) Item { return Item{kind: Date, box: d} }

// DateTimeItem gives a System.DateTime.
func DateTimeItem(d value.DateTime) Item { return Item{kind: DateTime, box: d} }

// TimeItem gives a System.Time.
func TimeItem(t value.Time) Item { return Item{kind: Time, box: t} }

// QuantityItem gives a System.Quantity.
func QuantityItem(q Quantity) Item { return Item{kind: KindQuantity, box: &q} }

// Kind says what i is.
func (i Item) Kind() Kind { return i.kind }

// Node is the element, the zero Node for a system value.
func (i Item) Node() element.Node { return i.node }

// Type is the element's type, or the resource type of a Referred; 0 for a system value.
func (i Item) Type() schema.ID {
	if i.kind == Referred {
		return schema.ID(i.num)
	}
	return i.node.TypeID()
}

// Bool is the value of a Boolean or a FHIR boolean.
func (i Item) Bool() (v, ok bool) {
	s, _ := i.System()
	return s.num != 0, s.kind == Boolean
}

// Text is the value of a String or of a FHIR primitive that is one (string, code, uri, …).
func (i Item) Text() (string, bool) {
	s, _ := i.System()
	return s.str, s.kind == String
}

// Int is the value of an Integer or of a FHIR integer, positiveInt or unsignedInt.
func (i Item) Int() (int64, bool) {
	s, _ := i.System()
	return s.num, s.kind == Integer
}

// Decimal is the value of a Decimal or Integer, or of the FHIR types that are.
func (i Item) Decimal() (value.Decimal, bool) {
	s, _ := i.System()
	return s.decimal()
}

func (i Item) decimal() (value.Decimal, bool) {
	switch i.kind {
	case Integer:
		return value.DecimalFromInt(i.num), true
	case Decimal:
		return i.box.(value.Decimal), true
	}
	return value.Decimal{}, false
}

// DateTime is the value of a Date or DateTime, or of a FHIR date, dateTime or instant.
func (i Item) DateTime() (value.DateTime, bool) {
	s, _ := i.System()
	d, ok := s.box.(value.DateTime)
	return d, ok
}

// Time is the value of a Time or a FHIR time.
func (i Item) Time() (value.Time, bool) {
	s, _ := i.System()
	t, ok := s.box.(value.Time)
	return t, ok
}

// Quantity is the value of a Quantity, or of a FHIR Quantity without comparator.
func (i Item) Quantity() (Quantity, bool) {
	s, _ := i.System()
	if q, ok := s.box.(*Quantity); ok {
		return *q, true
	}
	return Quantity{}, false
}

// InfoName is the qualified name of the type that a TypeInfo is about: FHIR.Patient.
func (i Item) InfoName() string {
	if i.num == 1 {
		return "System." + i.str
	}
	return "FHIR." + i.str
}

// System gives the system value of a FHIR primitive that has one, and of a FHIR
// Quantity; a system value gives itself. False for all else.
// https://hl7.org/fhir/R4/fhirpath.html#types
func (i Item) System() (Item, bool) {
	if i.kind != Element {
		return i, i.kind <= KindQuantity
	}
	if systemKind(i.node.TypeID()) == 0 || !i.node.HasValue() {
		return Item{}, false
	}
	return systemValue(i.node)
}

// TypeKind is the kind of the values of a FHIR type, 0 for a type that has no system value.
func TypeKind(t schema.ID) Kind { return systemKind(t) }

// systemKind is the kind of a type's value, 0 when it has none.
func systemKind(t schema.ID) Kind {
	switch t {
	case schema.TypeBoolean:
		return Boolean
	case schema.TypeInteger, schema.TypePositiveInt, schema.TypeUnsignedInt:
		return Integer
	case schema.TypeDecimal:
		return Decimal
	case schema.TypeDate:
		return Date
	case schema.TypeDateTime, schema.TypeInstant:
		return DateTime
	case schema.TypeTime:
		return Time
	case schema.TypeQuantity, schema.TypeAge, schema.TypeCount, schema.TypeDistance, schema.TypeDuration:
		return KindQuantity
	case schema.TypeBase64Binary, schema.TypeCanonical, schema.TypeCode, schema.TypeId, schema.TypeMarkdown, schema.TypeOid,
		schema.TypeString, schema.TypeUri, schema.TypeUrl, schema.TypeUuid, schema.TypeXhtml:
		return String
	}
	return 0
}

func systemValue(n element.Node) (Item, bool) {
	switch k := systemKind(n.TypeID()); k {
	case Boolean:
		return BooleanItem(string(n.Bytes()) == "true"), true
	case Integer:
		v, err := strconv.ParseInt(string(n.Bytes()), 10, 32)
		return IntegerItem(v), err == nil
	case Decimal:
		d, err := value.ParseDecimal(n.Bytes())
		return DecimalItem(d), err == nil
	case Date, DateTime:
		d, err := value.ParseDateTime(n.Bytes())
		return Item{kind: k, box: d}, err == nil
	case Time:
		t, err := value.ParseTime(n.Bytes())
		return TimeItem(t), err == nil
	case KindQuantity:
		return nodeQuantity(n)
	default:
		return StringItem(n.Text()), true
	}
}

// nodeQuantity reads a FHIR Quantity. Its UCUM code is the unit; without one,
// the unit as printed. A comparator (<5) makes it no number.
// https://hl7.org/fhir/R4/fhirpath.html#quantity
func nodeQuantity(n element.Node) (Item, bool) {
	if n.Child("comparator").HasValue() {
		return Item{}, false
	}
	d, err := value.ParseDecimal(n.Child("value").Bytes())
	if err != nil {
		return Item{}, false
	}
	q := Quantity{Value: d, Unit: "1"}
	if code := n.Child("code"); code.HasValue() {
		q.Unit = code.Text()
		if string(n.Child("system").Bytes()) == ucumSystem {
			if word, ok := calendarWord(q.Unit); ok {
				q.Unit, q.Calendar = word, true
			}
		}
	} else if unit := n.Child("unit"); unit.HasValue() {
		q.Unit = unit.Text()
	}
	return QuantityItem(q), true
}

// TypeName is the qualified name of i's type: "System.String", "FHIR.HumanName".
func (i Item) TypeName() string {
	switch i.kind {
	case Element, Referred:
		return "FHIR." + schema.ByID(i.Type()).Name
	case TypeInfo:
		return "System.SimpleTypeInfo"
	case terminologies:
		return "System.Terminologies"
	case 0:
		return ""
	}
	return "System." + kindNames[i.kind]
}

// String writes a system value as a literal, and an element as its location.
func (i Item) String() string {
	switch i.kind {
	case Boolean:
		return strconv.FormatBool(i.num != 0)
	case String:
		var b strings.Builder
		printQuoted(&b, i.str, '\'')
		return b.String()
	case Integer:
		return strconv.FormatInt(i.num, 10)
	case Date:
		return "@" + i.box.(value.DateTime).String()
	case DateTime:
		d := i.box.(value.DateTime)
		if d.Precision() <= value.Day {
			return "@" + d.String() + "T"
		}
		return "@" + d.String()
	case Time:
		return "@T" + i.box.(value.Time).String()
	case Decimal:
		return plainDecimal(i.box.(value.Decimal))
	case KindQuantity:
		return i.box.(*Quantity).String()
	case Element:
		return i.node.Location()
	}
	return i.TypeName()
}

// plainDecimal writes d so that it reads as a Decimal: 100 becomes 100.0.
func plainDecimal(d value.Decimal) string {
	s := d.String()
	if strings.IndexByte(s, '.') < 0 && strings.IndexByte(s, 'e') < 0 {
		s += ".0"
	}
	return s
}
