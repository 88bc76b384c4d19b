package engine

import (
	"strings"

	"meridian/mappings/source"
)

// nameUse is XPN.7, HL7 table 0200. L and R are the legal and the registered name; S and A are aliases.
var nameUse = map[string]string{"L": "official", "R": "official", "C": "official", "D": "usual", "M": "maiden", "N": "nickname", "S": "anonymous",
	"A": "old", "MSK": "anonymous", "BAD": "old", "NAV": "temp", "TEMP": "temp"}

// person is a name in its parts.
type person struct {
	family, given, middle, prefix string
	suffix                        []string
	// familyFirst: XPN.11 says so (F), or the name is a transcription (XPN.8), which keeps the order of the original.
	familyFirst bool
}

// fnHumanName writes names from XPN repetitions. `text` is always the whole
// name; family and given only where the sender split them: 张三 in one piece is
// not guessed apart. XPN.15 is a name by which people call someone.
func fnHumanName(c *call, b []byte) ([]byte, bool) {
	return c.join(0, b, func(b []byte, n source.Node) ([]byte, bool) {
		p := person{family: strings.TrimSpace(n.C(1).C(1).Text()), given: strings.TrimSpace(n.C(2).Text()), middle: strings.TrimSpace(n.C(3).Text()),
			prefix: strings.TrimSpace(n.C(5).Text()), suffix: texts(n.C(4), n.C(6), n.C(14))}
		called := strings.TrimSpace(n.C(15).Text())
		if p.family == "" && p.given == "" && called == "" {
			return b, false
		}
		wrote := p.family != "" || p.given != ""
		if wrote {
			use, written := strings.ToUpper(strings.TrimSpace(n.C(7).Text())), representation(n.C(8).Text())
			order := strings.ToUpper(n.C(11).Text())
			p.familyFirst = order == "F" || order == "" && written != ""
			b = append(p.append(b, nameUse[use]), written...)
			start, _ := c.rt.dateTimeText(n.C(12))
			end, _ := c.rt.dateTimeText(n.C(13))
			if start != "" || end != "" {
				b = append(b, `,"period":`...)
				b = appendPeriod(b, &timeEntry{ok: start != "", dateTime: start}, &timeEntry{ok: end != "", dateTime: end})
			}
			b = append(b, '}')
		}
		if called != "" {
			if wrote {
				b = append(b, ',')
			}
			b = append(b, `{"use":"nickname","text":`...)
			b = append(appendString(b, called), '}')
		}
		return b, true
	})
}

// append writes a HumanName without its closing brace.
func (p *person) append(b []byte, use string) []byte {
	b = append(b, '{')
	if use != "" {
		b = append(append(append(b, `"use":"`...), use...), `",`...)
	}
	b = append(b, `"text":`...)
	b = appendString(b, p.text())
	if p.family != "" && p.given != "" {
		b = append(b, `,"family":`...)
		b = appendString(b, p.family)
		given := []string{p.given}
		if p.middle != "" {
			given = append(given, p.middle)
		}
		b = appendStrings(append(b, `,"given":`...), given)
	}
	if p.prefix != "" {
		b = appendStrings(append(b, `,"prefix":`...), []string{p.prefix})
	}
	if len(p.suffix) > 0 {
		b = appendStrings(append(b, `,"suffix":`...), p.suffix)
	}
	return b
}

func appendStrings(b []byte, list []string) []byte {
	for i, s := range list {
		if i == 0 {
			b = append(b, '[')
		} else {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

// text joins the parts as the script does: Han without blanks, family first; Latin given name first, unless the sender says otherwise.
func (p *person) text() string {
	if !isASCII(p.family + p.given) {
		return p.family + p.given + p.middle
	}
	if p.familyFirst {
		return strings.Join(strings.Fields(p.family+" "+p.given+" "+p.middle), " ")
	}
	return strings.Join(strings.Fields(p.given+" "+p.middle+" "+p.family), " ")
}

// representation is XPN.8, HL7 table 0465: A alphabetic (pinyin), I ideographic, P phonetic.
// https://hl7.org/fhir/R4/extension-iso21090-en-representation.html
func representation(s string) string {
	code := ""
	switch strings.ToUpper(strings.TrimSpace(s)) {
	case "A":
		code = "ABC"
	case "I":
		code = "IDE"
	case "P":
		code = "SYL"
	default:
		return ""
	}
	return `,"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation","valueCode":"` + code + `"}]`
}

// texts gives the texts of nodes that have one.
func texts(nodes ...source.Node) []string {
	var out []string
	for _, n := range nodes {
		if s := strings.TrimSpace(n.Text()); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func joinTexts(sep string, nodes ...source.Node) string { return strings.Join(texts(nodes...), sep) }

// displayOf is what people read of a structured value that FHIR's Observation.value cannot hold.
func displayOf(typ string, n source.Node) string {
	switch typ {
	case "CX", "EI":
		return strings.TrimSpace(n.C(1).Text())
	case "XTN":
		return telephone(n)
	case "XPN":
		p := person{family: strings.TrimSpace(n.C(1).C(1).Text()), given: strings.TrimSpace(n.C(2).Text()), middle: strings.TrimSpace(n.C(3).Text())}
		return p.text()
	}
	_, name := staffOf(n)
	return name
}
