package rest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"meridian/fhir/issue"
	"meridian/server/interaction"
)

// format is how an answer is written. Errors under formatNDJSON and formatRaw are JSON.
type format uint8

const (
	formatJSON   format = iota
	formatXML           // application/fhir+xml
	formatNDJSON        // searches only: a resource to a line
	formatRaw           // a read of a Binary: its data
)

// mimeTypes are the names of the formats, in Accept, in _format and in Content-Type.
// https://hl7.org/fhir/R4/http.html#mime-type
var mimeTypes = map[string]format{
	"application/fhir+json": formatJSON, "application/json": formatJSON, "text/json": formatJSON, "application/json+fhir": formatJSON,
	"application/fhir+xml": formatXML, "application/xml": formatXML, "text/xml": formatXML, "application/xml+fhir": formatXML,
	"application/fhir+ndjson": formatNDJSON, "application/ndjson": formatNDJSON, "application/x-ndjson": formatNDJSON,
}

// shortNames are the short forms of _format.
var shortNames = [...]string{formatJSON: "json", formatXML: "xml", formatNDJSON: "ndjson"}

// negotiate reads what says how the answer should look: Accept, _format,
// _pretty and Prefer. Issue codes: not-supported (406), value.
//
// https://hl7.org/fhir/R4/http.html#mime-type, https://hl7.org/fhir/R4/http.html#ops
func (x *call) negotiate() error {
	asked := ""
	var err error
	if prefer := x.Request().Header["Prefer"]; len(prefer) > 0 {
		x.readPrefer(prefer)
	}
	if x.ownFormat() {
		x.query = x.Request().URL.RawQuery
		return nil
	}
	if raw := x.Request().URL.RawQuery; raw != "" {
		x.query, asked, err = x.takeFormat(raw)
	}
	if accept := x.list("Accept"); asked != "" {
		asked := x.askFormat(asked)
		if err == nil {
			err = asked
		}
	} else if strings.Trim(accept, ", ") != "" { // an empty header says nothing
		x.varies = true
		accepted := x.acceptFormat(accept)
		if err == nil {
			err = accepted
		}
	}
	if err == nil {
		err = x.checkFormat()
	}
	return err
}

// askFormat takes the value of _format, which goes before Accept.
func (x *call) askFormat(value string) error {
	f, ok := formatOf(value)
	if !ok {
		return notAcceptable("_format")
	}
	x.format, x.asked = f, true
	return nil
}

// acceptFormat takes an Accept header.
func (x *call) acceptFormat(header string) error {
	f, ok := accepted(header)
	switch {
	case x.typed("Binary") && (x.interaction == "read" || x.interaction == "vread") && wantsData(header):
		f = formatRaw
	case !ok:
		return notAcceptable("Accept")
	}
	x.format = f
	return nil
}

// typed says that the address is one of that resource type.
func (x *call) typed(name string) bool { return x.Param("type") == name }

// checkFormat refuses a format that the answer to this request does not have.
func (x *call) checkFormat() error {
	if x.format != formatNDJSON {
		return nil
	}
	if !strings.HasPrefix(x.interaction, "search") {
		x.format = formatJSON
		return issue.New(issue.NotSupported, "format.ndjson", "NDJSON is a format of searches only", "").WithStatus(http.StatusNotAcceptable)
	}
	if x.async && x.h.jobs != nil {
		x.format = formatJSON
		return issue.New(issue.NotSupported, "format.ndjson", "an asynchronous answer is a Bundle and has no NDJSON form", "").WithStatus(http.StatusNotAcceptable)
	}
	if x.pretty {
		return issue.New(issue.Value, "format.pretty", "NDJSON has a resource to a line and is not indented", "")
	}
	return nil
}

// takeFormat takes _format and _pretty out of a query string.
func (x *call) takeFormat(raw string) (rest, format string, err error) {
	if !strings.Contains(raw, "_format") && !strings.Contains(raw, "_pretty") {
		return raw, "", nil
	}
	var kept []string
	for part := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "_format":
			// A plus that was not escaped reads as a space: application/fhir+json.
			if v, err := url.QueryUnescape(value); err == nil {
				format = strings.ReplaceAll(v, " ", "+")
			} else {
				format = value
			}
		case "_pretty":
			if x.pretty = value == "true"; !x.pretty && value != "false" {
				err = issue.New(issue.Value, "format.pretty", "_pretty is true or false", "")
			}
		default:
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, "&"), format, err
}

