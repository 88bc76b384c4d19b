package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The code systems that Chinese hospitals exchange, and the tables by which
// messages are mapped (mappings/maps/tables), as CodeSystem, ValueSet and
// ConceptMap: what a laboratory edits as CSV is what $translate answers.

// contentBase is the address of what has no address of its own.
const contentBase = "https://meridian.health/fhir/"

// unsigned marks rows that no terminologist has signed.
const unsigned = "unsigned"

// contentTable is one CSV file: lines that begin with `#` are comments, the first other one names the columns.
type contentTable struct {
	file      string // below the module
	id        string // of the code system and its value set
	system    string // url of the code system
	name      string
	zh, en    string // titles
	target    string // url of the code system that is mapped to; or none
	fragment  bool
	copyright string
}

const loincNotice = "This material contains content from LOINC (http://loinc.org). LOINC is copyright Regenstrief Institute, Inc. and the Logical Observation Identifiers Names and Codes (LOINC) Committee and is available at no cost under the license at http://loinc.org/license. LOINC is a registered United States trademark of Regenstrief Institute, Inc."

const (
	v3          = "http://terminology.hl7.org/CodeSystem/v3-"
	nationalOID = "urn:oid:2.16.156.10011.2.3."
)

func contentTables() []contentTable {
	china, tables := "fhir/definitions/china/", "mappings/maps/tables/"
	return []contentTable{
		{file: china + "sex.csv", id: "gbt-2261-1", system: nationalOID + "3.4", name: "GBT2261Sex", zh: "GB/T 2261.1 人的性别代码", en: "Sex", target: "http://hl7.org/fhir/administrative-gender"},
		{file: china + "marital.csv", id: "gbt-2261-2", system: nationalOID + "3.5", name: "GBT2261MaritalStatus", zh: "GB/T 2261.2 婚姻状况代码", en: "Marital status", target: v3 + "MaritalStatus"},
		{file: china + "ethnic-group.csv", id: "gb-3304", system: nationalOID + "3.3", name: "GB3304EthnicGroup", zh: "GB 3304 民族代码", en: "Ethnic group"},
		{file: china + "family-relation.csv", id: "gbt-4761", system: nationalOID + "3.8", name: "GBT4761FamilyRelation", zh: "GB/T 4761 家庭关系代码", en: "Family relation", target: v3 + "RoleCode", fragment: true},
		{file: china + "patient-kind.csv", id: "patient-kind", system: nationalOID + "1.271", name: "PatientKind", zh: "患者类型代码", en: "Kind of patient", target: v3 + "ActCode"},
		{file: china + "result.csv", id: "result", system: nationalOID + "2.38", name: "ResultCode", zh: "检查检验结果代码", en: "Result of an examination", target: v3 + "ObservationInterpretation"},
		{file: china + "ordinal-result.csv", id: "ordinal-result", system: contentBase + "CodeSystem/ordinal-result", name: "OrdinalResult", zh: "分级与定性结果", en: "Graded and two-valued results", target: v3 + "ObservationInterpretation"},
		{file: tables + "item.csv", id: "lis-item", system: contentBase + "CodeSystem/lis-item", name: "LISItem", zh: "检验项目缩写", en: "Abbreviations of laboratory items", target: "http://loinc.org", fragment: true, copyright: loincNotice},
		{file: tables + "unit.csv", id: "lis-unit", system: contentBase + "CodeSystem/lis-unit", name: "LISUnit", zh: "检验单位写法", en: "Units as laboratories print them", target: "http://unitsofmeasure.org", fragment: true},
		{file: tables + "flag.csv", id: "lis-flag", system: contentBase + "CodeSystem/lis-flag", name: "LISFlag", zh: "检验结果提示", en: "Flags as laboratories print them", target: v3 + "ObservationInterpretation", fragment: true},
	}
}

// contentRow is one row of a table, by whatever names its columns have.
type contentRow struct {
	code, display, english, parent, to, relation, unit, comment string
	signed                                                      bool
}

type contentConcept struct {
	Code        string               `json:"code"`
	Display     string               `json:"display,omitempty"`
	Designation []contentDesignation `json:"designation,omitempty"`
	Property    []contentProperty    `json:"property,omitempty"`
}

type contentDesignation struct {
	Language string `json:"language"`
	Value    string `json:"value"`
}

type contentProperty struct {
	Code         string `json:"code"`
	ValueCode    string `json:"valueCode,omitempty"`
	ValueBoolean *bool  `json:"valueBoolean,omitempty"`
}

type contentElement struct {
	Code    string          `json:"code"`
	Display string          `json:"display,omitempty"`
	Target  []contentTarget `json:"target"`
}

type contentTarget struct {
	Code        string              `json:"code"`
	Equivalence string              `json:"equivalence"`
	Comment     string              `json:"comment,omitempty"`
	DependsOn   []map[string]string `json:"dependsOn,omitempty"`
}

