package search

import (
	"fmt"
	"slices"
	"strconv"

	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

const knownModifiersSentence = "missing, exact, contains, text, in, not-in, below, above, not, of-type, identifier and [type]"

// modifiers that R4 has, by kind; those of supportedModifiers work.
var (
	kindModifiers = map[Kind][]string{
		KindNumber:    {"missing"},
		KindDate:      {"missing"},
		KindString:    {"missing", "exact", "contains"},
		KindToken:     {"missing", "text", "in", "not-in", "below", "above", "not", "of-type"},
		KindReference: {"missing", "identifier", "above", "below"},
		KindQuantity:  {"missing"},
		KindURI:       {"missing", "above", "below"},
	}
	supportedModifiers = []Modifier{ModMissing, ModExact, ModContains, ModNot, ModIdentifier}
	allModifiers       = []string{"missing", "exact", "contains", "text", "in", "not-in", "below", "above", "not", "of-type", "identifier"}
)

// modifier sets c's modifier; false when it was refused.
func (p *parser) modifier(c *Criterion, m string) bool {
	name, kind := c.Param.Code, c.Param.Kind
	switch {
	case m == "":
		return true
	case slices.Contains(kindModifiers[kind], m):
		if !slices.Contains(supportedModifiers, Modifier(m)) {
			p.refuse(issue.NotSupported, idUnsupported, "the modifier :%s of %s is not supported yet", m, strconv.Quote(name))
			return false
		}
		c.Modifier = Modifier(m)
		return true
	case slices.Contains(allModifiers, m):
		p.refuse(issue.NotSupported, idModifierNotForKind, "the modifier :%s is not for a %s parameter such as %s", m, kind, strconv.Quote(name))
		return false
	}
	if t := schema.ByName(m); t != nil && t.Kind == schema.Resource && !t.Abstract {
		return p.typeModifier(c, m)
	}
	text := fmt.Sprintf("there is no modifier :%s (of %s); R4 has %s", short(m), strconv.Quote(name), knownModifiersSentence)
	if near := nearest(m, slices.Concat(allModifiers, c.Param.Targets)); near != "" {
		text += "; did you mean :" + near + "?"
	}
	p.refuse(issue.NotSupported, idUnknownModifier, "%s", text)
	return false
}

func (p *parser) typeModifier(c *Criterion, typ string) bool {
	switch {
	case c.Param.Kind != KindReference:
		p.refuse(issue.NotSupported, idModifierNotForKind, "the modifier :%s is not for a %s parameter such as %s", typ, c.Param.Kind, strconv.Quote(c.Param.Code))
		return false
	case len(c.Param.Targets) > 0 && !slices.Contains(c.Param.Targets, typ):
		p.refuse(issue.NotSupported, idUnknownModifier, "%s cannot refer to a %s", strconv.Quote(c.Param.Code), typ)
		return false
	}
	c.Modifier, c.Target = ModType, typ
	return true
}
