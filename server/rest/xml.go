package rest

import (
	"fmt"
	"math"
	"net/http"
	"strings"

	"meridian/fhir/codec"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// XML stands at the door only: a body is turned into JSON before the service
// sees it, an answer into XML when it is done. Issues about a body are given the places of the XML.

// answers are the options with which an answer of the server's own is read to be
// written otherwise: it may be larger than what clients send, and a part of a resource.
var answers = codec.Options{AnyCardinality: true, MaxBytes: math.MaxInt32, MaxNodes: math.MaxInt32, MaxDepth: 2 * codec.DefaultMaxDepth}

// appendXML appends a resource in JSON as XML. Issue code: not-supported (406).
func (x *call) appendXML(dst, json []byte) ([]byte, error) {
	p := x.h.answers.Get()
	defer x.h.answers.Put(p)
	tree, err := p.Parse(json)
	if err != nil {
		return dst, unreadable(err)
	}
	o := codec.XMLOptions{Pretty: x.pretty}
	if x.asked && tree.Root().TypeID() == schema.TypeBundle {
		o.Replace = map[int]string{}
		for c := tree.Root().First(); c.Valid(); c = c.Next() {
			if url := c.Child("url"); c.Name() == "link" && url.Valid() {
				o.Replace[url.Index()] = x.keepFormat(url.Text())
			}
		}
	}
	out, err := codec.AppendXML(dst, tree.Root(), o)
	if e := issue.As(err); e != nil {
		return dst, e.WithStatus(http.StatusNotAcceptable)
	}
	return out, err
}

// keepFormat adds to a link of ours the _format that the request had, so that
// the next page looks like this one.
func (x *call) keepFormat(url string) string {
	base := x.service.BaseURL()
	if rest, ok := strings.CutPrefix(url, base); !x.asked || !ok || rest != "" && rest[0] != '/' && rest[0] != '?' {
		return url
	}
	separator := "?"
	if strings.Contains(url, "?") {
		separator = "&"
	}
	url += separator + "_format=" + shortNames[x.format]
	if x.pretty {
		url += "&_pretty=true"
	}
	return url
}

// unreadable keeps the issues of an answer, which is no client's fault, from being shown.
func unreadable(err error) error { return fmt.Errorf("read the answer: %s", err) }

// fromXML gives a body in XML as JSON. It is valid as long as the call. Issue
// codes: those of codec.XMLReader; an encoding that is not read is 415. UTF-16 is
// what the first bytes say it is, whatever the Content-Type (RFC 7303 section 3).
func (x *call) fromXML(body []byte) ([]byte, error) {
	if err := checkCharset(x.header("Content-Type"), "utf-16", "utf-16le", "utf-16be"); err != nil {
		return nil, err
	}
	r := x.h.xmlReaders.Get().(*codec.XMLReader)
	json, err := r.JSON(body)
	if err != nil {
		x.h.keep(r)
		if e := issue.As(err); e != nil && e.Issues[0].Code == issue.NotSupported {
			err = e.WithStatus(http.StatusUnsupportedMediaType) // its encoding
		}
		return nil, err
	}
	x.xml = r
	return json, nil
}

// keep gives a reader back, unless a body has made it large.
func (h *Handler) keep(r *codec.XMLReader) {
	if !r.Oversized() {
		h.xmlReaders.Put(r)
	}
}

// inBody gives an error about a body the places in what was sent.
func (x *call) inBody(err error) error {
	if x.xml == nil {
		return err
	}
	return x.xml.Translate(err)
}
