package rest

import (
	"encoding/json"
	"net/http"
	"sort"
	"strings"

	"meridian/fhir/schema"
	"meridian/server/interaction"
)

// The OpenAPI document is made from the CapabilityStatement, so that both say
// the same, and from the element tables: a schema for each resource and data
// type. It is made when it is first asked for, and again when search parameters were added or taken away.
//
// https://spec.openapis.org/oas/v3.0.3

// object is a JSON object; encoding/json writes its members sorted.
type object = map[string]any

// openAPI answers the document. It is no FHIR resource, whatever Accept says of those.
func openAPI(x *call) error {
	body, err := x.h.openAPIOf(x.service)
	if err != nil {
		return err
	}
	return x.transmit(http.StatusOK, []string{"application/json"}, body)
}

func (h *Handler) openAPIOf(s *interaction.Service) ([]byte, error) {
	o := &h.openAPI
	o.mu.Lock()
	defer o.mu.Unlock()
	if adopted := s.Registry().Adopted(); o.body == nil || adopted != o.adopted {
		body, err := buildOpenAPI(s)
		if err != nil {
			return nil, err
		}
		o.adopted, o.body = adopted, body
	}
	return o.body, nil
}

func buildOpenAPI(s *interaction.Service) ([]byte, error) {
	c := s.Capability()
	b := &apiBuilder{rest: &c.Rest[0], definitions: s.OperationDefinitions(), paths: object{}, parameters: commonParameters()}
	b.controls()
	b.system()
	b.compartments()
	for i := range b.rest.Resource {
		b.resource(&b.rest.Resource[i])
	}
	return json.Marshal(object{
		"openapi":    "3.0.3",
		"info":       object{"title": "Meridian FHIR R4", "version": c.Software.Version, "description": c.Implementation.Description + " " + b.rest.Documentation},
		"servers":    []any{object{"url": s.BaseURL()}},
		"paths":      b.paths,
		"components": object{"schemas": typeSchemas(), "parameters": b.parameters, "responses": commonResponses()},
	})
}

// apiBuilder collects paths.
type apiBuilder struct {
	rest        *interaction.CapabilityRest
	definitions []*interaction.OperationDefinition
	paths       object
	parameters  object // referred to by name; those of a search as Patient.birthdate
}

// endpoint adds a method to a path.
func (b *apiBuilder) endpoint(path, method, id, tag, summary string, more object) {
	item, ok := b.paths[path].(object)
	if !ok {
		item = object{}
		b.paths[path] = item
	}
	op := object{"operationId": id, "tags": []string{tag}, "summary": summary}
	if more["responses"] == nil {
		op["responses"] = responses("200", "Resource")
	}
	for k, v := range more {
		op[k] = v
	}
	if list := pathParameters(path); len(list) > 0 {
		params, _ := op["parameters"].([]any)
		op["parameters"] = append(list, params...)
	}
	item[method] = op
}

// pathParameters refers to what stands in braces.
func pathParameters(path string) (out []any) {
	for _, name := range []string{"id", "version", "type", "token"} {
		if strings.Contains(path, "{"+name+"}") {
			out = append(out, parameterRef(name))
		}
	}
	return out
}

func ref(kind, name string) object { return object{"$ref": "#/components/" + kind + "/" + name} }

func parameterRef(name string) object { return ref("parameters", name) }

func schemaRef(name string) object { return ref("schemas", name) }

// content is a body that is a resource, in each format; the schema is that of JSON.
func content(typ string) object {
	out := object{}
	for _, f := range interaction.Formats() {
		switch {
		case strings.HasSuffix(f, "+json"):
			out[f] = object{"schema": schemaRef(typ)}
		case strings.Contains(f, "/"):
			out[f] = object{}
		}
	}
	return out
}

func body(typ string) object {
	return object{"required": true, "content": content(typ)}
}

// responses are those of a success, which has a resource unless typ is empty, and the error.
func responses(status, typ string) object {
	ok := object{"description": http.StatusText(statusNumber(status))}
	if typ != "" {
		ok["content"] = content(typ)
	}
	return object{status: ok, "default": ref("responses", "error")}
}

func statusNumber(s string) int {
	switch s {
	case "201":
		return http.StatusCreated
	case "202":
		return http.StatusAccepted
	case "204":
		return http.StatusNoContent
	}
	return http.StatusOK
}

