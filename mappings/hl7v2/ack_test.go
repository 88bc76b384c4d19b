package hl7v2

import (
	"strings"
	"testing"
	"time"
)

var ackTime = time.Date(2026, 11, 21, 8, 30, 1, 0, time.FixedZone("", 8*3600))

func header(t testing.TB, msh string) Header {
	t.Helper()
	return HeaderOf(mustParse(t, msh))
}

func TestBuildAck(t *testing.T) {
	missing := []AckError{{Code: RequiredFieldMissing, Place: "PID[1].3", Text: "缺少患者编号|请补", Diagnostic: "PID-3 is empty"}}
	tests := []struct {
		name, msh string
		ack       Ack
		want      string
	}{
		{
			"application accept, original mode",
			"MSH|^~\\&|LIS|县医院|MERIDIAN|HC|20261121083000||ORU^R01^ORU_R01|42|P|2.5||||||UNICODE UTF-8",
			Ack{Code: ApplicationAccept},
			"MSH|^~\\&|MERIDIAN|HC|LIS|县医院|20261121083001+0800||ACK^R01^ACK|M1|P|2.5||||||UNICODE UTF-8\r" +
				"MSA|AA|42\r",
		},
		{
			"error in 2.5: ERR-2, ERR-3, ERR-7, ERR-8",
			"MSH|^~\\&|LIS||MERIDIAN||20261121083000||ORU^R01^ORU_R01|42|P|2.5",
			Ack{Code: ApplicationError, Errors: missing},
			"MSH|^~\\&|MERIDIAN||LIS||20261121083001+0800||ACK^R01^ACK|M1|P|2.5||||||UNICODE UTF-8\r" +
				"MSA|AE|42\r" +
				"ERR||PID^1^3|101^Required field missing^HL70357|E|||PID-3 is empty|缺少患者编号\\F\\请补\r",
		},
		{
			"error before 2.5: MSA-3, MSA-6 and ERR-1",
			"MSH|^~\\&|LIS||MERIDIAN||20261121083000||ORU^R01|42|P|2.3.1||||||UTF8",
			Ack{Code: ApplicationError, Errors: append(missing, AckError{Code: DataTypeError, Place: "OBX[3].5.1"})},
			"MSH|^~\\&|MERIDIAN||LIS||20261121083001+0800||ACK^R01^ACK|M1|P|2.3.1||||||UTF8\r" +
				"MSA|AE|42|缺少患者编号\\F\\请补|||101^Required field missing^HL70357\r" +
				"ERR|PID^1^3^101&Required field missing&HL70357~OBX^3^5^102&Data type error&HL70357\r",
		},
		{
			"2.3 has no structure in MSH-9",
			"MSH|^~\\&|LIS||||20261121083000||ORU^R01|42|P|2.3",
			Ack{Code: CommitAccept},
			"MSH|^~\\&|||LIS||20261121083001+0800||ACK^R01|M1|P|2.3\rMSA|CA|42\r",
		},
		{
			"the sender's delimiters",
			"MSH$%*!@$LIS$$$$20261121083000$$ORU%R01$4!S!2$P$2.5",
			Ack{Code: ApplicationError, Errors: []AckError{{Code: InternalError, Place: "OBX[3].5.1", Text: "a%b"}}},
			"MSH$%*!@$$$LIS$$20261121083001+0800$$ACK%R01%ACK$M1$P$2.5\rMSA$AE$4!S!2\r" +
				"ERR$$OBX%3%5%%1$207%Application internal error%HL70357$E$$$$a!S!b\r",
		},
		{
			"bytes without MSH",
			"",
			Ack{Code: ApplicationReject, Errors: []AckError{{Code: SegmentSequenceError, Text: "没有 MSH"}}},
			"MSH|^~\\&|||||20261121083001+0800||ACK|M1|P|2.5||||||UNICODE UTF-8\rMSA|AR\r" +
				"ERR|||100^Segment sequence error^HL70357|E||||没有 MSH\r",
		},
		{
			"several errors, one a warning",
			"MSH|^~\\&|LIS||||20261121||ORU^R01|42|P|2.6",
			Ack{Code: ApplicationError, Errors: []AckError{{Code: TableValueNotFound, Place: "PID.8"}, {Code: UnknownKey, Warning: true}}},
			"MSH|^~\\&|||LIS||20261121083001+0800||ACK^R01^ACK|M1|P|2.6\rMSA|AE|42\r" +
				"ERR||PID^1^8|103^Table value not found^HL70357|E\rERR|||204^Unknown key identifier^HL70357|W\r",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var h Header
			if tt.msh != "" {
				h = header(t, tt.msh)
			}
			tt.ack.ControlID, tt.ack.Time = "M1", ackTime
			if got := string(BuildAck(h, tt.ack)); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestBuildAckInTheSendersCharset(t *testing.T) {
	h := header(t, "MSH|^~\\&|LIS|县医院|||20261121||ORU^R01|42|P|2.5||||||GBK")
	raw := BuildAck(h, Ack{Code: ApplicationError, Time: ackTime, Charset: GB18030, Errors: []AckError{{Code: InternalError, Text: "葉"}}})
	if !strings.Contains(string(raw), "|\xC8\x7E\r") || !strings.Contains(string(raw), "||||||GBK\r") {
		t.Errorf("%q", raw)
	}
	// ASCII was declared and GBK sent: the answer tells the truth, unless it is ASCII itself.
	h.Charset, h.SendingFacility = "ASCII", ""
	if raw := BuildAck(h, Ack{Code: ApplicationAccept, Time: ackTime, Charset: GB18030}); !strings.Contains(string(raw), "||||||ASCII\r") {
		t.Errorf("%q", raw)
	}
	// Big5 has no 简: the code remains.
	h.Charset = "BIG-5"
	raw = BuildAck(h, Ack{Code: ApplicationError, Time: ackTime, Charset: Big5, Errors: []AckError{{Code: InternalError, Text: "简"}}})
	if !strings.HasSuffix(string(raw), "ERR|||207^Application internal error^HL70357|E\r") {
		t.Errorf("%q", raw)
	}
}

func TestAcksSelectsTheMode(t *testing.T) {
	type due struct{ ca, ce, aa, ae bool }
	tests := []struct {
		name, msh15, msh16 string
		policy             AckPolicy
		enhanced           bool
		due                due
	}{
		{"both empty: original mode", "", "", AckPolicy{}, false, due{aa: true, ae: true}},
		{"accept always", "AL", "", AckPolicy{}, true, due{ca: true, ce: true}},
		{"accept always, application never", "AL", "NE", AckPolicy{}, true, due{ca: true, ce: true}},
		{"accept on error, application always", "ER", "AL", AckPolicy{}, true, due{ce: true, aa: true, ae: true}},
		{"application on success only", "NE", "SU", AckPolicy{}, true, due{aa: true}},
		{"MSH-16 abused by Mindray BS", "", "2", AckPolicy{}, false, due{aa: true, ae: true}},
		{"MSH-16 ignored", "", "NE", AckPolicy{IgnoreMSH16: true}, false, due{aa: true, ae: true}},
		{"MSH-15 ignored", "AL", "", AckPolicy{IgnoreMSH15: true}, false, due{aa: true, ae: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := Header{AcceptAck: tt.msh15, ApplicationAck: tt.msh16}.Acks(tt.policy)
			var got due
			_, got.ca = a.Accept(Accepted)
			_, got.ce = a.Accept(Failed)
			_, got.aa = a.Application(Accepted)
			_, got.ae = a.Application(Failed)
			if a.Enhanced != tt.enhanced || got != tt.due {
				t.Errorf("enhanced %v, due %+v", a.Enhanced, got)
			}
		})
	}
	if c, _ := (Acks{}).Application(Rejected); c != ApplicationReject {
		t.Error(c)
	}
	if c, _ := (Acks{}).Accept(Rejected); c != CommitReject {
		t.Error(c)
	}
}

func TestScanHeaderReadsWhatParseRefuses(t *testing.T) {
	tests := []struct{ name, raw, controlID string }{
		{"two messages", "MSH|^~\\&|LIS||||20261121||ORU^R01|42|P|2.5\rMSH|^~\\&|LIS", "42"},
		{"bytes in front", "HELLO\rMSH|^~\\&|LIS||||20261121||ORU^R01|42|P|2.5\r", "42"},
		{"a broken name later", "MSH|^~\\&|LIS||||20261121||ORU^R01|42|P|2.5\rPID|1||\xD5", "42"},
		{"a broken name in MSH", "MSH|^~\\&|LIS|\xFF|||20261121||ORU^R01|42|P|2.5\r", "42"},
		{"no MSH", "PID|1", ""},
		{"no delimiters", "MSH", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := ScanHeader([]byte(tt.raw))
			if h.ControlID != tt.controlID || h.Found() != (tt.controlID != "") {
				t.Errorf("%+v", h)
			}
		})
	}
}

func TestParseAck(t *testing.T) {
	a, err := ParseAck([]byte("MSH|^~\\&|||||||ACK|1|P|2.5\rMSA|AE|42\rERR|||101|E||||缺少\\T\\编号\r"))
	if err != nil || a.Code != ApplicationError || a.ControlID != "42" || a.Text != "缺少&编号" || a.Positive() {
		t.Errorf("%+v %v", a, err)
	}
	if _, err := ParseAck([]byte("MSH|^~\\&|||||||ACK|1|P|2.5\r")); err == nil {
		t.Error("no MSA")
	}
}

func TestPositionsPrintAndParse(t *testing.T) {
	for _, s := range []string{"OBX[3]", "OBX[3].5", "OBX[3].5.1", "PID[1].3[2].4.1", "ZPI[12].1[3]"} {
		p, ok := ParsePosition(s)
		if !ok || p.String() != s {
			t.Errorf("%s: %+v %v", s, p, ok)
		}
	}
	if p, ok := ParsePosition("PID.3"); !ok || p.String() != "PID[1].3" {
		t.Errorf("%+v %v", p, ok)
	}
	for _, s := range []string{"", "OB", "OBX[", "OBX[0]", "OBX[1", "OBX[1]5", "OBX.a", "OBX[1].5.1.1.1", "OBX[1].5.", "OBX[99999999999]"} {
		if p, ok := ParsePosition(s); ok {
			t.Errorf("%q is read as %v", s, p)
		}
	}
}
