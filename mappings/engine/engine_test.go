package engine

import (
	"testing"

	"meridian/mappings/maps"
)

// Every shipped map and table passes its own checks.
func TestShippedMapsLoad(t *testing.T) {
	l, err := Load(maps.FS)
	if err != nil {
		t.Fatal(err)
	}
	if l.Find(Input{Kind: "hl7v2", Type: "ORU_R01"}) == nil {
		t.Fatal("no map for ORU_R01")
	}
}
