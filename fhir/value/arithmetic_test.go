package value

import "testing"

func TestReducedIsTheSameNumber(t *testing.T) {
	for text, digits := range map[string]int{"0": 1, "0.00": 1, "5": 1, "5.40": 2, "3000": 1, "-120": 2, "602213670000000000000000000": 8, "1e5": 1, "100.001": 6} {
		d, err := ParseDecimal(text)
		if err != nil {
			t.Fatal(text, err)
		}
		r := d.Reduced()
		if r.Rat().Cmp(d.Rat()) != 0 || r.Digits() != digits {
			t.Errorf("%s: %s of %d digits, want %d", text, r.Rat(), r.Digits(), digits)
		}
	}
}
