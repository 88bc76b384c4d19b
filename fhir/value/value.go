// Package value holds the lexical values of R4 that have arithmetic: decimals
// as written, dates with their precision and offset, times of day.
//
// Contract:
//
//	ParseDecimal(s) (Decimal, error)         text kept; exponent form accepted (FHIR decimal); at most MaxDigits digits
//	(Decimal).String() as written; Cmp; Sign; Bounds() (lo, hi Decimal) the implicit precision of R4 search:
//	    5.40 → [5.395, 5.405), 100 → [99.5, 100.5), 1e2 → [95, 105) by significant figures
//	(Decimal).AppendKey(dst) []byte          ASCII, order of bytes = order of numbers, equal numbers (1.0, 1.00) equal keys, exact
//	ParseDate, ParseDateTime, ParseInstant (s) (DateTime, error); ParseTime(s) (Time, error)
//	    2026-02-30 is an error; a time part needs a zone where the FHIR type does; ParseDateTime also reads what
//	    search allows (minutes without seconds, no zone)
//	(DateTime).Precision Year|Month|Day|Minute|Second|Fraction, HasZone
//	(DateTime).Interval(zone) (lo, hi Instant)   half-open [lo, hi) in UTC; zone is used where the text has none
//	Instant: nanoseconds with the range of years 0001–9999; AppendKey: 12 ASCII characters, ordered as bytes
//
// https://hl7.org/fhir/R4/datatypes.html#primitive, https://hl7.org/fhir/R4/search.html#number
package value
