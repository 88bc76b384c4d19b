package codec_test

import (
	"testing"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/fhirtest"
)

func xmlOf(b *testing.B, json []byte) ([]byte, element.Node) {
	b.Helper()
	tree, err := codec.Parse(json, codec.Options{})
	if err != nil {
		b.Fatal(err)
	}
	xml, err := codec.AppendXML(nil, tree.Root(), codec.XMLOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return xml, tree.Root()
}

// BenchmarkXMLRead is XML to JSON, and, as a server does it, to a tree.
func BenchmarkXMLRead(b *testing.B) {
	xml, _ := xmlOf(b, []byte(observation))
	b.Run("Observation", func(b *testing.B) {
		b.SetBytes(int64(len(xml)))
		b.ReportAllocs()
		x := codec.NewXMLReader(codec.Options{})
		for b.Loop() {
			if _, err := x.JSON(xml); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Observation/tree", func(b *testing.B) {
		b.SetBytes(int64(len(xml)))
		b.ReportAllocs()
		x, p := codec.NewXMLReader(codec.Options{}), codec.NewParser(codec.Options{})
		for b.Loop() {
			json, err := x.JSON(xml)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := p.Parse(json); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("examples", func(b *testing.B) {
		var all [][]byte
		n := 0
		for _, ex := range fhirtest.Examples(b) {
			doc, _ := xmlOf(b, ex.Body)
			all = append(all, doc)
			n += len(doc)
		}
		b.SetBytes(int64(n))
		b.ReportAllocs()
		x := codec.NewXMLReader(codec.Options{})
		for b.Loop() {
			for _, doc := range all {
				if _, err := x.JSON(doc); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

// BenchmarkXMLWrite is a tree to XML, and, as a server does it, JSON to XML.
func BenchmarkXMLWrite(b *testing.B) {
	xml, root := xmlOf(b, []byte(observation))
	buf := make([]byte, 0, 2*len(xml))
	b.Run("Observation", func(b *testing.B) {
		b.SetBytes(int64(len(xml)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := codec.AppendXML(buf, root, codec.XMLOptions{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Observation/json", func(b *testing.B) {
		b.SetBytes(int64(len(xml)))
		b.ReportAllocs()
		p := codec.NewParser(codec.Options{})
		for b.Loop() {
			tree, err := p.Parse([]byte(observation))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := codec.AppendXML(buf, tree.Root(), codec.XMLOptions{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("examples", func(b *testing.B) {
		var all []element.Node
		n := 0
		for _, ex := range fhirtest.Examples(b) {
			doc, root := xmlOf(b, ex.Body)
			all = append(all, root)
			n += len(doc)
		}
		b.SetBytes(int64(n))
		b.ReportAllocs()
		for b.Loop() {
			for _, root := range all {
				doc, err := codec.AppendXML(buf[:0], root, codec.XMLOptions{})
				if err != nil {
					b.Fatal(err)
				}
				buf = doc[:0]
			}
		}
	})
}
