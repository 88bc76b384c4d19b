package search

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"meridian/fhir/value"
)

// query splits and parses a query string for a type.
func query(t testing.TB, r *Registry, typ, s string) *Query {
	t.Helper()
	q, warnings, err := r.Parse(typ, pairs(t, s), false)
	if err != nil {
		t.Fatalf("%s?%s: %v", typ, s, err)
	}
	if len(warnings) > 0 {
		t.Fatalf("%s?%s: %v", typ, s, warnings)
	}
	return q
}

func pairs(t testing.TB, s string) []Pair {
	t.Helper()
	var out []Pair
	for _, part := range strings.Split(s, "&") {
		if part == "" {
			continue
		}
		name, v, _ := strings.Cut(part, "=")
		text, err := url.PathUnescape(v)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, Pair{name, text})
	}
	return out
}

// show prints a plan's tree with its bounds as times and numbers.
func show(e Expr) string {
	list := func(word string, of []Expr) string {
		var parts []string
		for _, x := range of {
			parts = append(parts, show(x))
		}
		return word + "(" + strings.Join(parts, ", ") + ")"
	}
	key := func(k Key) string {
		if k.Scope != "" {
			return k.Param + "[" + k.Scope + "]"
		}
		return k.Param
	}
	switch e := e.(type) {
	case All:
		return "all"
	case Point:
		return key(e.Key) + "=" + e.Key.Value
	case Prefix:
		return key(e.Key) + "^" + e.Key.Value
	case Contains:
		return e.Param + "~" + e.Text
	case Present:
		return e.Param + "?"
	case IDs:
		return "ids" + fmt.Sprint(e.IDs)
	case And:
		return list("and", e.Of)
	case Or:
		return list("or", e.Of)
	case Not:
		return "not " + show(e.Of)
	case ChainForward:
		return chained(e.Param+">"+e.Type, e.Where, e.Check != nil)
	case ChainReverse:
		return chained(e.Type+"."+e.Param+">", e.Where, e.Check != nil)
	case Box:
		s := key(Key{Param: e.Param, Scope: e.Scope})
		for _, b := range []struct{ word, bound string }{{" lo>=", e.LoMin}, {" lo<", e.LoMax}, {" hi>=", e.HiMin}, {" hi<", e.HiMax}} {
			if b.bound != "" {
				s += b.word + showBound(b.bound)
			}
		}
		return s
	}
	return fmt.Sprintf("%T", e)
}

func chained(path string, where Expr, check bool) string {
	if check {
		path += "!"
	}
	return path + "(" + show(where) + ")"
}

func showBound(s string) string {
	const times = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
	const heads = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	if len(s) == 12 {
		n := int64(0)
		for i := range 7 {
			n = n<<6 | int64(strings.IndexByte(times, s[i]))
		}
		ns := int64(0)
		for i := 7; i < 12; i++ {
			ns = ns<<6 | int64(strings.IndexByte(times, s[i]))
		}
		return value.Instant{Sec: n - 62167219200, Nsec: int32(ns)}.Time().Format(time.RFC3339Nano)
	}
	over := strings.HasSuffix(s, above)
	s = strings.TrimSuffix(s, above)
	text, sign := "0", ""
	if s != "U" {
		h := strings.IndexByte(heads, s[0])
		digits := strings.TrimRight(s[1:], "-A")
		if h < 30 {
			sign, h = "-", 60-h
			digits = strings.Map(func(r rune) rune { return '0' + '9' - r }, digits)
		}
		text = fmt.Sprintf("%se%d", digits, h-41-(len(digits)-1))
	}
	if over {
		return sign + text + "+"
	}
	return sign + text
}

