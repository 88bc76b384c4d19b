package inbox

import "time"

// Observer is told what happens, for metrics. Its arguments are ids of sources,
// outcomes and codes, all from small sets, never a value of a message. It is
// called from many goroutines and must not block.
type Observer interface {
	// Received: a message was stored; duplicate, when its bytes were there already.
	Received(source string, duplicate bool)
	// Refused: a message was not stored: "too-long", "store" (the store did not take it).
	Refused(source, reason string)
	// Finished: a message was worked on. outcome is that of its envelope, or
	// "retry"; code is the reason of a parked one. took is from the lease, age from the arrival.
	Finished(source, outcome, code string, took, age time.Duration)
	// Connection: an MLLP connection opened (+1) or ended (-1).
	Connection(change int)
	// ConnectionRefused: the limit of connections was reached.
	ConnectionRefused()
}

// silent is the Observer of an inbox without one.
type silent struct{}

func (silent) Received(string, bool)                                         {}
func (silent) Refused(string, string)                                        {}
func (silent) Finished(string, string, string, time.Duration, time.Duration) {}
func (silent) Connection(int)                                                {}
func (silent) ConnectionRefused()                                            {}

// Lag is the age of the oldest message that is due and has not ended, as far as
// this process knows: 0 when all is done.
func (in *Inbox) Lag() time.Duration {
	oldest, ok := in.lanes.oldest()
	if !ok {
		return 0
	}
	return max(in.clock().Sub(oldest), 0)
}
