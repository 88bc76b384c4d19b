package inbox

import (
	"bytes"
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
// parked, and rejected. raw is not kept.
func (in *Inbox) Receive(ctx context.Context, sourceID, remote string, raw []byte) (Receipt, error) {
	src := in.source(sourceID)
	if src == nil {
		return Receipt{}, ErrUnknownSource
	}
	now := in.clock()
	a := answering{in: in, src: src, header: hl7v2.ScanHeader(raw), raw: raw, now: now}
	env := Envelope{Source: src.ID, Remote: remote, Received: now.UTC(), Control: a.header.ControlID}
	env.step(now, "stored", "")
	added, err := in.append(ctx, contentKey(src.ID, raw), raw, &env)
	switch {
	case errors.Is(err, store.ErrTooLarge):
		return in.Refuse(ctx, src.ID, remote, raw[:min(len(raw), refusedHead)], fmt.Sprintf("%d bytes are more than the store takes", len(raw)))
	case err != nil:
		in.metrics.Refused(src.ID, "store")
		return a.receipt(hl7v2.Failed, &hl7v2.AckError{Code: hl7v2.InternalError, Text: "消息未能保存，请重发"}), fmt.Errorf("store message: %w", err)
	}
	in.metrics.Received(src.ID, added.Existing)
	if added.Existing {
		if err := in.runAgain(ctx, added.ID); err != nil {
			in.log.Error("run a parked message again that was sent again", "message", added.ID, "error", err)
		}
	}
	var r Receipt
	switch {
	case !a.header.Found():
		r = a.receipt(hl7v2.Rejected, &hl7v2.AckError{Code: hl7v2.UnsupportedMessageType, Text: "不是 HL7 v2 消息：没有 MSH 段"})
	case src.Ack == AckMapped && a.waits():
		r = a.mapped(ctx, added.ID)
	default:
		r = a.receipt(hl7v2.Accepted, nil)
	}
	r.ID, r.Duplicate = added.ID, added.Existing
	return r, nil
}

// append puts one message into the queue.
func (in *Inbox) append(ctx context.Context, key string, body []byte, env *Envelope) (store.Appended, error) {
	ctx, cancel := context.WithTimeout(ctx, in.limits.StoreTime)
	defer cancel()
	added, err := in.queue.Append(ctx, []store.NewItem{{Topic: Topic, Key: key, Body: body, Note: env.marshal()}})
	if err != nil {
		return store.Appended{}, err
	}
	return added[0], nil
}

// runAgain makes a message pending that stands parked and was sent again: its
// sender wants it applied, and a map or table may have been mended.
func (in *Inbox) runAgain(ctx context.Context, id string) error {
	it, err := in.queue.Get(ctx, id)
	if err != nil || it.State != store.Parked {
		return err
	}
	if env, err := readEnvelope(it.Note); err != nil || env.Refused != "" {
		return err
	}
	return in.queue.Requeue(ctx, []string{id})
}

// refusedHead is how much of a refused message is kept, in bytes.
const refusedHead = 4096

// Refuse answers a message that is too long to be stored and keeps its
// beginning, which stands parked as message.too-long until its sender's limit
// or ours is changed. why is for the log, without values.
func (in *Inbox) Refuse(ctx context.Context, sourceID, remote string, head []byte, why string) (Receipt, error) {
	src := in.source(sourceID)
	if src == nil {
		return Receipt{}, ErrUnknownSource
	}
	now := in.clock()
	a := answering{in: in, src: src, header: hl7v2.ScanHeader(head), raw: head, now: now}
	env := Envelope{Source: src.ID, Remote: remote, Received: now.UTC(), Control: a.header.ControlID, Refused: "too-long"}
	env.step(now, "refused", why)
	r := a.receipt(hl7v2.Rejected, &hl7v2.AckError{Code: hl7v2.InternalError, Text: "消息超过长度限制，未接收"})
	in.metrics.Refused(src.ID, "too-long")
	added, err := in.append(ctx, contentKey(src.ID+"\x00refused", head), bytes.Clone(head), &env)
	if err != nil {
		in.log.Error("message refused: too long", "source", src.ID, "remote", remote, "why", why)
		return r, fmt.Errorf("store the beginning of a refused message: %w", err)
	}
	in.log.Error("message refused: too long", "source", src.ID, "remote", remote, "why", why, "message", added.ID)
	r.ID, r.Duplicate = added.ID, added.Existing
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

// controlID makes the MSH-10 of an answer: at most 20 characters (HL7 v2.5.1 ch. 2.14.9.10).
func controlID() string {
	id := uuid.New()
	return hex.EncodeToString(id[:10])
}

// answering builds the one answer of a message.
type answering struct {
	in      *Inbox
	src     *Source
	header  hl7v2.Header
	raw     []byte
	now     time.Time
	charset string // that was found; "" where the message was not read
}

func (a *answering) acks() hl7v2.Acks {
	return a.header.Acks(hl7v2.AckPolicy{IgnoreMSH15: a.src.IgnoreAcceptField, IgnoreMSH16: a.src.IgnoreAcceptField})
}

// waits says whether the answer tells how the message ended: not where an accept
// acknowledgment is asked for, nor where no answer is.
func (a *answering) waits() bool {
	acks := a.acks()
	for _, o := range [...]hl7v2.Outcome{hl7v2.Accepted, hl7v2.Failed} {
		if _, due := acks.Accept(o); due {
			return false
		}
	}
	_, good := acks.Application(hl7v2.Accepted)
	_, bad := acks.Application(hl7v2.Failed)
	return good || bad
}

// mapped waits for the end of a message and answers with it.
func (a *answering) mapped(ctx context.Context, id string) Receipt {
	v, err := a.in.outcome(ctx, id)
	a.charset = v.charset
	switch {
	case errors.Is(err, errUnfinished):
		return a.receipt(hl7v2.Failed, &hl7v2.AckError{Code: hl7v2.RecordLocked, Text: "消息已保存，尚未处理完毕；重发可查询结果"})
	case err != nil:
		a.in.log.Error("wait for the end of a message", "message", id, "error", err)
		return a.receipt(hl7v2.Failed, &hl7v2.AckError{Code: hl7v2.InternalError, Text: "消息已保存，处理结果未知；重发可查询结果"})
	case v.parked != nil:
		return a.receipt(hl7v2.Failed, parkedError(v.parked))
	}
	return a.receipt(hl7v2.Accepted, nil)
}

// receipt gives the acknowledgment that the sender's mode asks for. In original
// mode the application acknowledgment. In enhanced mode the accept
// acknowledgment where one is due, else the application acknowledgment: there is
// one answer on the connection, and no other way back to the sender.
func (a *answering) receipt(outcome hl7v2.Outcome, problem *hl7v2.AckError) Receipt {
	acks := a.acks()
	code, due := acks.Accept(outcome)
	if !due {
		if app, appDue := acks.Application(outcome); appDue || !acks.Enhanced {
			code, due = app, appDue
		}
	}
	r := Receipt{Code: code}
	if !due {
		return r
	}
	ack := hl7v2.Ack{Code: code, Time: a.now, ControlID: controlID()}
	if a.src.Zone != nil {
		ack.Time = a.now.In(a.src.Zone)
	}
	if problem != nil {
		ack.Errors = []hl7v2.AckError{*problem}
		ack.Charset = a.answerCharset()
	}
	r.Answer = hl7v2.BuildAck(a.header, ack)
	return r
}

// answerCharset is the charset of the message, for the texts of an answer.
func (a *answering) answerCharset() hl7v2.Charset {
	if !a.header.Found() {
		return hl7v2.UTF8 // what garbage begins with is no charset
	}
	if a.charset != "" {
		return hl7v2.Charset(a.charset)
	}
	if d, err := hl7v2.Decode(a.raw, hl7v2.DecodeOptions{Override: a.src.Charset}); err == nil {
		return d.Used
	}
	cs, _ := hl7v2.LookupCharset(a.header.Charset)
	return cs
}
