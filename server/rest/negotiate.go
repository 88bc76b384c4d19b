package rest

import (
	"net/http"
	"net/url"
	"strings"

	"meridian/fhir/issue"
	"meridian/server/interaction"
)

// negotiate reads what says how the answer should look: Accept, _format,
// _pretty and Prefer. Issue code: not-supported (406).
//
// https://hl7.org/fhir/R4/http.html#mime-type, https://hl7.org/fhir/R4/http.html#ops
func (x *call) negotiate() error {
	format := ""
	var err error
	if raw := x.Request().URL.RawQuery; raw != "" {
		x.query, format, err = x.takeFormat(raw)
	}
	if prefer := x.Request().Header["Prefer"]; len(prefer) > 0 {
		x.readPrefer(prefer)
	}
	if err != nil {
		return err
	}
	if format != "" {
		if !isJSON(format) {
			return notAcceptable()
		}
		return nil
	}
	for i, accept := range x.Request().Header["Accept"] {
		if acceptsJSON(accept) || strings.TrimSpace(accept) == "" { // an empty header says nothing
			return nil
		}
		if i == len(x.Request().Header["Accept"])-1 {
			return notAcceptable()
		}
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

func notAcceptable() error {
	return issue.New(issue.NotSupported, "format.unsupported", "this server answers in application/fhir+json only", "").WithStatus(http.StatusNotAcceptable)
}

// isJSON says that a mime type, or a short form of _format, is JSON.
func isJSON(t string) bool {
	t, param, _ := strings.Cut(t, ";")
	if v, ok := strings.CutPrefix(strings.TrimSpace(param), "fhirVersion="); ok && v != "4.0" {
		return false
	}
	switch strings.ToLower(strings.TrimSpace(t)) {
	case "json", "application/json", "application/fhir+json", "application/json+fhir", "text/json":
		return true
	}
	return false
}

// acceptsJSON says that one element of an Accept header takes JSON. Weights
// play no part, since there is one format; q=0 excludes.
func acceptsJSON(accept string) bool {
	switch accept {
	case "application/fhir+json", "*/*", "application/json":
		return true
	}
	for part := range strings.SplitSeq(accept, ",") {
		typ, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if q := strings.ReplaceAll(params, " ", ""); strings.HasSuffix(q, "q=0") || strings.HasSuffix(q, "q=0.0") {
			continue
		}
		if typ == "*/*" || typ == "application/*" || isJSON(strings.TrimSpace(part)) {
			return true
		}
	}
	return false
}
