package hl7v2

import "iter"

// Place is one child that the grammar of a structure has at a place.
type Place struct {
	Name    string
	Group   bool
	Repeats bool
}

// Places yields what the grammar of a structure has below a group ("PATIENT_RESULT", "ORDER_OBSERVATION"), of all
// versions; ok is false when there is no such structure or group.
func Places(structureName string, groups ...string) (places iter.Seq[Place], ok bool) {
	var of []element
	for i := range structures {
		if structures[i].name == structureName {
			of, ok = structures[i].of, true
		}
	}
	for _, name := range groups {
		found := false
		for i := range of {
			if of[i].name == name && of[i].of != nil {
				of, found = of[i].of, true
				break
			}
		}
		ok = ok && found
	}
	if !ok {
		return nil, false
	}
	return func(yield func(Place) bool) {
		for i := range of {
			if !yield(Place{Name: of[i].name, Group: of[i].of != nil, Repeats: of[i].repeats}) {
				return
			}
		}
	}, true
}

// Structures lists the structures that have a grammar here.
func Structures() []string {
	out := make([]string, len(structures))
	for i := range structures {
		out[i] = structures[i].name
	}
	return out
}
