package codec

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

// wellFormed lets the standard library read a narrative that was accepted.
// Characters that XML does not have are not the scanner's concern: they are
// refused before, or are not valid UTF-8, or are U+FFFE and U+FFFF.
func wellFormed(t *testing.T, text string) {
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF
	}) {
		return
	}
	d := xml.NewDecoder(strings.NewReader(text))
	d.Strict = true
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("accepted, but %v: %q", err, text)
		}
		if e, ok := tok.(xml.StartElement); ok {
			if tagOf([]byte(e.Name.Local)) == 0 {
				t.Fatalf("element %s", e.Name.Local)
			}
			for _, a := range e.Attr {
				if strings.HasPrefix(a.Name.Local, "on") {
					t.Fatalf("attribute %s", a.Name.Local)
				}
			}
		}
	}
}
