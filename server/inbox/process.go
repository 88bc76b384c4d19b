package inbox

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"meridian/fhir/issue"
	"meridian/mappings/engine"
	"meridian/mappings/hl7v2"
	"meridian/mappings/source"
	"meridian/server/interaction"
	"meridian/server/store"
)

// work is one message on its way.
type work struct {
	item    store.Item
	env     Envelope
	src     *Source
	tree    *source.Tree
	input   engine.Input
	park    *engine.Park
	started time.Time
}

// dispatch leases messages in the order of their arrival, reads them, and hands
// each to the worker of its patient, so that messages about one patient keep
// their order and others run beside them.
func (in *Inbox) dispatch(ctx context.Context) {
	seed := maphash.MakeSeed()
	results := make(chan store.Result, in.limits.Lease)
	var workers, finisher sync.WaitGroup
	lanes := make([]chan *work, in.limits.Workers)
	for i := range lanes {
		lanes[i] = make(chan *work, in.limits.Lease)
		workers.Add(1)
		go func() {
			defer workers.Done()
			for w := range lanes[i] {
				results <- in.process(w)
			}
		}()
	}
	finisher.Add(1)
	go func() { defer finisher.Done(); in.finish(results) }()
	for ctx.Err() == nil {
		items, err := in.queue.Lease(ctx, Topic, in.limits.Lease, in.limits.LeaseTime)
		if err != nil && ctx.Err() == nil {
			in.log.Error("lease messages", "error", err)
			pause(ctx, time.Second)
			continue
		}
		for i := range items {
			w := in.read(&items[i])
			lanes[maphash.String(seed, in.lane(w))%uint64(len(lanes))] <- w
		}
		if len(items) == 0 {
			if err := in.queue.Wait(ctx, Topic); err != nil && ctx.Err() == nil {
				in.log.Error("wait for messages", "error", err)
				pause(ctx, time.Second)
			}
		}
	}
	for _, l := range lanes {
		close(l)
	}
	workers.Wait()
	close(results)
	finisher.Wait()
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// finish writes the results of the workers, as many as are there in one commit.
func (in *Inbox) finish(results <-chan store.Result) {
	for first := range results {
		batch := []store.Result{first}
	more:
		for len(batch) < in.limits.Lease {
			select {
			case r, ok := <-results:
				if !ok {
					break more
				}
				batch = append(batch, r)
			default:
				break more
			}
		}
		// Not the dispatcher's context: what was done must be written down in an orderly stop.
		if err := in.queue.Finish(context.Background(), batch); err != nil {
			in.log.Error("finish messages", "count", len(batch), "error", err) // the lease runs out and they run again
		}
	}
}

// read decodes and parses a message; what cannot be read goes on as parked.
func (in *Inbox) read(item *store.Item) *work {
	w := &work{item: *item, started: in.clock()}
	env, err := readEnvelope(item.Note)
	if err != nil {
		w.park = &engine.Park{Stage: "stored", Code: "envelope.unreadable", Hint: "the message's envelope cannot be read", HintZH: "消息信封无法读取"}
		return w
	}
	w.env = env
	w.env.Parked, w.env.Findings, w.env.Unmapped = nil, nil, nil
	if w.src = in.source(env.Source); w.src == nil {
		w.park = &engine.Park{Stage: "stored", Code: "source.unknown", Hint: "the source is not configured any more", HintZH: "来源未配置"}
		return w
	}
	w.park = w.parse(in.limits.MessageBytes)
	return w
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
			w.env.Findings = append(w.env.Findings, engine.Finding{Code: f.Code, Path: f.Place, Text: f.Detail})
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

// lane is the key whose messages stay in order: the patient as PID-3 names him.
func (in *Inbox) lane(w *work) string {
	if w.tree == nil {
		return w.item.ID
	}
	if s := patientKey(w.tree.Root()); s != "" {
		return w.src.ID + "|" + s
	}
	return w.item.ID
}

// patientKey finds the first PID-3.1 of the record.
func patientKey(n source.Node) string {
	for c := n.First(); c.Valid(); c = c.Next() {
		if c.Name() == "PID" {
			return c.F(3).C(1).Raw()
		}
		if !strings.HasPrefix(c.Name(), "f") {
			if s := patientKey(c); s != "" {
				return s
			}
		}
	}
	return ""
}

// process maps and commits one message and says how its item ends.
func (in *Inbox) process(w *work) store.Result {
	outcome, err := in.apply(w)
	now := in.clock()
	res := store.Result{ID: w.item.ID, Lease: w.item.Lease, State: store.Done, Label: outcome}
	var park *engine.Park
	switch {
	case errors.As(err, &park):
		w.env.Parked = &Parked{Stage: park.Stage, Code: park.Code, Path: park.Path, Hint: park.Hint, HintZH: park.HintZH}
		res.State, res.Label, outcome = store.Parked, park.Code, "parked"
		in.log.Warn("message parked", "message", w.item.ID, "source", w.env.Source, "stage", park.Stage, "code", park.Code, "path", park.Path)
	case err != nil && w.item.Attempts < in.limits.Attempts:
		res.State, res.Label, outcome = store.Pending, "retry", "retry"
		res.Due = now.Add(backoff(w.item.Attempts))
		in.log.Error("message will be tried again", "message", w.item.ID, "attempt", w.item.Attempts, "error", err)
	case err != nil:
		w.env.Parked = &Parked{Stage: "commit", Code: "internal", Hint: "it failed for internal reasons more often than the limit; see the log", HintZH: "内部错误，重试次数已用完"}
		res.State, res.Label, outcome = store.Parked, "internal", "parked"
		in.log.Error("message parked", "message", w.item.ID, "code", "internal", "error", err)
	}
	w.env.Outcome = outcome
	detail := ""
	if w.env.Parked != nil {
		detail = w.env.Parked.Code
	}
	w.env.step(now, outcome, detail)
	res.Note = w.env.marshal()
	in.observe(outcome, now.Sub(w.started))
	return res
}

// backoff is 1 s, 2 s, 4 s … at most a minute.
func backoff(attempt int) time.Duration {
	return min(time.Second<<min(attempt, 6), time.Minute)
}

// apply maps the message and commits what it says.
func (in *Inbox) apply(w *work) (outcome string, err error) {
	if w.park != nil {
		return "", w.park
	}
	m := in.library.Find(w.input)
	if m == nil {
		return "", &engine.Park{Stage: "map", Code: "map.missing", Path: "MSH[1].9", Hint: "there is no map for this message type", HintZH: "没有该消息类型的映射"}
	}
	res, err := m.Run(w.tree, &w.src.Source, w.env.Received)
	if res != nil {
		w.env.Map = res.Map
		w.env.Findings, w.env.Unmapped = append(w.env.Findings, res.Findings...), res.Unmapped
	}
	if err != nil {
		return "", err
	}
	if res.Filtered != "" {
		w.env.step(in.clock(), "filtered", res.Filtered)
		return "filtered", nil
	}
	w.env.Resources = len(res.Resources)
	return in.commit(context.Background(), w, res)
}

// commit writes the resources of the fresh scopes in one commit.
func (in *Inbox) commit(ctx context.Context, w *work, res *engine.Result) (string, error) {
	stale, err := in.staleScopes(ctx, res)
	if err != nil {
		return "", err
	}
	puts := make([]interaction.Put, 0, len(res.Resources))
	for i := range res.Resources {
		o := &res.Resources[i]
		if stale.all || stale.scope[o.Scope] {
			continue
		}
		puts = append(puts, interaction.Put{Key: store.Key{Type: o.Type, ID: o.ID}, Revise: func(current *store.Resource) ([]byte, bool, error) {
			body, keep := revise(current.Body, o)
			return body, keep, nil
		}})
	}
	if len(puts) == 0 {
		return "stale", nil
	}
	results, err := in.service.Apply(ctx, puts)
	if e := issue.As(err); e != nil {
		return "", invalid(e)
	}
	if err != nil {
		return "", err
	}
	w.env.Written = 0
	for _, r := range results {
		if r.Effect != interaction.Unchanged {
			w.env.Written++
		}
	}
	if w.env.Written == 0 {
		return "unchanged", nil
	}
	return "committed", nil
}

// invalid parks a message whose resources R4 does not allow; the first issue says where.
func invalid(e *issue.Error) *engine.Park {
	is := e.Issues[0]
	return &engine.Park{Stage: "validate", Code: "resource." + string(is.Code), Path: is.Expression, Hint: is.Text, HintZH: "生成的资源不符合 FHIR R4"}
}
