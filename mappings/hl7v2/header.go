package hl7v2

import (
	"bytes"
	"strings"
)

// Header is what an answer and a message log need of MSH. The fields are as written, without control characters; they keep their
// escapes, since an answer repeats them between the same delimiters. The zero Header stands for bytes without an MSH.
type Header struct {
	Delimiters           Delimiters
	MSH2                 string
	SendingApplication   string // MSH-3
	SendingFacility      string // MSH-4
	ReceivingApplication string // MSH-5
	ReceivingFacility    string // MSH-6
	Time                 string // MSH-7
	Code                 string // MSH-9.1
	Event                string // MSH-9.2
	ControlID            string // MSH-10
	ProcessingID         string // MSH-11: P, T, D; analyzers write Q for quality control
	Version              string // MSH-12.1
	AcceptAck            string // MSH-15
	ApplicationAck       string // MSH-16
	Charset              string // MSH-18
}

// Found is false for the zero Header.
func (h Header) Found() bool { return h.Delimiters.Field != 0 }

// HeaderOf reads the header of a parsed message.
func HeaderOf(m *Message) Header {
	s := m.Header()
	field := func(n int) string { return oneLine(s.Field(n).Raw()) }
	component := func(n, c int) string { return oneLine(s.Field(n).Component(c).Raw()) }
	return Header{
		Delimiters:           m.delims,
		MSH2:                 s.Field(2).Raw(),
		SendingApplication:   field(3),
		SendingFacility:      field(4),
		ReceivingApplication: field(5),
		ReceivingFacility:    field(6),
		Time:                 component(7, 1),
		Code:                 component(9, 1),
		Event:                component(9, 2),
		ControlID:            field(10),
		ProcessingID:         component(11, 1),
		Version:              component(12, 1),
		AcceptAck:            field(15),
		ApplicationAck:       field(16),
		Charset:              field(18),
	}
}

// oneLine leaves control characters out: a raw line break inside MSH must not end a segment of an answer.
func oneLine(s string) string {
	if strings.IndexFunc(s, isControl) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if isControl(r) {
			return -1
		}
		return r
	}, s)
}

func isControl(r rune) bool { return r < ' ' || r == 0x7F }

// maxHeaderLine bounds the line ScanHeader looks at.
const maxHeaderLine = 4096

// ScanHeader reads what it can of the header of bytes that Decode or Parse refused, so that they can be answered: the line of the first
// MSH, by itself. Where there is none, the result is the zero Header.
func ScanHeader(raw []byte) Header {
	i := bytes.Index(raw, []byte("MSH"))
	if i < 0 {
		return Header{}
	}
	line := raw[i:min(len(raw), i+maxHeaderLine)]
	if j := bytes.IndexAny(line, "\r\n"); j >= 0 {
		line = line[:j]
	}
	text := ""
	if d, err := Decode(line, DecodeOptions{}); err == nil {
		text = d.Text
	} else {
		text = strings.ToValidUTF8(string(line), "")
	}
	m, err := Parse(text, ParseOptions{})
	if err != nil {
		return Header{}
	}
	return HeaderOf(m)
}
