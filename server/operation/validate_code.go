package operation

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"meridian/fhir/definitions"
	"meridian/fhir/issue"
	"meridian/fhir/search"
	"meridian/fhir/terminology"
	"meridian/server/interaction"
)

func validateCodeParams(system ...interaction.OperationParameter) []interaction.OperationParameter {
	p := func(name, typ, text string) interaction.OperationParameter {
		return interaction.OperationParameter{Name: name, Max: 1, Type: typ, Documentation: text}
	}
	return append(system,
		p("display", "string", "A display to check too"),
		p("coding", "Coding", "Code and system in one"),
		p("codeableConcept", "CodeableConcept", "Several codings, of which one must be valid"),
		refused("date", "dateTime", 1),
		p("abstract", "boolean", "Abstract codes are valid too"),
		p("displayLanguage", "code", "Language of the display that is answered"),
		interaction.OperationParameter{Name: "result", Out: true, Min: 1, Max: 1, Type: "boolean", Documentation: "Whether code and display are valid"},
		interaction.OperationParameter{Name: "message", Out: true, Max: 1, Type: "string", Documentation: "Why not, or what else to know"},
		interaction.OperationParameter{Name: "display", Out: true, Max: 1, Type: "string", Documentation: "The display of the code"})
}

func valueSetValidateCodeDefinition() *interaction.OperationDefinition {
	p := func(name, typ, text string) interaction.OperationParameter {
		return interaction.OperationParameter{Name: name, Max: 1, Type: typ, Documentation: text}
	}
	return &interaction.OperationDefinition{
		Name: "validate-code", URL: "http://hl7.org/fhir/OperationDefinition/ValueSet-validate-code", Type: true, Instance: true, Types: []string{"ValueSet"},
		Params: validateCodeParams(
			p("url", "uri", "Canonical of the value set, stored, official or implicit"),
			refused("context", "uri", 1),
			p("valueSet", "ValueSet", "The value set itself"),
			p("valueSetVersion", "string", "Version of the value set"),
			p("code", "code", "The code; with system"),
			p("system", "uri", "The system of the code"),
			p("systemVersion", "string", "Refused where the value set draws from another version of the system")),
		Documentation: "Whether a code is in a value set. Where that cannot be told, as the content of a system is not here, the answer is an error.",
	}
}

func codeSystemValidateCodeDefinition() *interaction.OperationDefinition {
	p := func(name, typ, text string) interaction.OperationParameter {
		return interaction.OperationParameter{Name: name, Max: 1, Type: typ, Documentation: text}
	}
	return &interaction.OperationDefinition{
		Name: "validate-code", URL: "http://hl7.org/fhir/OperationDefinition/CodeSystem-validate-code", Type: true, Instance: true, Types: []string{"CodeSystem"},
		Params: validateCodeParams(
			p("url", "uri", "The system"),
			p("codeSystem", "CodeSystem", "The code system itself"),
			p("code", "code", "The code"),
			p("version", "string", "The version of the system")),
		Documentation: "Whether a code is one of a system. Where that cannot be told, as the content of the system is not here, the answer is an error.",
	}
}

// verdict is on one coding.
type verdict struct {
	ok      bool
	display string
	message string
}

// valueSetValidateCode asks a value set.
//
// https://hl7.org/fhir/R4/valueset-operation-validate-code.html
func valueSetValidateCode(ctx context.Context, c *interaction.OperationCall) (interaction.OperationResult, error) {
	codings, err := codingsOf(c, "systemVersion")
	if err == nil && c.Value("codeableConcept") == nil {
		err = withSystem(c, codings)
	}
	if err != nil {
		return interaction.OperationResult{}, err
	}
	set, err := valueSetOf(ctx, c)
	if err != nil {
		return interaction.OperationResult{}, err
	}
	name := set.URL()
	if name == "" {
		name = "this value set"
	}
	return validated(c, codings, func(of terminology.Coding) (verdict, error) {
		m, err := set.Contains(of, terminology.Check{})
		switch {
		case err != nil:
			return verdict{}, err
		case !m.In:
			return verdict{message: fmt.Sprintf("the code %q of the system %q is not in %s", of.Code, of.System, name)}, nil
		}
		found := m.Concept()
		if otherVersion(&of, &found) {
			return verdict{message: fmt.Sprintf("the value set has the code %q of version %q of its system, not of %q", of.Code, found.Version, of.Version)}, nil
		}
		return judge(c, &of, &found), nil
	})
}

