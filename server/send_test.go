package main

import (
	"strings"
	"testing"
)

// Each message of a load has numbers of its own, and only those differ.
func TestVary(t *testing.T) {
	in := "MSH|^~\\&|A|B|C|D|20260101||ORU^R01|M1|P|2.5\rPID|1||P1^^^H^MR~X^^^Y||张三\rPV1|1|O|||||||||||||||||V1^^^H^VN\r" +
		"ORC|RE|O1^HIS|F1^LIS\rOBR|1|O1^HIS|F1^LIS|T\rOBX|1|NM|A||1\rSPM|1|P7&HIS^S1&LIS||SER\rSPM|2|^S2||SER\r"
	want := "MSH|^~\\&|A|B|C|D|20260101||ORU^R01|M1-23|P|2.5\rPID|1||P1-2^^^H^MR~X^^^Y||张三\rPV1|1|O|||||||||||||||||V1-2^^^H^VN\r" +
		"ORC|RE|O1-23^HIS|F1-23^LIS\rOBR|1|O1-23^HIS|F1-23^LIS|T\rOBX|1|NM|A||1\rSPM|1|P7-23&HIS^S1-23&LIS||SER\rSPM|2|^S2-23||SER\r"
	if got := string(vary([]byte(in), 23)); got != want {
		t.Errorf("got\n%s\nwant\n%s", strings.ReplaceAll(got, "\r", "\n"), strings.ReplaceAll(want, "\r", "\n"))
	}
}
