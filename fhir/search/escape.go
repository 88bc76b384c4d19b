package search

import "strings"

// Escape gives a text as a value of a search parameter, with what would separate values escaped.
//
// https://hl7.org/fhir/R4/search.html#escaping
func Escape(s string) string { return valueEscapes.Replace(s) }

var valueEscapes = strings.NewReplacer(`\`, `\\`, `,`, `\,`, `$`, `\$`, `|`, `\|`)
