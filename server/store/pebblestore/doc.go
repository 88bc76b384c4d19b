// Package pebblestore is the embedded store: server/store over one Pebble
// database in a directory. docs/format/pebble.md shows every key with an
// example.
//
// Key space (first byte, then fields; numbers stand for names, see names.go):
//
//	M name                              format version, index version
//	N kind …name                        the number of a type, parameter or scope
//	R number                            current version: header, body
//	V number ^version                   an older version, as it stood in R
//	I type id                           number of a resource
//	A type number                       resources that are not deleted: which parameters they have, and their id
//	P type param scope lo 0 number hi   posting; lo and hi are the halves of a key's Value around search.RangeSep; points in runs, see run.go
//	W type param scope class lo 0 number hi   a second entry of wide ranges, see bound.go
//	D type param number                 forward values: lowest, highest, and all ranges
//	S type param value 0 number         sort values of declared parameters that are not ranges
//	L seq                               change log
//	H type seq, T block                 its entries of one type, in runs; times of its blocks, see loglist.go
//	Q…                                  queue, see queue.go
//	C key                               receipt
//	X time key                          when it is over
//
// Invariants, all verified by Check: A, I, P, W, D and S are functions of the R
// they belong to, H and T of L; every version that was ever committed stands once in R or V
// and once in L; the keys of one commit are in one batch.
//
// Writing: callers prepare their commit in parallel (read what stands, index
// the old body, encode and sort keys); one committer validates it against
// what was committed since, checks Unless, orders the log, applies batches
// without waiting and answers when they are synced (commit.go). Reading: a
// snapshot per call. Safe for concurrent use; returned bytes are copies.
package pebblestore
