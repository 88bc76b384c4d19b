package engine

import (
	"strings"
	"testing"
	"testing/fstest"
)

// minimal is a map that passes; the cases below change a line of it.
const minimal = `map: test
version: 1
input: {kind: hl7v2, type: ORU_R01}
scopes:
  - {as: pr, each: msg.PATIENT_RESULT}
  - {as: oo, in: pr, each: pr.ORDER_OBSERVATION}
resources:
  - name: pat
    type: Patient
    scope: pr
    id: [pr.PATIENT.PID.f2.1]
    target:
      birthDate: {fn: date, from: pr.PATIENT.PID.f7}
  - name: obs
    type: Observation
    scope: oo
    each: {path: oo.OBSERVATION, as: o}
    when: "o.OBX.f2 == 'NM'"
    id: [oo.OBR.f3.1, o.OBX.f3.1, $dup]
    target:
      status: {lookup: status, from: o.OBX.f11, default: unknown}
      code: {choose: [{fn: concept, from: o.OBX.f3}, {value: {text: none}}]}
      subject: {ref: pat}
`

const statusTable = "from,to\nF,final\nC,corrected\n"

// load compiles maps and tables given by name.
func load(files map[string]string) (*Library, error) {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return Load(fsys)
}

func TestMinimalMapLoads(t *testing.T) {
	if _, err := load(map[string]string{"test.yaml": minimal, "tables/status.csv": statusTable}); err != nil {
		t.Fatal(err)
	}
}

