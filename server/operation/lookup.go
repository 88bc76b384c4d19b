package operation

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"meridian/fhir/issue"
	"meridian/fhir/terminology"
	"meridian/server/interaction"
)

func lookupDefinition() *interaction.OperationDefinition {
	part := func(name, typ string, min int) interaction.OperationParameter {
		return interaction.OperationParameter{Name: name, Out: true, Min: min, Max: 1, Type: typ}
	}
	return &interaction.OperationDefinition{
		Name: "lookup", URL: "http://hl7.org/fhir/OperationDefinition/CodeSystem-lookup", Type: true, Types: []string{"CodeSystem"},
		Params: []interaction.OperationParameter{
			{Name: "code", Max: 1, Type: "code", Documentation: "The code; with system"},
			{Name: "system", Max: 1, Type: "uri", Documentation: "The system of the code"},
			{Name: "version", Max: 1, Type: "string", Documentation: "The version of the system"},
			{Name: "coding", Max: 1, Type: "Coding", Documentation: "Code and system in one"},
			refused("date", "dateTime", 1),
			{Name: "displayLanguage", Max: 1, Type: "code", Documentation: "Language of the display: that of the designation where there is one"},
			{Name: "property", Type: "code", Documentation: "Properties to answer: definition, designation, parent, child, inactive, notSelectable, lang.zh, those of the system; all when it is not sent"},
			{Name: "name", Out: true, Min: 1, Max: 1, Type: "string", Documentation: "Name of the system"},
			{Name: "version", Out: true, Max: 1, Type: "string", Documentation: "Its version"},
			{Name: "display", Out: true, Min: 1, Max: 1, Type: "string", Documentation: "The display, or the code where there is none"},
			{Name: "designation", Out: true, Documentation: "Further ways to say the concept", Parts: []interaction.OperationParameter{part("language", "code", 0), part("use", "Coding", 0), part("value", "string", 1)}},
			{Name: "property", Out: true, Documentation: "Properties of the concept", Parts: []interaction.OperationParameter{part("code", "code", 1), part("value", "Element", 0), part("description", "string", 0),
				{Name: "subproperty", Out: true, Parts: []interaction.OperationParameter{part("code", "code", 1), part("value", "Element", 1), part("description", "string", 0)}}}},
		},
		Documentation: "What a code system says of a code: display, designations, properties, parents and children.",
	}
}

// lookup answers what is known of a code.
//
// https://hl7.org/fhir/R4/codesystem-operation-lookup.html
func lookup(ctx context.Context, c *interaction.OperationCall) (interaction.OperationResult, error) {
	codings, err := codingsOf(c, "version")
	if err == nil {
		err = withSystem(c, codings)
	}
	if err != nil {
		return interaction.OperationResult{}, err
	}
	of := codings[0]
	system, err := c.Service.Terminology().CodeSystem(ctx, of.System, of.Version)
	if err != nil {
		return interaction.OperationResult{}, err
	}
	found, err := system.Lookup(of.Code)
	if err != nil {
		return interaction.OperationResult{}, err
	}
	var asked []string
	for _, v := range c.Values("property") {
		asked = append(asked, v.Text())
	}
	w := lookupWriter{system: system, asked: asked}
	name := found.Name
	if name == "" {
		name = of.System
	}
	w.out.Add("name", "valueString", jsonText(name))
	if found.Version != "" {
		w.out.Add("version", "valueString", jsonText(found.Version))
	}
	display := displayIn(&found, c.Text("displayLanguage"))
	if display == "" {
		display = found.Code
	}
	w.out.Add("display", "valueString", jsonText(display))
	if err := w.known(&found, of.System); err != nil {
		return interaction.OperationResult{}, err
	}
	w.designations(&found)
	w.properties(&found)
	return interaction.OperationResult{Body: w.out.Bytes()}, nil
}

type lookupWriter struct {
	out    interaction.Parameters
	system terminology.CodeSystem
	asked  []string // properties; none: all
}

func (w *lookupWriter) wants(name string) bool {
	return len(w.asked) == 0 || slices.Contains(w.asked, name)
}

// lookupProperties are those that every system has.
var lookupProperties = []string{"system", "name", "version", "display", "definition", "designation", "parent", "child", "inactive", "notSelectable"}

// known refuses properties that neither the specification nor the system has.
func (w *lookupWriter) known(c *terminology.Concept, system string) error {
	for _, name := range w.asked {
		if !slices.Contains(lookupProperties, name) && !strings.HasPrefix(name, "lang.") && !w.system.HasProperty(name) {
			return issue.New(issue.NotSupported, "lookup.property", "the code system "+strconv.Quote(system)+" has no property "+strconv.Quote(name), "").WithStatus(400)
		}
	}
	return nil
}

func (w *lookupWriter) designations(c *terminology.Concept) {
	for _, d := range c.Designations {
		if !w.wants("designation") && !w.wants("lang."+d.Language) {
			continue
		}
		var parts []interaction.ParameterPart
		if d.Language != "" {
			parts = append(parts, interaction.ParameterPart{Name: "language", Member: "valueCode", JSON: jsonText(d.Language)})
		}
		if d.Use != "" {
			parts = append(parts, interaction.ParameterPart{Name: "use", Member: "valueCoding", JSON: []byte(d.Use)})
		}
		w.out.AddParts("designation", append(parts, interaction.ParameterPart{Name: "value", Member: "valueString", JSON: jsonText(d.Value)})...)
	}
}

func (w *lookupWriter) property(code, member string, json []byte, description string) {
	if !w.wants(code) {
		return
	}
	parts := []interaction.ParameterPart{{Name: "code", Member: "valueCode", JSON: jsonText(code)}, {Name: "value", Member: member, JSON: json}}
	if description != "" {
		parts = append(parts, interaction.ParameterPart{Name: "description", Member: "valueString", JSON: jsonText(description)})
	}
	w.out.AddParts("property", parts...)
}

func (w *lookupWriter) properties(c *terminology.Concept) {
	if c.Definition != "" {
		w.property("definition", "valueString", jsonText(c.Definition), "")
	}
	if c.Abstract {
		w.property("notSelectable", "valueBoolean", []byte("true"), "")
	}
	w.property("inactive", "valueBoolean", strconv.AppendBool(nil, c.Inactive), "")
	for _, code := range c.Parents {
		w.property("parent", "valueCode", jsonText(code), w.system.DisplayOf(code))
	}
	for _, code := range c.Children {
		w.property("child", "valueCode", jsonText(code), w.system.DisplayOf(code))
	}
	for _, p := range c.Properties {
		if p.Member != "" && !slices.Contains(lookupProperties, p.Code) {
			w.property(p.Code, p.Member, []byte(p.Raw), "")
		}
	}
}
