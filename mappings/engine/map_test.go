package engine

import (
	"encoding/json"
	"os"
	"testing"

	"meridian/fhir/codec"
	"meridian/mappings/hl7v2"
	"meridian/mappings/maps"
	"meridian/mappings/source"
)

func record(t testing.TB, raw []byte) *source.Tree {
	t.Helper()
	d, err := hl7v2.Decode(raw, hl7v2.DecodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := hl7v2.Parse(d.Text, hl7v2.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return source.FromV2(m, hl7v2.GroupMessage(m, hl7v2.GroupOptions{}))
}

const example = "MSH|^~\\&|LIS|H001|FHIR|HUB|20261121083000+0800||ORU^R01^ORU_R01|7|P|2.5|||||CHN|UNICODE UTF-8\r" +
	"PID|1||P0001^^^H001^MR~11010519491231002X^^^^NI||张三||19491231|F\r" +
	"OBR|1||R20261121-8|LIVER^肝功能^99LIS|||20261121073000|||||||||||||||20261121082500||CH|F\r" +
	"OBX|1|NM|ALT^*谷丙转氨酶^99LIS||72.50|U/L|7～40|↑|||F|||20261121082000\r" +
	"OBX|2|ST|HBSAG^乙肝表面抗原^99LIS||阴性||阴性||||C\r"

func runExample(t testing.TB, text string) *Result {
	t.Helper()
	l, err := Load(maps.FS)
	if err != nil {
		t.Fatal(err)
	}
	res, err := l.Find(Input{"hl7v2", "ORU_R01"}).Run(record(t, []byte(text)), &Source{ID: "H001"}, benchTime)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// The worked example of the language maps to resources that the codec accepts.
func TestWorkedExample(t *testing.T) {
	res := runExample(t, example)
	for _, o := range res.Resources {
		if _, err := codec.Parse(o.JSON, codec.Options{}); err != nil {
			t.Errorf("%s: %v", o.Rule, err)
		}
		var v any
		_ = json.Unmarshal(o.JSON, &v)
		b, _ := json.MarshalIndent(v, "", " ")
		if os.Getenv("DUMP") != "" {
			t.Logf("%s %s\n%s", o.Rule, o.ID, b)
		}
	}
	t.Log(res.Findings, res.Unmapped, res.Subject)
}
