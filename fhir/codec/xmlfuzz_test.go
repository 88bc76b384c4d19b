package codec

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"testing"

	"meridian/fhir/fhirtest"
	"meridian/fhir/issue"
)

var xmlSeeds = []string{
	`<?xml version="1.0" encoding="UTF-8"?><Patient xmlns="http://hl7.org/fhir"><id value="a"/><active id="x" value="true"/><name><given value="a"/><given><extension url="u"><valueCode value="c"/></extension></given></name></Patient>`,
	`<f:Observation xmlns:f="http://hl7.org/fhir"><f:status value="final"/><f:code><f:text value="A&#10;&amp;😀"/></f:code><f:valueQuantity><f:value value="-1.10e+3"/></f:valueQuantity></f:Observation>`,
	`<Bundle xmlns="http://hl7.org/fhir"><type value="batch"/><entry><resource><Patient><active value="true"/></Patient></resource></entry></Bundle>`,
	`<Basic xmlns="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml"><text><status value="empty"/><h:div>x<h:br/><!-- c --></h:div></text><contained><Patient/></contained><code><text value="x"/></code></Basic>`,
	`<Basic xmlns="http://hl7.org/fhir"><text><status value="empty"/><div xmlns="http://www.w3.org/1999/xhtml" id="a">"x\&#160;<p xmlns="http://www.w3.org/1999/xhtml">y</p></div></text><code><text value="x"/></code></Basic>`,
	`<!DOCTYPE x [<!ENTITY y "z">]><Patient xmlns="http://hl7.org/fhir">&y;</Patient>`,
	"\xFF\xFE<\x00P\x00/\x00>\x00", `<Patient xmlns="http://hl7.org/fhir"><gender value="a"/><active value="true"/><x><y/></x>text</Patient>`,
	`<Patient xmlns="http://hl7.org/fhir" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="a b"/>`, ``, `<a`, `<?xml version="1.0"?>`,
}

// What is accepted is XML, is accepted as JSON, is written so that it reads the same
// again, and has its places where they are. What is not has issues with a place inside the body.
func FuzzXML(f *testing.F) {
	for _, s := range xmlSeeds {
		f.Add([]byte(s))
	}
	for seed, name := range []string{"Patient", "Parameters"} {
		tree, err := Parse(fhirtest.Generate(name, uint64(seed)), Options{})
		if err != nil {
			f.Fatal(err)
		}
		if doc, err := AppendXML(nil, tree.Root(), XMLOptions{Pretty: seed%2 == 0}); err == nil {
			f.Add(doc)
		}
	}
	o := Options{AnyCardinality: true}
	x := NewXMLReader(o)
	f.Fuzz(func(t *testing.T, src []byte) {
		json, err := x.JSON(src)
		if err == nil && len(json) > 8*len(src)+64 {
			t.Fatalf("%d bytes became %d", len(src), len(json))
		}
		tree, err := ParseXML(src, o)
		if err != nil {
			e := issue.As(err)
			if e == nil || len(e.Issues) == 0 {
				t.Fatalf("%v is no issue.Error", err)
			}
			for _, is := range e.Issues {
				if is.Text == "" || is.ID == "" || is.Offset > len(src) || is.Offset < 0 && is.ID != idMoreIssues {
					t.Fatalf("issue without text or place: %+v", is)
				}
			}
			return
		}
		if x.enc.utf16 == nil {
			wellFormedXML(t, src)
		}
		out := AppendJSON(nil, tree.Root(), nil)
		if !bytes.Equal(out, json) {
			t.Fatalf("the Parser writes what the reader wrote otherwise:\n%s\n%s", json, out)
		}
		doc, err := AppendXML(nil, tree.Root(), XMLOptions{Pretty: len(src)%2 == 0})
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		again, err := ParseXML(doc, o)
		if err != nil {
			t.Fatalf("the output is refused: %v: %s", err, doc)
		}
		if twice := AppendJSON(nil, again.Root(), nil); !bytes.Equal(out, twice) {
			t.Fatalf("read again it differs:\n%s\n%s", out, twice)
		}
	})
}

// wellFormedXML lets the standard library read what was accepted. It takes no
// processing instruction of the name xml in the middle, nor do we.
func wellFormedXML(t *testing.T, src []byte) {
	d := xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(src, []byte(byteOrderMark))))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // US-ASCII
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("accepted, but %v: %q", err, src)
		}
	}
}
