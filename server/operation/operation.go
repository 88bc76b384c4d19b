// Package operation holds the operations of the server, one file each: its
// definition, its function. List registers them.
//
//	$everything  everything.go      all about a patient, an encounter
//	$lastn       lastn.go           the newest observations of each code
//	$stats       stats.go           statistics of measured values
//	$validate    validate.go        what is wrong with a resource
//	$diff        diff.go            two versions as a patch
//	$match       match.go           patients that may be the one given
//	$merge …     merge.go           one patient out of two, and back
//	$purge       purge.go           a patient's record, for good
//	$fhirpath    fhirpath.go        an expression evaluated and explained
//	$viewdefinition-run  view.go    a table by a ViewDefinition
//	$reindex     reindex.go         whether what is stored is found
//	$meta …      meta.go            profiles, tags, labels
//	$graphql     graphql.go         GraphQL; its engine is the package graphql below this one
//	$expand      expand.go          the codes of a value set
//	$validate-…  validate_code.go   whether a value set, or a system, has a code
//	$lookup      lookup.go          what a system says of a code
//	$subsumes    subsumes.go        how two codes stand to each other
//	$translate   translate.go       what concept maps make of a code
//
// An operation sees parameters that agree with its definition, and reads and
// writes through *interaction.Service, never through the store. It has no state
// of its own but what its struct was given, and is safe for concurrent use.
// Definitions of the specification are held against the official ones by a test.
//
// docs/operation has a page for each.
//
// https://hl7.org/fhir/R4/operations.html, https://hl7.org/fhir/R4/operationslist.html
package operation

import (
	"context"

	"meridian/server/interaction"
	"meridian/server/operation/graphql"
)

// List gives the operations of the server. A further one is a further line.
func List() []interaction.Operation {
	return []interaction.Operation{
		operation{patientEverythingDefinition(), runEverything},
		operation{encounterEverythingDefinition(), runEverything},
		operation{lastnDefinition(), lastn},
		operation{statsDefinition(), runStats},
		operation{diffDefinition(), runDiff},
		newValidation(),
		operation{matchDefinition(), match},
		operation{mergeDefinition(), merge},
		operation{unmergeDefinition(), unmerge},
		operation{purgeDefinition(), purge},
		operation{reindexDefinition(), runReindex},
		operation{metaDefinition(), meta},
		operation{metaAddDefinition(), metaAdd},
		operation{metaDeleteDefinition(), metaDelete},
		operation{fhirpathDefinition(), runFHIRPath},
		operation{viewdefinitionRunDefinition(), runView},
		operation{viewRunDefinition(), runView},
		operation{graphqlDefinition(), runGraphQL(&graphql.Engine{})},
		operation{expandDefinition(), expand},
		operation{valueSetValidateCodeDefinition(), valueSetValidateCode},
		operation{codeSystemValidateCodeDefinition(), codeSystemValidateCode},
		operation{lookupDefinition(), lookup},
		operation{subsumesDefinition(), subsumes},
		operation{translateDefinition(), translate},
	}
}

// operation is a definition with its function.
type operation struct {
	definition *interaction.OperationDefinition
	run        func(context.Context, *interaction.OperationCall) (interaction.OperationResult, error)
}

func (o operation) Definition() *interaction.OperationDefinition { return o.definition }

func (o operation) Run(ctx context.Context, c *interaction.OperationCall) (interaction.OperationResult, error) {
	return o.run(ctx, c)
}
