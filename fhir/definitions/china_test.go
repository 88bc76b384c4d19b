package definitions

import (
	"encoding/json"
	"strings"
	"testing"

	"meridian/fhir/codec"
)

type testSystem struct {
	URL, Content string
	Count        int
	Concept      []testConcept
}

type testConcept struct {
	Code, Display string
	Concept       []testConcept
	Property      []struct {
		Code, ValueCode string
		ValueBoolean    *bool
	}
}

func readSystem(t *testing.T, s *Set, url string) (testSystem, map[string]testConcept) {
	t.Helper()
	raw, err := s.Resource("CodeSystem", url)
	if err != nil {
		t.Fatal(err)
	}
	var cs testSystem
	if err := json.Unmarshal(raw, &cs); err != nil {
		t.Fatal(err)
	}
	all := map[string]testConcept{}
	var add func([]testConcept)
	add = func(of []testConcept) {
		for _, c := range of {
			all[c.Code] = c
			add(c.Concept)
		}
	}
	add(cs.Concept)
	return cs, all
}

// Numbers and names of the standards that the tables are named after.
func TestChineseCodeSystems(t *testing.T) {
	var s Set
	for url, want := range map[string]struct {
		n     int
		codes map[string]string
	}{
		"urn:oid:2.16.156.10011.2.3.3.4":                         {4, map[string]string{"0": "未知的性别", "1": "男性", "2": "女性", "9": "未说明的性别"}},
		"urn:oid:2.16.156.10011.2.3.3.5":                         {8, map[string]string{"10": "未婚", "20": "已婚", "90": "未说明的婚姻状况"}},
		"urn:oid:2.16.156.10011.2.3.3.3":                         {58, map[string]string{"01": "汉族", "05": "维吾尔族", "56": "基诺族", "97": "其他"}},
		"urn:oid:2.16.156.10011.2.3.3.8":                         {51, map[string]string{"01": "本人", "51": "父亲", "63": "外祖父"}},
		"urn:oid:2.16.156.10011.2.3.1.271":                       {5, map[string]string{"3": "住院", "4": "体检"}},
		"urn:oid:2.16.156.10011.2.3.2.38":                        {3, map[string]string{"1": "正常"}},
		"https://meridian.health/fhir/CodeSystem/lis-item":       {-1, map[string]string{"WBC": "白细胞计数", "ALT": ""}},
		"https://meridian.health/fhir/CodeSystem/ordinal-result": {8, map[string]string{"neg": "阴性"}},
	} {
		cs, all := readSystem(t, &s, url)
		if cs.Count != len(all) || want.n >= 0 && len(all) != want.n {
			t.Errorf("%s: %d concepts, its count is %d, want %d", url, len(all), cs.Count, want.n)
		}
		for code, display := range want.codes {
			if c, ok := all[code]; !ok || display != "" && c.Display != display {
				t.Errorf("%s: %q is %q, want %q", url, code, c.Display, display)
			}
		}
		for _, c := range all {
			marked := false
			for _, p := range c.Property {
				if _, ok := all[p.ValueCode]; p.Code == "parent" && !ok {
					t.Errorf("%s: the parent of %q is no code", url, c.Code)
				}
				marked = marked || p.Code == "unsigned" && p.ValueBoolean != nil && *p.ValueBoolean
			}
			if !marked {
				t.Errorf("%s: %q is not marked, though nobody has signed it", url, c.Code)
			}
		}
	}
}

// What the tables map to is in the official code systems, what they map from in their own.
func TestContentMapsToWhatThereIs(t *testing.T) {
	var s Set
	own := 0
	for e := range s.Entries("ConceptMap") {
		if !strings.HasPrefix(e.URL, "https://meridian.health/") {
			continue
		}
		own++
		raw, err := s.JSON(e)
		if err != nil {
			t.Fatal(err)
		}
		var m struct {
			Copyright string
			Group     []struct {
				Source, Target string
				Element        []struct {
					Code   string
					Target []struct{ Code, Equivalence string }
				}
			}
		}
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		_, from := readSystem(t, &s, m.Group[0].Source)
		var to map[string]testConcept
		if target := m.Group[0].Target; strings.HasPrefix(target, "http://terminology") || strings.HasPrefix(target, "http://hl7.org") {
			_, to = readSystem(t, &s, target)
		} else if target == "http://loinc.org" && !strings.Contains(m.Copyright, "Regenstrief") {
			t.Error("LOINC codes without their notice")
		}
		for _, x := range m.Group[0].Element {
			if _, ok := from[x.Code]; !ok {
				t.Errorf("%s: %q is no code", e.URL, x.Code)
			}
			for _, y := range x.Target {
				if _, ok := to[y.Code]; to != nil && !ok {
					t.Errorf("%s: %q of %q is no code of %s", e.URL, y.Code, x.Code, m.Group[0].Target)
				}
			}
		}
	}
	if own != 9 {
		t.Errorf("%d concept maps", own)
	}
}

// Every resource of the tables is one of R4.
func TestContentIsR4(t *testing.T) {
	var s Set
	p := codec.NewParser(codec.Options{})
	n := 0
	for e := range s.Entries("") {
		raw, err := s.JSON(e)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(raw), `"publisher":"Meridian"`) {
			continue
		}
		n++
		if _, err := p.Parse(raw); err != nil {
			t.Errorf("%s: %v", e.URL, err)
		}
	}
	if n != 29 {
		t.Errorf("%d resources", n)
	}
}
