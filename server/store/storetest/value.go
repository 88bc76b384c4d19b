package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"meridian/fhir/search"
)

// value asks p for what a key of r says: a modifier with its colon, or none,
// and a value, which is empty where there is nothing to ask.
func (g *generator) value(p *search.Param, k search.Key, r *mapResource) (modifier, value string) {
	_, form, _ := strings.Cut(k.Param, ":")
	text := []rune(k.Value)
	switch {
	case p.Code == "_text" || p.Code == "_content":
		return "", of(g, g.begin(text), escaped(k.Value), escaped(k.Value)+" or x", "x or ("+escaped(k.Value)+" and "+g.begin(text)+")")
	case form == "text":
		return of(g, ":text", ":text", ":code-text"), g.begin(text)
	case form == "of-type":
		return ":of-type", k.Scope + "|" + escaped(k.Value)
	case form == "identifier":
		return ":identifier", of(g, escaped(k.Value), escaped(strings.TrimPrefix(k.Scope, search.NoSystem))+"|"+escaped(k.Value))
	case form == "py":
		return "", g.begin(text)
	case form != "":
		return "", ""
	}
	switch p.Kind {
	case search.KindDate:
		return "", g.date(r)
	case search.KindNumber:
		return "", g.comparator() + g.near(g.text(r, "decimal", "integer", "positiveInt", "unsignedInt"))
	case search.KindQuantity:
		return "", g.quantity(r)
	case search.KindSpecial:
		return "", g.place(r)
	case search.KindString:
		return g.string(k, r)
	case search.KindReference:
		return g.reference(p, k)
	case search.KindURI:
		return g.uri(k)
	case search.KindToken:
		return g.token(k)
	}
	return "", ""
}

func (g *generator) begin(text []rune) string {
	if len(text) == 0 {
		return ""
	}
	return escaped(string(text[:g.IntN(len(text))+1]))
}

