//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// The made population: one transaction bundle a patient, of about 72 resources: 1 Patient, 2 Encounters, 60 Observations (blood
// count, metabolic panel, lipids, urine, vital signs with a blood pressure of two components; a follow-up), 7 DiagnosticReports that
// name their results, 1 to 3 Conditions. References inside a bundle are urn:uuid, every entry is a POST. The same seed and number
// give the same bytes. No real person is described.

const gateSeed = 20261122

// item is a measured quantity: LOINC code, name, unit, range, decimals.
type item struct {
	code, name, unit string
	low, high        float64
	decimals         int
}

var bloodCount = []item{
	{"6690-2", "Leukocytes [#/volume] in Blood", "10*3/uL", 4, 10, 1}, {"789-8", "Erythrocytes [#/volume] in Blood", "10*6/uL", 4.1, 5.6, 2},
	{"718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", 12, 17, 1}, {"4544-3", "Hematocrit [Volume Fraction] of Blood", "%", 36, 50, 1},
	{"787-2", "MCV [Entitic volume]", "fL", 80, 100, 1}, {"785-6", "MCH [Entitic mass]", "pg", 27, 33, 1}, {"786-4", "MCHC [Mass/volume]", "g/dL", 32, 36, 1},
	{"777-3", "Platelets [#/volume] in Blood", "10*3/uL", 150, 400, 0}, {"770-8", "Neutrophils/100 leukocytes in Blood", "%", 40, 75, 1},
	{"736-9", "Lymphocytes/100 leukocytes in Blood", "%", 20, 45, 1}, {"5905-5", "Monocytes/100 leukocytes in Blood", "%", 2, 10, 1},
	{"713-8", "Eosinophils/100 leukocytes in Blood", "%", 0, 6, 1}, {"706-2", "Basophils/100 leukocytes in Blood", "%", 0, 2, 1},
}

