package search

import (
	"slices"
	"testing"

	"meridian/fhir/codec"
	"meridian/fhir/fhirtest"
	"meridian/fhir/schema"
)

// stampedAgree compares the facts of the stored form with those of the body and its stamp.
func stampedAgree(t *testing.T, r *Registry, body []byte) {
	t.Helper()
	const id, at = "x-1.2", "2026-02-03T04:05:06.789Z"
	root := parseBody(t, body)
	var want, got Facts
	stored := codec.AppendStored(nil, root, codec.Meta{ID: id, VersionID: "7", LastUpdated: at})
	if err := r.Index(parseBody(t, stored), &want); err != nil {
		t.Fatal(err)
	}
	ok, err := r.IndexStamped(root, Stamp{ID: id, LastUpdated: at}, &got)
	if err != nil {
		t.Fatal(err)
	}
	if ok && (!slices.Equal(got.Keys, want.Keys) || !slices.Equal(got.Forward, want.Forward)) {
		t.Errorf("%s: the facts differ\n got %q %q\nwant %q %q\n%.300s", root.Type().Name, got.Keys, got.Forward, want.Keys, want.Forward, body)
	}
}

func TestIndexStampedIsIndexOfTheStoredForm(t *testing.T) {
	r := testRegistry(t)
	for _, e := range fhirtest.Examples(t) {
		stampedAgree(t, r, e.Body)
	}
	for _, body := range []string{
		`{"resourceType":"Patient","active":true}`,
		`{"resourceType":"Patient","id":"other","meta":{"lastUpdated":"1999-01-01T00:00:00Z","_lastUpdated":{"id":"a"},"tag":[{"code":"t"}],"profile":["http://p"],"source":"#s"}}`,
		`{"resourceType":"Patient","_id":{"id":"a"},"meta":{"_versionId":{"id":"a"},"_lastUpdated":{"id":"b"}}}`,
		`{"meta":{"security":[{"system":"s","code":"c"}]},"name":[{"family":"A"}],"resourceType":"Patient"}`,
		`{"resourceType":"Observation","status":"final","code":{"text":"x"},"contained":[{"resourceType":"Patient","id":"p"}],"subject":{"reference":"#p"}}`,
	} {
		stampedAgree(t, r, []byte(body))
	}
	for _, typ := range schema.ResourceTypes() {
		for seed := range uint64(3) {
			stampedAgree(t, r, fhirtest.Generate(typ, seed))
		}
	}
}

// An entry's resource is part of its bundle's tree.
func TestIndexStampedInABundle(t *testing.T) {
	r := testRegistry(t)
	body := `{"resourceType":"Patient","meta":{"tag":[{"code":"t"}]},"name":[{"family":"A"}]}`
	entry := parseBody(t, []byte(`{"resourceType":"Bundle","type":"batch","entry":[{"resource":`+body+`}]}`)).Path("entry", "resource")
	var want, got Facts
	for into, root := range map[*Facts]bool{&want: false, &got: true} {
		n := entry
		if !root {
			n = parseBody(t, []byte(body))
		}
		if ok, err := r.IndexStamped(n, Stamp{"a", "2026-02-03T04:05:06.789Z"}, into); err != nil || !ok {
			t.Fatal(ok, err)
		}
	}
	if !slices.Equal(got.Keys, want.Keys) || !slices.Equal(got.Forward, want.Forward) {
		t.Errorf("got %v, want %v", got, want)
	}
}
