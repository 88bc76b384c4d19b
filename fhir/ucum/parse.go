package ucum

import (
	"math/big"
	"strings"
)

// Parse reads a unit. The empty code is no unit; "1" is the number one, and so
// is an annotation alone ("{cells}").
func Parse(code string) (Unit, error) {
	if code == "" {
		return Unit{}, &Error{0, "a unit is missing"}
	}
	if len(code) > MaxCode {
		return Unit{}, &Error{MaxCode, "the code is too long"}
	}
	t, err := units()
	if err != nil {
		return Unit{}, err
	}
	p := parser{table: t, src: code}
	u, err := p.term()
	if err == nil && p.at < len(code) {
		err = p.fail("unexpected character")
	}
	return u, err
}

// parser reads UCUM's grammar (UCUM §§ 2–15):
//
//	term       = ["/"] component *( ("." / "/") component )
//	component  = "(" term ")" / factor / atom [exponent] [annotation] / annotation
type parser struct {
	table *table
	src   string
	at    int
	depth int
}

func (p *parser) fail(reason string) error { return &Error{p.at, reason} }

func (p *parser) peek() byte {
	if p.at < len(p.src) {
		return p.src[p.at]
	}
	return 0
}

func (p *parser) term() (Unit, error) {
	u, exp, first := one(), 1, true
	if p.peek() == '/' {
		p.at++
		exp, first = -1, false
	}
	for {
		start := p.at
		c, err := p.component()
		if err != nil {
			return Unit{}, err
		}
		more := p.peek() == '.' || p.peek() == '/'
		switch {
		case first && !more:
			return c, nil
		case c.alone:
			return Unit{}, &Error{start, "a special unit is no part of a product"}
		}
		if u, first = u.mul(c, exp), false; !u.bounded() {
			return Unit{}, p.fail("the exponent is too large")
		}
		if !more {
			return u, nil
		}
		if exp = 1; p.peek() == '/' {
			exp = -1
		}
		p.at++
	}
}

func one() Unit { return Unit{factor: big.NewRat(1, 1)} }

func (p *parser) component() (Unit, error) {
	switch c := p.peek(); {
	case c == '(':
		return p.group()
	case c == '{':
		return one(), p.annotation()
	case isDigit(c) && !strings.HasPrefix(p.src[p.at:], "10*") && !strings.HasPrefix(p.src[p.at:], "10^"):
		start := p.at
		for isDigit(p.peek()) {
			p.at++
		}
		n, _ := new(big.Int).SetString(p.src[start:p.at], 10)
		if n.Sign() == 0 {
			return Unit{}, &Error{start, "the factor is 0"}
		}
		return Unit{factor: new(big.Rat).SetInt(n)}, p.annotation()
	}
	return p.atom()
}

func (p *parser) group() (Unit, error) {
	if p.depth++; p.depth > maxNesting {
		return Unit{}, p.fail("nested too deep")
	}
	p.at++
	u, err := p.term()
	if err != nil {
		return u, err
	}
	if p.peek() != ')' {
		return u, p.fail("')' is missing")
	}
	p.at++
	p.depth--
	return u, p.annotation()
}

// annotation skips {…}.
func (p *parser) annotation() error {
	if p.peek() != '{' {
		return nil
	}
	n := strings.IndexByte(p.src[p.at:], '}')
	if n < 0 {
		return p.fail("'}' is missing")
	}
	for _, c := range []byte(p.src[p.at+1 : p.at+n]) {
		if c < '!' || c > '~' || c == '{' {
			return p.fail("character that an annotation may not have")
		}
	}
	p.at += n + 1
	return nil
}

// atom reads a symbol, its prefix and its exponent.
func (p *parser) atom() (Unit, error) {
	start := p.at
	name := p.symbol()
	if name == "" {
		return Unit{}, p.fail("a unit is missing")
	}
	u, ok := p.table.find(name)
	if !ok {
		return Unit{}, &Error{start, "there is no such unit"}
	}
	if c := p.peek(); c == '+' || c == '-' || isDigit(c) {
		if u.alone {
			return Unit{}, p.fail("a special unit has no exponent")
		}
		n, err := p.exponent()
		if err != nil {
			return Unit{}, err
		}
		if u = u.pow(n); !u.bounded() {
			return Unit{}, p.fail("the exponent is too large")
		}
	}
	return u, p.annotation()
}

// symbol takes the characters of a symbol. Digits belong to it inside of
// brackets, in front of '*' and '^', and where the table has it so (m_H2O has brackets).
func (p *parser) symbol() string {
	rest := p.src[p.at:]
	for _, s := range [...]string{"10*", "10^"} {
		if strings.HasPrefix(rest, s) {
			p.at += len(s)
			return s
		}
	}
	i, inside := 0, false
	for ; i < len(rest); i++ {
		c := rest[i]
		switch {
		case c == '[':
			inside = true
		case c == ']':
			inside = false
		}
		if !inside && strings.IndexByte("./(){}+-0123456789", c) >= 0 || c <= ' ' || c > '~' {
			break
		}
	}
	p.at += i
	return rest[:i]
}

func (p *parser) exponent() (int, error) {
	sign := 1
	if c := p.peek(); c == '+' || c == '-' {
		if p.at++; c == '-' {
			sign = -1
		}
	}
	if !isDigit(p.peek()) {
		return 0, p.fail("a digit of the exponent is missing")
	}
	n := 0
	for isDigit(p.peek()) {
		if n = n*10 + int(p.peek()-'0'); n > MaxExponent {
			return 0, p.fail("the exponent is too large")
		}
		p.at++
	}
	return sign * n, nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
