// Package inbox takes messages from hospital systems: it stores their bytes,
// acknowledges them, and then maps and commits what they say, in order for each
// patient.
//
// A message's life, each step kept in its timeline:
//
//	stored → decoded → parsed → mapped → committed
//	                                   or  parked(stage, code, path, hint)   a person can mend and replay
//	                                       unchanged   all that it says stands already
//	                                       stale       a later state of its reports stands already
//	                                       filtered    not for the record (quality control)
//
// A resend of the same bytes is no new message: it is answered again, and a
// message that stands parked is then run again.
//
// Invariants:
//
//   - The raw bytes are on disk before anything is parsed, and before the
//     sender gets a positive acknowledgment.
//   - A message is never lost: it ends in one of the states above and stays
//     readable with its bytes. One that is too long to be stored is refused,
//     its beginning is kept, and it stands parked.
//   - A message's resources are one commit (store.CommitOrdered on a store
//     without transactions; the report is last). After a crash the message runs
//     again, and since ids are deterministic and an identical write is none, it
//     ends as if nothing had happened.
//   - Messages about one patient are applied in the order of their arrival, one
//     after the other. One that fails for internal reasons is tried again, and
//     those behind it wait; one that is parked lets them pass.
//   - An older state of a report never overwrites a later one, whatever the
//     order and the number of processes: the check is part of the commit.
//   - Logs and metrics name message ids, places and codes, never values.
//
// An item of the queue (store.Queue, topic Topic): Key is the SHA-256 of source
// and bytes, Body the raw bytes, Note the Envelope as JSON
// (docs/format/messages.md). docs/interaction/messages.md says what is promised.
//
// Goroutines of one Inbox: a dispatcher that leases, reads and puts messages
// into the lanes of their patients (lanes.go); Limits.Workers that map and
// commit; one that writes down how messages ended.
package inbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"meridian/mappings/engine"
	"meridian/server/interaction"
	"meridian/server/store"
)

// Topic of messages in the work queue.
const Topic = "message"

// Ack says when a message is acknowledged.
type Ack string

const (
	// AckStored: as soon as the bytes are on disk. The default.
	AckStored Ack = "stored"
	// AckMapped: when the message has ended, AE with the reason when it is
	// parked, or when it does not end within Limits.AckTime. For a sender that
	// asks for accept acknowledgments (MSH-15), those still come at once, since they say that it is stored.
	AckMapped Ack = "mapped"
)

// Source is a sender as the configuration describes it; the zero value of every
// field works.
type Source struct {
	engine.Source
	Ack               Ack    // "" is AckStored
	Charset           string // used instead of MSH-18, for a sender that states it wrongly
	IgnoreAcceptField bool   // MSH-15 and MSH-16 do not ask for enhanced acknowledgments (Mindray BS)
	SpecimenFirst     bool   // OBX after SPM is a result of the order
}

// Options of an Inbox. Queue, Service and Library are required.
type Options struct {
	Queue   store.Queue
	Service *interaction.Service
	Library *engine.Library
	Sources []Source // the first one is the default
	Clock   func() time.Time
	Logger  *slog.Logger
	Limits  Limits
	// Observer, when not nil, is told what happens, for metrics.
	Observer Observer
}

// Limits are the bounds of the inbox; 0 means the default.
type Limits struct {
	// MessageBytes is the largest message. Default 16 MiB; a store may take less (MongoDB: 15 MiB).
	MessageBytes int
	// Workers that map and commit. Default 8.
	Workers int
	// Lease is how many messages are taken from the queue at once, and half of those in hand. Default 128.
	Lease int
	// LeaseTime is how long a taken message may stay unfinished before it is taken again, here or by another process. Default 2 minutes.
	LeaseTime time.Duration
	// Attempts after which a message that fails for internal reasons is parked. Default 8.
	Attempts int
	// RetryTime is the wait before the second attempt; each further one is twice as long, up to a minute. Default 1 second.
	RetryTime time.Duration
	// Losses is how often a message may be taken without ending, because the process ended or the lease ran out, before it is parked. Default 16.
	Losses int
	// StopTime is how long Stop lets running messages work. Default 20 seconds.
	StopTime time.Duration
	// StoreTime is how long storing a message may take before its sender is told to send it again. Default 30 seconds.
	StoreTime time.Duration
	// AckTime is how long AckMapped waits for the end of a message. Default 10 seconds.
	AckTime time.Duration
	// Connections of MLLP at once. Default 256.
	Connections int
	// IdleTime after which a silent connection is closed. Default 24 hours: analyzers are silent at night; a peer that is gone is found by TCP keep-alive.
	IdleTime time.Duration
	// ReadTime between two bytes of one message. Default 30 seconds.
	ReadTime time.Duration
	// WriteTime for one answer. Default 30 seconds.
	WriteTime time.Duration
}

