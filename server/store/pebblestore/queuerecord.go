package pebblestore

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"meridian/server/store"
)

// Keys of the queue. An id is a number as resources have them; topics have no 0.
//
//	Q i id                     record: everything but the body
//	Q b id                     body
//	Q k topic 0 key            id of the item with that key
//	Q p topic 0 due id         pending, or leased; due in microseconds
//	Q s topic 0 state id       label; state is P, D or X
//	Q c topic 0 state          uvarint, how many
const (
	queueItem    = 'i'
	queueBody    = 'b'
	queueKey     = 'k'
	queuePending = 'p'
	queueState   = 's'
	queueCount   = 'c'
)

// Stored states. A leased item is stored as pending: leases are in memory
// only, so that none outlives the process.
const (
	statePending = 'P'
	stateDone    = 'D'
	stateParked  = 'X'
)

func stateByte(s store.State) (byte, bool) {
	switch s {
	case store.Pending:
		return statePending, true
	case store.Done:
		return stateDone, true
	case store.Parked:
		return stateParked, true
	}
	return 0, false
}

func stateOf(b byte) store.State {
	switch b {
	case stateDone:
		return store.Done
	case stateParked:
		return store.Parked
	}
	return store.Pending
}

func itemKey(kind byte, id uint64) []byte {
	return appendNumber([]byte{prefixQueue, kind}, id)
}

func topicKey(kind byte, topic string) []byte {
	return append(append([]byte{prefixQueue, kind}, topic...), 0)
}

func pendingKey(topic string, due time.Time, id uint64) []byte {
	return appendNumber(appendNumber(topicKey(queuePending, topic), uint64(due.UnixMicro())), id)
}

func stateKey(topic string, state byte, id uint64) []byte {
	return appendNumber(append(topicKey(queueState, topic), state), id)
}

func itemID(id uint64) string { return fmt.Sprintf("%016x", id) }

func parseItemID(id string) (uint64, error) {
	n, err := strconv.ParseUint(id, 16, 64)
	if err != nil || len(id) != 16 {
		return 0, store.ErrNotFound
	}
	return n, nil
}

// record is a stored item without its body:
//
//	state, uvarint appended and due in microseconds, uvarint attempts, then
//	topic, key, label, note, each behind its length
type record struct {
	id                uint64
	state             byte
	appended, due     time.Time
	attempts          uint64
	topic, key, label string
	note              []byte
}

func (r *record) append(b []byte) []byte {
	b = append(b, r.state)
	for _, v := range []uint64{uint64(r.appended.UnixMicro()), uint64(r.due.UnixMicro()), r.attempts} {
		b = binary.AppendUvarint(b, v)
	}
	for _, s := range []string{r.topic, r.key, r.label} {
		b = appendText(b, s)
	}
	return append(binary.AppendUvarint(b, uint64(len(r.note))), r.note...)
}

func cutRecord(id uint64, b []byte) (*record, error) {
	r := &record{id: id}
	if len(b) == 0 {
		return nil, fmt.Errorf("item %x: %w", id, errCorrupt)
	}
	r.state, b = b[0], b[1:]
	var appended, due uint64
	ok := true
	for _, v := range []*uint64{&appended, &due, &r.attempts} {
		if ok {
			b, ok = cutUvarint(b, v)
		}
	}
	var text []byte
	for _, s := range []*string{&r.topic, &r.key, &r.label} {
		if ok {
			text, b, ok = cutText(b)
			*s = string(text)
		}
	}
	if ok {
		text, _, ok = cutText(b)
		r.note = append(r.note, text...)
	}
	if !ok {
		return nil, fmt.Errorf("item %x: %w", id, errCorrupt)
	}
	r.appended, r.due = time.UnixMicro(int64(appended)).UTC(), time.UnixMicro(int64(due)).UTC()
	return r, nil
}

func (r *record) item() store.Item {
	return store.Item{ID: itemID(r.id), Topic: r.topic, Key: r.key, State: stateOf(r.state), Label: r.label,
		Appended: r.appended, Due: r.due, Attempts: int(r.attempts), Note: r.note}
}