// system adds what has no resource type.
func (b *apiBuilder) system() {
	const tag = "system"
	b.endpoint("/metadata", "get", "capabilities", tag, "What the server can do", object{
		"parameters": []any{query("mode", "full, normative or terminology")}, "responses": responses("200", "Resource")})
	for _, i := range b.rest.Interaction {
		switch i.Code {
		case "batch", "transaction":
			b.endpoint("/", "post", "bundle", tag, "Batch or transaction", object{"requestBody": body("Bundle"), "responses": responses("200", "Bundle")})
		case "history-system":
			b.endpoint("/_history", "get", i.Code, tag, "History of all resources", object{"parameters": historyParameters(), "responses": responses("200", "Bundle")})
		case "search-system":
			b.endpoint("/", "get", i.Code, tag, "Search of several types, or of all", object{"parameters": b.searchesOf(several), "responses": responses("200", "Bundle")})
			b.endpoint("/_search", "post", "search-system-post", tag, "Search of several types by a form", object{"requestBody": form(), "responses": responses("200", "Bundle")})
		}
	}
	b.endpoint("/_async/{token}", "get", "async-status", tag, "What an asynchronous request has come to", object{"responses": responses("200", "Bundle")})
	b.endpoint("/_async/{token}", "delete", "async-cancel", tag, "Cancel an asynchronous request, or forget its answer", object{"responses": responses("202", "")})
	for _, o := range b.rest.Operation {
		b.operation("", o.Name, tag, interaction.SystemLevel)
	}
}

func query(name, text string) object {
	return object{"name": name, "in": "query", "description": text, "schema": object{"type": "string"}}
}

func historyParameters() []any { return refs("_count", "_since", "_format", "_pretty") }

// What a search looks at.
const (
	oneType = iota
	several
)

// searchesOf refers to the parameters that every such search takes. _has is left out: what follows it is a part of its name.
func (b *apiBuilder) searchesOf(types int) (out []any) {
	for _, p := range b.rest.SearchParam {
		switch {
		case p.Name == "_has":
		case types == oneType && (p.Definition != "" || p.Name == "_type"):
		case types == several && strings.HasPrefix(p.Name, "_contained"):
		default:
			out = append(out, parameterRef(p.Name))
		}
	}
	return out
}

// controls declares the parameters of every search.
func (b *apiBuilder) controls() {
	for _, p := range b.rest.SearchParam {
		if b.parameters[p.Name] == nil {
			b.parameters[p.Name] = query(p.Name, strings.TrimPrefix(p.Type+"; "+p.Documentation, "special; "))
		}
	}
}

// compartments adds the searches of one type, or all, in a compartment.
func (b *apiBuilder) compartments() {
	for _, url := range b.rest.Compartment {
		name := url[strings.LastIndexByte(url, '/')+1:]
		name = strings.ToUpper(name[:1]) + name[1:]
		b.endpoint("/"+name+"/{id}/{type}", "get", "search-compartment-"+name, name, "Search in the compartment of a "+name+": of a type by its parameters, of all by *",
			object{"parameters": b.searchesOf(several), "responses": responses("200", "Bundle")})
		b.endpoint("/"+name+"/{id}/{type}/_search", "post", "search-compartment-post-"+name, name, "The same by a form",
			object{"requestBody": form(), "responses": responses("200", "Bundle")})
	}
}

func form() object {
	return object{"content": object{formType: object{"schema": object{"type": "object", "additionalProperties": object{"type": "string"}}}}}
}

func refs(names ...string) (out []any) {
	for _, n := range names {
		out = append(out, parameterRef(n))
	}
	return out
}

// resource adds the interactions of one type.
func (b *apiBuilder) resource(r *interaction.CapabilityResource) {
	for _, i := range r.Interaction {
		b.interaction(r, i.Code)
	}
	seen := map[string]bool{}
	for _, o := range r.Operation {
		if !seen[o.Name] {
			seen[o.Name] = true
			b.operation(r.Type, o.Name, r.Type, interaction.TypeLevel)
			b.operation(r.Type, o.Name, r.Type, interaction.InstanceLevel)
		}
	}
}

