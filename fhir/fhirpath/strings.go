package fhirpath

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// https://hl7.org/fhirpath/N1/#string-manipulation; lastIndexOf, trim, split,
// join, matchesFull, encode, decode, escape and unescape are of later versions.
var stringFunctions = []function{
	{name: "indexOf", least: 1, most: 1, eval: withText(textIndexOf)},
	{name: "lastIndexOf", least: 1, most: 1, eval: withText(textLastIndexOf)},
	{name: "substring", least: 1, most: 2, eval: fnSubstring},
	{name: "startsWith", least: 1, most: 1, eval: withText(func(s, t string) Item { return BooleanItem(strings.HasPrefix(s, t)) })},
	{name: "endsWith", least: 1, most: 1, eval: withText(func(s, t string) Item { return BooleanItem(strings.HasSuffix(s, t)) })},
	{name: "contains", least: 1, most: 1, eval: withText(func(s, t string) Item { return BooleanItem(strings.Contains(s, t)) })},
	{name: "upper", eval: ofText(strings.ToUpper)},
	{name: "lower", eval: ofText(strings.ToLower)},
	{name: "replace", least: 2, most: 2, eval: fnReplace},
	{name: "matches", least: 1, most: 1, eval: fnMatches},
	{name: "matchesFull", least: 1, most: 1, eval: fnMatches},
	{name: "replaceMatches", least: 2, most: 2, eval: fnReplaceMatches},
	{name: "length", eval: fnLength},
	{name: "toChars", eval: fnToChars},
	{name: "trim", eval: ofText(strings.TrimSpace)},
	{name: "split", least: 1, most: 1, eval: fnSplit},
	{name: "join", most: 1, eval: fnJoin},
	{name: "encode", least: 1, most: 1, eval: fnEncode},
	{name: "decode", least: 1, most: 1, eval: fnDecode},
	{name: "escape", least: 1, most: 1, eval: fnEscape},
	{name: "unescape", least: 1, most: 1, eval: fnUnescape},
}

// text gives the String that is the only item of in.
func (ev *evaluator) text(n *Call, in []Item) (string, bool, error) {
	i, ok, err := ev.one(n, in)
	if err != nil || !ok {
		return "", false, err
	}
	s, ok := i.Text()
	if !ok && !(i.kind == Element && systemKind(i.node.TypeID()) == String) {
		return "", false, ev.fail(Execution, n, "%s() is of a String, not of %s", n.Name, i.TypeName())
	}
	ev.charge(len(s) >> 10) // a step for each kilobyte
	return s, ok, nil
}

// ofText makes an eval of a function from String to String.
func ofText(f func(string) string) func(*evaluator, *Call, []Item, *scope) error {
	return func(ev *evaluator, n *Call, in []Item, _ *scope) error {
		s, ok, err := ev.text(n, in)
		if !ok {
			return err
		}
		return ev.pushText(n, f(s))
	}
}

// withText makes an eval of a function of two Strings; empty where either is.
func withText(f func(s, t string) Item) func(*evaluator, *Call, []Item, *scope) error {
	return func(ev *evaluator, n *Call, in []Item, sc *scope) error {
		s, ok, err := ev.text(n, in)
		if err != nil {
			return err
		}
		t, okT, err := ev.textArgument(n, 0, sc)
		if ok && okT {
			ev.push(f(s, t))
		}
		return err
	}
}

func textIndexOf(s, t string) Item { return characters(s, strings.Index(s, t)) }

func textLastIndexOf(s, t string) Item { return characters(s, strings.LastIndex(s, t)) }

// characters turns a byte offset into a count of characters.
func characters(s string, at int) Item {
	if at < 0 {
		return IntegerItem(-1)
	}
	return IntegerItem(int64(utf8.RuneCountInString(s[:at])))
}

// byteOffset gives the offset of character k, len(s) behind the last.
func byteOffset(s string, k int64) int {
	for at := range s {
		if k--; k < 0 {
			return at
		}
	}
	return len(s)
}

func fnSubstring(ev *evaluator, n *Call, in []Item, sc *scope) error {
	s, ok, err := ev.text(n, in)
	if err != nil {
		return err
	}
	start, okStart, err := ev.intArgument(n, 0, sc)
	if err != nil {
		return err
	}
	length, okLength, err := ev.intArgument(n, 1, sc)
	if err != nil || !ok || !okStart || start < 0 {
		return err
	}
	from := byteOffset(s, start)
	if from >= len(s) {
		return nil
	}
	s = s[from:]
	if okLength {
		s = s[:byteOffset(s, max(length, 0))]
	}
	ev.push(StringItem(s))
	return nil
}

