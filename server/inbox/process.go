package inbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"meridian/mappings/engine"
	"meridian/mappings/hl7v2"
	"meridian/mappings/source"
	"meridian/server/store"
)

// work is one message on its way.
type work struct {
	item  store.Item
	env   Envelope
	src   *Source
	tree  *source.Tree
	input engine.Input
	park  *engine.Park

	started time.Time
	until   time.Time // end of the lease
	lanes   []string  // of its patients
	heads   int       // lanes in which it is first; of lanes.go
}

// read decodes and parses a message; what cannot be read goes on as parked.
func (in *Inbox) read(item *store.Item, until time.Time) *work {
	w := &work{item: *item, started: in.clock(), until: until, lanes: []string{item.ID}}
	env, err := readEnvelope(item.Note)
	if err != nil {
		w.park = &engine.Park{Stage: "stored", Code: "envelope.unreadable", Hint: "the message's envelope cannot be read", HintZH: "消息信封无法读取"}
		return w
	}
	w.env = env
	w.env.Parked, w.env.Findings, w.env.Unmapped, w.env.Unread, w.env.Lanes = nil, nil, nil, nil, nil
	w.env.Outcome, w.env.Resources, w.env.Written = "", 0, 0
	w.src = in.source(env.Source)
	switch {
	case w.src == nil:
		w.park = &engine.Park{Stage: "stored", Code: "source.unknown", Hint: "the source is not configured any more", HintZH: "来源未配置"}
	case env.Refused != "":
		w.park = &engine.Park{Stage: "stored", Code: "message." + env.Refused, Hint: "the message was refused, only its beginning was kept", HintZH: "消息超过长度限制，已拒收，仅保留开头部分"}
	case item.Attempts-1-env.Leases >= in.limits.Losses:
		w.park = &engine.Park{Stage: "internal", Code: "internal.losses", Hint: "it was taken again and again without coming to an end; see the log", HintZH: "多次处理均未完成，请查看日志"}
	default:
		in.guard(w, func() error {
			if w.park = w.parse(in.limits.MessageBytes); w.park == nil {
				w.findLanes()
			}
			return nil
		})
	}
	return w
}

// guard runs a part of the work on a message; where the program fails on it,
// that message is parked and the others go on.
func (in *Inbox) guard(w *work, f func() error) (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		// The value may quote the message; a run-time error tells of numbers and types only.
		what := fmt.Sprintf("%T", p)
		if e, ok := p.(runtime.Error); ok {
			what = e.Error()
		}
		in.log.Error("the program failed on a message", "message", w.item.ID, "panic", what, "stack", string(debug.Stack()))
		w.park = &engine.Park{Stage: "internal", Code: "internal.panic", Hint: "the program failed on this message; the log says where", HintZH: "程序处理该消息时出错，请查看日志"}
		err = w.park
	}()
	return f()
}

// parse goes from bytes to the record tree.
func (w *work) parse(limit int) *engine.Park {
	d, err := hl7v2.Decode(w.item.Body, hl7v2.DecodeOptions{Override: w.src.Charset, MaxBytes: limit})
	if err != nil {
		return parkError("decode", err, "字符集无法识别，请检查 MSH-18 或来源的字符集设置")
	}
	w.env.Declared, w.env.Charset = d.Declared, string(d.Used)
	m, err := hl7v2.Parse(d.Text, hl7v2.ParseOptions{})
	if err != nil {
		return parkError("parse", err, "不是可解析的 HL7 v2 消息")
	}
	h := hl7v2.HeaderOf(m)
	w.env.Type, w.env.Version, w.env.Control = h.Code+"^"+h.Event, h.Version, h.ControlID
	w.env.Sender = strings.Trim(m.Header().Field(3).Raw()+"/"+m.Header().Field(4).Raw(), "/")
	g := hl7v2.GroupMessage(m, hl7v2.GroupOptions{SpecimenFirst: w.src.SpecimenFirst})
	for _, list := range [...][]hl7v2.Finding{d.Findings, m.Findings, g.Findings} {
		for _, f := range list {
			w.env.Findings = append(w.env.Findings, Finding{Code: f.Code, Path: f.Place, Text: f.Detail})
		}
	}
	w.tree = source.FromV2(m, g)
	w.input = engine.Input{Kind: "hl7v2", Type: g.Structure}
	return nil
}

// parkError turns an error of hl7v2 into the reason why the message stands still.
func parkError(stage string, err error, hintZH string) *engine.Park {
	p := &engine.Park{Stage: stage, Code: stage + ".failed", Hint: err.Error(), HintZH: hintZH}
	var e *hl7v2.Error
	if errors.As(err, &e) {
		p.Code, p.Hint = e.Code, fmt.Sprintf("%s (byte %d)", e.Detail, e.Offset)
	}
	return p
}

