// Package value holds the lexical values of R4 that have arithmetic: decimals
// as written, dates with their precision and offset, times of day. It knows
// nothing of elements or resources.
//
// Data shape: small structs of numbers, copied by value, that point into no
// source bytes. Every parser takes a string or a []byte and, for what occurs in
// practice (decimals of up to 18 digits without exponent, every date), does not
// allocate. What is parsed prints as it was written.
//
//	ParseDecimal("5.40")            String "5.40"; Bounds [5.395, 5.405); key "f54-"
//	ParseDateTime("2026-02")        Month precision; Interval(Asia/Shanghai) [2026-01-31T16:00Z, 2026-02-28T16:00Z)
//	ParseTime("08:30:00")
//
// Keys are made for ordered stores: ASCII, the order of bytes is the order of
// values, equal values have equal keys, and no key is the beginning of another.
//
// Invariants: a non-zero Decimal, DateTime or Time came from a parser or from
// arithmetic and is within the named limits. Everything is immutable and safe
// for concurrent use.
//
// https://hl7.org/fhir/R4/datatypes.html#primitive, https://hl7.org/fhir/R4/search.html#number
package value

import "strconv"

// Text is what the parsers read: a string, or bytes that they do not keep.
type Text interface{ ~string | ~[]byte }

// SyntaxError says where a text is not the value it should be. It does not
// hold the text.
type SyntaxError struct {
	Type   string // "decimal", "date", "dateTime", "instant", "time"
	Offset int    // in bytes
	Reason string
}

func (e *SyntaxError) Error() string {
	return "invalid " + e.Type + ": " + e.Reason + " at byte " + strconv.Itoa(e.Offset)
}
