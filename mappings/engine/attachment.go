package engine

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"

	"meridian/mappings/source"
)

var attachmentTypes = map[string]string{"PDF": "application/pdf", "JPEG": "image/jpeg", "JPG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif",
	"TIFF": "image/tiff", "BMP": "image/bmp", "HTML": "text/html", "RTF": "text/rtf", "XML": "application/xml", "TEXT": "text/plain", "PLAIN": "text/plain",
	"DICOM": "application/dicom"}

// magics are the first bytes of what is checked to be what it says.
var magics = [...]struct{ mime, head string }{{"application/pdf", "%PDF-"}, {"image/jpeg", "\xff\xd8\xff"}, {"image/png", "\x89PNG\r\n\x1a\n"}}

// fnAttachment writes an Attachment from an OBX of type ED (HL7 v2.5.1 ch.
// 2.A.24) or RP (2.A.61). Data that is not what it says it is parks the message: a
// report that cannot be read is not a report. What RP points at is never fetched.
func fnAttachment(c *call, b []byte) ([]byte, bool) {
	obx := c.node(0)
	n := obx.F(5)
	if n.State() != source.Present {
		return b, false
	}
	title := cleanText(obx.F(3).C(2).Text())
	obx.F(3).MarkAll()
	n.C(1).Mark()
	switch strings.ToUpper(obx.F(11).Text()) {
	case "D", "W":
		c.find("attachment.withdrawn", obx, "the sender withdrew the document; it is not shown")
		return b, false
	}
	if strings.EqualFold(strings.TrimSpace(obx.F(2).Text()), "RP") {
		return c.pointer(b, n, title)
	}
	data, at := n.C(5).Text(), n.Origin()+".5"
	if n.Leaf() { // some senders write the data alone
		data, at = n.Text(), n.Origin()
	}
	raw, err := decodeData(strings.TrimSpace(n.C(4).Text()), data)
	if err != nil {
		c.rt.parkNow("attachment.encoding", at, "the attached data is not in the encoding that it states", "附件数据编码错误")
		return b, false
	}
	if len(raw) == 0 {
		return b, false
	}
	mime := mimeOf(n.C(3), n.C(2))
	for _, m := range magics {
		if mime == "" && bytes.HasPrefix(raw, []byte(m.head)) {
			mime = m.mime
		}
		if mime == m.mime && !bytes.HasPrefix(raw, []byte(m.head)) {
			c.rt.parkNow("attachment.magic", at, "the attached data is not of the type that it states", "附件内容与声明的类型不符")
			return b, false
		}
	}
	if mime == "" {
		mime = "application/octet-stream"
	}
	sum := sha1.Sum(raw)
	b = append(append(append(b, `{"contentType":"`...), mime...), `","data":"`...)
	b = base64.StdEncoding.AppendEncode(b, raw)
	b = strconv.AppendInt(append(b, `","size":`...), int64(len(raw)), 10)
	b = append(b, `,"hash":"`...)
	b = append(base64.StdEncoding.AppendEncode(b, sum[:]), '"')
	return appendTitle(b, title), true
}

func appendTitle(b []byte, title string) []byte {
	if title != "" {
		b = append(b, `,"title":`...)
		b = appendString(b, title)
	}
	return append(b, '}')
}

func decodeData(encoding, data string) ([]byte, error) {
	switch strings.ToUpper(encoding) {
	case "BASE64", "":
		data = strings.Map(dropSpace, data)
		if len(data)%4 != 0 && !strings.HasSuffix(data, "=") {
			return base64.RawStdEncoding.DecodeString(data)
		}
		return base64.StdEncoding.DecodeString(data)
	case "HEX":
		return hex.DecodeString(strings.Map(dropSpace, data))
	}
	return []byte(data), nil
}

// mimeOf reads the subtype, else the type, as table 0291 or as a media type.
func mimeOf(subtype, typ source.Node) string {
	sub, kind := strings.TrimSpace(subtype.Text()), strings.TrimSpace(typ.Text())
	for _, s := range [...]string{sub, kind} {
		if m := attachmentTypes[strings.ToUpper(s)]; m != "" {
			return m
		}
		if strings.Contains(s, "/") && isASCII(s) && !strings.ContainsAny(s, ` "\`) {
			return strings.ToLower(s)
		}
	}
	return ""
}

// pointer writes an RP: its URL as it stands.
func (c *call) pointer(b []byte, n source.Node, title string) ([]byte, bool) {
	url := strings.TrimSpace(n.C(1).Text())
	if url == "" || strings.ContainsAny(url, " \t\r\n") {
		c.find("attachment.url", n, "the reference pointer has no URL that FHIR could hold; it is left out")
		return b, false
	}
	b = append(b, '{')
	if mime := mimeOf(n.C(4), n.C(3)); mime != "" {
		b = append(append(append(b, `"contentType":"`...), mime...), `",`...)
	}
	b = append(b, `"url":`...)
	b = appendString(b, url)
	return appendTitle(b, title), true
}

// dropSpace removes the line breaks that vendors put into base64.
func dropSpace(r rune) rune {
	if r == ' ' || r == '\r' || r == '\n' || r == '\t' {
		return -1
	}
	return r
}