// findLanes names the patients of a message, each by a hash of source and
// number. A message that names none has a lane of its own.
func (w *work) findLanes() {
	var keys []string
	for n := w.tree.Root().First(); n.Valid(); n = n.Next() {
		keys = patientNumbers(keys, n, 0)
	}
	if len(keys) == 0 {
		return
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	for i, k := range keys {
		sum := sha256.Sum256([]byte(w.src.ID + "\x00" + k))
		keys[i] = hex.EncodeToString(sum[:8])
	}
	w.lanes = keys
}

// maxGroupDepth is how deep patients are looked for; PATIENT_RESULT.PATIENT.PID is the deepest.
const maxGroupDepth = 4

// patientNumbers adds the number of every patient below n: PID-3.1 of the first
// identifier, else PID-2.1, as the maps name a patient.
func patientNumbers(keys []string, n source.Node, depth int) []string {
	name := n.Name()
	switch {
	case name == "PID":
		k := n.F(3).C(1).Raw()
		if k == "" {
			k = n.F(2).C(1).Raw()
		}
		if k != "" {
			keys = append(keys, k)
		}
		return keys
	case n.Leaf() || depth == maxGroupDepth || name == "ORDER_OBSERVATION":
		return keys
	}
	for c := n.First(); c.Valid(); c = c.Next() {
		keys = patientNumbers(keys, c, depth+1)
	}
	return keys
}

// process maps and commits one message and says how its item ends.
func (in *Inbox) process(ctx context.Context, w *work) ending {
	var outcome string
	err := in.guard(w, func() (err error) {
		outcome, err = in.apply(ctx, w)
		return err
	})
	now := in.clock()
	res := store.Result{ID: w.item.ID, Lease: w.item.Lease, State: store.Done, Label: outcome}
	var park *engine.Park
	switch {
	case errors.As(err, &park):
		in.log.Warn("message parked", "message", w.item.ID, "source", w.env.Source, "stage", park.Stage, "code", park.Code, "path", place(park.Path))
	case err != nil && w.env.Failures+1 < in.limits.Attempts:
		return in.again(w, now, err)
	case err != nil:
		park = &engine.Park{Stage: "internal", Code: "internal", Hint: "it failed for internal reasons more often than the limit; see the log", HintZH: "内部错误，重试次数已用完"}
		in.log.Error("message parked", "message", w.item.ID, "code", park.Code, "error", err)
	}
	if park != nil {
		w.env.Parked = parked(park)
		res.State, res.Label, outcome = store.Parked, park.Code, "parked"
	}
	in.holds.release(w.lanes, w.item.ID)
	w.env.Outcome, w.env.Failures, w.env.Leases = outcome, 0, w.item.Attempts
	detail := ""
	if park != nil {
		detail = park.Code
	}
	w.env.step(now, outcome, detail)
	res.Note = w.env.marshal()
	in.metrics.Finished(w.env.Source, outcome, detail, now.Sub(w.started), now.Sub(w.item.Appended))
	return ending{res, w}
}

// again puts a message back that failed for internal reasons; those behind it
// wait for it.
func (in *Inbox) again(w *work, now time.Time, err error) ending {
	in.log.Error("message will be tried again", "message", w.item.ID, "failures", w.env.Failures+1, "error", err)
	due := now.Add(in.backoff(w.env.Failures)).Truncate(time.Millisecond)
	in.holds.set(w.lanes, hold{w.item.ID, due})
	w.env.Failures++
	w.env.Lanes = w.lanes
	w.env.step(now, "retry", "")
	in.metrics.Finished(w.env.Source, "retry", "", now.Sub(w.started), now.Sub(w.item.Appended))
	return w.later(labelRetry, due)
}

// maxRetryTime bounds the wait between two attempts.
const maxRetryTime = time.Minute

// backoff is RetryTime, doubled with each failure.
func (in *Inbox) backoff(failures int) time.Duration {
	return min(in.limits.RetryTime<<min(failures, 16), maxRetryTime)
}

// apply maps the message and commits what it says.
func (in *Inbox) apply(ctx context.Context, w *work) (outcome string, err error) {
	res, outcome, err := in.mapped(w)
	if err != nil || outcome != "" {
		return outcome, err
	}
	return in.commit(ctx, w, res)
}

// mapped runs the message's map. An outcome that is not empty is the message's end.
func (in *Inbox) mapped(w *work) (res *engine.Result, outcome string, err error) {
	if w.park != nil {
		return nil, "", w.park
	}
	m := in.library.Find(w.input)
	if m == nil {
		return nil, "", &engine.Park{Stage: "map", Code: "map.missing", Path: "MSH[1].9", Hint: "there is no map for this message type", HintZH: "没有该消息类型的映射"}
	}
	res, err = m.Run(w.tree, &w.src.Source, w.env.Received)
	if res != nil {
		w.env.ran(res)
	}
	if err != nil {
		return nil, "", err
	}
	if res.Filtered != "" {
		w.env.step(in.clock(), "filtered", res.Filtered)
		return nil, "filtered", nil
	}
	return res, "", nil
}
