package inbox

import (
	"regexp"
	"strings"

	"meridian/mappings/hl7v2"
)

// errorCodes are codes of parked messages with their codes of HL7 table 0357;
// those that are not listed have that of their stage.
var errorCodes = map[string]hl7v2.ErrorCode{
	"map.missing":          hl7v2.UnsupportedMessageType,
	"patient.unidentified": hl7v2.RequiredFieldMissing,
	"report.unidentified":  hl7v2.RequiredFieldMissing,
	"obx.no-code":          hl7v2.RequiredFieldMissing,
	"condition.failed":     hl7v2.InternalError,
	"source.layer":         hl7v2.InternalError,
	"map.too-many":         hl7v2.InternalError,
	"map.too-large":        hl7v2.InternalError,
}

var errorCodesOfStage = map[string]hl7v2.ErrorCode{
	"decode":   hl7v2.DataTypeError,
	"parse":    hl7v2.SegmentSequenceError,
	"map":      hl7v2.DataTypeError,
	"validate": hl7v2.DataTypeError,
}

// errorCode is ERR-3 of a parked message.
func errorCode(p *Parked) hl7v2.ErrorCode {
	if c, ok := errorCodes[p.Code]; ok {
		return c
	}
	switch {
	case strings.HasSuffix(p.Code, ".unidentified"):
		return hl7v2.RequiredFieldMissing
	case strings.HasPrefix(p.Code, "lookup."):
		return hl7v2.TableValueNotFound
	}
	if c, ok := errorCodesOfStage[p.Stage]; ok {
		return c
	}
	return hl7v2.InternalError
}

// mapPath is a path of a map that ends at a field: pr.PATIENT.PID.f3[5=PI].1.
var mapPath = regexp.MustCompile(`(?:^|\.)([A-Z][A-Z0-9]{2})\.f(\d+)(?:\[[^\]]*\])?((?:\.\d+)*)$`)

// place is a position in the message: the path itself, or the field that a path of the map reads.
func place(path string) string {
	if m := mapPath.FindStringSubmatch(path); m != nil {
		return m[1] + "." + m[2] + m[3]
	}
	return path
}

// parkedError is the ERR segment of a parked message: ERR-2 its place, ERR-3
// the code by its reason, ERR-8 what a person can do.
func parkedError(p *Parked) *hl7v2.AckError {
	e := &hl7v2.AckError{Code: errorCode(p), Place: p.Path, Text: p.HintZH, Diagnostic: p.Code}
	if e.Text == "" {
		e.Text = p.Hint
	}
	return e
}
