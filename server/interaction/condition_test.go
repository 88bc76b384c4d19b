package interaction

import (
	"testing"

	"meridian/fhir/issue"
)

func TestEntityTags(t *testing.T) {
	for _, tc := range []struct {
		header  string
		version uint64
		want    bool
	}{
		{`W/"3"`, 3, true}, {`W/"3"`, 4, false}, {`"3"`, 3, true}, {`3`, 3, true}, {`*`, 9, true}, {`W/"1", W/"3"`, 3, true}, {`W/"1",W/"2"`, 3, false},
		{`W/"x"`, 3, false}, {`W/""`, 0, false}, {`W/"3`, 3, false}, {``, 0, false}, {`W/"99999999999999999999"`, 3, false}, {`W/"018"`, 18, true},
	} {
		if got := etagMatches(tc.header, tc.version); got != tc.want {
			t.Errorf("%s and version %d: %v", tc.header, tc.version, got)
		}
	}
}

// https://hl7.org/fhir/R4/http.html#concurrency
func TestPreconditionsOfWrites(t *testing.T) {
	for _, tc := range []struct {
		name   string
		c      Conditions
		v      uint64
		exists bool
		ok     bool
	}{
		{"nothing asked", Conditions{}, 0, false, true},
		{"If-Match of the current version", Conditions{IfMatch: `W/"2"`}, 2, true, true},
		{"If-Match of an older one", Conditions{IfMatch: `W/"1"`}, 2, true, false},
		{"If-Match of what is not there", Conditions{IfMatch: `W/"1"`}, 0, false, false},
		{"If-Match of a deleted version", Conditions{IfMatch: `W/"2"`}, 2, false, false},
		{"If-Match *", Conditions{IfMatch: `*`}, 2, true, true},
		{"If-None-Match * where there is one", Conditions{IfNoneMatch: `*`}, 2, true, false},
		{"If-None-Match * where there is none", Conditions{IfNoneMatch: `*`}, 0, false, true},
		{"If-None-Match * where one was deleted", Conditions{IfNoneMatch: `*`}, 2, false, true},
	} {
		err := tc.c.checkWrite(tc.v, tc.exists)
		if (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
		if err != nil && issue.As(err).Status != 412 {
			t.Errorf("%s: status %d", tc.name, issue.As(err).Status)
		}
	}
}

func TestVersionIDs(t *testing.T) {
	for in, want := range map[string]bool{"1": true, "18446744073709551615": true, "0": false, "01": false, "": false, "-1": false, "+1": false, "x": false, "18446744073709551616": false} {
		if _, ok := ParseVersion(in); ok != want {
			t.Errorf("%q: %v", in, ok)
		}
	}
}
