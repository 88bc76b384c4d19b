package storetest

import (
	"testing"

	"meridian/server/store"
)

func TestMap(t *testing.T) {
	Run(t, func(_ testing.TB, c Config) store.Store { return NewMap(c) }, Lacks{})
}