func (g *generator) comparator() string {
	return of(g, "", "", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
}

// date is one of r, as exact as it is or less.
func (g *generator) date(r *mapResource) string {
	s := g.text(r, "date", "dateTime", "instant")
	if len(s) > 4 && g.one(2) {
		s = s[:of(g, 4, min(len(s), 7), min(len(s), 10))]
	}
	if s == "" || g.one(12) {
		s = of(g, "2013", "2012-06", "2015-02-07", "1999", "2026", "2010-01-01T00:00:00Z")
	}
	return g.comparator() + s
}

// quantity is one of r, with its unit, with another unit of the same, or without one.
func (g *generator) quantity(r *mapResource) string {
	nodes := g.nodes(r, "Quantity", "SimpleQuantity", "Age", "Duration", "Distance", "Count", "Money")
	if len(nodes) == 0 {
		return ""
	}
	n := of(g, nodes...)
	number := g.near(n.Child("value").Text())
	if number == "" {
		return ""
	}
	system, code := escaped(n.Child("system").Text()), escaped(n.Child("code").Text())
	number = g.comparator() + number
	switch {
	case g.one(6):
		return number + "||" + escaped(n.Child("unit").Text())
	case g.one(3):
		return number
	case code == "mmol/L" && g.one(2):
		return of(g, "", "ge", "lt", "ne") + strings.TrimLeft(number, "abeglnqpst") + "000|" + system + "|umol/L"
	case code == "":
		return number
	}
	return number + of(g, "|"+system+"|"+code, "|"+system+"|"+code, "||"+code)
}

// place is a position of r, or one beside it.
func (g *generator) place(r *mapResource) string {
	at := g.tree(r).Child("position")
	move := func(name string) string {
		var f float64
		_, _ = fmt.Sscan(at.Child(name).Text(), &f) // 0 where there is none
		return fmt.Sprintf("%.4f", f+float64(g.IntN(5)-2)/4)
	}
	return move("latitude") + "|" + move("longitude") + of(g, "", "|100", "|100|km", "|50000|m", "|70|[mi_us]", "|12000")
}

// string asks for a part of a text as it is folded, or for a text as it is written.
func (g *generator) string(k search.Key, r *mapResource) (modifier, value string) {
	text := []rune(k.Value)
	switch g.IntN(4) {
	case 0:
		for _, n := range g.nodes(r, "string", "markdown") {
			if search.Fold(n.Text()) == k.Value {
				return ":exact", escaped(n.Text())
			}
		}
		return ":exact", escaped(k.Value)
	case 1:
		if len(text) > 0 {
			from := g.IntN(len(text))
			return ":contains", escaped(string(text[from : from+g.IntN(len(text)-from)+1]))
		}
	}
	return "", of(g, g.begin(text), strings.ToUpper(g.begin(text)))
}

func (g *generator) reference(p *search.Param, k search.Key) (modifier, value string) {
	value = escaped(k.Value)
	switch {
	case value == "":
		return "", ""
	case k.Scope != "" && p.Canonical():
		return "", k.Scope + "/" + value
	case k.Scope != "" && slices.Contains(g.w.registry.Modifiers(p), search.ModBelow) && g.one(2): // it has a hierarchy
		return of(g, ":below", ":above"), k.Scope + "/" + value
	case k.Scope != "":
		switch g.IntN(5) {
		case 0:
			return ":" + k.Scope, value
		case 1:
			return "", value
		case 2:
			return "", "http://our.example/fhir/" + k.Scope + "/" + value
		}
		return "", k.Scope + "/" + value
	case g.one(2) && strings.Contains(k.Value, ":"):
		return ":below", g.upTo(k.Value)
	case g.one(2) && strings.Contains(k.Value, ":"):
		return ":above", value + of(g, "", "/x", "|1")
	}
	return "", value
}

func (g *generator) uri(k search.Key) (modifier, value string) {
	switch g.IntN(4) {
	case 0:
		return ":below", g.upTo(k.Value)
	case 1:
		return ":above", escaped(k.Value) + of(g, "", "/x", "|1")
	}
	return "", escaped(k.Value)
}

// upTo is a URL as far as one of its slashes, mostly.
func (g *generator) upTo(url string) string {
	if g.one(4) {
		return g.begin([]rune(url))
	}
	parts := strings.SplitAfter(url, "/")
	return escaped(strings.TrimSuffix(strings.Join(parts[:1+g.IntN(len(parts))], ""), of(g, "", "/")))
}

func (g *generator) token(k search.Key) (modifier, value string) {
	code, system := escaped(k.Value), escaped(k.Scope)
	switch {
	case k.Value == "":
		return "", ""
	case k.Scope == search.NoSystem:
		return of(g, "", "", ":not"), "|" + code
	case k.Scope == "":
		return of(g, "", "", ":not"), code
	}
	switch g.IntN(8) {
	case 0:
		return ":below", system + "|" + g.begin([]rune(k.Value))
	case 1:
		return ":above", system + "|" + code + "1"
	case 2:
		return ":in", escaped("http://vs/" + k.Scope + "#" + of(g, k.Value, ""))
	case 3:
		return ":not-in", escaped("http://vs/" + k.Scope + "#" + of(g, k.Value, ""))
	case 4:
		return "", system + "|"
	}
	return of(g, "", "", ":not"), system + "|" + code
}

// filter is an expression of _filter about r, of comparisons within each other to a depth, over at most refs references.
//
// https://hl7.org/fhir/R4/search_filter.html
func (g *generator) filter(r *mapResource, depth, refs int) string {
	if depth == 0 {
		return g.test(r, refs)
	}
	switch g.IntN(5) {
	case 0:
		return "not (" + g.filter(r, depth-1, refs) + ")"
	case 1:
		return "(" + g.filter(r, depth-1, refs) + ") or " + g.filter(of(g, g.live[r.typ]...), depth-1, refs)
	case 2:
		return g.filter(r, depth-1, refs) + " or " + g.filter(r, depth-1, refs)
	}
	return g.filter(r, depth-1, refs) + " and (" + g.filter(r, depth-1, refs) + ")"
}

// test is one comparison, of r or of what is refs references away.
func (g *generator) test(r *mapResource, refs int) string {
	if refs > 0 && g.one(2) {
		if k, to := g.forward(r); to != nil {
			path := g.alias(r.typ, k.Param, k.Scope) + of(g, "", ":"+k.Scope)
			if g.one(3) {
				path += "[" + g.filter(to, 0, 0) + "]"
			}
			return path + "." + g.test(to, refs-1)
		}
	}
	if refs > 0 && g.one(2) {
		if x := g.backward(r); x != nil {
			return "_has:" + x.from.typ + ":" + g.alias(x.from.typ, x.param, r.typ) + ":" + g.test(x.from, refs-1)
		}
	}
	return g.comparison(r)
}

// comparison is a parameter of r with an operator of its kind and a value.
func (g *generator) comparison(r *mapResource) string {
	for range 20 {
		p, keys := g.param(r)
		if p == nil || strings.HasPrefix(p.Code, "_text") || strings.HasPrefix(p.Code, "_content") {
			continue
		}
		if g.one(8) {
			return p.Code + " pr " + of(g, "true", "false")
		}
		k := of(g, keys...)
		if k.Param != p.Code || k.Value == "" {
			continue
		}
		op, value := g.operation(p, k, r)
		text, err := json.Marshal(value)
		if err != nil || value == "" {
			continue
		}
		return p.Code + " " + op + " " + strings.ReplaceAll(string(text), "\\u0026", "")
	}
	return "_id eq " + r.id
}

func (g *generator) operation(p *search.Param, k search.Key, r *mapResource) (op, value string) {
	bare := func(s string) string { return strings.TrimLeft(s, "abeglnqpst") }
	switch p.Kind {
	case search.KindString:
		return of(g, "eq", "ne", "co", "sw", "ew"), k.Value
	case search.KindDate:
		return of(g, "eq", "ne", "co", "gt", "lt", "ge", "le", "ap", "sa", "eb", "po"), bare(g.date(r))
	case search.KindNumber:
		return of(g, "eq", "ne", "gt", "lt", "ge", "le", "ap", "sa", "eb"), g.near(g.text(r, "decimal", "integer", "positiveInt", "unsignedInt"))
	case search.KindQuantity:
		return of(g, "eq", "ne", "gt", "lt", "ge", "le", "ap", "sa", "eb"), bare(g.quantity(r))
	case search.KindToken:
		if k.Scope == "" || k.Scope == search.NoSystem {
			return of(g, "eq", "ne"), escaped(k.Value)
		}
		if g.one(4) {
			return of(g, "in", "ni"), "http://vs/" + k.Scope + "#" + k.Value
		}
		return of(g, "eq", "ne", "ss", "sb"), escaped(k.Scope) + "|" + escaped(k.Value)
	case search.KindReference:
		if k.Scope == "" {
			return of(g, "re", "eq", "ne"), k.Value
		}
		return of(g, "re", "eq", "ne"), k.Scope + "/" + k.Value
	case search.KindURI:
		return of(g, "eq", "ne"), k.Value
	}
	return "", ""
}
