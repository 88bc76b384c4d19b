package operation

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"meridian/fhir/codec"
	"meridian/fhir/issue"
	"meridian/fhir/terminology"
	"meridian/server/interaction"
)

func expandDefinition() *interaction.OperationDefinition {
	in := func(name, typ string, max int, text string) interaction.OperationParameter {
		return interaction.OperationParameter{Name: name, Type: typ, Max: max, Documentation: text}
	}
	return &interaction.OperationDefinition{
		Name: "expand", URL: "http://hl7.org/fhir/OperationDefinition/ValueSet-expand", Type: true, Instance: true, Types: []string{"ValueSet"},
		Params: []interaction.OperationParameter{
			in("url", "uri", 1, "Canonical of the value set, stored, official or implicit; with |version too"),
			in("valueSet", "ValueSet", 1, "The value set itself"),
			in("valueSetVersion", "string", 1, "Version of the value set"),
			refused("context", "uri", 1),
			refused("contextDirection", "code", 1),
			in("filter", "string", 1, "Words by their beginnings, Chinese characters, pinyin or its initials, of codes, displays and designations"),
			refused("date", "dateTime", 1),
			in("offset", "integer", 1, "Codes left out at the beginning"),
			in("count", "integer", 1, "Codes of a page; without it all are answered, at most "+strconv.Itoa(terminology.DefaultMaxExpansion)),
			in("includeDesignations", "boolean", 1, "Also the designations"),
			in("designation", "string", 0, "Only designations of this use (system|code) or language (urn:ietf:bcp:47|zh, or zh)"),
			refused("includeDefinition", "boolean", 1),
			in("activeOnly", "boolean", 1, "No inactive codes"),
			in("excludeNested", "boolean", 1, "No code inside another one; that is only where neither filter, offset nor count is sent"),
			in("excludeNotForUI", "boolean", 1, "No abstract codes"),
			in("excludePostCoordinated", "boolean", 1, "There are none"),
			in("displayLanguage", "code", 1, "Language of displays: that of the designation where there is one"),
			in("exclude-system", "canonical", 0, "Systems whose codes are left out"),
			refused("system-version", "canonical", 0),
			refused("check-system-version", "canonical", 0),
			refused("force-system-version", "canonical", 0),
			{Name: "return", Out: true, Min: 1, Max: 1, Type: "ValueSet", Documentation: "The value set with its expansion"},
		},
		Documentation: "The codes that a value set holds, in the order in which it says them, found by Chinese characters, pinyin or English words.",
	}
}

// refused is a parameter of the specification that is not supported.
func refused(name, typ string, most int) interaction.OperationParameter {
	return interaction.OperationParameter{Name: name, Max: most, Type: typ, Refused: true, Documentation: "Not supported: refused"}
}

// expand answers a ValueSet with an expansion.
//
// https://hl7.org/fhir/R4/valueset-operation-expand.html
func expand(ctx context.Context, c *interaction.OperationCall) (interaction.OperationResult, error) {
	p := terminology.ExpandParams{Filter: c.Text("filter"), Count: -1, ActiveOnly: c.Text("activeOnly") == "true",
		ForUI: c.Text("excludeNotForUI") == "true", Nested: c.Text("excludeNested") != "true"}
	for _, v := range c.Values("exclude-system") {
		p.ExcludeSystems = append(p.ExcludeSystems, v.Text())
	}
	for name, to := range map[string]*int{"offset": &p.Offset, "count": &p.Count} {
		if text := c.Text(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 {
				return interaction.OperationResult{}, issue.New(issue.Value, "expand."+name, name+" is a number from 0 on", "")
			}
			*to = n
		}
	}
	set, err := valueSetOf(ctx, c)
	if err != nil {
		return interaction.OperationResult{}, err
	}
	e, err := set.Expand(p)
	if err != nil {
		return interaction.OperationResult{}, err
	}
	w := expansionWriter{c: c, language: c.Text("displayLanguage"), designations: c.Text("includeDesignations") == "true"}
	for _, v := range c.Values("designation") {
		w.only, w.designations = append(w.only, v.Text()), true
	}
	return interaction.OperationResult{Body: w.valueSet(set, e)}, nil
}

// valueSetOf finds the value set that a call is about: the instance, url, or valueSet itself.
func valueSetOf(ctx context.Context, c *interaction.OperationCall) (terminology.ValueSet, error) {
	l := c.Service.Terminology()
	url, version, given := c.Text("url"), c.Text("valueSetVersion"), c.Value("valueSet")
	switch {
	case c.Level == interaction.InstanceLevel && (url != "" || given != nil), url != "" && given != nil:
		return terminology.ValueSet{}, issue.New(issue.Invalid, "valueset.several", "$"+c.Definition.Name+" is about one value set: its address, url or valueSet", "")
	case c.Level == interaction.InstanceLevel:
		if _, err := c.Service.Read(ctx, interaction.ReadParams{Key: c.Key}); err != nil {
			return terminology.ValueSet{}, err
		}
		return l.ValueSet(ctx, c.Key.Type+"/"+c.Key.ID)
	case given != nil:
		return l.ValueSetOf(ctx, given.Node)
	case url == "":
		return terminology.ValueSet{}, issue.New(issue.Required, "valueset.none", "$"+c.Definition.Name+" needs url or valueSet, or is called on an instance", "")
	case version != "" && !strings.Contains(url, "|"):
		url += "|" + version
	}
	return l.ValueSet(ctx, url)
}

// expansionWriter writes an expansion as JSON.
type expansionWriter struct {
	c            *interaction.OperationCall
	language     string
	designations bool
	only         []string // uses and languages of designations
	dst          []byte
}

