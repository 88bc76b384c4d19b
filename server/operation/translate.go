package operation

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"meridian/fhir/issue"
	"meridian/fhir/terminology"
	"meridian/server/interaction"
)

func translateDefinition() *interaction.OperationDefinition {
	in := func(name, typ, text string) interaction.OperationParameter {
		return interaction.OperationParameter{Name: name, Max: 1, Type: typ, Documentation: text}
	}
	out := func(name, typ string, min int) interaction.OperationParameter {
		return interaction.OperationParameter{Name: name, Out: true, Min: min, Max: 1, Type: typ}
	}
	return &interaction.OperationDefinition{
		Name: "translate", URL: "http://hl7.org/fhir/OperationDefinition/ConceptMap-translate", Type: true, Instance: true, Types: []string{"ConceptMap"},
		Params: []interaction.OperationParameter{
			in("url", "uri", "Canonical of the concept map, stored or official"),
			in("conceptMap", "ConceptMap", "The concept map itself"),
			in("conceptMapVersion", "string", "Version of the concept map"),
			in("code", "code", "The code; with system"),
			in("system", "uri", "The system of the code"),
			in("version", "string", "The version of the system, not compared"),
			in("source", "uri", "The value set that the code was chosen from, as the map names it"),
			in("coding", "Coding", "Code and system in one"),
			in("codeableConcept", "CodeableConcept", "All of its codings are translated"),
			in("target", "uri", "The value set in which a translation is sought, as the map names it"),
			in("targetsystem", "uri", "The system in which a translation is sought"),
			{Name: "dependency", Documentation: "Further values that a mapping depends on", Parts: []interaction.OperationParameter{in("element", "uri", ""), in("concept", "CodeableConcept", "")}},
			in("reverse", "boolean", "From the targets of maps to their sources"),
			{Name: "result", Out: true, Min: 1, Max: 1, Type: "boolean", Documentation: "Whether there is a translation"},
			{Name: "message", Out: true, Max: 1, Type: "string", Documentation: "Why there is none, or comments of the map"},
			{Name: "match", Out: true, Documentation: "A translation, or that there is none (unmatched)", Parts: []interaction.OperationParameter{out("equivalence", "code", 0), out("concept", "Coding", 0),
				{Name: "product", Out: true, Parts: []interaction.OperationParameter{out("element", "uri", 0), out("concept", "Coding", 0)}}, out("source", "uri", 0)}},
		},
		Documentation: "What concept maps make of a code: one that is named, or all that have the source, target or target system that is named.",
	}
}

// translate answers the translations of a code.
//
// https://hl7.org/fhir/R4/conceptmap-operation-translate.html
func translate(ctx context.Context, c *interaction.OperationCall) (interaction.OperationResult, error) {
	codings, err := codingsOf(c, "version")
	if err == nil {
		err = withSystem(c, codings)
	}
	if err != nil {
		return interaction.OperationResult{}, err
	}
	p := terminology.TranslateParams{Codings: codings, Source: c.Text("source"), Target: c.Text("target"), TargetSystem: c.Text("targetsystem"), Reverse: c.Text("reverse") == "true"}
	if err := translateBy(ctx, c, &p); err != nil {
		return interaction.OperationResult{}, err
	}
	for _, v := range c.Values("dependency") {
		p.DependsOn = append(p.DependsOn, dependencyOf(&v))
	}
	t, err := c.Service.Terminology().Translate(ctx, p)
	if err != nil {
		return interaction.OperationResult{}, err
	}
	return interaction.OperationResult{Body: translated(codings, &t)}, nil
}

// translateBy reads which map is to be used.
func translateBy(ctx context.Context, c *interaction.OperationCall, p *terminology.TranslateParams) error {
	given := c.Value("conceptMap")
	p.Map = c.Text("url")
	if version := c.Text("conceptMapVersion"); version != "" && p.Map != "" {
		p.Map += "|" + version
	}
	several := 0
	for _, is := range []bool{c.Level == interaction.InstanceLevel, p.Map != "", given != nil} {
		if is {
			several++
		}
	}
	if several > 1 {
		return issue.New(issue.Invalid, "conceptmap.several", "$translate uses one concept map: its address, url or conceptMap", "").WithStatus(400)
	}
	if given != nil {
		p.Definition = given.Node
	}
	if c.Level == interaction.InstanceLevel {
		if _, err := c.Service.Read(ctx, interaction.ReadParams{Key: c.Key}); err != nil {
			return err
		}
		p.Map = c.Key.Type + "/" + c.Key.ID
	}
	return nil
}

func dependencyOf(v *interaction.OperationValue) terminology.Dependency {
	var d terminology.Dependency
	if e := v.Part("element"); e != nil {
		d.Property = e.Text()
	}
	if k := v.Part("concept"); k != nil {
		d.Text = k.Node.Child("text").Text()
		for _, n := range elements(k.Node, "coding") {
			d.Codings = append(d.Codings, codingOf(n))
		}
	}
	return d
}

// translated writes the answer.
func translated(codings []terminology.Coding, t *terminology.Translation) []byte {
	var out interaction.Parameters
	matches := t.Matches
	ok := slices.ContainsFunc(matches, func(m terminology.Match) bool { return m.Matches() })
	out.Add("result", "valueBoolean", strconv.AppendBool(nil, ok))
	var messages []string
	if !ok {
		messages = append(messages, fmt.Sprintf("no translation of the code %q was found", codings[0].Code))
		for _, property := range t.Needs {
			messages = append(messages, fmt.Sprintf("a mapping depends on %q, which was not sent or has another value", property))
		}
	}
	for i := range matches {
		if c := matches[i].Comment; c != "" && !slices.Contains(messages, c) {
			messages = append(messages, c)
		}
	}
	if len(messages) > 0 {
		out.Add("message", "valueString", jsonText(strings.Join(messages, "; ")))
	}
	for i := range matches {
		m := &matches[i]
		parts := []interaction.ParameterPart{{Name: "equivalence", Member: "valueCode", JSON: jsonText(m.Equivalence)}}
		if m.Concept.Code != "" {
			parts = append(parts, interaction.ParameterPart{Name: "concept", Member: "valueCoding", JSON: appendCoding(nil, &m.Concept)})
		}
		for _, p := range m.Products {
			parts = append(parts, interaction.ParameterPart{Name: "product", Parts: []interaction.ParameterPart{
				{Name: "element", Member: "valueUri", JSON: jsonText(p.Property)}, {Name: "concept", Member: "valueCoding", JSON: appendCoding(nil, &p.Concept)}}})
		}
		if m.Map != "" {
			parts = append(parts, interaction.ParameterPart{Name: "source", Member: "valueUri", JSON: jsonText(m.Map)})
		}
		out.AddParts("match", parts...)
	}
	return out.Bytes()
}
