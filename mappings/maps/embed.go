// Package maps holds the shipped mapping files and lookup tables, embedded:
//
//	hl7v2/oru_r01.yaml      a laboratory's unsolicited result
//	tables/*.csv            item codes, units, flags, statuses
//
// A table row whose reviewedBy is empty has not been signed by a terminologist.
package maps

import "embed"

// FS holds the files as they stand in this folder.
//
//go:embed hl7v2/*.yaml tables/*.csv
var FS embed.FS
