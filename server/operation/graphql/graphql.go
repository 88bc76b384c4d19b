// Package graphql answers GraphQL over the resources of a Service, as FHIR R4
// describes it: https://hl7.org/fhir/R4/graphql.html. The operation $graphql
// (server/operation) hands it a request and gives back its answer.
//
// A request goes through these steps, a file each:
//
//	prepare.go     parsed by gqlparser within limits, rewritten where the page of FHIR allows what GraphQL's types do not
//	schema*.go     checked against a schema made once from fhir/schema and the search parameters
//	values.go      variables and arguments, as ast.Value: numbers keep the digits that were sent
//	plan.go        a selection becomes steps, for each type of object that it meets
//	execute.go     steps walk the element tree, into objects of the answer
//	reference.go   what is referred to is read level by level, each level in one ReadMany
//	search.go      lists and connections
//	reverse.go     lists of what refers to a resource, for all of a level in one search
//	mutation.go    create, update, delete
//	introspect.go  __schema and __type
//	answer.go      objects of the answer, written as JSON
//
// For example, with one Observation of Patient/1 stored:
//
//	{ ObservationList(code: "8867-4") { valueQuantity { value } subject { resource { id ... on Patient { birthDate } } } } }
//
//	{"data":{"ObservationList":[{"valueQuantity":{"value":72.0},"subject":{"resource":{"id":"1","birthDate":"1990-01-01"}}}]}}
//
// Values are the bytes as they are stored, so a decimal keeps its digits. A field
// that is not there is null, as GraphQL has it; a name that a flattened element
// gives is left out. There is no answer in part: either all is answered, or there
// are errors, each with an OperationOutcome, and no data.
//
// An Engine is safe for concurrent use. Everything is bounded by Limits, and by
// those of searches and FHIRPath.
package graphql

import (
	"context"
	"sync"

	"github.com/vektah/gqlparser/v2/validator/rules"

	"meridian/fhir/search"
	"meridian/server/interaction"
	"meridian/server/store"
)

// ContentType of every answer. https://hl7.org/fhir/R4/graphql.html#invoking
const ContentType = "application/json; charset=utf-8"

// Limits of one request; 0 means the default.
type Limits struct {
	// QueryBytes is the longest document. Default 64 KiB.
	QueryBytes int
	// Tokens of the document. Default 5,000.
	Tokens int
	// Depth of selections within each other, fragments included. Default 25.
	Depth int
	// Fields that are selected, those of a fragment wherever it is spread. Default 5,000.
	Fields int
	// Merged is how many fields may stand under one name of the answer: the check compares all with each other. Default 200.
	Merged int
	// References that are resolved, each resource once. Default 10,000.
	References int
	// Searches of lists and connections. Default 1,000.
	Searches int
	// List is how many resources a list without _count may have. Default 1,000.
	List int
	// Values of the answer. Default 1,000,000.
	Values int
	// AnswerBytes is the largest answer. Default 64 MiB.
	AnswerBytes int
	// Errors that are listed. Default 50.
	Errors int
}

func (l Limits) withDefaults() Limits {
	or := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	or(&l.QueryBytes, 64<<10)
	or(&l.Tokens, 5000)
	or(&l.Depth, 25)
	or(&l.Fields, 5000)
	or(&l.Merged, 200)
	or(&l.References, 10_000)
	or(&l.Searches, 1000)
	or(&l.List, 1000)
	or(&l.Values, 1_000_000)
	or(&l.AnswerBytes, 64<<20)
	or(&l.Errors, 50)
	return l
}

// Engine answers requests of one Service. The zero Engine works; its schema is made by the first
// request, from the search parameters of the Service, and again when parameters were added or taken away.
type Engine struct {
	Limits Limits // not to be changed after the first request

	once   sync.Once
	limits Limits
	rules  *rules.Rules
	bare   *rules.Rules // without "did you mean"

	mu         sync.Mutex
	schema     *model
	generation uint64 // of the search parameters in schema
}

// model gives the schema for the search parameters as they are now.
func (e *Engine) model(r *search.Registry) *model {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now := r.Generation(); e.schema == nil || e.generation != now {
		e.schema, e.generation = newModel(r), now
	}
	return e.schema
}

// Request is one GraphQL request.
type Request struct {
	Query string
	// OperationName says which operation of the document is meant, where there are several.
	OperationName string
	// Variables is a JSON object; empty or null for none.
	Variables []byte
	// Focus is the instance that the query is about; empty for the system.
	Focus store.Key
	// Writes allows mutations.
	Writes bool
}

// Execute answers a request: the JSON of the answer with its data, or an
// *interaction.OperationError whose body is the answer with the errors, and
// which wraps the first of them. After a mutation that was carried out, errors stand in the answer, beside the data. Issue codes: structure for the syntax; invalid
// for what the schema does not have; value for arguments and variables; too-costly
// for limits; not-found and deleted; those of reads, searches and writes.
//
// https://hl7.org/fhir/R4/graphql.html#errors
func (e *Engine) Execute(ctx context.Context, s *interaction.Service, r Request) ([]byte, error) {
	e.once.Do(func() {
		e.limits = e.Limits.withDefaults()
		e.rules, e.bare = rules.NewDefaultRules(), bareRules()
	})
	x := &run{e: e, model: e.model(s.Registry()), ctx: ctx, s: s, limits: &e.limits, focus: r.Focus, resources: map[target]*resolved{}}
	body := x.answer(&r)
	if len(x.failed) > 0 && (!x.changed || x.internal != nil) {
		return nil, x.failure()
	}
	return body, nil
}
