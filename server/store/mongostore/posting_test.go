package mongostore

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"meridian/fhir/search"
)

func TestPostingText(t *testing.T) {
	for _, c := range []struct {
		rule string
		key  search.Key
		want string
	}{
		{"a code asked without a system", search.Key{Param: "code", Value: "718-7"}, "code=718-7"},
		{"a code of a system", search.Key{Param: "code", Scope: "http://loinc.org", Value: "718-7"}, "code=http://loinc.org|718-7"},
		{"a code without a system", search.Key{Param: "code", Scope: search.NoSystem, Value: "718-7"}, "code=|718-7"},
		{"a reference", search.Key{Param: "subject", Scope: "Patient", Value: "123"}, "subject=Patient|123"},
		{"a name", search.Key{Param: "name:py", Value: "zhang san"}, "name:py=zhang san"},
		{"a bar in a value is escaped", search.Key{Param: "url", Value: "http://x|1"}, `url=http://x\|1`},
		{"a bar in a scope is escaped", search.Key{Param: "value-quantity", Scope: "http://ucum|mg", Value: "1 2"}, `value-quantity=http://ucum\|mg|1 2`},
		{"a unit without a system", search.Key{Param: "value-quantity", Scope: "|mg", Value: "1 2"}, `value-quantity=\|mg|1 2`},
		{"a backslash is escaped", search.Key{Param: "name", Value: `a\b`}, `name=a\\b`},
		{"an equals sign is escaped in a parameter only", search.Key{Param: "a=b", Value: "c=d"}, `a\=b=c=d`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got := postingText(c.key)
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if scope, value, ok := splitText(c.key.Param, got); !ok || scope != c.key.Scope || value != c.key.Value {
				t.Errorf("read back as %q, %q, %t", scope, value, ok)
			}
		})
	}
}

func FuzzPostingText(f *testing.F) {
	f.Add("code", "http://loinc.org", "718-7", "code", "", "http://loinc.org|718-7")
	f.Add("a", "|", "x", "a", "", "|x")
	f.Add("a", `\`, "x", "a", "", `\|x`)
	f.Add("a=b", "", "", "a", "", "b=")
	f.Fuzz(func(t *testing.T, p1, s1, v1, p2, s2, v2 string) {
		for _, s := range []string{p1, s1, v1, p2, s2, v2} {
			if !utf8.ValidString(s) {
				return
			}
		}
		a, b := search.Key{Param: p1, Scope: s1, Value: v1}, search.Key{Param: p2, Scope: s2, Value: v2}
		if (a == b) != (postingText(a) == postingText(b)) {
			t.Errorf("%q and %q are written %q and %q", a, b, postingText(a), postingText(b))
		}
		if scope, value, ok := splitText(p1, postingText(a)); !ok || scope != s1 || value != v1 {
			t.Errorf("%q is written %q and read as %q, %q, %t", a, postingText(a), scope, value, ok)
		}
		sameList := p1 == p2 && s1 == s2
		if sameList && strings.HasPrefix(v1, v2) != strings.HasPrefix(postingText(a), postingText(b)) {
			t.Errorf("%q, %q: the prefix of a value is not that of its posting", v1, v2)
		}
		if p := postingText(a); p != "" {
			in := postingText(b) >= p && postingText(b) < successor(p)
			if in != strings.HasPrefix(postingText(b), p) {
				t.Errorf("%q up to %q holds %q", p, successor(p), postingText(b))
			}
		}
	})
}

func TestSuccessor(t *testing.T) {
	for in, want := range map[string]string{
		"a=":                     "a>",
		"a=z":                    "a={",
		"a=张":                    "a=弡",
		"a=\uD7FF":               "a=\uE000",
		"a=b\U0010FFFF":          "a=c",
		"a=\x7f":                 "a=\u0080",
		"a=\U0010FFFF\U0010FFFF": "a>",
	} {
		if got := successor(in); got != want || got <= in {
			t.Errorf("after all that begins with %q: %q, want %q", in, got, want)
		}
	}
}

func TestToPostings(t *testing.T) {
	p, err := toPostings([]search.Key{
		{Param: "code", Value: "a"},
		{Param: "date", Value: "20 30"},
		{Param: "value", Scope: "http://ucum|mg", Value: "1 2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"code=a", "date=20 30", `value=http://ucum\|mg|1 2`}; !slices.Equal(p.K, want) {
		t.Errorf("k is %q, want %q", p.K, want)
	}
	if want := []span{{"date=", "20", "30"}, {`value=http://ucum\|mg|`, "1", "2"}}; !slices.Equal(p.R, want) {
		t.Errorf("r is %v, want %v", p.R, want)
	}
	if _, err := toPostings(make([]search.Key, MaxResourcePostings+1)); err == nil {
		t.Error("more than MaxResourcePostings are taken")
	}
}

func TestSplitKeepsEveryPosting(t *testing.T) {
	for _, c := range []struct{ k, r, limit, documents int }{{3, 2, 5, 1}, {3, 2, 4, 2}, {0, 0, 4, 1}, {10, 0, 4, 3}, {0, 9, 4, 3}, {5, 9, 4, 4}} {
		p := postings{}
		for i := range c.k {
			p.K = append(p.K, fmt.Sprint(i))
		}
		for i := range c.r {
			p.R = append(p.R, span{P: fmt.Sprint(i)})
		}
		head, rest := p.split(c.limit)
		all := postings{}
		for _, d := range append([]postings{head}, rest...) {
			if d.len() > c.limit {
				t.Errorf("%+v: a document of %d", c, d.len())
			}
			all.K, all.R = append(all.K, d.K...), append(all.R, d.R...)
		}
		if len(rest)+1 != c.documents || !slices.Equal(all.K, p.K) || !slices.Equal(all.R, p.R) {
			t.Errorf("%+v: %d documents hold %+v", c, len(rest)+1, all)
		}
	}
}

func BenchmarkToPostings(b *testing.B) {
	keys := make([]search.Key, 30)
	for i := range keys {
		keys[i] = search.Key{Param: "code", Scope: "http://loinc.org", Value: fmt.Sprint("718-", i)}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := toPostings(keys); err != nil {
			b.Fatal(err)
		}
	}
}
