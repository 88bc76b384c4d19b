package codec

import (
	"cmp"
	"slices"
	"sort"
	"strconv"

	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// XML is read by turning it into the JSON of the same resource, so that all
// rules beyond XML's own are those of the JSON reader, with the same message
// ids; places are those in the XML. In the same way a tree, which came from
// JSON, is written as XML.
//
//	<Patient xmlns="http://hl7.org/fhir"><birthDate id="a" value="1990"/></Patient>
//	{"resourceType":"Patient","birthDate":"1990","_birthDate":{"id":"a"}}
//
// What a tree keeps comes back from XML to the letter: numbers and dates as
// written, strings as text (JSON's escapes are JSON's own), the narrative byte for
// byte. Members stand in the order of the definition, as XML demands.
// docs/format/xml.md says what is canonical and what is refused.
//
// https://hl7.org/fhir/R4/xml.html

const (
	fhirNamespace = "http://hl7.org/fhir"
	xmlNamespace  = "http://www.w3.org/XML/1998/namespace"
	xsiNamespace  = "http://www.w3.org/2001/XMLSchema-instance"

	maxXMLAttributes = 32 // of one element, namespace declarations included
)

// Message ids of what only XML can have wrong; all else has the ids of JSON.
const (
	idXMLSyntax    = "xml.syntax"
	idXMLDoctype   = "xml.doctype"
	idXMLEncoding  = "xml.encoding"
	idXMLNamespace = "xml.namespace"
	idXMLOrder     = "xml.order"
	idXMLText      = "xml.text"
	idXMLAttribute = "xml.attribute"
	idXMLResource  = "xml.resource"
	idXMLCharacter = "xml.character"
	idXMLDivID     = "xml.div-id"
)

// XMLReader turns one resource after the other from XML into JSON. It serves
// one goroutine at a time.
type XMLReader struct {
	opt  Options
	enc  encoding
	src  []byte // UTF-8, without byte order mark
	text []byte // buffer of src where the body was in UTF-16

	i     int
	tag   xmlTag    // read last
	attrs []xmlAttr // its attributes, without namespace declarations
	binds []binding // namespaces in force, innermost last
	space xmlSpace  // of names without a prefix
	open  []xmlOpen // elements that are copied or skipped
	path  []xmlStep
	out   *jsonText // what is being written
	main  jsonText
	sides []*jsonText // for the "_name" arrays of repeating primitives
	inUse int         // of sides
	nodes int         // elements read so far

	issues   []issue.Issue
	unlisted int
}

// xmlStep is an element on the way from the root.
type xmlStep struct {
	e *schema.Element
	n int // among those of the same name
}

// jsonText is JSON and the places in the XML that its parts came from.
type jsonText struct {
	b     []byte
	marks []mark
}

type mark struct{ json, xml uint32 }

func (o *jsonText) mark(at int) {
	o.marks = append(o.marks, mark{uint32(len(o.b)), uint32(at)})
}

// cut takes back what was written since b was n long and marks was m.
func (o *jsonText) cut(n, m int) { o.b, o.marks = o.b[:n], o.marks[:m] }

// add appends what another has collected.
func (o *jsonText) add(from *jsonText) {
	shift := uint32(len(o.b))
	for _, m := range from.marks {
		o.marks = append(o.marks, mark{m.json + shift, m.xml})
	}
	o.b = append(o.b, from.b...)
}

// NewXMLReader gives a reader; of the options, MaxBytes bounds the XML as sent.
func NewXMLReader(o Options) *XMLReader { return &XMLReader{opt: o.withDefaults()} }

// JSON gives the resource as JSON for a Parser, which checks all that is not
// XML's own and whose errors Translate gives their place. The bytes are valid
// until the next call. The error is an *issue.Error with the codes structure,
// too-long, too-costly (elements) and, for an encoding, not-supported; it lists what a Parser would find, too. Like the JSON, it is
// about the whole body: XML in a batch has no entries that fail by themselves.
func (x *XMLReader) JSON(src []byte) ([]byte, error) {
	x.reset()
	read := x.decode(src) && x.document()
	if len(x.issues) == 0 {
		return x.main.b, nil
	}
	if read {
		x.findMore()
	}
	for k := range x.issues {
		if is := &x.issues[k]; is.Offset >= 0 {
			is.Offset = x.enc.offset(x.src, is.Offset)
		}
	}
	if x.unlisted > 0 {
		x.issues = append(x.issues, moreIssues(x.unlisted))
	}
	return nil, &issue.Error{Issues: x.issues}
}

func moreIssues(n int) issue.Issue {
	return issue.Issue{Severity: issue.Information, Code: issue.Informational, ID: idMoreIssues,
		Text: strconv.Itoa(n) + " more issues are not listed", Offset: issue.NoOffset}
}

// findMore adds what is wrong beyond XML's own rules, so that one answer names all of it.
func (x *XMLReader) findMore() {
	p := NewParser(x.opt)
	p.opt.MaxBytes = maxBytesEver
	if _, err := p.Parse(x.main.b); err != nil {
		for _, is := range issue.As(err).Issues {
			if is.ID == idMoreIssues || is.ID == idRequired && x.reported(is.Expression) {
				continue // counted below; not missing but in a wrong place
			}
			if len(x.issues) >= x.opt.MaxIssues {
				x.unlisted++
				continue
			}
			x.issues = append(x.issues, x.translate(is))
		}
		x.unlisted += p.unlisted
		slices.SortStableFunc(x.issues, func(a, b issue.Issue) int { return cmp.Compare(a.Offset, b.Offset) })
	}
}

// reported says that the reader has an issue of its own with that element.
func (x *XMLReader) reported(expression string) bool {
	return slices.ContainsFunc(x.issues, func(is issue.Issue) bool { return is.Expression == expression })
}

// Translate gives an error about the JSON of the last call the places of the
// XML. Errors that are no *issue.Error stay as they are.
func (x *XMLReader) Translate(err error) error {
	e := issue.As(err)
	if e == nil {
		return err
	}
	out := &issue.Error{Issues: slices.Clone(e.Issues), Status: e.Status}
	for k := range out.Issues {
		if is := &out.Issues[k]; is.Offset >= 0 {
			*is = x.translate(*is)
			is.Offset = x.enc.offset(x.src, is.Offset)
		}
	}
	return out
}

// translate gives an issue its place in src.
func (x *XMLReader) translate(is issue.Issue) issue.Issue {
	if is.Offset >= 0 {
		is.Offset = x.place(is.Offset)
	}
	if is.ID == idJSONType {
		// All else has the right form; a number or boolean that JSON cannot hold is given to it as a string.
		is.Code, is.ID, is.Text = issue.Value, idPrimitive, "the value is no number or boolean as FHIR writes it"
	}
	return is
}

// place gives the offset in src of what stands at an offset of the JSON.
func (x *XMLReader) place(json int) int {
	marks := x.main.marks
	k := sort.Search(len(marks), func(k int) bool { return int(marks[k].json) > json })
	if k == 0 {
		return 0
	}
	m := marks[k-1]
	return min(int(m.xml)+json-int(m.json), len(x.src))
}

// ParseXML reads one resource into a tree of its own, that of the same resource
// in JSON. The error is an *issue.Error with the codes of Parse.
func ParseXML(src []byte, o Options) (*element.Tree, error) {
	x := NewXMLReader(o)
	json, err := x.JSON(src)
	if err != nil {
		return nil, err
	}
	o.MaxBytes = maxBytesEver // the limit is that of the XML
	tree, err := Parse(json, o)
	if err != nil {
		return nil, x.Translate(err)
	}
	return tree, nil
}

// IsFHIRXML says whether a body is XML whose root element is in FHIR's
// namespace, whatever stands in it.
func IsFHIRXML(src []byte) bool {
	x := NewXMLReader(Options{MaxBytes: maxBytesEver})
	x.reset()
	if !x.decode(src) {
		return false
	}
	for {
		x.white()
		switch {
		case x.has("<!--"), x.has("<?"):
			if !x.aside() {
				return false
			}
		case x.has("<") && !x.has("<!"):
			return x.startTag() && x.tag.space == spaceFHIR
		default:
			return false
		}
	}
}

func (x *XMLReader) reset() {
	x.i, x.inUse, x.nodes, x.unlisted = 0, 0, 0, 0
	x.issues = nil
	x.binds, x.open, x.path = x.binds[:0], x.open[:0], x.path[:0]
	x.space = spaceNone
	x.main.cut(0, 0)
	x.out = &x.main
}

// Oversized says that the reader has grown beyond what is worth keeping.
func (x *XMLReader) Oversized() bool {
	return cap(x.main.b) > maxPooledText || cap(x.text) > maxPooledText || cap(x.main.marks) > maxPooledNodes
}

// location is the FHIRPath of the element being read.
func (x *XMLReader) location() string {
	var b []byte
	for k, s := range x.path {
		if k == 0 {
			b = append(b, s.e.Name...)
			continue
		}
		b = append(append(b, '.'), s.e.Name...)
		if s.e.Repeats() {
			b = append(strconv.AppendInt(append(b, '['), int64(s.n), 10), ']')
		}
	}
	return string(b)
}

// child is the location of something below the element being read.
func (x *XMLReader) child(name string) string {
	if loc := x.location(); isIdentifier(name) {
		return loc + "." + name
	} else {
		return loc
	}
}

func (x *XMLReader) report(code issue.Code, id string, offset int, expression, text string) {
	if len(x.issues) >= x.opt.MaxIssues {
		x.unlisted++
		return
	}
	x.issues = append(x.issues, issue.Issue{Severity: issue.SevError, Code: code, ID: id, Text: text, Expression: expression, Offset: offset})
}

// fail records what ends the reading, and gives false.
func (x *XMLReader) fail(offset int, id, text string) bool {
	return x.failCode(issue.Structure, offset, id, text)
}

func (x *XMLReader) failCode(code issue.Code, offset int, id, text string) bool {
	x.issues = append(x.issues, issue.Issue{Severity: issue.Fatal, Code: code, ID: id, Text: text, Expression: x.location(), Offset: offset})
	return false
}

// expected is fail with a text of its own where the body has ended.
func (x *XMLReader) expected(text string) bool {
	if x.i >= len(x.src) {
		return x.fail(len(x.src), idXMLSyntax, "the body ends too early: "+text)
	}
	return x.fail(x.i, idXMLSyntax, text)
}

func (x *XMLReader) tooDeep(offset int) bool {
	return x.fail(offset, idTooDeep, "elements are nested deeper than "+strconv.Itoa(x.opt.MaxDepth)+" levels")
}
