package codec

import (
	"strings"
	"testing"

	"meridian/fhir/issue"
)

func TestCheckSyntax(t *testing.T) {
	for _, c := range []struct {
		rule, body string
		offset     int // of the error; -1 for none
	}{
		{"any value", ` [{"op":"add","path":"\u0041","value":[1.0e3,null,true]}] `, -1},
		{"a scalar", `1`, -1},
		{"names may stand twice", `{"a":1,"a":2}`, -1},
		{"nothing", ` `, 1},
		{"an end too early", `[1,`, 3},
		{"something behind", `{} x`, 3},
		{"a number in another form", `[01]`, 1},
		{"invalid UTF-8", "[\"\xff\"]", 2},
		{"nested too deep", strings.Repeat("[", 9) + strings.Repeat("]", 9), 8},
		{"too long", strings.Repeat(" ", 99) + `{}`, 100},
	} {
		err := CheckSyntax([]byte(c.body), Options{MaxDepth: 8, MaxBytes: 100})
		if e := issue.As(err); (err != nil) != (c.offset >= 0) || e != nil && e.Issues[0].Offset != c.offset {
			t.Errorf("%s: %v", c.rule, err)
		}
	}
}