// The instants are worked out by hand: Asia/Shanghai is UTC+8.
func TestPlans(t *testing.T) {
	r := testRegistry(t)
	for _, c := range []struct{ typ, query, want string }{
		{"Observation", "", "all"},
		{"Observation", "code=718-7", "code=718-7"},
		{"Observation", "code=http://loinc.org|718-7", "code[http://loinc.org]=718-7"},
		{"Observation", "code=|718-7", "code[|]=718-7"},
		{"Observation", "code=http://loinc.org|", "code[http://loinc.org]^"},
		{"Observation", `code=a\|b\,c\$d\\e`, `code=a|b,c$d\e`},
		{"Observation", "code=a,b", "or(code=a, code=b)"},
		{"Observation", "code=a&code=b", "and(code=a, code=b)"},
		{"Observation", "code:not=a,b", "not or(code=a, code=b)"},
		{"Observation", "code:missing=true", "not code?"},
		{"Observation", "code:missing=false", "code?"},
		{"Observation", "status=final", "status=final"},
		{"Observation", "combo-code=a", "or(code=a, component-code=a)"},
		{"Observation", "combo-code:missing=true", "not or(code?, component-code?)"},
		{"Observation", "combo-value-quantity=gt5", "or(value-quantity hi>=5e0+, component-value-quantity hi>=5e0+)"},
		{"Observation", "_id=b,a", "ids[a b]"},
		{"Observation", "_id:not=a", "not ids[a]"},
		{"Observation", "_tag=http://x|y", "_tag[http://x]=y"},
		{"Observation", "_profile=http://x|1", "_profile=http://x|1"},
		{"Observation", "_source=urn:a:b", "_source=urn:a:b"},
		{"Observation", "subject=Patient/123", "subject[Patient]=123"},
		{"Observation", "subject=http://our.example/fhir/Patient/123", "subject[Patient]=123"},
		{"Observation", "subject=http://other/Patient/1", "subject=http://other/Patient/1"},
		{"Observation", "subject=Patient/123/_history/2", "subject=Patient/123/_history/2"},
		{"Observation", "subject:Patient=123", "subject[Patient]=123"},
		{"Observation", "subject=123", "or(subject[Group]=123, subject[Device]=123, subject[Patient]=123, subject[Location]=123)"},
		{"Observation", "subject:identifier=http://x|1", "subject:identifier[http://x]=1"},
		{"Observation", "patient=123", "subject[Patient]=123"},
		{"Observation", "patient=Patient/123", "subject[Patient]=123"},
		{"Observation", "patient=Group/123", "or()"},
		{"Observation", "patient:missing=true", "not subject[Patient]^"},
		{"Observation", "patient:identifier=1", "and(subject:identifier=1, subject[Patient]^)"},
		{"AllergyIntolerance", "patient=1", "patient[Patient]=1"},
		{"AuditEvent", "patient=1", "or(agent[Patient]=1, entity[Patient]=1)"},
		{"Observation", "date=2026-01-02", "date lo>=2026-01-01T16:00:00Z hi<2026-01-02T16:00:00Z"},
		{"Observation", "date=ne2026-01-02", "or(date lo<2026-01-01T16:00:00Z, date hi>=2026-01-02T16:00:00Z)"},
		{"Observation", "date=gt2026", "date hi>=2026-12-31T16:00:00Z"},
		{"Observation", "date=lt2026", "date lo<2025-12-31T16:00:00Z"},
		{"Observation", "date=ge2026-01", "or(date hi>=2026-01-31T16:00:00Z, date lo>=2025-12-31T16:00:00Z)"},
		{"Observation", "date=le2026-01", "or(date lo<2025-12-31T16:00:00Z, date hi<2026-01-31T16:00:00Z)"},
		{"Observation", "date=sa2026-01-02T10:00Z", "date lo>=2026-01-02T10:01:00Z"},
		{"Observation", "date=eb2026-01-02T10:00:00%2B08:00", "date hi<2026-01-02T02:00:00Z"},
		// now is 2026-11-22T06:00Z; 100 days before its start lies 2026-08-14T06:00Z, 10 % are 10 days
		{"Observation", "date=ap2026-08-14T06:00:00Z", "date lo<2026-08-24T06:00:00Z hi>=2026-08-04T06:00:01Z"},
		{"RiskAssessment", "probability=100", "probability lo>=995e-1 hi<1005e-1"},
		{"RiskAssessment", "probability=0.80", "probability lo>=795e-3 hi<805e-3"},
		{"RiskAssessment", "probability=1e2", "probability lo>=95e0 hi<105e0"},
		{"RiskAssessment", "probability=ne-5.0", "or(probability lo<-505e-2, probability hi>=-495e-2)"},
		{"RiskAssessment", "probability=gt100", "probability hi>=1e2+"},
		{"RiskAssessment", "probability=lt0", "probability lo<0"},
		{"RiskAssessment", "probability=ge100", "or(probability hi>=1e2+, probability lo>=1e2)"},
		{"RiskAssessment", "probability=le100", "or(probability lo<1e2, probability hi<1e2+)"},
		{"RiskAssessment", "probability=sa100", "probability lo>=1e2+"},
		{"RiskAssessment", "probability=eb100", "probability hi<1e2"},
		{"RiskAssessment", "probability=ap100", "probability lo<11e1+ hi>=9e1"},
		{"Observation", "value-quantity=gt5.4|http://unitsofmeasure.org|mg", "value-quantity[=g] hi>=54e-4+"},
		{"Observation", "value-quantity=lt5||mg", "value-quantity[|mg] lo<5e0"},
		{"Organization", "address=Main St.", "address^main st"},
		{"Patient", "name=Zhang San", "or(name^zhang san, name:py^zhangsan)"},
		{"Patient", "phonetic=x", "or(name^x, name:py^x)"},
		{"Patient", "name:exact=张三", "name=张三"},
		{"Patient", "name:contains=三", "or(name~三, name:py~三, name:cut?)"},
		{"Patient", "birthdate=1988-05", "birthdate lo>=1988-04-30T15:00:00Z hi<1988-05-31T15:00:00Z"}, // summer time in 1988
		{"Patient", "active=true", "active=true"},
		{"Patient", "deceased=true", "deceased=true"},
		{"ValueSet", "url=http://x/v|1", "url=http://x/v|1"},
		{"PlanDefinition", "depends-on=http://x/q|2", "depends-on=http://x/q|2"},
	} {
		q := query(t, r, c.typ, c.query)
		plan, err := r.Compile(q)
		if err != nil {
			t.Errorf("%s?%s: %v", c.typ, c.query, err)
			continue
		}
		if got := show(plan.Where); got != c.want {
			t.Errorf("%s?%s\n got %s\nwant %s", c.typ, c.query, got, c.want)
		}
	}
}

