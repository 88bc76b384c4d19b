package engine

// functions is the closed registry: all that a map may call. What a function
// reads beside its arguments is the source's configuration (zone, systems),
// never a clock, a file or a network. docs/mapping/functions.md describes each.
var functions = []function{
	// Time. HL7 v2.5.1 ch. 2.A.22 (DTM), https://hl7.org/fhir/R4/datatypes.html#dateTime
	{name: "dateTime", params: textParam, result: "dateTime", call: fnDateTime},
	{name: "instant", params: textParam, result: "instant", call: fnInstant},
	{name: "recorded", params: textParam, result: "instant", sure: true, call: fnRecorded},
	{name: "date", params: textParam, result: "date", call: fnDate},
	{name: "birthDate", params: textParam, result: "date", call: fnBirthDate},
	{name: "birthTime", params: textParam, result: "dateTime", call: fnBirthTime},
	{name: "period", params: spanParams, result: "Period", call: fnPeriod},
	{name: "effective", params: spanParams, result: "effective", choice: true, call: fnChoiceTime},
	{name: "collected", params: spanParams, result: "collected", choice: true, call: fnChoiceTime},
	{name: "occurrence", params: spanParams, result: "occurrence", choice: true, call: fnChoiceTime},

	// Results.
	{name: "obxValue", params: obxParams, result: "value", choice: true, call: fnObxValue},
	{name: "obxComponents", params: obxParams, result: "Observation.component", list: true, call: fnObxComponents},
	{name: "absent", params: obxParams, result: "CodeableConcept", call: fnAbsent},
	{name: "refRange", params: rangeParams, result: "Observation.referenceRange", list: true, call: fnRefRange},
	{name: "flag", params: flagParams, result: "CodeableConcept", list: true, call: fnFlag},
	{name: "quantity", params: []param{{name: "cq", kind: argNode}, {name: "units", kind: argTable}}, result: "Quantity", strict: true, call: fnAmount},

	// Codes.
	{name: "itemCode", params: []param{{name: "code", kind: argNode}, {name: "unit", kind: argNode, optional: true},
		{name: "name", kind: argText, optional: true}, {name: "items", kind: argTable}, {name: "units", kind: argTable},
		{name: "specimen", kind: argList, optional: true}}, result: "CodeableConcept", sure: true, call: fnItemCode},
	{name: "concept", params: []param{{name: "code", kind: argNode}}, result: "CodeableConcept", strict: true, call: fnConcept},
	{name: "concepts", params: []param{{name: "list", kind: argList}}, result: "CodeableConcept", list: true, call: fnConcepts},
	{name: "mappedConcept", params: mappedParams, result: "CodeableConcept", strict: true, call: fnMappedConcept},
	{name: "mappedCoding", params: mappedParams, result: "Coding", strict: true, call: fnMappedCoding},
	{name: "code", params: textParam, result: "code", call: fnCode},

	// People, identifiers, places. HL7 v2.5.1 ch. 2.A; https://hl7.org/fhir/R4/datatypes.html
	{name: "identifier", params: idParams, result: "Identifier", list: true, call: fnIdentifier},
	{name: "entityId", params: []param{{name: "ei", kind: argNode}, {name: "type", kind: argLiteral, optional: true}}, result: "Identifier", strict: true, call: fnEntityID},
	{name: "entityIds", params: []param{{name: "list", kind: argList}, {name: "type", kind: argLiteral, optional: true}}, result: "Identifier", list: true, call: fnEntityIDs},
	{name: "humanName", params: []param{{name: "xpn", kind: argList}}, result: "HumanName", list: true, call: fnHumanName},
	{name: "address", params: []param{{name: "xad", kind: argList}}, result: "Address", list: true, call: fnAddress},
	{name: "contactPoint", params: []param{{name: "xtn", kind: argList}, {name: "use", kind: argLiteral, optional: true}}, result: "ContactPoint", list: true, call: fnContactPoint},
	{name: "performer", params: []param{{name: "xcn", kind: argList}}, result: "Reference", list: true, call: fnPerformer},
	{name: "practitioner", params: []param{{name: "xcn", kind: argNode}}, result: "Reference", strict: true, call: fnPractitioner},
	{name: "organization", params: []param{{name: "xon", kind: argNode}}, result: "Reference", strict: true, call: fnOrganization},
	{name: "producer", params: []param{{name: "cwe", kind: argNode}}, result: "Reference", strict: true, call: fnProducer},
	{name: "device", params: []param{{name: "ei", kind: argNode}}, result: "Reference", strict: true, call: fnDevice},
	{name: "location", params: []param{{name: "pl", kind: argNode}}, result: "Reference", strict: true, call: fnLocation},
	{name: "personName", params: []param{{name: "xcn", kind: argNode}}, result: "string", strict: true, call: fnPersonName},
	{name: "deceased", params: []param{{name: "time", kind: argText}, {name: "indicator", kind: argText}}, result: "deceased", choice: true, call: fnDeceased},
	{name: "multipleBirth", params: []param{{name: "order", kind: argText}, {name: "indicator", kind: argText}}, result: "multipleBirth", choice: true, call: fnMultipleBirth},

	// Text and documents.
	{name: "text", params: textParam, result: "string", call: fnText},
	{name: "joinLines", params: []param{{name: "list", kind: argList}}, result: "string", call: fnJoinLines},
	{name: "section", params: []param{{name: "rows", kind: argList}, {name: "table", kind: argTable}, {name: "section", kind: argLiteral}}, result: "string", call: fnSection},
	{name: "reportText", params: []param{{name: "rows", kind: argList}, {name: "table", kind: argTable}}, result: "Attachment", call: fnReportText},
	{name: "attachment", params: []param{{name: "obx", kind: argNode}}, result: "Attachment", call: fnAttachment},
	{name: "senderName", params: textParam, result: "string", sure: true, call: fnSenderName},
	{name: "messageId", params: textParam, result: "string", sure: true, call: fnMessageID},
}

// Parameters that several functions share.
var (
	textParam    = []param{{name: "value", kind: argText}}
	spanParams   = []param{{name: "start", kind: argText}, {name: "end", kind: argText, optional: true}}
	mappedParams = []param{{name: "code", kind: argNode}, {name: "table", kind: argTable}, {name: "system", kind: argLiteral}}
)
