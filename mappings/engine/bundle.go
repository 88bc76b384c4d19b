package engine

// Bundle gives the result as one transaction of PUTs, in order: what a client
// would send to have the same effect on an empty record.
// https://hl7.org/fhir/R4/http.html#transaction
func (r *Result) Bundle() []byte {
	n := 64
	for i := range r.Resources {
		n += len(r.Resources[i].JSON) + 160
	}
	b := append(make([]byte, 0, n), `{"resourceType":"Bundle","type":"transaction"`...)
	for i := range r.Resources {
		o := &r.Resources[i]
		if i == 0 {
			b = append(b, `,"entry":[`...)
		} else {
			b = append(b, ',')
		}
		b = append(b, `{"fullUrl":"urn:uuid:`...)
		b = append(append(b, o.ID...), `","resource":`...)
		b = append(append(b, o.JSON...), `,"request":{"method":"PUT","url":"`...)
		b = append(append(append(append(b, o.Type...), '/'), o.ID...), `"}}`...)
	}
	if len(r.Resources) > 0 {
		b = append(b, ']')
	}
	return append(b, '}')
}
