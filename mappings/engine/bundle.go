package engine

// Bundle gives the result as one transaction of PUTs, in order: what a client
// would send to have the same effect on an empty record. The bytes are shared
// with the resources and must not be changed; a result without resources is an empty transaction.
// https://hl7.org/fhir/R4/http.html#transaction
func (r *Result) Bundle() []byte {
	if r.bundle == nil {
		return []byte(bundleHead + "}")
	}
	return r.bundle
}

const bundleHead = `{"resourceType":"Bundle","type":"transaction"`

// appendEntryHead opens the entry of a resource: the resource follows, then appendEntryTail.
func appendEntryHead(b []byte, id string, first bool) []byte {
	if first {
		b = append(b, bundleHead+`,"entry":[`...)
	} else {
		b = append(b, ',')
	}
	b = append(b, `{"fullUrl":"urn:uuid:`...)
	return append(append(b, id...), `","resource":`...)
}

func appendEntryTail(b []byte, typ, id string) []byte {
	b = append(b, `,"request":{"method":"PUT","url":"`...)
	return append(append(append(append(b, typ...), '/'), id...), `"}}`...)
}
