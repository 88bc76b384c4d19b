// Package search compiles R4's search parameters, reads queries, finds the
// searchable facts of a resource, and says in memory whether one matches.
//
// Contract:
//
//	New(Options{Zone, BaseURL, Now, FullText, Codes}) (*Registry, error)          all R4 search parameters, compiled when a type is first used
//	(*Registry).Param(typ, code) (*Param, bool); Params(typ) []*Param
//	(*Registry).Index(root element.Node, into *Facts) error      keys and forward values; extractors are a trie per type,
//	                                                             FHIRPath where an expression does not fit
//	(*Registry).Parse(typ string, values []Pair, lenient bool) (*Query, []issue.Issue, error)    typed query; strict unless lenient
//	(*Registry).ParseAll(types, values, lenient) ([]*Query, …)   one query string over several types
//	(*Registry).InCompartment(*Query, of, id) (*Query, bool)     narrowed to Patient/1 and what belongs to it
//	(*Registry).Compile(*Query) (*Plan, error)                   the plan of plan.go; After is set by the caller
//	(*Registry).CompileContained(*Query, container, also)        the plan that finds what contains a match
//	(*Registry).Match(*Query, root element.Node) (bool, error)   slow and obvious: FHIRPath and datatype rules, no keys;
//	                                                             the oracle for both stores
//	(*Registry).MatchAmong(*Query, root, Others) (bool, error)   the same where chains and _has ask for other resources
//	(*Registry).References(root, *Param, target) []Reference     what _include follows
//	UnlessKey(*Query) string                                     the same for equal criteria
//	MatchFacts(Expr, id string, *Facts) bool                     a plan's tree decided on facts, for stores' checks and tests
//	Version, (*Registry).IndexVersion()                          changes when Index gives other facts for the same resource
//	                                                             (zone and base URL included); stores record it and rebuild
//
// Pair is one name=value of the query string, decoded, in order. A Query keeps
// what was understood so that the self link shows exactly what was used.
//
// The same parameter goes three ways, and the tests hold them against each other:
//
//	expression  Observation.subject.where(resolve() is Patient)
//	branch      subject, resolve Patient            branch.go: the simple subset, all that R4 uses
//	trie        Observation → subject → emit        trie.go, index.go, then a file per kind: keys
//	plan        subject[Patient]=123                compile.go, prefix.go: a tree over keys
//	Match       FHIRPath, then datatype rules       match.go, matchrange.go: no keys
//
// For every query and resource, Match equals MatchFacts of the plan's tree and,
// where there is one, the plan's Residual.
//
// A Registry, its Params and a parsed Query are safe for concurrent use. Facts
// belong to the caller; their strings do not keep the body alive.
//
// docs/format/postings.md has the keys byte by byte.
//
// https://hl7.org/fhir/R4/search.html
package search
