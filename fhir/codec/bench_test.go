package codec_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"meridian/fhir/codec"
	"meridian/fhir/fhirtest"
)

// observation is of the size and shape that an analyzer's result has (1.1 kB).
const observation = `{"resourceType":"Observation","id":"5f3c1b9e-7d7c-5f0e-9a53-0c1b7f2a9d10","meta":{"versionId":"1",` +
	`"lastUpdated":"2026-03-04T09:15:27.123+08:00","source":"urn:lis:bc6000","tag":[{"system":"http://example.org/tag","code":"lis"}]},` +
	`"identifier":[{"system":"http://hospital.example.org/lis/result","value":"20260304000123-WBC"}],"status":"final",` +
	`"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory","display":"Laboratory"}]}],` +
	`"code":{"coding":[{"system":"http://loinc.org","code":"6690-2","display":"Leukocytes [#/volume] in Blood by Automated count"},` +
	`{"system":"http://hospital.example.org/lis/item","code":"WBC","display":"白细胞计数"}],"text":"白细胞"},` +
	`"subject":{"reference":"Patient/9f0a7c52-2f8d-5b0e-8c51-1b7d4d5f0c11"},"encounter":{"reference":"Encounter/2d0e3a1b"},` +
	`"effectiveDateTime":"2026-03-04T08:30:00+08:00","issued":"2026-03-04T09:12:00.000+08:00","performer":[{"reference":"Organization/lab"}],` +
	`"valueQuantity":{"value":5.40,"unit":"10^9/L","system":"http://unitsofmeasure.org","code":"10*9/L"},` +
	`"interpretation":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation","code":"N"}]}],` +
	`"referenceRange":[{"low":{"value":3.50,"unit":"10^9/L"},"high":{"value":9.50,"unit":"10^9/L"},"text":"3.50-9.50"}],` +
	`"specimen":{"reference":"Specimen/7b1d"},"device":{"display":"BC-6000"}}`

func BenchmarkParse(b *testing.B) {
	b.Run("Observation", func(b *testing.B) {
		b.SetBytes(int64(len(observation)))
		b.ReportAllocs()
		p := codec.NewParser(codec.Options{})
		src := []byte(observation)
		for b.Loop() {
			if _, err := p.Parse(src); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Observation/fresh", func(b *testing.B) {
		b.SetBytes(int64(len(observation)))
		b.ReportAllocs()
		src := []byte(observation)
		for b.Loop() {
			if _, err := codec.Parse(src, codec.Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Observation/indented", func(b *testing.B) {
		src := codec.AppendPretty(nil, []byte(observation))
		b.SetBytes(int64(len(src)))
		b.ReportAllocs()
		p := codec.NewParser(codec.Options{})
		for b.Loop() {
			if _, err := p.Parse(src); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("examples", func(b *testing.B) {
		all, n := fhirtest.Examples(b), 0
		for _, ex := range all {
			n += len(ex.Body)
		}
		b.SetBytes(int64(n))
		b.ReportAllocs()
		p := codec.NewParser(codec.Options{})
		for b.Loop() {
			for _, ex := range all {
				if _, err := p.Parse(ex.Body); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

// BenchmarkTokens is the floor: jsontext reads the tokens, and does nothing with them.
func BenchmarkTokens(b *testing.B) {
	src := []byte(observation)
	buf := &bytes.Buffer{}
	d := jsontext.NewDecoder(buf)
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		buf.Reset()
		buf.Write(src)
		d.Reset(buf)
		for {
			if _, err := d.ReadToken(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkAppendStored(b *testing.B) {
	tree, err := codec.Parse([]byte(observation), codec.Options{})
	if err != nil {
		b.Fatal(err)
	}
	meta := codec.Meta{ID: "5f3c1b9e-7d7c-5f0e-9a53-0c1b7f2a9d10", VersionID: "2", LastUpdated: "2026-03-04T09:15:27.123Z"}
	buf := make([]byte, 0, 2*len(observation))
	b.SetBytes(int64(len(observation)))
	b.ReportAllocs()
	for b.Loop() {
		buf = codec.AppendStored(buf[:0], tree.Root(), meta)
	}
}

func BenchmarkStoredMeta(b *testing.B) {
	body := []byte(observation)
	b.ReportAllocs()
	for b.Loop() {
		if m, _ := codec.StoredMeta(body); m.VersionID != "1" {
			b.Fatal(m)
		}
	}
}