func (b *apiBuilder) interaction(r *interaction.CapabilityResource, code string) {
	t := r.Type
	add := func(path, method, summary string, more object) {
		b.endpoint("/"+t+path, method, code+"-"+t, t, summary, more)
	}
	switch code {
	case "read":
		add("/{id}", "get", "Read a "+t, object{"parameters": refs("_summary", "_elements", "_format", "_pretty", "If-None-Match", "If-Modified-Since"), "responses": responses("200", t)})
	case "vread":
		add("/{id}/_history/{version}", "get", "Read a version", object{"parameters": refs("_format", "_pretty"), "responses": responses("200", t)})
	case "update":
		add("/{id}", "put", "Update, or create under this id", object{"parameters": refs("If-Match", "If-None-Match", "Prefer"), "requestBody": body(t), "responses": responses("200", t)})
		b.endpoint("/"+t, "put", "update-conditional-"+t, t, "Update what matches", object{"parameters": b.searchParameters(r, false), "requestBody": body(t), "responses": responses("200", t)})
	case "patch":
		add("/{id}", "patch", "Patch", object{"parameters": refs("If-Match", "Prefer"), "requestBody": patchBody(), "responses": responses("200", t)})
		b.endpoint("/"+t, "patch", "patch-conditional-"+t, t, "Patch what matches", object{"parameters": b.searchParameters(r, false), "requestBody": patchBody(), "responses": responses("200", t)})
	case "delete":
		add("/{id}", "delete", "Delete", object{"parameters": refs("If-Match"), "responses": responses("204", "")})
		b.endpoint("/"+t, "delete", "delete-conditional-"+t, t, "Delete what matches", object{"parameters": b.searchParameters(r, false), "responses": responses("204", "")})
	case "history-instance":
		add("/{id}/_history", "get", "History of a "+t, object{"parameters": historyParameters(), "responses": responses("200", "Bundle")})
	case "history-type":
		add("/_history", "get", "History of the type", object{"parameters": historyParameters(), "responses": responses("200", "Bundle")})
	case "create":
		add("", "post", "Create", object{"parameters": refs("If-None-Exist", "Prefer"), "requestBody": body(t), "responses": responses("201", t)})
	case "search-type":
		add("", "get", "Search", object{"parameters": b.searchParameters(r, true), "responses": responses("200", "Bundle")})
		b.endpoint("/"+t+"/_search", "post", "search-post-"+t, t, "Search by a form", object{"requestBody": form(), "responses": responses("200", "Bundle")})
	}
}

func patchBody() object {
	formats := object{}
	for _, f := range interaction.PatchFormats() {
		formats[f] = object{"schema": object{}}
	}
	return object{"required": true, "content": formats}
}

func (b *apiBuilder) searchParameters(r *interaction.CapabilityResource, result bool) (out []any) {
	for _, p := range r.SearchParam {
		name := r.Type + "." + p.Name
		if b.parameters[name] == nil {
			b.parameters[name] = query(p.Name, strings.TrimPrefix(p.Type+"; "+p.Documentation, "; "))
		}
		out = append(out, parameterRef(name))
	}
	if result {
		out = append(out, b.searchesOf(oneType)...)
	}
	return out
}

// operation adds an operation on one level, if its definition is for it.
func (b *apiBuilder) operation(typ, name, tag string, level interaction.Level) {
	for _, d := range b.definitions {
		if d.Name != name || !d.On(level, typ) {
			continue
		}
		path, id := "/$"+name, "operation-"+name
		if typ != "" {
			path, id = "/"+typ+path, id+"-"+typ
		}
		if level == interaction.InstanceLevel {
			path, id = "/"+typ+"/{id}/$"+name, "operation-"+name+"-"+typ+"-id"
		}
		params, primitive := operationParameters(d)
		out, in := responses("200", returned(d)), content("Parameters")
		if d.Answers != "" {
			out["200"].(object)["content"] = object{d.Answers: object{}}
		}
		for _, typ := range d.Raw {
			in[typ] = object{}
		}
		if !d.AffectsState && primitive {
			b.endpoint(path, "get", id, tag, "$"+name, object{"description": d.Documentation, "parameters": params, "responses": out})
		}
		b.endpoint(path, "post", id+"-post", tag, "$"+name, object{"description": d.Documentation, "requestBody": object{"content": in}, "responses": out})
	}
}

// operationParameters are the primitive ones; primitive says that no other is needed.
func operationParameters(d *interaction.OperationDefinition) (out []any, primitive bool) {
	primitive = true
	for _, p := range d.Params {
		t := schema.ByName(p.Type)
		switch {
		case p.Out || p.Refused:
		case t != nil && t.Kind == schema.Primitive:
			q := query(p.Name, p.Documentation)
			if p.Min > 0 {
				q["required"] = true
			}
			out = append(out, q)
		case p.Min > 0:
			primitive = false
		}
	}
	return out, primitive
}

