package engine

import (
	"crypto/sha1"
	"encoding/base64"
	"html"
	"strconv"
	"strings"

	"meridian/mappings/source"
)

// A report in words has sections: what was seen (检查所见) and what is concluded
// (诊断意见). tables/report_section.csv tells by the suffix of OBX-3 (&GDT, &IMP,
// HL7 v2.5.1 ch. 7.1.4), its LOINC code or its local name which OBX is which.

// sectionOf names the section of an OBX, "" when it is none.
func sectionOf(obx source.Node, table *Table) string {
	switch obx.F(2).Peek() {
	case "TX", "FT", "ST", "CE", "CWE", "":
	default:
		return "" // a number is no section
	}
	code := obx.F(3)
	if s := code.C(1).C(2).Peek(); s != "" {
		if row, ok := table.Find("&" + s); ok {
			code.C(1).C(2).Mark()
			return row.Get("to")
		}
	}
	for _, i := range [...]int{1, 4, 2} {
		if s := code.C(i).Peek(); s != "" {
			if row, ok := table.Find(plainName(s)); ok {
				return row.Get("to")
			}
		}
	}
	return ""
}

// sectionText joins the texts of a section's rows.
func (c *call) sectionText(section string) (text, title string) {
	var lines []string
	var buf [32]source.Node
	for _, obx := range c.list(0, buf[:0]) {
		if sectionOf(obx, c.table(1)) != section {
			continue
		}
		for v := obx.F(5); v.Valid(); v = v.NextSame() {
			s := cleanText(v.Text())
			if n := v.C(2); s == "" || !v.Leaf() && n.Valid() {
				s = cleanText(n.Text())
			}
			if s != "" {
				lines = append(lines, s)
			}
		}
		if title == "" {
			title = plainName(obx.F(3).C(2).Text())
		}
	}
	return strings.Join(lines, "\n"), title
}

// fnSection writes the text of one section, such as a report's conclusion.
func fnSection(c *call, b []byte) ([]byte, bool) {
	text, _ := c.sectionText(c.literal(2))
	if text == "" {
		return b, false
	}
	return appendString(b, text), true
}

// fnReportText writes a report in words as an Attachment of HTML: findings, then conclusion. It is written only
// where there are findings, which have no element of their own in DiagnosticReport.
func fnReportText(c *call, b []byte) ([]byte, bool) {
	var s strings.Builder
	for _, section := range [...]string{"findings", "conclusion"} {
		text, title := c.sectionText(section)
		if text == "" {
			if section == "findings" {
				return b, false
			}
			continue
		}
		if s.Len() == 0 {
			s.WriteString(`<!DOCTYPE html><html lang="zh-CN"><head><meta charset="utf-8"><title>`)
			s.WriteString(html.EscapeString(title))
			s.WriteString(`</title></head><body>`)
		}
		s.WriteString("<h2>" + html.EscapeString(title) + "</h2>")
		for line := range strings.SplitSeq(text, "\n") {
			s.WriteString("<p>" + html.EscapeString(line) + "</p>")
		}
	}
	s.WriteString("</body></html>")
	raw := []byte(s.String())
	sum := sha1.Sum(raw)
	b = append(b, `{"contentType":"text/html;charset=utf-8","data":"`...)
	b = base64.StdEncoding.AppendEncode(b, raw)
	b = strconv.AppendInt(append(b, `","size":`...), int64(len(raw)), 10)
	b = append(b, `,"hash":"`...)
	b = append(base64.StdEncoding.AppendEncode(b, sum[:]), '"')
	return append(b, '}'), true
}
