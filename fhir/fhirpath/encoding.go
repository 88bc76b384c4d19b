package fhirpath

import (
	"encoding/base64"
	"encoding/hex"
	"html"
	"strings"
	"unicode/utf8"

	"meridian/fhir/element"
)

// encodingOf gives the codec that encode() and decode() name.
func (ev *evaluator) encodingOf(n *Call, in []Item, sc *scope) (s, name string, ok bool, err error) {
	if s, ok, err = ev.text(n, in); err != nil {
		return s, name, false, err
	}
	name, okName, err := ev.textArgument(n, 0, sc)
	return s, name, ok && okName, err
}

func fnEncode(ev *evaluator, n *Call, in []Item, sc *scope) error {
	s, name, ok, err := ev.encodingOf(n, in, sc)
	if !ok {
		return err
	}
	switch name {
	case "hex":
		s = hex.EncodeToString([]byte(s))
	case "base64":
		s = base64.StdEncoding.EncodeToString([]byte(s))
	case "urlbase64":
		s = base64.URLEncoding.EncodeToString([]byte(s))
	default:
		return nil
	}
	return ev.pushText(n, s)
}

func fnDecode(ev *evaluator, n *Call, in []Item, sc *scope) error {
	s, name, ok, err := ev.encodingOf(n, in, sc)
	if !ok {
		return err
	}
	var out []byte
	switch name {
	case "hex":
		out, err = hex.DecodeString(s)
	case "base64":
		out, err = base64.StdEncoding.DecodeString(s)
	case "urlbase64":
		out, err = base64.URLEncoding.DecodeString(s)
	default:
		return nil
	}
	if err != nil || !utf8.Valid(out) {
		return ev.fail(Execution, n, "the input is not %s of UTF-8", name)
	}
	return ev.pushText(n, string(out))
}

func fnEscape(ev *evaluator, n *Call, in []Item, sc *scope) error {
	s, name, ok, err := ev.encodingOf(n, in, sc)
	if !ok {
		return err
	}
	switch name {
	case "html":
		s = htmlEscapes.Replace(s)
	case "json":
		s = jsonEscapes.Replace(s)
	default:
		return nil
	}
	return ev.pushText(n, s)
}

var (
	htmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;")
	jsonEscapes = strings.NewReplacer(`"`, `\"`, `\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\b", `\b`, "\f", `\f`)
)

func fnUnescape(ev *evaluator, n *Call, in []Item, sc *scope) error {
	s, name, ok, err := ev.encodingOf(n, in, sc)
	if !ok {
		return err
	}
	switch name {
	case "html":
		s = html.UnescapeString(s)
	case "json":
		s = string(element.AppendUnescaped(nil, []byte(s)))
	default:
		return nil
	}
	return ev.pushText(n, s)
}
