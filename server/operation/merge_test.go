package operation

import (
	"context"
	"testing"

	"meridian/fhir/issue"
	"meridian/server/interaction"
	"meridian/server/store"
)

// post calls an operation of Patient with a body.
func post(t *testing.T, s *interaction.Service, name, body string) error {
	t.Helper()
	_, err := s.Operate(context.Background(), interaction.OperateParams{Name: name, Key: store.Key{Type: "Patient"}, Body: []byte(body)})
	return err
}

// An identifier without a value names no patient: its system alone is that of the only one who has it today.
func TestMergeIdentifierNeedsAValue(t *testing.T) {
	s := newService(t)
	put(t, s, `{"resourceType":"Patient","id":"a","identifier":[{"system":"urn:a","value":"1"}]}`, `{"resourceType":"Patient","id":"b"}`)
	for _, id := range []string{`{"system":"urn:a"}`, `{"use":"old"}`} {
		err := post(t, s, "merge", `{"resourceType":"Parameters","parameter":[{"name":"source-patient-identifier","valueIdentifier":`+id+`},
			{"name":"target-patient","valueReference":{"reference":"Patient/b"}},{"name":"preview","valueBoolean":true}]}`)
		if e := issue.As(err); e == nil || e.Issues[0].ID != "merge.identifier" {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// A number that is a country code alone is searched as it is written.
func TestMatchTakesAnyPhone(t *testing.T) {
	s := newService(t)
	for _, phone := range []string{"86", "0086", "+86", "a,b|1", "1"} {
		if err := post(t, s, "match", `{"resourceType":"Parameters","parameter":[{"name":"resource","resource":{"resourceType":"Patient","telecom":[{"system":"phone","value":"`+phone+`"}]}}]}`); err != nil {
			t.Errorf("%s: %v", phone, err)
		}
	}
}
