package fhirpath

import "meridian/fhir/schema"

// call is the static side of the functions. The switch has every row of the
// function table, in its order; a test holds it to that.
func (c *checker) call(n *Call, sc staticScope) Static {
	in := sc.this
	if n.X != nil {
		in = c.node(n.X, sc)
	}
	item := staticScope{this: in.one(), inner: true}
	switch n.Name {
	case "select", "aggregate", "repeat", "iif", "trace", "defineVariable", "union", "combine":
		return c.evaluating(n, in, item, sc)
	case "where", "all", "exists", "sort":
		for _, a := range n.Args {
			c.node(a, item)
		}
	default:
		for _, a := range n.Args {
			c.node(a, sc)
		}
	}
	out, ok := c.result(n, in)
	if !ok {
		return Static{Open: true, Many: true}
	}
	return out
}

// result is what a function gives whose arguments do not decide it; false for one that is not in the table.
func (c *checker) result(n *Call, in Static) (Static, bool) {
	switch n.Name {
	case "where", "tail", "skip", "take", "sort", "distinct", "intersect", "exclude", "checkModifiers":
		return in, true
	case "single", "first", "last":
		return in.one(), true
	case "ofType", "as":
		return c.narrow(n, in, n.Type), true
	case "empty", "exists", "all", "allTrue", "anyTrue", "allFalse", "anyFalse", "subsetOf", "supersetOf", "isDistinct", "is", "not",
		"convertsToBoolean", "convertsToInteger", "convertsToDate", "convertsToDateTime", "convertsToDecimal", "convertsToQuantity", "convertsToString", "convertsToTime",
		"startsWith", "endsWith", "contains", "matches", "matchesFull", "hasValue", "memberOf", "subsumedBy", "conformsTo", "htmlChecks", "comparable", "toBoolean":
		return systemStatic(Boolean), true
	case "count", "toInteger", "indexOf", "lastIndexOf", "length", "ceiling", "floor", "truncate", "precision":
		return systemStatic(Integer), true
	case "toDate", "today":
		return systemStatic(Date), true
	case "toDateTime", "now":
		return systemStatic(DateTime), true
	case "toTime", "timeOfDay":
		return systemStatic(Time), true
	case "toDecimal", "exp", "ln", "log", "round", "sqrt":
		return systemStatic(Decimal), true
	case "power":
		return systemStatic(Integer, Decimal), true
	case "abs":
		return c.numeric(n, "abs()", in), true
	case "toQuantity":
		return systemStatic(KindQuantity), true
	case "toString", "substring", "upper", "lower", "replace", "replaceMatches", "trim", "join", "encode", "decode", "escape", "unescape":
		return systemStatic(String), true
	case "toChars", "split":
		return systemStatic(String).many(), true
	case "getResourceKey", "getReferenceKey":
		return c.key(n, in), true
	case "type":
		return Static{System: []Kind{TypeInfo}, Many: in.Many}, true
	case "lowBoundary", "highBoundary":
		return c.boundary(n, in), true
	case "extension":
		return Static{FHIR: []schema.ID{schema.TypeExtension}, Many: true}, true
	case "getValue":
		kinds, _ := in.Kinds()
		return Static{System: kinds, Open: in.Open}, true
	case "children", "descendants", "resolve", "subsumes", "expand", "lookup", "validateVS", "validateCS", "translate":
		return Static{Open: true, Many: true}, true
	}
	return Static{}, false
}

// evaluating is of the functions whose arguments decide what they give.
func (c *checker) evaluating(n *Call, in Static, item, sc staticScope) Static {
	switch n.Name {
	case "select":
		out := c.node(n.Args[0], item)
		out.Many = out.Many || in.Many
		return out
	case "repeat":
		all := in // what one level does not have another may
		c.quiet++
		for range RepeatDepth {
			all = all.Or(c.node(n.Args[0], staticScope{this: all.one(), inner: true}))
		}
		c.quiet--
		return c.node(n.Args[0], staticScope{this: all.one(), inner: true}).many()
	case "iif":
		focus := staticScope{this: in, inner: sc.inner}
		c.node(n.Args[0], focus)
		out := c.node(n.Args[1], focus)
		if len(n.Args) == 3 {
			out = out.Or(c.node(n.Args[2], focus))
		}
		return out
	case "union", "combine":
		return in.Or(c.node(n.Args[0], sc)).many()
	case "aggregate":
		c.node(n.Args[0], item)
		if len(n.Args) == 2 {
			c.node(n.Args[1], sc)
		}
		return Static{Open: true, Many: true}
	case "trace":
		c.node(n.Args[0], sc)
		if len(n.Args) == 2 {
			c.node(n.Args[1], item)
		}
	case "defineVariable":
		c.node(n.Args[0], sc)
		if len(n.Args) == 2 {
			c.node(n.Args[1], staticScope{this: in, inner: sc.inner})
		}
	}
	return in
}

// RepeatDepth is how many levels of repeat() are followed for their types; no type of R4 needs more.
const RepeatDepth = 4

// key is of getResourceKey() and getReferenceKey().
func (c *checker) key(n *Call, in Static) Static {
	fits := in.Open || in.none()
	for _, id := range in.FHIR {
		t := schema.ByID(id)
		fits = fits || id == schema.TypeReference && n.Name == "getReferenceKey" || t.Kind == schema.Resource && n.Name == "getResourceKey"
	}
	if !fits {
		what := "a resource"
		if n.Name == "getReferenceKey" {
			what = "a Reference"
		}
		c.fail(n, "%s() is of %s, not of %s", n.Name, what, in)
	}
	return Static{System: []Kind{String}, Many: in.Many}
}

// boundary is of lowBoundary() and highBoundary(): integers give decimals, periods times.
func (c *checker) boundary(n *Call, in Static) Static {
	out := Static{Open: in.Open}
	kinds, _ := in.Kinds()
	for _, k := range kinds {
		switch k {
		case Integer, Decimal:
			out.addKind(Decimal)
		case Date, DateTime, Time, KindQuantity:
			out.addKind(k)
		}
	}
	for _, id := range in.FHIR {
		if id == schema.TypePeriod {
			out.addKind(DateTime)
		}
	}
	if out.none() && !in.none() {
		c.fail(n, "%s has no boundaries", in)
		out.Open = true
	}
	return out
}
