package operation

import (
	"strconv"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/terminology"
	"meridian/server/interaction"
)

// codingOf reads a Coding.
func codingOf(n element.Node) terminology.Coding {
	return terminology.Coding{System: n.Child("system").Text(), Version: n.Child("version").Text(), Code: n.Child("code").Text(), Display: n.Child("display").Text()}
}

// codingsOf reads what a call is about: code with system, coding, or all codings of
// codeableConcept; one of them. The parameter with the version of system is named differently by operations.
func codingsOf(c *interaction.OperationCall, version string) ([]terminology.Coding, error) {
	code, coding, concept := c.Value("code"), c.Value("coding"), c.Value("codeableConcept")
	given := 0
	for _, v := range []*interaction.OperationValue{code, coding, concept} {
		if v != nil {
			given++
		}
	}
	if given != 1 {
		return nil, issue.New(issue.Required, "code.none", "$"+c.Definition.Name+" needs one of code, coding and codeableConcept, as far as it has them", "")
	}
	var out []terminology.Coding
	switch {
	case code != nil:
		out = append(out, terminology.Coding{System: c.Text("system"), Version: c.Text(version), Code: code.Text(), Display: c.Text("display")})
	case coding != nil:
		out = append(out, codingOf(coding.Node))
	default:
		for _, n := range elements(concept.Node, "coding") {
			out = append(out, codingOf(n))
		}
	}
	for i := range out {
		if out[i].Code == "" {
			return nil, issue.New(issue.Required, "code.none", "a coding of $"+c.Definition.Name+" has a code", "")
		}
	}
	if len(out) == 0 {
		return nil, issue.New(issue.Required, "code.none", "the codeableConcept has no coding", "")
	}
	return out, nil
}

// withSystem: a code alone means nothing.
func withSystem(c *interaction.OperationCall, of []terminology.Coding) error {
	for i := range of {
		if of[i].System == "" {
			return issue.New(issue.Required, "code.system", "$"+c.Definition.Name+" needs the system of the code "+strconv.Quote(of[i].Code), "").WithStatus(400)
		}
	}
	return nil
}

func jsonText(s string) []byte { return codec.AppendString(nil, s) }

// appendCoding writes a Coding.
func appendCoding(dst []byte, c *terminology.Coding) []byte {
	dst = append(dst, '{')
	for _, m := range [...][2]string{{"system", c.System}, {"version", c.Version}, {"code", c.Code}, {"display", c.Display}} {
		if m[1] == "" {
			continue
		}
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(codec.AppendString(dst, m[0]), ':')
		dst = codec.AppendString(dst, m[1])
	}
	return append(dst, '}')
}
