package codec

import (
	"strconv"
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// Message ids of issues: details.coding.code of an OperationOutcome.
const (
	idSyntax       = "json.syntax"
	idUTF8         = "json.utf8"
	idDuplicate    = "json.duplicate-name"
	idTooDeep      = "json.depth"
	idTooLarge     = "json.size"
	idTooMany      = "json.nodes"
	idLookAhead    = "json.resource-type-late"
	idMoreIssues   = "json.more-issues"
	idUnknown      = "element.unknown"
	idJSONType     = "element.json-type"
	idChoice       = "element.choice-twice"
	idEmptyObject  = "element.empty-object"
	idEmptyArray   = "element.empty-array"
	idNull         = "element.null"
	idUnpaired     = "element.unpaired-array"
	idRequired     = "element.required"
	idPrimitive    = "primitive.pattern"
	idNarrative    = "narrative.xhtml"
	idTypeMissing  = "resource-type.missing"
	idTypeUnknown  = "resource-type.unknown"
	idTypeMismatch = "resource-type.unexpected"
)

// report records an issue while there is room for it.
func (p *Parser) report(code issue.Code, id string, offset int, expression, text string) {
	if p.full() {
		return
	}
	p.issues = append(p.issues, issue.Issue{Severity: issue.SevError, Code: code, ID: id, Text: text, Expression: expression, Offset: offset})
}

// full counts an issue that is not listed.
func (p *Parser) full() bool {
	if len(p.issues) >= p.opt.MaxIssues {
		p.unlisted++
		return true
	}
	return false
}

// reportNode records an issue of the element at node.
func (p *Parser) reportNode(node int, code issue.Code, id string, offset int, text string) {
	if p.full() {
		return
	}
	p.report(code, id, offset, p.tree.At(node).Location(), text)
}

// reportChild records an issue of an element below node that has no node itself.
func (p *Parser) reportChild(node int, name string, code issue.Code, id string, offset int, text string) {
	if p.full() {
		return
	}
	p.report(code, id, offset, p.childLocation(node, name), text)
}

func (p *Parser) childLocation(node int, name string) string {
	loc := p.tree.At(node).Location()
	if !isIdentifier(name) {
		return loc
	}
	return loc + "." + name
}

// isIdentifier says that an expression may hold the name as it is; an index may follow it.
func isIdentifier(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '[' && c != ']') {
			return false
		}
	}
	return s != "" && len(s) <= maxNameShown
}

// fail records the error that ends the parse and gives -1. Its location is
// filled in by the object that is being read, see place.
func (p *Parser) fail(offset int, id, text string) int {
	return p.failCode(issue.Structure, offset, id, text)
}

func (p *Parser) failCode(code issue.Code, offset int, id, text string) int {
	p.issues = append(p.issues, issue.Issue{Severity: issue.Fatal, Code: code, ID: id, Text: text, Expression: p.opt.Type, Offset: offset})
	p.unplaced = true
	return -1
}

// expected is fail with a text of its own where the body has ended.
func (p *Parser) expected(i int, text string) int {
	if i >= len(p.src) {
		return p.fail(len(p.src), idSyntax, "the body ends too early: "+text)
	}
	return p.fail(i, idSyntax, text)
}

func (p *Parser) tooDeep(i int) int {
	return p.fail(i, idTooDeep, "objects and arrays are nested deeper than "+strconv.Itoa(p.opt.MaxDepth)+" levels")
}

// place gives the error that has just ended the parse its location, unless a
// deeper object has done so.
func (p *Parser) place(node int, name string) {
	if !p.unplaced {
		return
	}
	p.unplaced = false
	last := &p.issues[len(p.issues)-1]
	if name == "" {
		last.Expression = p.tree.At(node).Location()
	} else {
		last.Expression = p.childLocation(node, name)
	}
}

func (p *Parser) error() error {
	if p.unlisted > 0 {
		p.issues = append(p.issues, issue.Issue{Severity: issue.Information, Code: issue.Informational, ID: idMoreIssues,
			Text: strconv.Itoa(p.unlisted) + " more issues are not listed", Offset: issue.NoOffset})
	}
	return &issue.Error{Issues: p.issues}
}

// unknown reports a name that the type does not have.
func (p *Parser) unknown(o *object, name []byte, offset int) {
	if p.full() {
		return
	}
	text := o.t.Name + " has no element " + shown(name)
	bare := string(clip(name))
	under := ""
	if strings.HasPrefix(bare, "_") {
		under, bare = "_", bare[1:]
	}
	if _, ok := o.t.Lookup([]byte(bare)); ok && under != "" {
		text += "; " + bare + " takes no id or extension of its own"
	} else if e := choiceOf(o.t, bare); e != nil {
		text += "; " + e.Name + "[x] is written with its type: " + choiceNames(o.t, e)
	} else if best := nearest(bare, propertyNames(o.t)); best != "" {
		text += "; did you mean " + under + best + "?"
	}
	p.reportChild(o.node, bare, issue.Structure, idUnknown, offset, text)
}

// choiceOf finds the choice that a name was meant for: value, or valueDecimal where that is no type of it.
func choiceOf(t *schema.Type, name string) *schema.Element {
	for i := range t.Elements {
		e := &t.Elements[i]
		if !e.Choice || !strings.HasPrefix(name, e.Name) {
			continue
		}
		typ := name[len(e.Name):]
		if typ == "" || schema.ByName(typ) != nil || schema.ByName(string(typ[0]|0x20)+typ[1:]) != nil {
			return e
		}
	}
	return nil
}

func choiceNames(t *schema.Type, e *schema.Element) string {
	var b strings.Builder
	n := 0
	for _, p := range t.Properties() {
		if &t.Elements[p.Element] != e {
			continue
		}
		if n == maxNamesShown {
			return b.String() + " or one of " + strconv.Itoa(len(e.Types)-n) + " more"
		}
		if n > 0 {
			b.WriteString(", ")
		}
		b.WriteString(p.JSON)
		n++
	}
	return b.String()
}

func propertyNames(t *schema.Type) []string {
	props := t.Properties()
	names := make([]string, len(props))
	for i := range props {
		names[i] = props[i].JSON
	}
	return names
}

func clip(name []byte) []byte { return name[:min(len(name), maxNameShown)] }

func shown(name []byte) string { return strconv.QuoteToASCII(string(clip(name))) }

// nearest gives the candidate that is most like name, "" when none is near: at
// most a third of its letters and one more differ, case aside.
func nearest(name string, candidates []string) string {
	best, least := "", min(len(name)/3+2, len(name))
	if name == "" || len(name) >= maxNameShown {
		return ""
	}
	folded := strings.ToLower(name)
	for _, c := range candidates {
		if d := distance(folded, strings.ToLower(c), least); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance is the edit distance of a and b, or limit when it is not below it.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	var row [maxNameShown + 1]int
	for k := range len(a) + 1 {
		row[k] = k
	}
	for j := range len(b) {
		diagonal := row[0]
		row[0] = j + 1
		for k := range len(a) {
			cost := diagonal
			if a[k] != b[j] {
				cost = 1 + min(diagonal, row[k], row[k+1])
			}
			diagonal, row[k+1] = row[k+1], cost
		}
	}
	return min(row[len(a)], limit)
}

func unescaped(s []byte) []byte { return element.AppendUnescaped(make([]byte, 0, len(s)), s) }

// nearestType gives the resource type most like name.
func nearestType(name []byte) string { return nearest(string(clip(name)), schema.ResourceTypes()) }
