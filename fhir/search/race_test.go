//go:build race

package search

// raceDetector says that the tests run under the race detector, which
// allocates by itself: counts of allocations mean nothing then.
const raceDetector = true