func TestPlanResult(t *testing.T) {
	r := testRegistry(t)
	plan, err := r.Compile(query(t, r, "Observation", "_sort=-date,subject,_id,_lastUpdated&_count=7"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Order{{"date", true}, {"subject", false}, {"_id", false}, {"_lastUpdated", false}}
	if fmt.Sprint(plan.Sort) != fmt.Sprint(want) || plan.Limit != 7 || plan.Type != "Observation" || plan.Residual != nil {
		t.Errorf("%+v", plan)
	}
	long := strings.Repeat("x", MaxValue)
	for _, c := range []struct {
		rule, query string
		residual    bool
	}{
		{"a point of short text is exact", "identifier=abc", false},
		{"a point that may be cut is not", "identifier=" + long, true},
		{"a prefix is exact", "name=abc", false},
		{"a prefix that may be cut is not", "name=" + long, true},
		{":exact compares the body", "name:exact=abc", true},
		{":contains may lie behind the cut", "name:contains=abc", true},
		{"a typed alias is exact", "general-practitioner=Practitioner/1", false},
	} {
		plan, err := r.Compile(query(t, r, "Patient", c.query))
		if err != nil || (plan.Residual != nil) != c.residual {
			t.Errorf("%s: residual %v, %v", c.rule, plan.Residual != nil, err)
		}
	}
	plan, err = r.Compile(query(t, r, "Patient", "identifier:not="+long))
	if err != nil || show(plan.Where) != "all" || plan.Residual == nil {
		t.Errorf("the inverse of a cut point is checked on every body: %s, %v", show(plan.Where), err)
	}
}

func TestTooManyAlternatives(t *testing.T) {
	r := testRegistry(t)
	ids := strings.TrimSuffix(strings.Repeat("1,", 1000), ",")
	if _, err := r.Compile(query(t, r, "Basic", "subject="+ids)); err == nil {
		t.Error("1,000 ids of any type have no plan")
	}
}
