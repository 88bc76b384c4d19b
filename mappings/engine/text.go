package engine

import (
	"encoding/base64"
	"encoding/hex"
	"strings"

	"meridian/mappings/source"
)

// fnText writes a text with blanks at its ends removed.
func fnText(c *call, b []byte) ([]byte, bool) {
	s, _ := c.text(0)
	if s = cleanText(s); strings.TrimSpace(s) == "" {
		return b, false
	}
	return appendString(b, s), true
}

// fnJoinLines joins repetitions and rows with line feeds, in their order.
func fnJoinLines(c *call, b []byte) ([]byte, bool) {
	var lines []string
	var buf [16]source.Node
	for _, n := range c.list(0, buf[:0]) {
		if s := cleanText(n.Text()); s != "" {
			lines = append(lines, s)
		}
	}
	if len(lines) == 0 {
		return b, false
	}
	return appendString(b, strings.Join(lines, "\n")), true
}

var attachmentTypes = map[string]string{"PDF": "application/pdf", "JPEG": "image/jpeg", "JPG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif",
	"TIFF": "image/tiff", "BMP": "image/bmp", "HTML": "text/html", "RTF": "text/rtf", "XML": "application/xml", "TEXT": "text/plain", "PLAIN": "text/plain", "DICOM": "application/dicom"}

// fnAttachment writes an Attachment from an ED (HL7 v2.5.1 ch. 2.A.24) or RP.
// Data that is not what it says it is parks the message: a report that cannot
// be read is not a report.
func fnAttachment(c *call, b []byte) ([]byte, bool) {
	n := c.node(0)
	data := n.C(5).Text()
	if data == "" {
		return b, false
	}
	var raw []byte
	var err error
	switch enc := strings.ToUpper(strings.TrimSpace(n.C(4).Text())); enc {
	case "BASE64", "":
		raw, err = base64.StdEncoding.DecodeString(strings.Map(dropSpace, data))
	case "HEX":
		raw, err = hex.DecodeString(strings.Map(dropSpace, data))
	default:
		raw = []byte(data)
	}
	if err != nil {
		c.rt.parkNow("attachment.encoding", n.Origin()+".5", "the attached data is not in the encoding that it states", "附件数据编码错误")
		return b, false
	}
	kind := strings.ToUpper(strings.TrimSpace(n.C(3).Text()))
	mime := attachmentTypes[kind]
	if mime == "" {
		mime = attachmentTypes[strings.ToUpper(strings.TrimSpace(n.C(2).Text()))]
	}
	if mime == "" {
		mime = "application/octet-stream"
	}
	if mime == "application/pdf" && !strings.HasPrefix(string(raw[:min(len(raw), 5)]), "%PDF-") {
		c.rt.parkNow("attachment.magic", n.Origin()+".5", "the attached data is not a PDF", "附件不是 PDF 文件")
		return b, false
	}
	b = append(b, `{"contentType":"`+mime+`","data":"`...)
	b = base64.StdEncoding.AppendEncode(b, raw)
	return append(b, `"}`...), true
}

// dropSpace removes the line breaks that vendors put into base64.
func dropSpace(r rune) rune {
	if r == ' ' || r == '\r' || r == '\n' || r == '\t' {
		return -1
	}
	return r
}

// fnCode writes a code as sent, blanks folded as FHIR's code asks.
func fnCode(c *call, b []byte) ([]byte, bool) {
	s, _ := c.text(0)
	if s = strings.Join(strings.Fields(s), " "); s == "" {
		return b, false
	}
	return appendString(b, s), true
}

// fnSenderName names the sending system; a sender that names itself nowhere is known by its source.
func fnSenderName(c *call, b []byte) ([]byte, bool) {
	s, _ := c.text(0)
	if s = cleanText(s); s == "" {
		s = c.rt.src.id()
	}
	return appendString(b, s), true
}

// fnMessageID makes a URI of the message's control id, unique to the source only.
func fnMessageID(c *call, b []byte) ([]byte, bool) {
	s, _ := c.text(0)
	return appendString(b, "urn:meridian:source:"+c.rt.src.id()+":message:"+strings.Join(strings.Fields(s), "-")), true
}
