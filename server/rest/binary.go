package rest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/issue"
)

// A Binary stands for its data: written with another Content-Type than those
// of FHIR it takes the body as its data, and read with another Accept it gives
// the data back.
//
//	POST /fhir/Binary, Content-Type: application/pdf   {"resourceType":"Binary","contentType":"application/pdf","data":"…"}
//	GET /fhir/Binary/1, Accept: application/pdf        the bytes
//
// https://hl7.org/fhir/R4/binary.html#rest

const securityContext = "X-Security-Context"

// dataOverhead is room for all of a Binary but its data, in bytes.
const dataOverhead = 4 << 10

// takesData says that the body of this request may be the data of a Binary.
func (x *call) takesData() bool {
	return x.typed("Binary") && (x.interaction == "create" || x.interaction == "update" || x.interaction == "update-conditional")
}

// holdsResource says that a body to Binary with one of FHIR's types is a
// resource. With FHIR's own types it always is, even a damaged one; JSON and XML of
// any kind are when they look like one, else they are data: a CDA document, say.
func holdsResource(typ string, body []byte) bool {
	switch typ {
	case "application/json", "text/json":
		return bytes.Contains(body, []byte(`"resourceType"`))
	case "application/xml", "text/xml":
		return codec.IsFHIRXML(body)
	}
	return true
}

// fromData gives the Binary with a body as its data. Issue codes: too-long,
// for a body that is more than about three quarters of what a resource may be;
// value, for a Content-Type that is none.
func (x *call) fromData(contentType string, body []byte) ([]byte, error) {
	if int64(base64.StdEncoding.EncodedLen(len(body)))+dataOverhead > x.h.bodyLimit {
		return nil, x.tooLong()
	}
	if !isMediaType(contentType) {
		return nil, issue.New(issue.Value, "binary.content-type", "the Content-Type is no media type", "Binary.contentType")
	}
	json := make([]byte, 0, base64.StdEncoding.EncodedLen(len(body))+dataOverhead)
	json = append(json, `{"resourceType":"Binary"`...)
	if id := x.Param("id"); id != "" {
		json = codec.AppendString(append(json, `,"id":`...), id)
	}
	json = codec.AppendString(append(json, `,"contentType":`...), strings.TrimSpace(contentType))
	if ref := x.header(securityContext); ref != "" {
		json = append(codec.AppendString(append(json, `,"securityContext":{"reference":`...), ref), '}')
	}
	if len(body) > 0 {
		json = append(base64.StdEncoding.AppendEncode(append(json, `,"data":"`...), body), '"')
	}
	return append(json, '}'), nil
}

// sendData answers with the data of a Binary. What a client stored must not run
// where this server's pages do, so browsers are told to save it and to guess nothing.
func (x *call) sendData(status int, body []byte) error {
	p := x.h.answers.Get()
	defer x.h.answers.Put(p)
	tree, err := p.Parse(body)
	if err != nil {
		return unreadable(err)
	}
	root := tree.Root()
	data, err := dataOf(root.Child("data"))
	if err != nil {
		return err
	}
	head := x.Response().Header()
	if ref := root.Path("securityContext", "reference").Text(); ref != "" && isHeader(ref) {
		head.Set(securityContext, ref)
	}
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	head.Set("Content-Disposition", "attachment")
	typ := root.Child("contentType").Text()
	if !isMediaType(typ) {
		typ = "application/octet-stream"
	}
	return x.transmit(status, []string{typ}, data)
}

// dataOf decodes base64, which may have white space between its groups.
func dataOf(n element.Node) ([]byte, error) {
	text := bytes.Map(func(r rune) rune {
		if r == ' ' || r == '\t' || r == '\n' || r == '\r' {
			return -1
		}
		return r
	}, n.Bytes())
	data, err := base64.StdEncoding.AppendDecode([]byte{}, text)
	if err != nil {
		return nil, fmt.Errorf("read the data of a Binary: %w", err)
	}
	return data, nil
}

// isMediaType says that a Content-Type may say it: type/subtype and parameters.
func isMediaType(s string) bool {
	typ, _, err := mime.ParseMediaType(s)
	return err == nil && strings.Contains(typ, "/") && isHeader(s)
}

// isHeader says that a header may hold the text.
func isHeader(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

// noPart refuses _summary and _elements where data is asked for.
func noPart() error {
	return issue.New(issue.Invalid, "binary.part", "the data of a Binary has no parts; ask for application/fhir+json", "").WithStatus(http.StatusBadRequest)
}
