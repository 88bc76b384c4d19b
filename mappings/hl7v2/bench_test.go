package hl7v2

import (
	"bytes"
	"testing"
)

// The sample has 20 OBX in two orders, 3.2 kB in GB18030.
func benchmarkSample(b *testing.B) (gb []byte, text string) {
	raw := readSample(b, "oru_r01.hl7")
	gb, err := Encode(string(raw), GB18030)
	if err != nil {
		b.Fatal(err)
	}
	return bytes.Replace(gb, []byte("UNICODE UTF-8"), []byte("GBK"), 1), string(raw)
}

func BenchmarkDecodeGBK(b *testing.B) {
	raw, _ := benchmarkSample(b)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(raw, DecodeOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeUTF8(b *testing.B) {
	_, text := benchmarkSample(b)
	raw := []byte(text)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(raw, DecodeOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

// readTen reads ten fields of every OBX, components among them.
func readTen(m *Message) (n int) {
	for _, s := range m.Segments() {
		if s.Name() != "OBX" {
			continue
		}
		item := s.Field(3)
		for _, v := range [...]Value{s.Field(2), item.Component(1), item.Component(2), s.Field(4), s.Field(5), s.Field(6),
			s.Field(7), s.Field(8), s.Field(11), s.Field(14)} {
			n += len(v.Text())
		}
	}
	return n
}

func BenchmarkParseAndReadTenFields(b *testing.B) {
	_, text := benchmarkSample(b)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		m, err := Parse(text, ParseOptions{})
		if err != nil || readTen(m) == 0 {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	_, text := benchmarkSample(b)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(text, ParseOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGroup(b *testing.B) {
	_, text := benchmarkSample(b)
	m := mustParse(b, text)
	b.ReportAllocs()
	for b.Loop() {
		if t := GroupMessage(m, GroupOptions{}); len(t.Findings) > 0 {
			b.Fatal(t.Findings)
		}
	}
}

func BenchmarkAck(b *testing.B) {
	_, text := benchmarkSample(b)
	h := HeaderOf(mustParse(b, text))
	b.ReportAllocs()
	for b.Loop() {
		BuildAck(h, Ack{Code: ApplicationAccept, ControlID: "1", Time: ackTime})
	}
}
