package search

import (
	"slices"
	"strconv"

	"meridian/fhir/issue"
)

// Codes answers what :in, :not-in, :above and :below ask of code systems. It
// must be safe for concurrent use. An *issue.Error is for the client; it says
// what is wrong with the value set or code. Any other error means that there is
// no answer now.
//
// https://hl7.org/fhir/R4/search.html#token
type Codes interface {
	// Expand lists what a value set holds, by its canonical, with or without version.
	Expand(valueSet string) ([]CodeSet, error)
	// Descendants lists the codes that a code subsumes, without itself.
	Descendants(system, code string) ([]string, error)
	// Ancestors lists the codes that subsume a code, without itself.
	Ancestors(system, code string) ([]string, error)
}

// CodeSet is codes of one system, or all of it.
type CodeSet struct {
	System string // "": codes without a system
	All    bool   // every code of System, which is not empty
	Codes  []string
}

// MaxExpansion is how many codes a value set, or the codes above or below one, may be in a search.
const MaxExpansion = 10_000

const idTerminology = "search.terminology"

// expand fills in the codes that v stands for, where c's modifier asks for
// them; false when that failed.
func (p *parser) expand(c *Criterion, v *Value) bool {
	if !c.expands() {
		return true
	}
	name, sets, err := v.Text, []CodeSet(nil), error(nil)
	switch c.Modifier {
	case ModIn, ModNotIn:
		sets, err = p.r.codes.Expand(name)
	default:
		t, list := v.Token, p.r.codes.Descendants
		if c.Modifier == ModAbove {
			list = p.r.codes.Ancestors
		}
		name = t.System + "|" + t.Code
		var codes []string
		codes, err = list(t.System, t.Code)
		sets = []CodeSet{{System: t.System, Codes: append([]string{t.Code}, codes...)}}
	}
	if err != nil {
		p.noCodes(c, name, err)
		return false
	}
	n := 0
	for _, s := range sets {
		n += max(len(s.Codes), 1)
	}
	if n > MaxExpansion {
		p.fail(issue.TooCostly, idTooMany, "%s:%s: %s is more than %d codes", c.Param.Code, c.Modifier, strconv.Quote(short(name)), MaxExpansion)
		return false
	}
	v.Codes = sets
	return true
}

func (p *parser) noCodes(c *Criterion, name string, err error) {
	code, text := issue.Transient, "the terminology does not answer"
	if e := issue.As(err); e != nil && len(e.Issues) > 0 {
		code, text = e.Issues[0].Code, e.Issues[0].Text
	}
	p.fail(code, idTerminology, "%s:%s of %s: %s", c.Param.Code, c.Modifier, strconv.Quote(short(name)), text)
}

// expands says that c's values stand for codes that terminology lists.
func (c *Criterion) expands() bool {
	switch c.Modifier {
	case ModIn, ModNotIn:
		return true
	case ModAbove, ModBelow:
		return c.Param.Kind == KindToken
	}
	return false
}

// codeTerm is any of the codes.
func (c *compiler) codeTerm(param string, sets []CodeSet) term {
	var of []term
	for _, s := range sets {
		if s.All && s.System != "" {
			of = append(of, tokenTerm(param, Token{System: s.System, HasSystem: true}))
			continue
		}
		c.leaves += len(s.Codes)
		for _, code := range s.Codes {
			if code != "" {
				of = append(of, tokenTerm(param, Token{System: s.System, Code: code, HasSystem: true}))
			}
		}
	}
	return either(of)
}

// inSets says whether one of the tokens is in one of the sets.
func inSets(of []token, sets []CodeSet) bool {
	for _, t := range of {
		for _, s := range sets {
			if s.System == t.system && (s.All && s.System != "" || t.code != "" && slices.Contains(s.Codes, t.code)) {
				return true
			}
		}
	}
	return false
}