// Each check names the file, the line and the column, says what is wrong and, where something is near, what was probably meant.
func TestChecks(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"not YAML", "map: test", "map: [test", `test.yaml:2:1: M001 not YAML: ',' or ']' must be specified`},
		{"unknown key", "version: 1", "version: 1\nverison: 2", `test.yaml:3:1: M001 additionalProperties 'verison' not allowed; did you mean version?`},
		{"key twice", "version: 1", "version: 1\nversion: 2", `M001`},
		{"wrong kind", "scope: pr\n", "scope: [pr]\n", `test.yaml:10:12: M001 /resources/0/scope: expected string, but got array`},
		{"anchor", "version: 1", "version: &a 1", `M001 anchors, aliases, tags and merge keys are not part of the language`},
		{"unknown operator key", "{fn: date, from: pr.PATIENT.PID.f7}", "{fn: date, form: pr.PATIENT.PID.f7}", `test.yaml:13:29: M001 Patient.birthDate: "form" is not part of an operator; did you mean from?`},
		{"unknown resource", "type: Patient", "type: Patent", `test.yaml:9:11: M010 "Patent" is not a resource type of R4; did you mean Patient?`},
		{"unknown element", "birthDate: {", "birthdate: {", `test.yaml:13:7: M010 Patient.birthdate is not an element of R4; did you mean birthDate?`},
		{"unknown union", "id: [pr.PATIENT.PID.f2.1]", "id: [pr.PATIENT.PID.f2.1]\n    union: [identifer]", `test.yaml:12:13: M010 Patient has no element identifer; did you mean identifier?`},
		{"unknown volatile", "id: [pr.PATIENT.PID.f2.1]", "id: [pr.PATIENT.PID.f2.1]\n    volatile: [issued]", `M010 Patient has no element issued`},
		{"unknown clear", "id: [pr.PATIENT.PID.f2.1]", "id: [pr.PATIENT.PID.f2.1]\n    clear: [{element: adress, from: pr.PATIENT.PID.f7}]", `M010 Patient has no element adress; did you mean address?`},
		{"union of one", "id: [pr.PATIENT.PID.f2.1]", "id: [pr.PATIENT.PID.f2.1]\n    union: [gender]", `M011 Patient.gender takes one value: there is nothing to unite`},
		{"required missing", "      status: {lookup: status, from: o.OBX.f11, default: unknown}\n", "", `test.yaml:21:7: M011 Observation.status is required by R4 and has no rule`},
		{"required left out", "default: unknown}", "onMissing: omit}", `M011 Observation.status is required by R4, but this rule can leave it out: give it a default, or park`},
		{"list into one", "birthDate: {fn: date, from: pr.PATIENT.PID.f7}", "birthDate: [{fn: date, from: pr.PATIENT.PID.f7}]", `M011 Patient.birthDate takes one value, a list stands here`},
		{"several into one", "birthDate: {fn: date, from: pr.PATIENT.PID.f7}", "maritalStatus: {fn: concepts, from: pr.PATIENT.PID.f10}", `M011 concepts can give several, Patient.maritalStatus takes one`},
		{"one into list", "birthDate: {fn: date, from: pr.PATIENT.PID.f7}", "name: {text: x}", `M011 Patient.name repeats: a list is expected`},
		{"type", "{fn: date,", "{fn: dateTime,", `test.yaml:13:19: M012 dateTime gives dateTime, Patient.birthDate is a date`},
		{"raw text", "{fn: date, from: pr.PATIENT.PID.f7}", "pr.PATIENT.PID.f7", `M012 Patient.birthDate is a date: the source's text cannot stand there unchecked; did you mean fn: date?`},
		{"constant", "{fn: date, from: pr.PATIENT.PID.f7}", "{}", `test.yaml:13:18: M012 Patient.birthDate: neither a value, nor an operator, nor an element tree`},
		{"function", "{fn: date,", "{fn: dat,", `test.yaml:13:23: M012 there is no function "dat"; did you mean date?`},
		{"argument", "{fn: date, from: pr.PATIENT.PID.f7}", "{fn: date, args: {valeu: pr.PATIENT.PID.f7}}", `M012 date has no argument "valeu"; did you mean value?`},
		{"argument missing", "{fn: date, from: pr.PATIENT.PID.f7}", "{fn: date}", `M012 date needs the argument "value"`},
		{"choice without type", "subject: {ref: pat}", "value: {fn: concept, from: o.OBX.f3}", `M010 Observation.value is not an element of R4`},
		{"choice twice", "subject: {ref: pat}", "valueString: a\n      valueInteger: 1", `test.yaml:24:7: M013 Observation.value is given twice; a choice takes one type, use value[x] or choose`},
		{"switch open", "{lookup: status, from: o.OBX.f11, default: unknown}", "{switch: {on: o.OBX.f11, cases: {F: final}}}", `M013 Observation.status is required: the switch needs a default`},
		{"required binding", "default: unknown}", "default: unkown}", `test.yaml:21:58: M014 Observation.status does not allow "unkown"; did you mean unknown?`},
		{"kept code", "default: unknown}", "onMissing: keep}", `M014 Observation.status is a code: what the sender wrote cannot stand there unchecked`},
		{"reference type", "subject: {ref: pat}", "encounter: {ref: pat}", `test.yaml:23:24: M015 Observation.encounter may not refer to a Patient; allowed: Encounter`},
		{"reference name", "{ref: pat}", "{ref: patt}", `test.yaml:23:22: M015 no resource is named "patt"; did you mean pat?`},
		{"reference to many", "birthDate: {fn: date, from: pr.PATIENT.PID.f7}", "managingOrganization: {ref: obs}", `M015 resource "obs" lies in an inner scope: there can be many, use refs`},
		{"field", "PID.f7}", "PID.f77}", `test.yaml:13:35: M020 path "pr.PATIENT.PID.f77": f77 is impossible below PATIENT_RESULT.PATIENT.PID in hl7v2 ORU_R01; did you mean f7?`},
		{"group", "each: pr.ORDER_OBSERVATION", "each: pr.ORDER_OBSERVATIONS", `test.yaml:6:28: M020 path "pr.ORDER_OBSERVATIONS": no record has ORDER_OBSERVATIONS; did you mean ORDER_OBSERVATION?`},
		{"variable", "from: o.OBX.f11", "from: p.OBX.f11", `M020 path "p.OBX.f11" does not begin with a scope variable`},
		{"scope", "    scope: oo\n", "    scope: ooo\n", `M020 scope "ooo" is not declared above; did you mean oo?`},
		{"out of scope", "birthDate: {fn: date, from: pr.PATIENT.PID.f7}", "implicitRules: oo.OBR.f3", `M020 "oo.OBR.f3" looks like a path, but oo is not visible here`},
		{"input", "type: ORU_R01", "type: ORU_R99", `test.yaml:3:28: M020 there is no grammar for input hl7v2 ORU_R99`},
		{"ignored place", "resources:\n", "ignore: [{reason: x, places: [OBX.g1]}]\nresources:\n", `M020 no record has "g1"`},
		{"repeats", "{fn: date, from: pr.PATIENT.PID.f7}", "{fn: date, from: pr.PATIENT.PID.f3.1}", `test.yaml:13:35: M021 path "pr.PATIENT.PID.f3.1" can repeat: say each, an index, or a filter`},
		{"repeating key", "id: [pr.PATIENT.PID.f2.1]", "id: [pr.PATIENT.PID.f3.1]", `M021 path "pr.PATIENT.PID.f3.1" can repeat`},
		{"condition syntax", "o.OBX.f2 == 'NM'", "o.OBX.f2 === 'NM'", `test.yaml:18:11: M022 condition: 1:6: Syntax error: token recognition error at: '= '`},
		{"condition type", "o.OBX.f2 == 'NM'", "o.OBX.f2 == 1", `M022 condition: 1:4: found no matching overload for '_==_' applied to '(string, int)'`},
		{"condition result", "o.OBX.f2 == 'NM'", "o.OBX.f2 + 'NM'", `M022 condition: it gives string, not true or false`},
		{"condition path", "o.OBX.f2 == 'NM'", "o.OBX.f99 == 'NM'", `M020 path "o.OBX.f99"`},
		{"where of one", "subject: {ref: pat}", "subject: {ref: pat, where: \"o.OBX.f2 == 'NM'\"}", `M022 resource "pat" is made once: there is nothing to choose from`},
		{"table", "lookup: status,", "lookup: statsu,", `test.yaml:21:24: M030 there is no table "statsu"; did you mean status?`},
		{"column", "default: unknown}", "column: t, default: unknown}", `M030 table "status" has no column "t"; did you mean to?`},
		{"missing said", ", default: unknown}", "}", `M030 say what happens when the table does not know the code: onMissing: park, omit or keep, or default`},
		{"constant key", "id: [pr.PATIENT.PID.f2.1]", "id: [person, pr.PATIENT.PID.f2.1]", `test.yaml:11:9: M040 the first part of the id of "pat" is constant: it must come from the record, since without it there is no id`},
		{"key without each", "id: [oo.OBR.f3.1, o.OBX.f3.1, $dup]", "id: [oo.OBR.f3.1, $dup]", `M040 "obs" is made for each of oo.OBSERVATION, but no part of its id reads the variable of that: all would be one`},
		{"key without scope", "id: [pr.PATIENT.PID.f2.1]", "id: [msg.MSH.f10]", `M040 no part of the id of "pat" reads scope pr: all of the message would be one`},
		{"dup twice", "o.OBX.f3.1, $dup]", "o.OBX.f3.1, $dup, $dup]", `M040 $dup stands more than once`},
		{"shadow", "as: o}", "as: oo}", `test.yaml:17:38: M050 variable "oo" is missing or shadows another`},
		{"two names", "name: obs", "name: pat", `M050 two resources are named "pat"`},
		{"constant condition", "o.OBX.f2 == 'NM'", "'a' == 'a'", `test.yaml:18:11: M050 the condition does not depend on the record: it always or never holds`},
		{"dead choice", "{fn: concept, from: o.OBX.f3}, {value: {text: none}}", "{value: {text: none}}, {fn: concept, from: o.OBX.f3}", `M050 Observation.code: what stands above always writes, this never does`},
		{"partial", "subject: {ref: pat}", "category: [{partial: cat, with: {x: o.OBX}}]", `M050 there is no partial "cat"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(minimal, c.old, c.new, 1)
			if text == minimal {
				t.Fatalf("the case changes nothing: %q", c.old)
			}
			_, err := load(map[string]string{"test.yaml": text, "tables/status.csv": statusTable})
			if err == nil {
				t.Fatal("the map loads")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %s\ngot\n%v", c.want, err)
			}
		})
	}
}

// Tables are checked where they stand.
func TestTableChecks(t *testing.T) {
	for _, c := range []struct{ name, file, text, want string }{
		{"no header", "tables/x.csv", "", "tables/x.csv:1:1: M030 no header line"},
		{"no key", "tables/x.csv", "a,b\n1,2\n", "tables/x.csv:1:1: M030 the header has no column `from`"},
		{"key twice", "tables/x.csv", "from,to\nA,1\nA,2\n", `tables/x.csv:3:1: M030 key "A" stands twice`},
		{"short row", "tables/x.csv", "from,to\nA\n", "tables/x.csv:2:1: M030 a row of 2 columns is expected"},
		{"LOINC", "tables/x.csv", "from,loinc\nALT,1742-7\n", `tables/x.csv:2:1: M030 "1742-7" is no LOINC code: its check digit is wrong`},
		{"UCUM", "tables/unit.csv", "from,to\nx,10*9//L\n", `tables/unit.csv:2:1: M030 "10*9//L" is not in the syntax of UCUM`},
		{"UCUM of items", "tables/x.csv", "from,units\nALT,U/L;m[IU\n", `tables/x.csv:2:1: M030 "m[IU" is not in the syntax of UCUM`},
		{"status not allowed", "tables/status.csv", "from,to\nF,finished\n", `test.yaml:21:16: M014 table "status" gives finished, which Observation.status does not allow`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load(map[string]string{"test.yaml": minimal, "tables/status.csv": statusTable, c.file: c.text})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %s\ngot %v", c.want, err)
			}
		})
	}
}

// A layer changes its map and nothing else; what it names must be there.
func TestLayers(t *testing.T) {
	layer := "map: site\nversion: 1\nextends: test\n"
	for _, c := range []struct{ name, text, want string }{
		{"unknown map", strings.Replace(layer, "extends: test", "extends: tset", 1), `site.yaml:3:10: M050 there is no map "tset" to extend; did you mean test?`},
		{"unknown place", layer + "set:\n  resources.obz.id: [oo.OBR.f3.1]\n", `site.yaml:5:3: M050 the map has no resources.obz; did you mean obs?`},
		{"unknown table", layer + "tables: {statsu: status}\n", `site.yaml:4:10: M030 there is no table "statsu"; did you mean status?`},
		{"checked like a map", layer + "set:\n  resources.pat.target.birthdate: x\n", `site.yaml:5:35: M010 Patient.birthdate is not an element of R4; did you mean birthDate?`},
		{"key of the layer", layer + "sets: {}\n", `M001`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load(map[string]string{"test.yaml": minimal, "site.yaml": c.text, "tables/status.csv": statusTable})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %s\ngot %v", c.want, err)
			}
		})
	}
	good := layer + "tables: {status: mine}\nset:\n  resources.pat.target.active: true\n  resources.pat.target.birthDate: null\nadd:\n  filters: [{when: \"msg.MSH.f16 == '2'\", rule: qc}]\n"
	l, err := load(map[string]string{"test.yaml": minimal, "site.yaml": good, "tables/status.csv": statusTable, "tables/mine.csv": "from,to\nok,final\n"})
	if err != nil {
		t.Fatal(err)
	}
	raw := "MSH|^~\\&|||||||ORU^R01|1|P|2.5\rPID|1|P1|||||19491231\rOBR|1||R1\rOBX|1|NM|A||1||||||ok"
	tr, _ := tree([]byte(raw))
	m := l.Find(Input{"hl7v2", "ORU_R01"})
	for layer, want := range map[string]string{"": `"birthDate":"1949-12-31"}`, "site": `"active":true}`} {
		res, err := m.Run(tr, &Source{Layer: layer}, benchTime)
		if err != nil || !strings.HasSuffix(string(res.Resources[0].JSON), want) {
			t.Errorf("layer %q: %v %s", layer, err, res.Resources[0].JSON)
		}
		if status := map[string]string{"": "unknown", "site": "final"}[layer]; !strings.Contains(string(res.Resources[1].JSON), `"status":"`+status+`"`) {
			t.Errorf("layer %q: %s", layer, res.Resources[1].JSON)
		}
	}
}