// codeSystemValidateCode asks a code system.
//
// https://hl7.org/fhir/R4/codesystem-operation-validate-code.html
func codeSystemValidateCode(ctx context.Context, c *interaction.OperationCall) (interaction.OperationResult, error) {
	codings, err := codingsOf(c, "version")
	if err != nil {
		return interaction.OperationResult{}, err
	}
	url, version, err := systemOf(ctx, c, "url")
	if err != nil {
		return interaction.OperationResult{}, err
	}
	var system terminology.CodeSystem
	switch given := c.Value("codeSystem"); {
	case given != nil && url != "":
		err = issue.New(issue.Invalid, "codesystem.several", "$validate-code is about one code system: its address, url or codeSystem", "").WithStatus(400)
	case given != nil:
		system = terminology.CodeSystemOf(given.Node)
		url = system.URL()
	case url == "" && codings[0].System == "":
		err = issue.New(issue.Required, "code.system", "$validate-code needs url, codeSystem or a coding with system, or is called on an instance", "")
	default:
		if url == "" {
			url, version = codings[0].System, codings[0].Version
		} else if len(codings) == 1 {
			version = cmp.Or(version, codings[0].Version)
		}
		system, err = c.Service.Terminology().CodeSystem(ctx, url, version)
	}
	if err != nil {
		return interaction.OperationResult{}, err
	}
	return validated(c, codings, func(of terminology.Coding) (verdict, error) {
		if of.System != "" && of.System != url {
			return verdict{message: fmt.Sprintf("the system %q of the coding is not %q", of.System, url)}, nil
		}
		found, err := system.Lookup(of.Code)
		if e := issue.As(err); e != nil && system.Complete() {
			return verdict{message: e.Issues[0].Text}, nil
		}
		if err != nil {
			return verdict{}, err
		}
		if otherVersion(&of, &found) {
			return verdict{message: fmt.Sprintf("the code %q is one of version %q of its system, asked for is %q", of.Code, found.Version, of.Version)}, nil
		}
		return judge(c, &of, &found), nil
	})
}

// otherVersion says that a coding names a version of its system that is not the one that was asked.
func otherVersion(of *terminology.Coding, found *terminology.Concept) bool {
	return of.Version != "" && found.Version != "" && !(definitions.Edition{Version: found.Version}).Named(of.Version)
}

// judge checks what is said about a code that is there: its display, whether it is abstract.
func judge(c *interaction.OperationCall, of *terminology.Coding, found *terminology.Concept) verdict {
	v := verdict{ok: true, display: displayIn(found, c.Text("displayLanguage"))}
	displays := found.Displays()
	switch {
	case found.Abstract && c.Text("abstract") != "true":
		v.ok, v.message = false, fmt.Sprintf("the code %q is abstract, and no value", of.Code)
	case of.Display != "" && len(displays) == 0:
		v.message = "the display was not checked, as none is known"
	case of.Display != "" && !hasDisplay(displays, of.Display):
		v.ok, v.message = false, fmt.Sprintf("the display of the code %q is not the one given; it is %s", of.Code, listed(displays))
	case found.Inactive:
		v.message = fmt.Sprintf("the code %q is inactive", of.Code)
	}
	return v
}

// maxDisplays is how many displays a message lists.
const maxDisplays = 5

func listed(displays []string) string {
	var out []string
	for _, d := range displays[:min(len(displays), maxDisplays)] {
		out = append(out, strconv.Quote(d))
	}
	return strings.Join(out, ", ")
}

// hasDisplay compares without case, width and punctuation.
func hasDisplay(displays []string, display string) bool {
	for _, d := range displays {
		if search.SameText(d, display) {
			return true
		}
	}
	return false
}

// validated answers for all codings: true when one of them is valid.
func validated(c *interaction.OperationCall, codings []terminology.Coding, check func(terminology.Coding) (verdict, error)) (interaction.OperationResult, error) {
	var best verdict
	var messages []string
	var failed error
	for _, of := range codings {
		v, err := check(of)
		if err != nil {
			failed = err
			continue
		}
		if v.message != "" {
			messages = append(messages, v.message)
		}
		if v.ok && !best.ok || best.display == "" && !best.ok {
			best.ok, best.display = v.ok, v.display
		}
	}
	if failed != nil && !best.ok {
		return interaction.OperationResult{}, failed
	}
	var out interaction.Parameters
	out.Add("result", "valueBoolean", strconv.AppendBool(nil, best.ok))
	if len(messages) > 0 {
		out.Add("message", "valueString", jsonText(strings.Join(messages, "; ")))
	}
	if best.display != "" {
		out.Add("display", "valueString", jsonText(best.display))
	}
	return interaction.OperationResult{Body: out.Bytes()}, nil
}