// returned is the resource type of the answer.
func returned(d *interaction.OperationDefinition) string {
	typ, outs := "Parameters", 0
	for _, p := range d.Params {
		if p.Out {
			outs++
			if t := schema.ByName(p.Type); p.Name == "return" && t != nil && t.Kind == schema.Resource {
				typ = p.Type
			}
		}
	}
	if outs != 1 {
		return "Parameters"
	}
	return typ
}

// commonParameters are referred to by name.
func commonParameters() object {
	out := object{
		"id":      object{"name": "id", "in": "path", "required": true, "schema": object{"type": "string", "pattern": `^[A-Za-z0-9\-\.]{1,64}$`}},
		"version": object{"name": "version", "in": "path", "required": true, "schema": object{"type": "string", "pattern": `^[1-9][0-9]*$`}},
		"type":    object{"name": "type", "in": "path", "required": true, "schema": object{"type": "string"}, "description": "A resource type, or * for all"},
		"token":   object{"name": "token", "in": "path", "required": true, "schema": object{"type": "string"}, "description": "As Content-Location of the answer 202 has it"},
		"_count":  object{"name": "_count", "in": "query", "description": "Resources on a page; more than the server allows is refused", "schema": object{"type": "integer", "minimum": 0}},
	}
	out["_since"] = query("_since", "An instant")
	for name, text := range map[string]string{"If-Match": `W/"3"`, "If-None-Match": `W/"3", or *`, "If-Modified-Since": "A date of HTTP", "If-None-Exist": "A search: identifier=urn:x|1",
		"Prefer": "return=minimal, return=representation, return=OperationOutcome"} {
		out[name] = object{"name": name, "in": "header", "description": text, "schema": object{"type": "string"}}
	}
	return out
}

func commonResponses() object {
	return object{"error": object{"description": "What is wrong, and where", "content": content("OperationOutcome")}}
}

// typeSchemas has a schema for each type that stands in a resource, and one named
// Resource that is any of them.
func typeSchemas() object {
	out := object{}
	var names []string
	var add func(id schema.ID)
	add = func(id schema.ID) {
		t := schema.ByID(id)
		if t.Kind == schema.Primitive || t.Name == "Resource" || out[t.Name] != nil {
			return
		}
		out[t.Name] = object{} // while it is made
		out[t.Name] = typeSchema(t, add)
	}
	for _, name := range schema.ResourceTypes() {
		add(schema.ByName(name).ID)
		names = append(names, name)
	}
	sort.Strings(names)
	out["Resource"] = object{"type": "object", "required": []string{"resourceType"}, "properties": object{"resourceType": object{"type": "string", "enum": names}}}
	return out
}

func typeSchema(t *schema.Type, add func(schema.ID)) object {
	properties, required := object{}, []string{}
	if t.Kind == schema.Resource {
		properties["resourceType"] = object{"type": "string", "enum": []string{t.Name}}
		required = append(required, "resourceType")
	}
	for _, p := range t.Properties() {
		e, of := &t.Elements[p.Element], schema.ByID(p.Type)
		s := valueSchema(of)
		add(of.ID)
		if e.Repeats() {
			s = object{"type": "array", "items": s}
		}
		properties[p.JSON] = s
		if of.Kind == schema.Primitive {
			add(schema.ByName("Element").ID)
			twin := schemaRef("Element")
			if e.Repeats() {
				twin = object{"type": "array", "items": object{"nullable": true, "allOf": []any{twin}}}
			}
			properties["_"+p.JSON] = twin
		}
		// A primitive may be there by its extension alone.
		if e.Min > 0 && !e.Choice && of.Kind != schema.Primitive {
			required = append(required, p.JSON)
		}
	}
	out := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

func valueSchema(t *schema.Type) object {
	switch {
	case t.Kind == schema.Resource:
		return schemaRef("Resource")
	case t.Kind != schema.Primitive:
		return schemaRef(t.Name)
	}
	switch t.Name {
	case "boolean":
		return object{"type": "boolean"}
	case "integer", "positiveInt", "unsignedInt":
		return object{"type": "integer"}
	case "decimal":
		return object{"type": "number"}
	case "date":
		return object{"type": "string", "description": "YYYY, YYYY-MM or YYYY-MM-DD"}
	case "instant":
		return object{"type": "string", "format": "date-time"}
	}
	return object{"type": "string"}
}
