package fhirpath

import (
	"strings"
	"unicode/utf8"
)

// Print writes n as source, with parentheses only where they are needed.
func Print(n Node) string {
	var b strings.Builder
	printNode(&b, n, bindImplies)
	return b.String()
}

// binding is how tight n holds together.
func binding(n Node) int {
	switch n := n.(type) {
	case *Binary:
		_, b := binaryOperator(n.Op)
		return b
	case *TypeTest:
		return bindType
	case *Unary:
		return bindSign
	case *Literal:
		if len(n.Value) == 1 && n.Value[0].kind == Integer && n.Value[0].num < 0 {
			return bindSign
		}
	}
	return bindStep
}

// printNode puts n in parentheses where it holds less tight than bind.
func printNode(b *strings.Builder, n Node, bind int) {
	if binding(n) < bind {
		b.WriteByte('(')
		defer b.WriteByte(')')
	}
	switch n := n.(type) {
	case *Literal:
		if len(n.Value) == 0 {
			b.WriteString("{}")
		} else {
			b.WriteString(n.Value[0].String())
		}
	case *Variable:
		b.WriteByte('%')
		printName(b, n.Name)
	case *Special:
		b.WriteString(n.Name)
	case *Member:
		printStep(b, n.X)
		printName(b, n.Name)
	case *Call:
		printCall(b, n)
	case *Indexer:
		printNode(b, n.X, bindStep)
		b.WriteByte('[')
		printNode(b, n.Index, bindImplies)
		b.WriteByte(']')
	case *Unary:
		b.WriteString(n.Op)
		printNode(b, n.X, bindSign)
	case *Binary:
		_, own := binaryOperator(n.Op)
		printNode(b, n.X, own)
		b.WriteString(" " + n.Op + " ")
		printNode(b, n.Y, own+1)
	case *TypeTest:
		printNode(b, n.X, bindType)
		b.WriteString(" " + n.Op + " ")
		printType(b, n.Type)
	}
}

func printStep(b *strings.Builder, x Node) {
	if x != nil {
		printNode(b, x, bindStep)
		b.WriteByte('.')
	}
}

func printCall(b *strings.Builder, n *Call) {
	printStep(b, n.X)
	printName(b, n.Name)
	b.WriteByte('(')
	if n.Type != nil {
		printType(b, n.Type)
	}
	for i, a := range n.Args {
		if i > 0 {
			b.WriteString(", ")
		}
		printNode(b, a, bindImplies)
	}
	b.WriteByte(')')
}

func printType(b *strings.Builder, t *TypeName) {
	if t.Namespace != "" {
		printName(b, t.Namespace)
		b.WriteByte('.')
	}
	printName(b, t.Name)
}

func printName(b *strings.Builder, s string) {
	plain := s != "" && !isDigit(s[0]) && !reserved(s)
	for i := 0; plain && i < len(s); i++ {
		plain = isLetter(s[i]) || isDigit(s[i])
	}
	if plain {
		b.WriteString(s)
		return
	}
	printQuoted(b, s, '`')
}

func printQuoted(b *strings.Builder, s string, quote byte) {
	b.WriteByte(quote)
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\\' || r == rune(quote):
			b.WriteByte('\\')
			b.WriteByte(s[i])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\f':
			b.WriteString(`\f`)
		default:
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	b.WriteByte(quote)
}
