package interaction

import (
	"encoding/base64"
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
			Trail: (&rowPlace{Cursor: search.Cursor{Values: []*string{&text, nil, &empty}, Number: 6}}).append(nil, 7)},
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

// A token of an earlier format, whose text has another layout, is not taken under the number of this one.
func TestTheFormatOfACursorIsSealed(t *testing.T) {
	s := testSealer(t, "k")
	scope := searchScope("1", "/Patient")
	nonce := make([]byte, s.aead.NonceSize())
	earlier := s.aead.Seal(append([]byte{cursorFormat}, nonce...), nonce, []byte("of another layout"), []byte(scope)) // as formats to 3 were
	if text, err := s.open(base64.RawURLEncoding.EncodeToString(earlier), scope); err == nil {
		t.Errorf("taken: %q", text)
	}
}

// walkPages is the cursor of a page after so many others, each behind the row that at gives.
func walkPages(pages int, at func(i int) *rowPlace) *searchCursor {
	c := &searchCursor{}
	for i := range pages {
		c = c.ahead(at(i))
	}
	return c
}

// The trail leads back page by page, each as it was when it was asked for, as far as it goes; then there is no page before.
func TestTheTrailOfACursorLeadsBackAndIsBounded(t *testing.T) {
	text := strings.Repeat("x", 100)
	long := func(i int) *rowPlace {
		return &rowPlace{Cursor: search.Cursor{Values: []*string{&text, nil}, Number: uint64(i)}}
	}
	short := func(i int) *rowPlace { return &rowPlace{Cursor: search.Cursor{Number: 1<<62 - uint64(i)*20<<8}} }
	for _, c := range []struct {
		name         string
		at           func(int) *rowPlace
		pages        int
		least, bytes int // places kept at least, bytes at most
	}{
		{"long values", long, 1000, nearTrail, maxTrail}, {"short places", short, 1000, 20, wantTrail}, {"the first pages", short, 3, 3, wantTrail}, {"the second page", long, 1, 1, 1},
	} {
		cursor := walkPages(c.pages, c.at)
		if len(cursor.Trail) > c.bytes {
			t.Errorf("%s: %d bytes", c.name, len(cursor.Trail))
		}
		kept := 0
		for back := cursor.back(); back != nil; back = back.back() {
			kept++
			var want *rowPlace // the page began behind it; the first page nowhere
			if i := c.pages - 1 - kept; i >= 0 {
				want = c.at(i)
			}
			if diff := cmp.Diff(want, back.After); diff != "" {
				t.Errorf("%s, %d pages back: %s", c.name, kept, diff)
			}
		}
		if kept < c.least {
			t.Errorf("%s: the trail leads %d pages back", c.name, kept)
		}
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
	f.Add(walkPages(9, func(i int) *rowPlace {
		return &rowPlace{Cursor: search.Cursor{Values: []*string{&text}, Number: uint64(i) << 20}}
	}).append(nil))
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
		for back := c.back(); back != nil; back = back.back() { // ends, since each trail is shorter
		}
		c.ahead(c.After)
	})
}