func (l Limits) withDefaults() Limits {
	or(&l.MessageBytes, 16<<20)
	or(&l.Workers, 8)
	or(&l.Lease, 128)
	or(&l.LeaseTime, 2*time.Minute)
	or(&l.Attempts, 8)
	or(&l.RetryTime, time.Second)
	or(&l.Losses, 16)
	or(&l.StopTime, 20*time.Second)
	or(&l.StoreTime, 30*time.Second)
	or(&l.AckTime, 10*time.Second)
	or(&l.Connections, 256)
	or(&l.IdleTime, 24*time.Hour)
	or(&l.ReadTime, 30*time.Second)
	or(&l.WriteTime, 30*time.Second)
	return l
}

func or[T int | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// Inbox takes, maps and commits messages. Safe for concurrent use.
type Inbox struct {
	queue   store.Queue
	service *interaction.Service
	library *engine.Library
	sources map[string]*Source
	first   *Source
	clock   func() time.Time
	log     *slog.Logger
	limits  Limits
	metrics Observer

	lanes   *lanes
	holds   *holds
	waiters waiters

	stop context.CancelFunc
	done sync.WaitGroup
}

// New checks the options; Start begins the work.
func New(o Options) (*Inbox, error) {
	if o.Queue == nil || o.Service == nil || o.Library == nil {
		return nil, errors.New("inbox: Queue, Service and Library are required")
	}
	in := &Inbox{queue: o.Queue, service: o.Service, library: o.Library, clock: o.Clock, log: o.Logger,
		limits: o.Limits.withDefaults(), metrics: o.Observer, sources: map[string]*Source{}}
	if len(o.Sources) == 0 {
		o.Sources = []Source{{}}
	}
	for i := range o.Sources {
		s := &o.Sources[i]
		if s.Ack != "" && s.Ack != AckStored && s.Ack != AckMapped {
			return nil, fmt.Errorf("inbox: source %q: ack is %s or %s, not %q", s.ID, AckStored, AckMapped, s.Ack)
		}
		if s.ID == "" {
			s.ID = "default"
		}
		if in.sources[s.ID] != nil {
			return nil, fmt.Errorf("inbox: two sources are named %q", s.ID)
		}
		in.sources[s.ID] = s
	}
	in.first = &o.Sources[0]
	if in.clock == nil {
		in.clock = time.Now
	}
	if in.log == nil {
		in.log = slog.New(slog.DiscardHandler)
	}
	if in.metrics == nil {
		in.metrics = silent{}
	}
	in.lanes, in.holds = newLanes(), newHolds()
	return in, nil
}

// source finds a source by its id, the first one for "".
func (in *Inbox) source(id string) *Source {
	if id == "" {
		return in.first
	}
	return in.sources[id]
}

// Start begins to work off the queue. It is called once.
func (in *Inbox) Start() {
	ctx, stop := context.WithCancel(context.Background())
	in.stop = stop
	in.done.Add(1)
	go func() {
		defer in.done.Done()
		in.dispatch(ctx)
	}()
}

// Stop takes no more from the queue, lets the messages that are being mapped
// end, at most Limits.StopTime, and gives the others that were taken back, in
// their order.
func (in *Inbox) Stop() {
	if in.stop != nil {
		in.stop()
	}
	in.done.Wait()
}
