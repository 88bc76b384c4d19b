package interaction

import (
	"context"
	"strconv"
	"strings"

	"meridian/fhir/codec"
	"meridian/fhir/issue"
)

// maxBatchIssues is how many issues the entries of one batch may have
// together; a batch with more is refused as a whole.
const maxBatchIssues = 10_000

// damagedBatch carries out a batch of which entries are not valid: these
// answer with their issues, the others as if they were alone. What is wrong
// with the Bundle itself, or with its JSON, refuses all of it, as does
// anything wrong in a transaction: then the error is parsed, that of the strict parse.
//
// https://hl7.org/fhir/R4/http.html#brules
func (s *Service) damagedBatch(ctx context.Context, p *BundleParams, parsed error) (*BundleResult, error) {
	entries, err := s.damagedEntries(p.Body, parsed)
	if err != nil {
		return nil, err
	}
	return s.batch(ctx, entries, p), nil
}

// damagedEntries reads the entries of such a batch. Their trees are no pooled parser's.
func (s *Service) damagedEntries(body []byte, parsed error) ([]entry, error) {
	if _, ok := byEntry(parsed); !ok {
		return nil, parsed
	}
	// A parser of its own: it lists more issues than the pooled ones.
	tree, err := codec.NewParser(codec.Options{MaxBytes: s.limits.BodyBytes, MaxIssues: maxBatchIssues}).ParseWithIssues(body)
	if tree == nil {
		return nil, parsed
	}
	damaged, ok := byEntry(err)
	root := tree.Root()
	if !ok || root.Type().Name != "Bundle" || root.Child("type").Text() != "batch" {
		return nil, parsed
	}
	return s.entries(root, false, damaged)
}

// byEntry sorts the issues of a parse by the entry of the bundle that they are
// in; false when one is fatal or in none.
func byEntry(err error) (map[int]*issue.Error, bool) {
	e := issue.As(err)
	if e == nil {
		return nil, false
	}
	out := map[int]*issue.Error{}
	for _, is := range e.Issues {
		if is.Severity == issue.Information && is.Expression == "" {
			continue // how many more there are
		}
		n, ok := entryOf(is.Expression)
		if !ok || is.Severity == issue.Fatal {
			return nil, false
		}
		if out[n] == nil {
			out[n] = &issue.Error{}
		}
		out[n].Issues = append(out[n].Issues, is)
	}
	return out, true
}

// entryOf reads the 3 of Bundle.entry[3].resource.name[0].
func entryOf(expression string) (int, bool) {
	rest, ok := strings.CutPrefix(expression, "Bundle.entry[")
	digits, _, closed := strings.Cut(rest, "]")
	n, err := strconv.Atoi(digits)
	return n, ok && closed && err == nil
}
