package search

import (
	"slices"
	"strings"
)

// MatchFacts decides a plan's tree on the facts of one resource with that id.
// Chains need other resources and never match here; a Residual is the caller's.
func MatchFacts(e Expr, id string, f *Facts) bool {
	switch e := e.(type) {
	case All:
		return true
	case Point:
		_, found := slices.BinarySearchFunc(f.Keys, e.Key, compareKeys)
		return found
	case Prefix:
		return f.any(func(k *Key) bool {
			return k.Param == e.Key.Param && k.Scope == e.Key.Scope && strings.HasPrefix(k.Value, e.Key.Value)
		})
	case Contains:
		return f.any(func(k *Key) bool { return k.Param == e.Param && strings.Contains(k.Value, e.Text) })
	case Box:
		return f.any(func(k *Key) bool { return k.Param == e.Param && k.Scope == e.Scope && e.InBox(k.Value) })
	case Present:
		return f.any(func(k *Key) bool { return k.Param == e.Param })
	case IDs:
		return slices.Contains(e.IDs, id)
	case And:
		return !slices.ContainsFunc(e.Of, func(x Expr) bool { return !MatchFacts(x, id, f) })
	case Or:
		return slices.ContainsFunc(e.Of, func(x Expr) bool { return MatchFacts(x, id, f) })
	case Not:
		return !MatchFacts(e.Of, id, f)
	}
	return false
}

func (f *Facts) any(match func(*Key) bool) bool {
	for i := range f.Keys {
		if match(&f.Keys[i]) {
			return true
		}
	}
	return false
}

func compareKeys(a, b Key) int {
	if c := strings.Compare(a.Param, b.Param); c != 0 {
		return c
	}
	if c := strings.Compare(a.Scope, b.Scope); c != 0 {
		return c
	}
	return strings.Compare(a.Value, b.Value)
}
