package fhirpath

import (
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/schema"
)

// https://hl7.org/fhir/R4/fhirpath.html#functions
var fhirFunctions = []function{
	{name: "extension", least: 1, most: 1, eval: fnExtension},
	{name: "hasValue", eval: fnHasValue},
	{name: "getValue", eval: fnGetValue},
	{name: "resolve", eval: fnResolve},
	{name: "checkModifiers", most: many, eval: fnCheckModifiers},
	{name: "conformsTo", least: 1, most: 1, eval: fnConformsTo},
	{name: "htmlChecks", eval: fnHTMLChecks},
}

// fnExtension gives the extensions with a url, of all items.
func fnExtension(ev *evaluator, n *Call, in []Item, sc *scope) error {
	url, ok, err := ev.textArgument(n, 0, sc)
	if err != nil || !ok {
		return err
	}
	for _, i := range in {
		for c := i.node.First(); c.Valid(); c = c.Next() {
			if c.Name() == "extension" && string(c.Child("url").Bytes()) == url {
				ev.push(NodeItem(c))
			}
		}
	}
	return nil
}

// fnHasValue says that there is one primitive and that it has a value.
func fnHasValue(ev *evaluator, _ *Call, in []Item, _ *scope) error {
	ev.pushBool(len(in) == 1 && hasValue(in[0]))
	return nil
}

func hasValue(i Item) bool {
	return i.kind == Element && i.node.Type().Kind == schema.Primitive && i.node.HasValue() || i.kind > Element && i.kind <= KindQuantity
}

// fnGetValue gives the system value of the only item, if it is a primitive with one.
func fnGetValue(ev *evaluator, _ *Call, in []Item, _ *scope) error {
	if len(in) == 1 && hasValue(in[0]) {
		if v, ok := in[0].System(); ok {
			ev.push(v)
		}
	}
	return nil
}

// fnCheckModifiers gives the input, and an error where an item has a modifier
// extension whose url is not among the arguments.
func fnCheckModifiers(ev *evaluator, n *Call, in []Item, sc *scope) error {
	known := map[string]bool{}
	for k := range n.Args {
		url, _, err := ev.textArgument(n, k, sc)
		if err != nil {
			return err
		}
		known[url] = true
	}
	for _, i := range in {
		for c := i.node.First(); c.Valid(); c = c.Next() {
			if c.Name() == "modifierExtension" && !known[string(c.Child("url").Bytes())] {
				return ev.fail(Execution, n, "a modifier extension at %s is not expected", c.Location())
			}
		}
		ev.push(i)
	}
	return nil
}

// fnConformsTo asks Env.Profiles. An unknown profile is an error.
func fnConformsTo(ev *evaluator, n *Call, in []Item, sc *scope) error {
	i, ok, err := ev.one(n, in)
	if err != nil || !ok {
		return err
	}
	url, ok, err := ev.textArgument(n, 0, sc)
	if err != nil || !ok {
		return err
	}
	if ev.env.Profiles == nil {
		return ev.fail(Missing, n, "conformsTo() has no profiles")
	}
	if i.kind != Element {
		return ev.fail(Execution, n, "conformsTo() is of an element, not of %s", i.TypeName())
	}
	conforms, known, err := ev.env.Profiles.ConformsTo(i.node, url)
	if err != nil {
		return err
	}
	if !known {
		return ev.fail(Missing, n, "the profile is not known")
	}
	ev.pushBool(conforms)
	return nil
}

// fnResolve gives the resources that the items refer to. A contained resource
// is looked up in the tree, an entry of the same Bundle by its fullUrl, all else
// is asked of Env.Resolver. What is not found is left out.
//
// In resolve() is T and resolve().is(T), where only the type is asked for, the
// reference's text is enough.
func fnResolve(ev *evaluator, n *Call, in []Item, _ *scope) error {
	for _, i := range in {
		ref, ok := referenceText(i)
		if n.typeOnly {
			if t := referredType(i, ref); t != 0 {
				ev.push(Item{kind: Referred, num: int64(t)})
				continue
			}
		}
		if !ok || ref == "" {
			continue
		}
		if err := ev.resolve(n, i, ref); err != nil {
			return err
		}
	}
	return nil
}

