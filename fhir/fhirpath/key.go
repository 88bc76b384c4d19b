package fhirpath

import (
	"strings"

	"meridian/fhir/schema"
)

// Functions of SQL on FHIR: keys by which the rows of two views are joined. A
// key is type and id, Patient/1: so equal ids of two types are two keys.
// https://build.fhir.org/ig/FHIR/sql-on-fhir-v2/StructureDefinition-ViewDefinition.html
var keyFunctions = []function{
	{name: "getResourceKey", eval: fnResourceKey},
	{name: "getReferenceKey", typeArg: true, typeMay: true, eval: fnReferenceKey},
}

// fnResourceKey gives the keys of resources that have an id and are not contained.
func fnResourceKey(ev *evaluator, n *Call, in []Item, _ *scope) error {
	for _, i := range in {
		if i.kind != Element || i.node.Type().Kind != schema.Resource {
			return ev.fail(Execution, n, "getResourceKey() is of a resource, not of %s", i.TypeName())
		}
		if id := i.node.Child("id"); id.HasValue() && i.node.Name() != "contained" {
			if err := ev.pushText(n, i.node.Type().Name+"/"+id.Text()); err != nil {
				return err
			}
		}
	}
	return nil
}

// fnReferenceKey gives the keys of what references name by type and id. Others
// have none: contained resources, URNs, logical references, and absolute URLs,
// of which only a server knows whether they are its own.
func fnReferenceKey(ev *evaluator, n *Call, in []Item, _ *scope) error {
	for _, i := range in {
		if i.kind != Element || i.node.TypeID() != schema.TypeReference {
			return ev.fail(Execution, n, "getReferenceKey() is of a Reference, not of %s", i.TypeName())
		}
		ref, _, _ := strings.Cut(i.node.Child("reference").Text(), "/_history/")
		name, id, ok := strings.Cut(ref, "/")
		t := schema.ByName(name)
		if !ok || strings.Contains(id, "/") || t == nil || t.Kind != schema.Resource || n.Type != nil && (n.Type.fhir == nil || !t.IsA(n.Type.fhir.ID)) {
			continue
		}
		if err := ev.pushText(n, ref); err != nil {
			return err
		}
	}
	return nil
}
