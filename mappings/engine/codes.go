package engine

import (
	"fmt"
	"strings"
)

// checkCodes checks the codes of a table as far as their form tells (M030): LOINC codes have a check
// digit, UCUM codes a syntax. The column `loinc` holds LOINC codes; in the table `unit`, `to` holds UCUM, as does `units` in every table.
func checkCodes(t *Table, file string) Problems {
	var ps Problems
	bad := func(i int, format string, args ...any) {
		ps = append(ps, Problem{Code: "M030", File: file, Line: t.lines[i], Column: 1, Message: fmt.Sprintf(format, args...)})
	}
	for i := range t.rows {
		row := Row{t, i}
		if code := row.Get("loinc"); code != "" && !validLOINC(code) {
			bad(i, "%q is no LOINC code: its check digit is wrong", code)
		}
		units := row.Get("units")
		if t.Name == "unit" {
			units = row.Get("to")
		}
		for u := range strings.SplitSeq(units, ";") {
			if u != "" && !plausibleUCUM(u) {
				bad(i, "%q is not in the syntax of UCUM", u)
			}
		}
	}
	return ps
}

// validLOINC checks the mod 10 digit of a code ("1742-6"). Of an answer ("LA6576-8"), whose digit counts the letters
// too, only the form. LOINC Users' Guide, appendix C.
func validLOINC(s string) bool {
	number, answer := strings.CutPrefix(s, "LA")
	digits, check, ok := strings.Cut(number, "-")
	if !ok || len(check) != 1 || !allDigits(digits) || !allDigits(check) || len(digits) > 8 {
		return false
	}
	if answer {
		return true
	}
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 0 { // every second digit from the right is doubled, and its digits are added
			d = d*2/10 + d*2%10
		}
		sum += d
	}
	return int(check[0]-'0') == (10-sum%10)%10
}

// plausibleUCUM checks the syntax of a unit: terms joined by . and /, each with letters, brackets, an exponent, an annotation.
// That the atoms exist is for the unit library to say. https://ucum.org/ucum section 2
func plausibleUCUM(s string) bool {
	depth, last := 0, byte('.')
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c <= ' ' || c > '~' {
			return false
		}
		switch c {
		case '{', '[':
			close := c + 2
			end := strings.IndexByte(s[i+1:], close)
			if end < 0 || strings.ContainsAny(s[i+1:i+1+end], "{}[]") {
				return false
			}
			i += end + 1
			c = close
		case '}', ']':
			return false
		case '(':
			depth++
		case ')':
			if depth--; depth < 0 || last == '.' || last == '/' || last == '(' {
				return false
			}
		case '.', '/':
			if last == '/' || last == '.' && i > 0 || c == '.' && (i == 0 || last == '(') {
				return false
			}
		}
		last = c
	}
	return depth == 0 && s != "" && last != '.' && last != '/'
}
