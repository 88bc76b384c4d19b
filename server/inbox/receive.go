package inbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"meridian/mappings/hl7v2"
	"meridian/server/store"
)

// ErrUnknownSource: no source of that id is configured.
var ErrUnknownSource = errors.New("inbox: unknown source")

// Receipt is what taking a message gave.
type Receipt struct {
	ID        string // of the message, "" when it could not be stored
	Duplicate bool   // the same bytes were taken before; ID is the first one's
	Answer    []byte // the acknowledgment to send; nil when the sender wants none
	Code      hl7v2.AckCode
}

// Receive stores a message and gives its acknowledgment. When it returns a
// positive one the bytes are on disk. The error is for the log; the answer then
// tells the sender to send again. A message that is no HL7 v2 is stored as well,
// parked, and rejected.
func (in *Inbox) Receive(ctx context.Context, sourceID, remote string, raw []byte) (Receipt, error) {
	src := in.source(sourceID)
	if src == nil {
		return Receipt{}, ErrUnknownSource
	}
	h := hl7v2.ScanHeader(raw)
	now := in.clock()
	env := Envelope{Source: src.ID, Remote: remote, Received: now.UTC(), Control: h.ControlID}
	env.step(now, "stored", "")
	added, err := in.queue.Append(ctx, []store.NewItem{{Topic: Topic, Key: contentKey(src.ID, raw), Body: raw, Note: env.marshal()}})
	if err != nil {
		return in.answer(src, h, hl7v2.Failed, now, &hl7v2.AckError{Code: hl7v2.InternalError, Text: "消息未能保存，请重发"}), fmt.Errorf("store message: %w", err)
	}
	outcome, problem := hl7v2.Accepted, (*hl7v2.AckError)(nil)
	if !h.Found() {
		outcome, problem = hl7v2.Rejected, &hl7v2.AckError{Code: hl7v2.UnsupportedMessageType, Text: "不是 HL7 v2 消息：没有 MSH 段"}
	}
	r := in.answer(src, h, outcome, now, problem)
	r.ID, r.Duplicate = added[0].ID, added[0].Existing
	if r.Duplicate {
		in.observe("duplicate", 0)
	}
	return r, nil
}

// contentKey tells a resend of the same bytes from a new message: control ids
// alone are reused in the field.
func contentKey(source string, raw []byte) string {
	h := sha256.New()
	h.Write([]byte(source))
	h.Write([]byte{0})
	h.Write(raw)
	return hex.EncodeToString(h.Sum(nil))
}

// answer builds the acknowledgment that the sender's mode asks for: the accept
// acknowledgment in enhanced mode, the application one in original mode, since
// both say here that the message is safe.
func (in *Inbox) answer(src *Source, h hl7v2.Header, outcome hl7v2.Outcome, now time.Time, problem *hl7v2.AckError) Receipt {
	acks := h.Acks(hl7v2.AckPolicy{IgnoreMSH15: src.IgnoreAcceptField, IgnoreMSH16: src.IgnoreAcceptField})
	code, due := acks.Application(outcome)
	if acks.Enhanced {
		code, due = acks.Accept(outcome)
	}
	r := Receipt{Code: code}
	if !due {
		return r
	}
	a := hl7v2.Ack{Code: code, Time: now, ControlID: controlID()}
	if src.Zone != nil {
		a.Time = now.In(src.Zone)
	}
	if problem != nil {
		a.Errors = []hl7v2.AckError{*problem}
	}
	r.Answer = hl7v2.BuildAck(h, a)
	return r
}

// controlID makes the MSH-10 of an answer: at most 20 characters (HL7 v2.5.1 ch. 2.14.9.10).
func controlID() string {
	id := uuid.New()
	return hex.EncodeToString(id[:10])
}
