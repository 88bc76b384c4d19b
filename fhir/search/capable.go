package search

// Modifiers lists the modifiers that a search by p takes, in the order of R4's
// list, [type] last; those that need terminology only where it is there.
//
// https://hl7.org/fhir/R4/search.html#modifiers
func (r *Registry) Modifiers(p *Param) []Modifier {
	if p.Unsupported != "" {
		return nil
	}
	var out []Modifier
	for _, m := range kindModifiers[p.Kind] {
		c := Criterion{Param: p, Modifier: m}
		if r.refuses(p, m) == "" && (!c.expands() || r.codes != nil) {
			out = append(out, m)
		}
	}
	if p.Kind == KindReference {
		out = append(out, ModType)
	}
	return out
}