func fnReplace(ev *evaluator, n *Call, in []Item, sc *scope) error {
	s, pattern, with, ok, err := ev.threeTexts(n, in, sc)
	if !ok {
		return err
	}
	if len(with) > 0 && (strings.Count(s, pattern)+1)*len(with) > ev.limits.Bytes {
		return ev.fail(Costly, n, "more than %d bytes of strings", ev.limits.Bytes)
	}
	return ev.pushText(n, strings.ReplaceAll(s, pattern, with))
}

func (ev *evaluator) threeTexts(n *Call, in []Item, sc *scope) (s, a, b string, ok bool, err error) {
	var okA, okB bool
	if s, ok, err = ev.text(n, in); err != nil {
		return s, a, b, false, err
	}
	if a, okA, err = ev.textArgument(n, 0, sc); err != nil {
		return s, a, b, false, err
	}
	b, okB, err = ev.textArgument(n, 1, sc)
	return s, a, b, ok && okA && okB, err
}

// MaxPattern bounds a regular expression, in bytes.
const MaxPattern = 4096

// regex compiles a pattern: Unicode, '.' matches a line end too. The last one
// of a call is kept, which is a literal nearly always.
// https://hl7.org/fhirpath/N1/#matchesregex--string--boolean
func (ev *evaluator) regex(n *Call, pattern string) (*regexp.Regexp, error) {
	if k := n.regex.Load(); k != nil && k.pattern == pattern {
		return k.regex, nil
	}
	if len(pattern) > MaxPattern {
		return nil, ev.fail(Costly, n, "the pattern is longer than %d bytes", MaxPattern)
	}
	source := "(?s:" + pattern + ")"
	if n.Name == "matchesFull" {
		source = "^" + source + "$"
	}
	re, err := regexp.Compile(source)
	if err != nil {
		return nil, ev.fail(Execution, n, "the pattern is not one of RE2")
	}
	n.regex.Store(&compiledRegex{pattern, re})
	return re, nil
}

type compiledRegex struct {
	pattern string
	regex   *regexp.Regexp
}

func fnMatches(ev *evaluator, n *Call, in []Item, sc *scope) error {
	s, ok, err := ev.text(n, in)
	if err != nil {
		return err
	}
	pattern, okP, err := ev.textArgument(n, 0, sc)
	if err != nil || !ok || !okP {
		return err
	}
	re, err := ev.regex(n, pattern)
	if err == nil {
		ev.pushBool(re.MatchString(s))
	}
	return err
}

func fnReplaceMatches(ev *evaluator, n *Call, in []Item, sc *scope) error {
	s, pattern, with, ok, err := ev.threeTexts(n, in, sc)
	if !ok {
		return err
	}
	if pattern == "" {
		ev.push(StringItem(s))
		return nil
	}
	re, err := ev.regex(n, pattern)
	if err != nil {
		return err
	}
	if (len(s)+1)*(len(with)+1) > ev.limits.Bytes {
		return ev.fail(Costly, n, "more than %d bytes of strings", ev.limits.Bytes)
	}
	return ev.pushText(n, re.ReplaceAllString(s, with))
}

func fnLength(ev *evaluator, n *Call, in []Item, _ *scope) error {
	s, ok, err := ev.text(n, in)
	if ok {
		ev.push(IntegerItem(int64(utf8.RuneCountInString(s))))
	}
	return err
}

func fnToChars(ev *evaluator, n *Call, in []Item, _ *scope) error {
	s, _, err := ev.text(n, in)
	for len(s) > 0 {
		_, size := utf8.DecodeRuneInString(s)
		ev.push(StringItem(s[:size]))
		s = s[size:]
	}
	return err
}

func fnSplit(ev *evaluator, n *Call, in []Item, sc *scope) error {
	s, ok, err := ev.text(n, in)
	if err != nil {
		return err
	}
	sep, okSep, err := ev.textArgument(n, 0, sc)
	if err != nil || !ok || !okSep {
		return err
	}
	for _, part := range strings.Split(s, sep) {
		ev.push(StringItem(part))
	}
	return nil
}

func fnJoin(ev *evaluator, n *Call, in []Item, sc *scope) error {
	sep, _, err := ev.textArgument(n, 0, sc)
	if err != nil || len(in) == 0 && !ev.env.EmptyJoin {
		return err
	}
	var b strings.Builder
	for k := range in {
		s, _, err := ev.text(n, in[k:k+1])
		if err != nil {
			return err
		}
		if k > 0 {
			b.WriteString(sep)
		}
		b.WriteString(s)
		if b.Len() > ev.limits.Bytes {
			break
		}
	}
	return ev.pushText(n, b.String())
}
