package interaction

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meridian/fhir/search"
)

func testSealer(t testing.TB, key string) sealer {
	t.Helper()
	s, err := newSealer([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestACursorComesBackAsItWas(t *testing.T) {
	text := "value of a patient"
	empty := ""
	for _, c := range []searchCursor{
		{Total: -1},
		{Query: "name=x&_count=2", Total: 0, After: &rowPlace{Cursor: search.Cursor{Number: 1 << 63}}},
		{Query: "name=%E5%BC%A0", Total: 12345, After: &rowPlace{Arm: 3, Cursor: search.Cursor{Values: []*string{&text, nil, &empty}, Number: 7}},
			Trail: []*rowPlace{{Cursor: search.Cursor{Values: []*string{&text, nil, &empty}, Number: 6}}, nil}},
		{Query: "a=b", Rest: &rest{End: &rowPlace{Cursor: search.Cursor{Number: 9}}, More: true, Step: 2, Key: "Patient/1", Number: 12}},
	} {
		s := testSealer(t, "k")
		token := s.seal(c.append(nil), "scope")
		if strings.Contains(token, "patient") || strings.ContainsAny(token, "+/=&?") {
			t.Errorf("token %s", token)
		}
		opened, err := s.open(token, "scope")
		if err != nil {
			t.Fatal(err)
		}
		var got searchCursor
		if err := got.parse(opened); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestACursorIsRefusedWhenAnythingAboutItChanged(t *testing.T) {
	s := testSealer(t, "k")
	token := s.seal((&searchCursor{Query: "a=b"}).append(nil), searchScope("1", "Patient"))
	if _, err := s.open(token, searchScope("1", "Observation")); err == nil {
		t.Error("another type")
	}
	if _, err := s.open(token, searchScope("2", "Patient")); err == nil {
		t.Error("another version of the index")
	}
	other := testSealer(t, "other")
	if _, err := other.open(token, searchScope("1", "Patient")); err == nil {
		t.Error("another key")
	}
	for i := range token {
		changed := []byte(token)
		changed[i] = 'A' + (changed[i]+1-'A')%26
		if string(changed) == token {
			continue
		}
		if _, err := s.open(string(changed), searchScope("1", "Patient")); err == nil && i < len(token)-1 {
			t.Errorf("changed at %d", i) // the last character has bits that stand for nothing
		}
	}
	for _, bad := range []string{"", "x", "AQ", strings.Repeat("A", maxCursor+1), "!!!!"} {
		if _, err := s.open(bad, ""); err == nil {
			t.Errorf("%.10q is taken", bad)
		}
	}
}

func TestTheTrailOfACursorIsBounded(t *testing.T) {
	text := strings.Repeat("x", 100)
	c := searchCursor{Query: "a=b"}
	for i := range 1000 {
		c.Trail = append(c.Trail, &rowPlace{Cursor: search.Cursor{Values: []*string{&text}, Number: uint64(i)}})
	}
	var got searchCursor
	if err := got.parse(c.append(nil)); err != nil || len(got.Trail) != nearTrail || len(c.append(nil)) > maxTrail+64 {
		t.Fatalf("%d places, %v", len(got.Trail), err)
	}
	if diff := cmp.Diff(c.Trail[:len(got.Trail)], got.Trail); diff != "" {
		t.Error(diff)
	}
	for i, p := range c.Trail {
		p.Values, p.Number = nil, 1<<62-uint64(i)*20<<8
	}
	got = searchCursor{}
	if err := got.parse(c.append(nil)); err != nil || len(got.Trail) < 20 || len(c.append(nil)) > wantTrail+32 {
		t.Errorf("%d short places, %v", len(got.Trail), err)
	}
}

func TestEqualCursorsHaveEqualTokens(t *testing.T) {
	a, b := testSealer(t, "k"), testSealer(t, "k")
	if a.seal([]byte("x"), "s") != b.seal([]byte("x"), "s") || a.seal([]byte("x"), "s") == a.seal([]byte("y"), "s") {
		t.Error("tokens follow from key, scope and text alone")
	}
}

func FuzzCursor(f *testing.F) {
	text := "v"
	f.Add((&searchCursor{Query: "a=b", Total: 3, After: &rowPlace{Cursor: search.Cursor{Values: []*string{&text, nil}, Number: 9}}}).append(nil))
	f.Add([]byte{0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var c searchCursor
		if c.parse(b) != nil {
			return
		}
		var again searchCursor
		if err := again.parse(c.append(nil)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, again); diff != "" {
			t.Error(diff)
		}
	})
}
