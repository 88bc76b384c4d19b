package fhirpath

// operator is a binary operator; its row is in binaryOperators.
type operator uint8

const (
	opNone operator = iota
	opMul
	opDiv
	opIntDiv
	opMod
	opAdd
	opSub
	opConcat
	opIs
	opAs
	opUnion
	opLessEq
	opLess
	opGreater
	opGreaterEq
	opEqual
	opEquiv
	opNotEqual
	opNotEquiv
	opIn
	opContains
	opAnd
	opOr
	opXor
	opImplies
)

// Levels of binding, tightest highest.
// https://hl7.org/fhirpath/N1/#operator-precedence
const (
	bindImplies = iota + 1
	bindOr
	bindAnd
	bindMember
	bindEqual
	bindOrder
	bindUnion
	bindType
	bindAdd
	bindMul
	bindSign
	bindStep
)

// binaryOperator gives what a token means behind an operand, opNone for no operator.
func binaryOperator(s string) (operator, int) {
	switch s {
	case "*":
		return opMul, bindMul
	case "/":
		return opDiv, bindMul
	case "div":
		return opIntDiv, bindMul
	case "mod":
		return opMod, bindMul
	case "+":
		return opAdd, bindAdd
	case "-":
		return opSub, bindAdd
	case "&":
		return opConcat, bindAdd
	case "is":
		return opIs, bindType
	case "as":
		return opAs, bindType
	case "|":
		return opUnion, bindUnion
	case "<=":
		return opLessEq, bindOrder
	case "<":
		return opLess, bindOrder
	case ">":
		return opGreater, bindOrder
	case ">=":
		return opGreaterEq, bindOrder
	case "=":
		return opEqual, bindEqual
	case "~":
		return opEquiv, bindEqual
	case "!=":
		return opNotEqual, bindEqual
	case "!~":
		return opNotEquiv, bindEqual
	case "in":
		return opIn, bindMember
	case "contains":
		return opContains, bindMember
	case "and":
		return opAnd, bindAnd
	case "or":
		return opOr, bindOr
	case "xor":
		return opXor, bindOr
	case "implies":
		return opImplies, bindImplies
	}
	return opNone, 0
}
