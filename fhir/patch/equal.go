package patch

import decimal "meridian/fhir/value"

// equal says whether two JSON values are the same: numbers by their value,
// strings by their characters, objects whatever the order of their members.
//
// https://www.rfc-editor.org/rfc/rfc6902#section-4.6
func (d *document) equal(a, b *value) (bool, error) {
	switch {
	case isNumber(a.kind()) && isNumber(b.kind()):
		return equalNumbers(a.text, b.text), nil
	case a.kind() != b.kind():
		return false, nil
	case a.isString():
		return a.string() == b.string(), nil
	case !a.isObject() && !a.isArray(): // true, false, null
		return true, nil
	}
	x, err := d.open(a)
	if err != nil {
		return false, err
	}
	y, err := d.open(b)
	if err != nil {
		return false, err
	}
	if x.live != y.live {
		return false, nil
	}
	for i := range x.items {
		if x.items[i].isRemoved() {
			continue
		}
		k := i
		if a.isObject() {
			if k = y.find(unquote(x.names[i])); k < 0 {
				return false, nil
			}
		}
		if same, err := d.equal(&x.items[i], &y.items[k]); !same || err != nil {
			return false, err
		}
	}
	return true, nil
}

func isNumber(c byte) bool { return c == '-' || c-'0' <= 9 }

// equalNumbers compares what FHIR can hold as numbers, and all else by its digits.
func equalNumbers(a, b []byte) bool {
	x, errX := decimal.ParseDecimal(a)
	y, errY := decimal.ParseDecimal(b)
	if errX != nil || errY != nil {
		return string(a) == string(b)
	}
	return x.Cmp(y) == 0
}