func (ev *evaluator) resolve(n *Call, i Item, ref string) error {
	if i.kind == Element {
		if r := resolveLocally(i.node, ref); r.Valid() {
			ev.push(NodeItem(r))
			return nil
		}
	}
	if strings.HasPrefix(ref, "#") {
		return nil
	}
	if ev.env.Resolver == nil {
		if n.typeOnly {
			return nil
		}
		return ev.fail(Missing, n, "resolve() has no resolver")
	}
	r, err := ev.env.Resolver.Resolve(ref)
	if r.Valid() {
		ev.push(NodeItem(r))
	}
	return err
}

// referenceText gives the URL of a Reference, or of an item that is one.
func referenceText(i Item) (string, bool) {
	if i.kind == Element && i.node.TypeID() == schema.TypeReference {
		r := i.node.Child("reference")
		return r.Text(), r.HasValue()
	}
	return i.Text()
}

// referredType tells the type of the resource from the reference alone: its
// text, else Reference.type, else the contained resource itself.
func referredType(i Item, ref string) schema.ID {
	if i.kind == Element && strings.HasPrefix(ref, "#") {
		if r := containedIn(resourceOf(i.node), ref[1:]); r.Valid() {
			return r.TypeID()
		}
	}
	if t := typeInReference(ref); t != 0 {
		return t
	}
	if i.kind == Element && i.node.TypeID() == schema.TypeReference {
		if t := schema.ByName(i.node.Child("type").Text()); t != nil && t.Kind == schema.Resource {
			return t.ID
		}
	}
	return 0
}

// typeInReference reads [base/]Type/id[/_history/version].
// https://hl7.org/fhir/R4/references.html#literal
func typeInReference(ref string) schema.ID {
	if at := strings.Index(ref, "/_history/"); at >= 0 {
		ref = ref[:at]
	}
	at := strings.LastIndexByte(ref, '/')
	if at < 0 {
		return 0
	}
	name := ref[:at]
	name = name[strings.LastIndexByte(name, '/')+1:]
	if t := schema.ByName(name); t != nil && t.Kind == schema.Resource && !t.Abstract {
		return t.ID
	}
	return 0
}

// resolveLocally finds ref among the contained resources and the entries of the
// Bundle that n stands in.
func resolveLocally(n element.Node, ref string) element.Node {
	r := resourceOf(n)
	if id, ok := strings.CutPrefix(ref, "#"); ok {
		if id == "" {
			return rootResourceOf(n)
		}
		return containedIn(r, id)
	}
	entry := rootResourceOf(n).Parent()
	if entry.Name() != "entry" || entry.Parent().TypeID() != schema.TypeBundle {
		return element.Node{}
	}
	full := string(entry.Child("fullUrl").Bytes())
	for e := entry.Parent().First(); e.Valid(); e = e.Next() {
		if e.Name() == "entry" && matchesEntry(string(e.Child("fullUrl").Bytes()), full, ref) {
			return e.Child("resource")
		}
	}
	return element.Node{}
}

// matchesEntry says that ref, in an entry with the URL from, means the entry with URL url.
// https://hl7.org/fhir/R4/bundle.html#references
func matchesEntry(url, from, ref string) bool {
	if url == "" {
		return false
	}
	if strings.Contains(ref, ":") {
		return url == ref
	}
	base := from
	for range 2 { // without Type/id
		at := strings.LastIndexByte(base, '/')
		if at < 0 {
			return false
		}
		base = base[:at]
	}
	return strings.HasPrefix(url, base) && url == base+"/"+ref
}

// containedIn finds a contained resource by its id, in r or in the resource that contains r.
func containedIn(r element.Node, id string) element.Node {
	if r.Name() == "contained" {
		r = resourceOf(r.Parent())
	}
	for c := r.First(); c.Valid(); c = c.Next() {
		if c.Name() == "contained" && string(c.Child("id").Bytes()) == id {
			return c
		}
	}
	return element.Node{}
}
