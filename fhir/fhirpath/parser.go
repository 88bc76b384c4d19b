package fhirpath

import (
	"strconv"
	"strings"

	"meridian/fhir/value"
)

type parser struct {
	lexer
	tok     token
	depth   int  // of recursion
	defines bool // the path that is being read defines a variable
}

func (p *parser) parse() (Node, error) {
	if len(p.src) > MaxSource {
		return nil, p.fail(0, "the expression is longer than "+strconv.Itoa(MaxSource)+" bytes")
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	n, err := p.expression(bindImplies)
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tokEnd {
		return nil, p.unexpected("the end or an operator")
	}
	return n, nil
}

func (p *parser) advance() (err error) {
	p.tok, err = p.next()
	return err
}

func (p *parser) unexpected(want string) error {
	return p.fail(p.tok.offset, "expected "+want)
}

func (p *parser) expect(symbol string) error {
	if !p.tok.is(symbol) {
		return p.unexpected("'" + symbol + "'")
	}
	return p.advance()
}

// at gives the place of a node above others.
func (p *parser) at(offset int, below ...Node) (place, error) {
	h := 0
	for _, n := range below {
		if n != nil {
			h = max(h, n.height())
		}
	}
	if h >= MaxDepth {
		return place{}, p.fail(offset, "nested deeper than "+strconv.Itoa(MaxDepth))
	}
	return place{offset: offset, depth: h + 1}, nil
}

// expression reads operators that bind at least as tight as bind.
func (p *parser) expression(bind int) (Node, error) {
	if p.depth++; p.depth > MaxDepth {
		return nil, p.fail(p.tok.offset, "nested deeper than "+strconv.Itoa(MaxDepth))
	}
	defer func() { p.depth-- }()
	x, err := p.operand()
	for err == nil {
		op, b := opNone, 0
		if p.tok.kind == tokSymbol || p.tok.kind == tokIdent {
			op, b = binaryOperator(p.tok.text)
		}
		if op == opNone || b < bind {
			return x, nil
		}
		x, err = p.binary(x, op, b)
	}
	return nil, err
}

func (p *parser) binary(x Node, op operator, bind int) (Node, error) {
	t := p.tok
	if err := p.advance(); err != nil {
		return nil, err
	}
	if op == opIs || op == opAs {
		name, err := p.typeSpecifier()
		if err != nil {
			return nil, err
		}
		at, err := p.at(t.offset, x)
		if op == opIs {
			markTypeOnly(x)
		}
		return &TypeTest{at, x, t.text, name}, err
	}
	y, err := p.expression(bind + 1)
	if err != nil {
		return nil, err
	}
	at, err := p.at(t.offset, x, y)
	return &Binary{at, t.text, x, y, op}, err
}

// operand reads a sign with what it binds, or a term with its steps.
func (p *parser) operand() (Node, error) {
	if p.tok.is("+") || p.tok.is("-") {
		t := p.tok
		if err := p.advance(); err != nil {
			return nil, err
		}
		if t.text == "-" && p.tok.kind == tokNumber && p.tok.text == minInteger {
			return p.leastInteger(t.offset)
		}
		x, err := p.expression(bindSign)
		if err != nil {
			return nil, err
		}
		at, err := p.at(t.offset, x)
		return &Unary{at, t.text, x}, err
	}
	return p.path()
}

// path reads a term with its steps. What it defines ends with it.
func (p *parser) path() (Node, error) {
	outer := p.defines
	p.defines = false
	x, err := p.steps(p.term())
	if c, ok := x.(interface{ close() }); ok && err == nil && p.defines {
		c.close()
	}
	p.defines = outer
	return x, err
}

const minInteger = "2147483648"

// leastInteger reads -2147483648, whose digits alone are no Integer; so no step may follow.
func (p *parser) leastInteger(offset int) (Node, error) {
	lit := &Literal{place{offset: offset, depth: 1}, Collection{IntegerItem(-1 << 31)}}
	return lit, p.advance()
}

// steps reads .name, .f() and [i] behind x.
func (p *parser) steps(x Node, err error) (Node, error) {
	for err == nil {
		switch {
		case p.tok.is("."):
			if err = p.advance(); err == nil {
				x, err = p.invocation(x)
			}
		case p.tok.is("["):
			x, err = p.indexer(x)
		default:
			return x, nil
		}
	}
	return nil, err
}

func (p *parser) indexer(x Node) (Node, error) {
	offset := p.tok.offset
	if err := p.advance(); err != nil {
		return nil, err
	}
	i, err := p.expression(bindImplies)
	if err != nil {
		return nil, err
	}
	if err := p.expect("]"); err != nil {
		return nil, err
	}
	at, err := p.at(offset, x, i)
	return &Indexer{at, x, i}, err
}

func (p *parser) term() (Node, error) {
	t := p.tok
	switch {
	case t.is("("):
		if err := p.advance(); err != nil {
			return nil, err
		}
		n, err := p.expression(bindImplies)
		if err != nil {
			return nil, err
		}
		return n, p.expect(")")
	case t.is("{"):
		if err := p.advance(); err != nil {
			return nil, err
		}
		return &Literal{place{offset: t.offset, depth: 1}, nil}, p.expect("}")
	case t.is("%"):
		return p.variable()
	case t.kind == tokSpecial:
		return p.invocation(nil)
	case t.kind == tokIdent && (t.text == "true" || t.text == "false"):
		return &Literal{place{offset: t.offset, depth: 1}, Collection{BooleanItem(t.text == "true")}}, p.advance()
	case t.kind == tokIdent, t.kind == tokDelimited:
		return p.invocation(nil)
	}
	return p.literal()
}

// variable reads %name, %`name` or %'name'.
func (p *parser) variable() (Node, error) {
	offset := p.tok.offset
	if err := p.advance(); err != nil {
		return nil, err
	}
	switch p.tok.kind {
	case tokIdent, tokDelimited, tokString:
		n := &Variable{place{offset: offset, depth: 1}, p.tok.text}
		return n, p.advance()
	}
	return nil, p.unexpected("a name behind '%'")
}

// invocation reads a name, a function or a $variable behind x, which may be nil.
func (p *parser) invocation(x Node) (Node, error) {
	t := p.tok
	if t.kind == tokSpecial {
		if t.text != "$this" && t.text != "$index" && t.text != "$total" {
			return nil, p.fail(t.offset, "expected $this, $index or $total")
		}
		if x != nil {
			return nil, p.fail(t.offset, "unexpected "+t.text)
		}
		return &Special{place{offset: t.offset, depth: 1}, t.text}, p.advance()
	}
	if !isIdentifier(t) && !(x != nil && t.kind == tokIdent && t.text == narrativeDiv) {
		return nil, p.unexpected("a name")
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.tok.is("(") {
		return p.call(x, t)
	}
	at, err := p.at(t.offset, x)
	return &Member{at, x, t.text}, err
}

// narrativeDiv is the one element of R4 whose name is an operator's word. N1 wants
// Patient.text.`div`; HL7's own patch suite writes Patient.text.div, and behind a
// point it can be nothing else.
const narrativeDiv = "div"

// isIdentifier: the words of operators are none, except as, contains, in and is.
func isIdentifier(t token) bool {
	return t.kind == tokDelimited || t.kind == tokIdent && !reserved(t.text)
}

func reserved(s string) bool {
	switch s {
	case "and", "or", "xor", "implies", "div", "mod", "true", "false":
		return true
	}
	return false
}

func (p *parser) call(x Node, name token) (Node, error) {
	fn := functions[name.text]
	if fn == nil {
		return nil, &Error{Semantic, p.src, name.offset, "there is no function " + strconv.Quote(name.text)}
	}
	c := &Call{X: x, Name: name.text, fn: fn}
	p.defines = p.defines || name.text == "defineVariable"
	if err := p.advance(); err != nil {
		return nil, err
	}
	if fn.typeArg && !(fn.typeMay && p.tok.is(")")) {
		t, err := p.typeSpecifier()
		if err != nil {
			return nil, err
		}
		c.Type = t
		if name.text == "is" {
			markTypeOnly(x)
		}
	}
	for !p.tok.is(")") {
		if len(c.Args) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
		}
		a, err := p.expression(bindImplies)
		if err != nil {
			return nil, err
		}
		c.Args = append(c.Args, a)
	}
	if len(c.Args) < fn.least || len(c.Args) > fn.most {
		return nil, &Error{Semantic, p.src, name.offset, name.text + "() has " + strconv.Itoa(len(c.Args)) + " arguments, not " + fn.arguments()}
	}
	var err error
	if c.place, err = p.at(name.offset, append([]Node{x}, c.Args...)...); err != nil {
		return nil, err
	}
	return c, p.advance()
}

// markTypeOnly tells a resolve() that only its type is asked for, which a
// reference's text often tells.
func markTypeOnly(x Node) {
	if c, ok := x.(*Call); ok && c.Name == "resolve" {
		c.typeOnly = true
	}
}

func (p *parser) typeSpecifier() (*TypeName, error) {
	offset := p.tok.offset
	var names []string
	for {
		if !isIdentifier(p.tok) {
			return nil, p.unexpected("the name of a type")
		}
		names = append(names, p.tok.text)
		if err := p.advance(); err != nil {
			return nil, err
		}
		if !p.tok.is(".") {
			break
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	t := typeByName(names)
	if t == nil {
		return nil, &Error{Semantic, p.src, offset, "there is no type " + strconv.Quote(strings.Join(names, "."))}
	}
	return t, nil
}

func (p *parser) literal() (Node, error) {
	t := p.tok
	var item Item
	switch t.kind {
	case tokString:
		item = StringItem(t.text)
	case tokNumber:
		return p.number()
	case tokDate:
		d, _ := value.ParsePartialDateTime(t.text)
		item = DateItem(d)
	case tokDateTime:
		d, _ := value.ParsePartialDateTime(t.text)
		item = DateTimeItem(d)
	case tokTime:
		d, _ := value.ParsePartialTime(t.text)
		item = TimeItem(d)
	default:
		return nil, p.unexpected("an operand")
	}
	return &Literal{place{offset: t.offset, depth: 1}, Collection{item}}, p.advance()
}

// number reads an Integer, a Decimal, or a Quantity where a unit follows.
func (p *parser) number() (Node, error) {
	t := p.tok
	text := t.text
	for len(text) > 1 && text[0] == '0' && text[1] != '.' {
		text = text[1:] // FHIRPath allows leading zeros, FHIR's decimal does not
	}
	d, err := value.ParseDecimal(text)
	if err != nil {
		return nil, p.fail(t.offset, err.Error())
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	n := &Literal{place: place{offset: t.offset, depth: 1}}
	if unit := p.tok; unit.kind == tokString || unit.kind == tokIdent && calendarUnit(unit.text) != 0 {
		q := Quantity{Value: d, Unit: unit.text, Calendar: unit.kind == tokIdent}
		n.Value = Collection{QuantityItem(q)}
		return n, p.advance()
	}
	if strings.IndexByte(text, '.') >= 0 {
		n.Value = Collection{DecimalItem(d)}
		return n, nil
	}
	i, ok := d.Int64()
	if !ok || i > maxInteger {
		return nil, p.fail(t.offset, "an Integer has 32 bits")
	}
	n.Value = Collection{IntegerItem(i)}
	return n, nil
}