// readContent reads a table; rows of one code stand together in what it gives.
func readContent(root string, t *contentTable) ([]contentRow, error) {
	file, err := os.Open(filepath.Join(root, t.file))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	r := csv.NewReader(file)
	r.Comment = '#'
	records, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.file, err)
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("%s is empty", t.file)
	}
	at := map[string]int{}
	for i, name := range records[0] {
		at[name] = i
	}
	var rows []contentRow
	for _, rec := range records[1:] {
		cell := func(names ...string) string {
			for _, name := range names {
				if i, ok := at[name]; ok && rec[i] != "" {
					return rec[i]
				}
			}
			return ""
		}
		row := contentRow{code: cell("code", "from"), display: cell("display", "text"), english: cell("english"), parent: cell("parent"), to: cell("to", "loinc"),
			relation: cell("relation"), comment: cell("comment"), signed: cell("reviewedBy") != ""}
		if t.id == "lis-item" { // the unit selects the code
			row.code, row.unit, _ = strings.Cut(row.code, "@")
		}
		if row.relation == "" {
			if row.relation = "relatedto"; row.signed {
				row.relation = "equivalent"
			}
		}
		if strings.TrimSpace(row.code) != row.code || row.code == "" {
			return nil, fmt.Errorf("%s: code %q", t.file, row.code)
		}
		rows = append(rows, row)
		if serology := cell("serology"); serology != "" {
			row.to, row.comment = serology, "in reports of immunology, serology and virology"
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// resources are the code system of a table, its value set and, if it maps, its concept map.
func (t *contentTable) resources(root string) (out []json.RawMessage, err error) {
	rows, err := readContent(root, t)
	if err != nil {
		return nil, err
	}
	head := func(kind, title string) map[string]any {
		m := map[string]any{"resourceType": kind, "id": t.id, "url": contentBase + kind + "/" + t.id, "version": "2026-11", "name": t.name, "title": title,
			"status": "active", "experimental": false, "publisher": "Meridian", "description": t.zh + " (" + t.en + "). Rows with the property " + unsigned + ", or that comment, have not been signed by a terminologist."}
		if t.copyright != "" {
			m["copyright"] = t.copyright
		}
		return m
	}
	system, set := head("CodeSystem", t.zh), head("ValueSet", t.zh)
	system["url"], system["caseSensitive"], system["content"], system["valueSet"] = t.system, true, "complete", set["url"]
	if t.fragment {
		system["content"] = "fragment"
	}
	system["property"] = []map[string]string{{"code": unsigned, "description": "No terminologist has signed the row.", "type": "boolean"}, {"code": "parent", "uri": "http://hl7.org/fhir/concept-properties#parent", "type": "code"}}
	system["hierarchyMeaning"], system["language"] = "is-a", "zh-CN"
	concepts := t.concepts(rows)
	system["concept"], system["count"] = concepts, len(concepts)
	set["compose"] = map[string]any{"include": []any{map[string]string{"system": t.system}}}
	all := []map[string]any{system, set}
	if t.target != "" {
		m := head("ConceptMap", t.zh+" → "+t.target)
		m["sourceUri"] = set["url"]
		m["group"] = []any{map[string]any{"source": t.system, "target": t.target, "element": t.elements(rows)}}
		all = append(all, m)
	}
	for _, m := range all {
		raw, err := json.Marshal(m)
		if err != nil {
			return nil, err
		}
		out = append(out, raw)
	}
	return out, nil
}

func (t *contentTable) concepts(rows []contentRow) (out []contentConcept) {
	seen := map[string]bool{}
	for _, row := range rows {
		if seen[row.code] {
			continue
		}
		seen[row.code] = true
		c := contentConcept{Code: row.code, Display: row.display}
		if row.english != "" {
			c.Designation = []contentDesignation{{"en", row.english}}
		}
		if row.parent != "" {
			c.Property = append(c.Property, contentProperty{Code: "parent", ValueCode: row.parent})
		}
		if !row.signed {
			yes := true
			c.Property = append(c.Property, contentProperty{Code: unsigned, ValueBoolean: &yes})
		}
		out = append(out, c)
	}
	return out
}

func (t *contentTable) elements(rows []contentRow) (out []contentElement) {
	for _, row := range rows {
		if row.to == "" {
			continue
		}
		i := slices.IndexFunc(out, func(e contentElement) bool { return e.Code == row.code })
		if i < 0 {
			i = len(out)
			out = append(out, contentElement{Code: row.code, Display: row.display})
		}
		target := contentTarget{Code: row.to, Equivalence: row.relation, Comment: row.comment}
		if !row.signed {
			target.Comment = strings.TrimPrefix(row.comment+"; "+unsigned, "; ")
		}
		if row.unit != "" {
			target.DependsOn = []map[string]string{{"property": "http://unitsofmeasure.org", "value": row.unit}}
		}
		out[i].Target = append(out[i].Target, target)
	}
	return out
}