var metabolic = []item{
	{"2345-7", "Glucose [Mass/volume] in Serum or Plasma", "mg/dL", 70, 99, 1}, {"3094-0", "Urea nitrogen [Mass/volume] in Serum or Plasma", "mg/dL", 7, 20, 1},
	{"2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "mg/dL", .6, 1.3, 2}, {"98979-8", "GFR/1.73 sq M.predicted", "mL/min/{1.73_m2}", 60, 120, 0},
	{"2951-2", "Sodium [Moles/volume] in Serum or Plasma", "mmol/L", 136, 145, 0}, {"2823-3", "Potassium [Moles/volume] in Serum or Plasma", "mmol/L", 3.5, 5.1, 2},
	{"2075-0", "Chloride [Moles/volume] in Serum or Plasma", "mmol/L", 98, 107, 0}, {"2028-9", "Carbon dioxide, total [Moles/volume]", "mmol/L", 22, 29, 0},
	{"17861-6", "Calcium [Mass/volume] in Serum or Plasma", "mg/dL", 8.6, 10.3, 1}, {"2885-2", "Protein [Mass/volume] in Serum or Plasma", "g/dL", 6.4, 8.3, 1},
	{"1751-7", "Albumin [Mass/volume] in Serum or Plasma", "g/dL", 3.5, 5.2, 1}, {"1975-2", "Bilirubin.total [Mass/volume]", "mg/dL", .2, 1.2, 2},
	{"6768-6", "Alkaline phosphatase [Enzymatic activity/volume]", "U/L", 40, 129, 0}, {"1742-6", "Alanine aminotransferase [Enzymatic activity/volume]", "U/L", 7, 56, 0},
	{"1920-8", "Aspartate aminotransferase [Enzymatic activity/volume]", "U/L", 8, 48, 0},
}

var lipids = []item{
	{"2093-3", "Cholesterol [Mass/volume] in Serum or Plasma", "mg/dL", 100, 200, 0}, {"2571-8", "Triglyceride [Mass/volume] in Serum or Plasma", "mg/dL", 30, 150, 0},
	{"2085-9", "Cholesterol in HDL [Mass/volume]", "mg/dL", 40, 90, 0}, {"13457-7", "Cholesterol in LDL [Mass/volume] by calculation", "mg/dL", 50, 130, 0},
}

var otherBlood = []item{
	{"4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "%", 4, 5.6, 1}, {"3016-3", "Thyrotropin [Units/volume]", "m[IU]/L", .4, 4.5, 2},
	{"1988-5", "C reactive protein [Mass/volume]", "mg/L", 0, 5, 1}, {"3084-1", "Urate [Mass/volume] in Serum or Plasma", "mg/dL", 3.5, 7.2, 1},
}

var urine = []item{
	{"5803-2", "pH of Urine by Test strip", "[pH]", 5, 8, 1}, {"5811-5", "Specific gravity of Urine by Test strip", "{ratio}", 1.005, 1.03, 3},
	{"5792-7", "Glucose [Mass/volume] in Urine by Test strip", "", 0, 0, 0}, {"20454-5", "Protein [Presence] in Urine by Test strip", "", 0, 0, 0},
	{"2514-8", "Ketones [Presence] in Urine by Test strip", "", 0, 0, 0},
}

var vitals = []item{
	{"8867-4", "Heart rate", "/min", 60, 100, 0}, {"8310-5", "Body temperature", "Cel", 36.1, 37.5, 1}, {"9279-1", "Respiratory rate", "/min", 12, 20, 0},
	{"59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry", "%", 95, 100, 0}, {"29463-7", "Body weight", "kg", 45, 95, 1},
	{"8302-2", "Body height", "cm", 150, 190, 0}, {"39156-5", "Body mass index (BMI) [Ratio]", "kg/m2", 18.5, 24.9, 1},
}

var diagnoses = [][2]string{{"44054006", "Diabetes mellitus type 2"}, {"38341003", "Hypertensive disorder"}, {"55822004", "Hyperlipidemia"},
	{"235595009", "Gastroesophageal reflux disease"}, {"195967001", "Asthma"}, {"271737000", "Anemia"}, {"40930008", "Hypothyroidism"}, {"90560007", "Gout"}}

var (
	familyNames = strings.Fields("Abbott Baker Becker Carter Chan Cohen Diaz Dubois Evans Fischer Garcia Gomez Hansen Hughes Ibrahim Jansen Kaur Khan Kim Larsen Lopez Martin Meyer Mori Murphy Novak Olsen Park Patel Quinn Reyes Rossi Sato Silva Singh Tanaka Torres Tran Vogel Weber Zhang 王 李 张 陈 刘")
	givenNames  = strings.Fields("Ada Ahmed Anna Ben Carlos Chloe David Elena Emil Fatima Felix Grace Hana Hugo Ivan Jonas Julia Kenji Leila Leo Lucia Marco Mei Noah Nora Olga Omar Paul Priya Ravi Rosa Sara Wei Yuna Zoe")
)

// chart writes one patient's bundle.
type chart struct {
	r       *rand.Rand
	out     []byte
	entries int
	patient string
	visit   string // the Encounter of what follows
	at      time.Time
}

// patientBundle is the bundle of patient i, and how many resources are in it.
func patientBundle(i int) (bundle []byte, resources int) {
	c := &chart{r: chartRandom(i)}
	c.out = append(make([]byte, 0, 90<<10), `{"resourceType":"Bundle","type":"transaction","entry":[`...)
	c.person(i)
	c.at = time.Date(2023, 1, 2, 8, 0, 0, 0, time.UTC).AddDate(0, 0, c.r.IntN(700)).Add(time.Duration(c.r.IntN(32)) * 15 * time.Minute)
	c.encounter("185349003", "Encounter for check up")
	c.bloodPressure()
	for _, v := range vitals {
		c.observation("vital-signs", v)
	}
	c.report("58410-2", "CBC panel - Blood by Automated count", bloodCount)
	c.report("24323-8", "Comprehensive metabolic 2000 panel - Serum or Plasma", metabolic)
	c.report("57698-3", "Lipid panel with direct LDL - Serum or Plasma", lipids)
	c.report("11502-2", "Laboratory report", otherBlood)
	c.report("24356-8", "Urinalysis complete panel - Urine", urine)
	for n, first := 1+c.r.IntN(3), c.r.IntN(len(diagnoses)); n > 0; n-- {
		c.condition(diagnoses[(first+n)%len(diagnoses)])
	}
	c.at = c.at.AddDate(0, 0, 60+c.r.IntN(140))
	c.encounter("390906007", "Follow-up encounter")
	c.bloodPressure()
	c.observation("vital-signs", vitals[0])
	c.observation("vital-signs", vitals[4])
	c.report("11502-2", "Laboratory report", []item{metabolic[0], metabolic[2], metabolic[13], otherBlood[0]})
	c.report("57698-3", "Lipid panel with direct LDL - Serum or Plasma", lipids)
	return append(c.out, "]}"...), c.entries
}

func chartRandom(i int) *rand.Rand { return rand.New(rand.NewPCG(gateSeed, uint64(i))) }

// add writes an entry and gives its fullUrl.
func (c *chart) add(typ string, resource []byte) string {
	url := fmt.Sprintf("urn:uuid:%08x-%04x-4%03x-8%03x-%012x", c.r.Uint32(), c.r.Uint32()&0xffff, c.r.Uint32()&0xfff, c.r.Uint32()&0xfff, c.r.Uint64()&0xffffffffffff)
	if c.entries++; c.entries > 1 {
		c.out = append(c.out, ',')
	}
	c.out = fmt.Appendf(c.out, `{"fullUrl":%q,"resource":%s,"request":{"method":"POST","url":%q}}`, url, resource, typ)
	return url
}

func (c *chart) stamp(after time.Duration) string {
	return c.at.Add(after).Format("2006-01-02T15:04:05+00:00")
}

func (c *chart) person(i int) {
	gender := [2]string{"female", "male"}[c.r.IntN(2)]
	born := time.Date(1936, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, c.r.IntN(365*70)).Format("2006-01-02")
	c.patient = c.add("Patient", fmt.Appendf(nil, `{"resourceType":"Patient","active":true,"identifier":[{"use":"usual","type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR","display":"Medical Record Number"}],"text":"Medical Record Number"},"system":"urn:oid:2.999.1.1","value":"MRN%07d"}],"name":[{"use":"official","family":%q,"given":[%q]}],"telecom":[{"system":"phone","value":"555-%04d","use":"mobile"}],"gender":%q,"birthDate":%q,"address":[{"use":"home","line":["%d Main Street"],"city":"Springfield","postalCode":"01103","country":"US"}],"maritalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-MaritalStatus","code":"M","display":"Married"}],"text":"Married"}}`,
		i, familyNames[c.r.IntN(len(familyNames))], givenNames[c.r.IntN(len(givenNames))], c.r.IntN(10000), gender, born, 1+c.r.IntN(998)))
}

func (c *chart) encounter(code, name string) {
	c.visit = c.add("Encounter", fmt.Appendf(nil, `{"resourceType":"Encounter","status":"finished","class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB","display":"ambulatory"},"type":[{"coding":[{"system":"http://snomed.info/sct","code":%q,"display":%q}],"text":%q}],"subject":{"reference":%q},"period":{"start":%q,"end":%q}}`,
		code, name, name, c.patient, c.stamp(0), c.stamp(3*time.Hour)))
}

func (c *chart) observation(category string, it item) string {
	c.at = c.at.Add(time.Minute + time.Duration(c.r.IntN(40))*time.Second)
	return c.add("Observation", c.value(category, it, ""))
}

// value is an Observation of the chart's patient and visit; members, when not empty, stand first in it.
func (c *chart) value(category string, it item, members string) []byte {
	title := "Laboratory"
	if category == "vital-signs" {
		title = "Vital Signs"
	}
	b := fmt.Appendf(nil, `{"resourceType":"Observation",%s"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":%q,"display":%q}]}],"code":{"coding":[{"system":"http://loinc.org","code":%q,"display":%q}],"text":%q},"subject":{"reference":%q},`,
		members, category, title, it.code, it.name, it.name, c.patient)
	if c.visit != "" {
		b = fmt.Appendf(b, `"encounter":{"reference":%q},`, c.visit)
	}
	b = fmt.Appendf(b, `"effectiveDateTime":%q,"issued":%q,`, c.stamp(0), c.stamp(45*time.Minute))
	if it.unit == "" {
		code, name := "260385009", "Negative"
		if c.r.IntN(7) == 0 {
			code, name = "10828004", "Positive"
		}
		return fmt.Appendf(b, `"valueCodeableConcept":{"coding":[{"system":"http://snomed.info/sct","code":%q,"display":%q}],"text":%q}}`, code, name, name)
	}
	v := max(it.low*.5, (it.low+it.high)/2+c.r.NormFloat64()*(it.high-it.low)/4)
	flag, meaning := "N", "Normal"
	switch {
	case v < it.low:
		flag, meaning = "L", "Low"
	case v > it.high:
		flag, meaning = "H", "High"
	}
	const quantity = `{"value":%.*f,"unit":%q,"system":"http://unitsofmeasure.org","code":%q}`
	return fmt.Appendf(b, `"valueQuantity":`+quantity+`,"interpretation":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation","code":%q,"display":%q}]}],"referenceRange":[{"low":`+quantity+`,"high":`+quantity+`}]}`,
		it.decimals, v, it.unit, it.unit, flag, meaning, it.decimals, it.low, it.unit, it.unit, it.decimals, it.high, it.unit, it.unit)
}

func (c *chart) bloodPressure() {
	const part = `{"code":{"coding":[{"system":"http://loinc.org","code":%q,"display":%q}],"text":%q},"valueQuantity":{"value":%d,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}`
	sys, dia := "Systolic blood pressure", "Diastolic blood pressure"
	c.add("Observation", fmt.Appendf(nil, `{"resourceType":"Observation","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs","display":"Vital Signs"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"85354-9","display":"Blood pressure panel with all children optional"}],"text":"Blood pressure"},"subject":{"reference":%q},"encounter":{"reference":%q},"effectiveDateTime":%q,"issued":%q,"component":[`+part+","+part+"]}",
		c.patient, c.visit, c.stamp(0), c.stamp(45*time.Minute), "8480-6", sys, sys, 90+c.r.IntN(70), "8462-4", dia, dia, 55+c.r.IntN(45)))
}

func (c *chart) report(code, name string, items []item) {
	var results []string
	for _, it := range items {
		results = append(results, fmt.Sprintf(`{"reference":%q}`, c.observation("laboratory", it)))
	}
	c.add("DiagnosticReport", fmt.Appendf(nil, `{"resourceType":"DiagnosticReport","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0074","code":"LAB","display":"Laboratory"}]}],"code":{"coding":[{"system":"http://loinc.org","code":%q,"display":%q}],"text":%q},"subject":{"reference":%q},"encounter":{"reference":%q},"effectiveDateTime":%q,"issued":%q,"result":[%s]}`,
		code, name, name, c.patient, c.visit, c.stamp(0), c.stamp(time.Hour), strings.Join(results, ",")))
}

func (c *chart) condition(d [2]string) {
	const coding = `{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-%s","code":%q}]}`
	c.add("Condition", fmt.Appendf(nil, `{"resourceType":"Condition","clinicalStatus":`+coding+`,"verificationStatus":`+coding+`,"category":[`+coding+`],"code":{"coding":[{"system":"http://snomed.info/sct","code":%q,"display":%q}],"text":%q},"subject":{"reference":%q},"encounter":{"reference":%q},"onsetDateTime":%q,"recordedDate":%q}`,
		"clinical", "active", "ver-status", "confirmed", "category", "encounter-diagnosis", d[0], d[1], d[1], c.patient, c.visit, c.at.AddDate(0, 0, -30-c.r.IntN(3000)).Format("2006-01-02"), c.stamp(0)))
}

// singleObservation is Observation i of a run of single writes, of patient i/60.
func singleObservation(i int) []byte { return revisedObservation(i, 0, "") }

// revisedObservation is revision n of it: only the measured value differs. id is the resource's, empty in what is to be created.
func revisedObservation(i, n int, id string) []byte {
	c := &chart{r: rand.New(rand.NewPCG(gateSeed+uint64(n)+1, uint64(i))), patient: fmt.Sprintf("Patient/p%07d", i/60), visit: fmt.Sprintf("Encounter/v%07d", i/30)}
	c.at = time.Date(2024, 1, 2, 8, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Minute)
	members := ""
	if id != "" {
		members = fmt.Sprintf(`"id":%q,`, id)
	}
	return c.value("laboratory", metabolic[i%len(metabolic)], members)
}
