package hl7v2

// structure is the grammar of one message structure: the abstract message syntax of the standard as a table.
type structure struct {
	name string
	of   []element
}

// structures are the grammars there are. A further message is a further table.
var structures = [...]structure{
	{name: "ORU_R01", of: oruR01},
	{name: "ACK", of: ack},
}

const (
	required = true
	repeats  = true
)

// oruR01 is ORU^R01 of HL7 v2.3 to 2.8.2, ch. 7.3.1, in one table: until and since say which versions have an element. The group names are
// those of 2.5 throughout, where 2.3 and 2.4 have none and 2.8 has further ones around ORC (COMMON_ORDER) and around an OBX
// below SPM, so that a mapping sees one shape.
var oruR01 = []element{
	{name: "MSH", required: required},
	{name: "SFT", repeats: repeats, since: v25},
	{name: "UAC", since: v26},
	{name: "PATIENT_RESULT", required: required, repeats: repeats, of: []element{
		{name: "PATIENT", of: oruPatient},
		{name: "ORDER_OBSERVATION", required: required, repeats: repeats, of: oruOrderObservation},
	}},
	{name: "DSC"},
}

var oruPatient = []element{
	{name: "PID", required: required},
	{name: "PD1"},
	{name: "PRT", repeats: repeats, since: v28},
	{name: "NK1", repeats: repeats, since: v231, until: v24},
	{name: "NTE", repeats: repeats},
	{name: "NK1", repeats: repeats, since: v25},
	{name: "ARV", repeats: repeats, since: v28},
	{name: "PATIENT_OBSERVATION", repeats: repeats, since: v26, of: []element{
		{name: "OBX", required: required},
		{name: "PRT", repeats: repeats, since: v27},
	}},
	{name: "VISIT", of: []element{
		{name: "PV1", required: required},
		{name: "PV2"},
		{name: "PRT", repeats: repeats, since: v28},
	}},
}

var oruOrderObservation = []element{
	{name: "ORC"},
	{name: "PRT", repeats: repeats, since: v28},
	{name: "OBR", required: required},
	{name: "NTE", repeats: repeats},
	{name: "PRT", repeats: repeats, since: v27},
	{name: "TIMING_QTY", repeats: repeats, since: v25, of: []element{
		{name: "TQ1", required: required},
		{name: "TQ2", repeats: repeats},
	}},
	{name: "CTD", since: v24},
	{name: "OBSERVATION", repeats: repeats, of: []element{
		{name: "OBX", required: required},
		{name: "PRT", repeats: repeats, since: v27},
		{name: "NTE", repeats: repeats},
	}},
	{name: "FT1", repeats: repeats, since: v24},
	{name: "CTI", repeats: repeats},
	{name: "SPECIMEN", repeats: repeats, since: v25, of: []element{
		{name: "SPM", required: required},
		{name: "OBX", repeats: repeats, anyOrder: true},
		{name: "PRT", repeats: repeats, since: v27},
	}},
}

// ack is the general acknowledgment, HL7 v2.3 to 2.8.2, ch. 2.9.2 (2.13.1 in later versions).
var ack = []element{
	{name: "MSH", required: required},
	{name: "SFT", repeats: repeats, since: v25},
	{name: "UAC", since: v26},
	{name: "MSA", required: required},
	{name: "ERR", repeats: repeats},
}
