package engine

import (
	"strconv"
	"strings"

	"meridian/mappings/source"
)

// addressUse is XAD.7, HL7 table 0190. M and SH say how an address is used for mail, which is its type.
var addressUse = map[string]string{"H": "home", "P": "home", "O": "work", "B": "work", "C": "temp", "BA": "old", "BI": "billing"}

// fnAddress writes addresses from XAD repetitions.
func fnAddress(c *call, b []byte) ([]byte, bool) {
	return c.join(0, b, func(b []byte, n source.Node) ([]byte, bool) {
		p := xad{line: texts(n.C(1).C(1), n.C(2)), city: n.C(3).Text(), state: n.C(4).Text(), zip: n.C(5).Text(), country: n.C(6).Text(), district: n.C(9).Text()}
		if len(p.line) == 0 && strings.TrimSpace(p.city+p.state+p.zip+p.country+p.district) == "" {
			return b, false
		}
		kind := strings.ToUpper(strings.TrimSpace(n.C(7).Text()))
		postal := ""
		if kind == "M" || kind == "SH" {
			postal = "postal"
		}
		return p.append(b, addressUse[kind], postal), true
	})
}

type xad struct {
	line                                []string
	city, district, state, zip, country string
}

func (p *xad) append(b []byte, use, kind string) []byte {
	b = append(b, '{')
	start := len(b)
	key := func(name string) {
		if len(b) > start {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), name...), '"', ':')
	}
	put := func(name, value string) {
		if value = strings.TrimSpace(value); value != "" {
			key(name)
			b = appendString(b, value)
		}
	}
	put("use", use)
	put("type", kind)
	if len(p.line) > 0 {
		key("line")
		b = appendStrings(b, p.line)
	}
	put("city", p.city)
	put("district", p.district)
	put("state", p.state)
	put("postalCode", p.zip)
	put("country", p.country)
	return append(b, '}')
}

// XTN.3 and XTN.2, HL7 tables 0202 and 0201.
var (
	telecomSystem = map[string]string{"PH": "phone", "CP": "phone", "SAT": "phone", "FX": "fax", "BP": "pager", "INTERNET": "email", "X.400": "email", "MD": "other", "TDD": "other"}
	telecomUse    = map[string]string{"PRN": "home", "VHN": "home", "WPN": "work", "PRS": "mobile", "ORN": "temp"}
)

// fnContactPoint writes telephone numbers and mail addresses from XTN
// repetitions: component 12 or 1, or the parts 5 to 8, or the mail address in 4.
func fnContactPoint(c *call, b []byte) ([]byte, bool) {
	return c.join(0, b, func(b []byte, n source.Node) ([]byte, bool) {
		kind := strings.ToUpper(strings.TrimSpace(n.C(3).Text()))
		system, value := telecomSystem[kind], telephone(n)
		if mail := strings.TrimSpace(n.C(4).Text()); mail != "" {
			value, system = mail, "email"
		}
		if value == "" {
			return b, false
		}
		if system == "" {
			system = "phone"
		}
		use := telecomUse[strings.ToUpper(strings.TrimSpace(n.C(2).Text()))]
		if kind == "CP" || system == "phone" && use == "" && isMobile(value) {
			use = "mobile"
		}
		if use == "" {
			use = c.literal(1)
		}
		b = append(append(append(b, `{"system":"`...), system...), `","value":`...)
		b = appendString(b, value)
		if use != "" {
			b = append(append(append(b, `,"use":"`...), use...), '"')
		}
		if rank, err := strconv.Atoi(strings.TrimSpace(n.C(18).Text())); err == nil && rank > 0 {
			b = strconv.AppendInt(append(b, `,"rank":`...), int64(rank), 10)
		}
		return append(b, '}'), true
	})
}

// telephone is the number of an XTN.
func telephone(n source.Node) string {
	for _, i := range [...]int{12, 1} {
		if s := strings.TrimSpace(n.C(i).Text()); s != "" {
			return s
		}
	}
	return joinTexts("-", n.C(5), n.C(6), n.C(7), n.C(8))
}

// isMobile knows the numbering plan of the mainland: eleven digits, the first a 1.
func isMobile(s string) bool { return len(s) == 11 && s[0] == '1' && allDigits(s) }
