// Package transfer moves whole records: Migrate copies one store into another,
// Import sends files to a FHIR service, Export writes what a service has to files.
//
// Migrate works on two store.Stores. It replays the change log of the one into
// the other, version after version, so that the target's log is at any moment
// a beginning of the source's: that is what a run that was cut off goes on from, and no
// other state is kept.
//
//	source log   Patient/a 1 · Patient/b 1 · Patient/a 2 · Patient/b 2 deleted
//	target log   Patient/a 1 · Patient/b 1 ·
//
// Import and Export are clients of the REST API (Service), over HTTP or within
// the process, so that what they write is checked and indexed as any other
// request. How far an import came stands in a file beside the input; see progress.go.
//
// One run is for one goroutine; it starts others of its own. Errors and progress name places
// (file, line, type, id, version), never values.
package transfer
