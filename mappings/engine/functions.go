package engine

// functions is the closed registry: all that a map may call. What a function
// reads beside its arguments is the source's configuration (zone, systems),
// never a clock, a file or a network.
var functions = []function{
	// Time. HL7 v2.5.1 ch. 2.A.21 (DTM), https://hl7.org/fhir/R4/datatypes.html#dateTime
	{name: "dateTime", params: []param{{name: "value", kind: argText}}, result: "dateTime", call: fnDateTime},
	{name: "instant", params: []param{{name: "value", kind: argText}}, result: "instant", call: fnInstant},
	{name: "recorded", params: []param{{name: "value", kind: argText}}, result: "instant", call: fnRecorded},
	{name: "effective", params: []param{{name: "value", kind: argText}}, result: "effective", choice: true, call: fnChoiceDateTime},
	{name: "collected", params: []param{{name: "value", kind: argText}}, result: "collected", choice: true, call: fnChoiceDateTime},
	{name: "date", params: []param{{name: "value", kind: argText}}, result: "date", call: fnDate},

	// Results. Research notes 2.2 to 2.6 are repeated in docs/mapping/functions.md.
	{name: "obxValue", params: []param{{name: "obx", kind: argNode}, {name: "units", kind: argTable}}, result: "value", choice: true, call: fnObxValue},
	{name: "refRange", params: []param{{name: "text", kind: argText}, {name: "unit", kind: argNode, optional: true},
		{name: "units", kind: argTable}, {name: "sex", kind: argText, optional: true}}, result: "Observation.referenceRange", list: true, call: fnRefRange},
	{name: "flag", params: []param{{name: "list", kind: argList}, {name: "table", kind: argTable}}, result: "CodeableConcept", list: true, call: fnFlag},
	{name: "absent", params: []param{{name: "obx", kind: argNode}}, result: "CodeableConcept", call: fnAbsent},
	{name: "itemCode", params: []param{{name: "code", kind: argNode}, {name: "unit", kind: argNode, optional: true},
		{name: "name", kind: argText, optional: true}, {name: "items", kind: argTable}, {name: "units", kind: argTable},
		{name: "specimen", kind: argList, optional: true}}, result: "CodeableConcept", call: fnItemCode},
	{name: "concept", params: []param{{name: "code", kind: argNode}}, result: "CodeableConcept", call: fnConcept},
	{name: "attachment", params: []param{{name: "data", kind: argNode}}, result: "Attachment", call: fnAttachment},

	// People, identifiers, places. HL7 v2.5.1 ch. 2.A; https://hl7.org/fhir/R4/datatypes.html
	{name: "identifier", params: []param{{name: "cx", kind: argList}, {name: "type", kind: argLiteral, optional: true}}, result: "Identifier", list: true, call: fnIdentifier},
	{name: "entityId", params: []param{{name: "ei", kind: argNode}, {name: "type", kind: argLiteral, optional: true}}, result: "Identifier", call: fnEntityID},
	{name: "humanName", params: []param{{name: "xpn", kind: argList}}, result: "HumanName", list: true, call: fnHumanName},
	{name: "address", params: []param{{name: "xad", kind: argList}}, result: "Address", list: true, call: fnAddress},
	{name: "contactPoint", params: []param{{name: "xtn", kind: argList}, {name: "use", kind: argLiteral, optional: true}}, result: "ContactPoint", list: true, call: fnContactPoint},
	{name: "performer", params: []param{{name: "xcn", kind: argList}}, result: "Reference", list: true, call: fnPerformer},

	// Text.
	{name: "text", params: []param{{name: "value", kind: argText}}, result: "string", call: fnText},
	{name: "code", params: []param{{name: "value", kind: argText}}, result: "code", call: fnCode},
	{name: "senderName", params: []param{{name: "value", kind: argText}}, result: "string", call: fnSenderName},
	{name: "messageId", params: []param{{name: "value", kind: argText}}, result: "string", call: fnMessageID},
	{name: "joinLines", params: []param{{name: "list", kind: argList}}, result: "string", call: fnJoinLines},
}