func (x *call) readPrefer(values []string) {
	for _, v := range values {
		for part := range strings.FieldsFuncSeq(v, func(r rune) bool { return r == ',' || r == ';' }) {
			switch strings.TrimSpace(part) {
			case "respond-async":
				x.async = true
			case "return=minimal":
				x.prefer = interaction.ReturnMinimal
			case "return=representation":
				x.prefer = interaction.ReturnRepresentation
			case "return=OperationOutcome":
				x.prefer = interaction.ReturnOutcome
			case "handling=lenient":
				x.lenient = true
			case "handling=strict":
				x.lenient = false
			}
		}
	}
}

// notAcceptable names what asks for the format.
func notAcceptable(by string) error {
	return issue.New(issue.NotSupported, "format.unsupported", by+": this server answers in application/fhir+json and application/fhir+xml, searches in application/fhir+ndjson, too", "").WithStatus(http.StatusNotAcceptable)
}

// formatOf reads a mime type, or a short form of _format.
func formatOf(value string) (format, bool) {
	name, params, _ := strings.Cut(value, ";")
	if !isR4(params) {
		return 0, false
	}
	name = strings.ToLower(strings.TrimSpace(name))
	if k := slices.Index(shortNames[:], name); k >= 0 {
		return format(k), true
	}
	f, ok := mimeTypes[name]
	return f, ok
}

// isR4 says that the parameters of a mime type name no other version of FHIR.
// https://hl7.org/fhir/R4/http.html#version-parameter
func isR4(params string) bool {
	for p := range strings.SplitSeq(params, ";") {
		if v, ok := strings.CutPrefix(strings.TrimSpace(p), "fhirVersion="); ok && strings.Trim(v, `"`) != "4.0" {
			return false
		}
	}
	return true
}

// accepted chooses the format that an Accept header gives the highest weight;
// among equals one that is named goes before a wildcard, the first before the
// next, and JSON where only a wildcard speaks. A weight of 0 excludes.
//
// https://www.rfc-editor.org/rfc/rfc9110.html#name-accept
func accepted(header string) (format, bool) {
	switch header {
	case "application/fhir+json", "*/*", "application/json":
		return formatJSON, true
	}
	const wildcard = 1 << 20 // place of a format that is not named
	type bid struct {
		q     float64
		place int // in the header, from 1; 0 when the format is not named
	}
	var named [formatRaw]bid
	wild, place := 0.0, 0
	for part := range strings.SplitSeq(header, ",") {
		place++
		name, params, _ := strings.Cut(part, ";")
		q := weight(params)
		switch name = strings.ToLower(strings.TrimSpace(name)); name {
		case "*/*", "application/*", "text/*":
			wild = max(wild, q)
		default:
			if f, ok := mimeTypes[name]; ok && isR4(params) && (named[f].place == 0 || q > named[f].q) {
				named[f] = bid{q, place}
			}
		}
	}
	best, chosen := bid{0, wildcard}, formatJSON
	for f, b := range named {
		if b.place == 0 && format(f) != formatNDJSON {
			b = bid{wild, wildcard}
		}
		if b.q > best.q || b.q > 0 && b.q == best.q && b.place < best.place {
			best, chosen = b, format(f)
		}
	}
	return chosen, best.q > 0
}

// weight reads q, 1 where there is none.
func weight(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil || !(q >= 0 && q <= 1) {
				return 1
			}
			return q
		}
	}
	return 1
}

// wantsData says that an Accept header of a read of a Binary asks for its
// data: it names something, and no form of a FHIR resource.
//
// https://hl7.org/fhir/R4/binary.html#rest
func wantsData(header string) bool {
	other := false
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if weight(params) == 0 {
			continue
		}
		switch name = strings.ToLower(strings.TrimSpace(name)); {
		case strings.HasPrefix(name, "application/fhir+"), name == "application/json", name == "text/json",
			name == "application/json+fhir", name == "application/xml+fhir":
			return false
		case name != "*/*" && name != "":
			other = true
		}
	}
	return other
}
