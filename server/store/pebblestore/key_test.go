package pebblestore

import (
	"bytes"
	"testing"

	"meridian/fhir/search"
)

func TestNumCodes(t *testing.T) {
	var last []byte
	for _, n := range []uint32{0, 1, 191, 192, 193, 447, 448, 16319, 16320, 1 << 20, 1<<32 - 1} {
		b := appendNum(nil, n)
		got, rest, ok := cutNum(append(bytes.Clone(b), 7))
		if !ok || got != n || !bytes.Equal(rest, []byte{7}) {
			t.Errorf("%d comes back as %d, %v, %t", n, got, rest, ok)
		}
		if last != nil && (bytes.Compare(last, b) >= 0 || bytes.HasPrefix(b, last)) {
			t.Errorf("%x does not follow %x", b, last)
		}
		last = b
	}
}

// Numbers of one low half stand in order whatever the high halves are, and
// low halves are in the order of their text.
func TestPostingOrder(t *testing.T) {
	var last []byte
	for _, p := range []struct {
		value  string
		number uint64
	}{{"", 9}, {" z", 10}, {"a z", 1}, {"a", 2}, {"a b", 3}, {"a\x01", 1}, {"ab", 1}, {"b", 0}} {
		lo, hi := splitValue(p.value)
		if lo+hi != p.value {
			t.Errorf("%q is halved into %q and %q", p.value, lo, hi)
		}
		b := appendPosting(nil, lo, p.number, hi)
		gotLo, number, gotHi, ok := cutPosting(b)
		if !ok || string(gotLo)+string(gotHi) != p.value || number != p.number {
			t.Errorf("%q, %d comes back as %q, %q, %d, %t", p.value, p.number, gotLo, gotHi, number, ok)
		}
		if bytes.Compare(last, b) >= 0 {
			t.Errorf("%q, %d does not follow %q", p.value, p.number, last)
		}
		last = b
	}
}

func TestAfter(t *testing.T) {
	for prefix, want := range map[string]string{"a": "b", "a\xff": "b", "\xff\xff": "", "a\x00": "a\x01"} {
		if got := after([]byte(prefix)); string(got) != want {
			t.Errorf("after %q: %q, want %q", prefix, got, want)
		}
	}
}

// Records of any bytes are refused or read, never more than that.
func FuzzRecords(f *testing.F) {
	f.Add(appendHeader(nil, &header{method: 1, typ: 3, version: 7, millis: 1e12}, "id"))
	f.Add(appendChange(nil, &change{number: 5, typ: 200, version: 1, millis: 3}))
	f.Add((&record{state: statePending, topic: "m", note: []byte("{}")}).append(nil))
	f.Add(appendPlain(nil, &search.Forward{Low: "a", High: "b"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, body, err := cutHeader(b); err == nil && len(h.id)+len(body) > len(b) {
			t.Error("a header longer than its record")
		}
		if c, err := cutChange(b); err == nil && len(appendChange(nil, &c)) > len(b)+30 {
			t.Error("a change longer than its record")
		}
		if _, err := cutRecord(1, b); err != nil {
			t.Skip()
		}
		if _, _, err := sortBounds(b); err != nil {
			t.Skip()
		}
	})
}