func (w *expansionWriter) text(name, value string) {
	if value == "" {
		return
	}
	if last := w.dst[len(w.dst)-1]; last != '{' {
		w.dst = append(w.dst, ',')
	}
	w.dst = append(codec.AppendString(w.dst, name), ':')
	w.dst = codec.AppendString(w.dst, value)
}

func (w *expansionWriter) valueSet(set terminology.ValueSet, e *terminology.Expansion) []byte {
	w.dst = []byte(`{"resourceType":"ValueSet"`)
	w.text("url", set.URL())
	w.text("version", set.Version())
	w.text("name", set.Name())
	w.text("title", set.Title())
	status := set.Status()
	if status == "" {
		status = "unknown"
	}
	w.text("status", status)
	now := w.c.Service.Now()
	w.dst = append(w.dst, `,"expansion":{`...)
	if e.Unclosed { // https://hl7.org/fhir/R4/extension-valueset-unclosed.html
		w.dst = append(w.dst, `"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/valueset-unclosed","valueBoolean":true}],`...)
	}
	w.dst = append(w.dst, `"identifier":"urn:uuid:`...)
	w.dst = append(w.dst, expansionID(set, w.c, now)...)
	w.dst = append(w.dst, '"')
	w.text("timestamp", now.Format(instantLayout))
	w.dst = append(w.dst, `,"total":`...)
	w.dst = strconv.AppendInt(w.dst, int64(e.Total), 10)
	if v := w.c.Value("offset"); v != nil {
		w.dst = append(append(w.dst, `,"offset":`...), v.Text()...)
	}
	w.parameters(e)
	w.contains(e.Items)
	return append(w.dst, "}}"...)
}

// expansionID is another one for each value set, moment and list of parameters.
func expansionID(set terminology.ValueSet, c *interaction.OperationCall, now time.Time) string {
	text := set.URL() + "|" + set.Version() + "|" + c.Self() + "|" + now.Format(instantLayout)
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(text)).String()
}

// parameters records what the expansion was made by.
func (w *expansionWriter) parameters(e *terminology.Expansion) {
	first := true
	open := func(name string) {
		if first {
			w.dst = append(w.dst, `,"parameter":[{`...)
			first = false
		} else {
			w.dst = append(w.dst, `,{`...)
		}
		w.text("name", name)
	}
	for i := range w.c.Params {
		v := &w.c.Params[i]
		if v.Name == "url" || v.Name == "valueSet" || v.Name == "valueSetVersion" || !v.Node.Valid() {
			continue
		}
		open(v.Name)
		switch v.Name {
		case "offset", "count":
			w.dst = append(append(w.dst, `,"valueInteger":`...), v.Text()...)
		case "displayLanguage":
			w.text("valueCode", v.Text())
		case "filter", "designation":
			w.text("valueString", v.Text())
		case "exclude-system":
			w.text("valueUri", v.Text())
		default:
			w.dst = append(append(w.dst, `,"valueBoolean":`...), v.Text()...)
		}
		w.dst = append(w.dst, '}')
	}
	for _, s := range e.Systems {
		open("version")
		w.text("valueUri", s)
		w.dst = append(w.dst, '}')
	}
	if !first {
		w.dst = append(w.dst, ']')
	}
}

func (w *expansionWriter) contains(items []terminology.Item) {
	if len(items) == 0 {
		return
	}
	w.dst = append(w.dst, `,"contains":[`...)
	for i := range items {
		if i > 0 {
			w.dst = append(w.dst, ',')
		}
		w.dst = append(w.dst, '{')
		c := &items[i].Concept
		w.text("system", c.System)
		if c.Abstract {
			w.dst = append(w.dst, `,"abstract":true`...)
		}
		if c.Inactive {
			w.dst = append(w.dst, `,"inactive":true`...)
		}
		w.text("version", c.Version)
		w.text("code", c.Code)
		w.text("display", displayIn(c, w.language))
		if w.designations {
			w.designation(c)
		}
		w.contains(items[i].Children)
		w.dst = append(w.dst, '}')
	}
	w.dst = append(w.dst, ']')
}

// designation writes those that were asked for.
func (w *expansionWriter) designation(c *terminology.Concept) {
	first := true
	for i := range c.Designations {
		d := &c.Designations[i]
		if len(w.only) > 0 && !w.wanted(d) {
			continue
		}
		if first {
			w.dst = append(w.dst, `,"designation":[{`...)
			first = false
		} else {
			w.dst = append(w.dst, `,{`...)
		}
		w.text("language", d.Language)
		if d.Use != "" {
			if w.dst[len(w.dst)-1] != '{' {
				w.dst = append(w.dst, ',')
			}
			w.dst = append(append(w.dst, `"use":`...), d.Use...)
		}
		w.text("value", d.Value)
		w.dst = append(w.dst, '}')
	}
	if !first {
		w.dst = append(w.dst, ']')
	}
}

// wanted: a token names a use, or a language.
func (w *expansionWriter) wanted(d *terminology.Designation) bool {
	for _, token := range w.only {
		system, code, ok := strings.Cut(token, "|")
		switch {
		case !ok:
			if d.Language == token || d.UseCode == token {
				return true
			}
		case system == "urn:ietf:bcp:47":
			if d.Language == code {
				return true
			}
		case d.UseSystem == system && d.UseCode == code:
			return true
		}
	}
	return false
}

// displayIn is the display in a language, where there is one, else the display.
func displayIn(c *terminology.Concept, language string) string {
	if language != "" {
		if s := c.DisplayIn(language); s != "" {
			return s
		}
	}
	return c.Display
}
