package pebblestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"meridian/server/store"
)

// errCorrupt: bytes on disk are not what this package writes.
var errCorrupt = errors.New("corrupt record")

// header stands before the body in R and V:
//
//	flags (bit 7 deleted, bit 6 purged, low bits the method)  type  uvarint version  uvarint lastUpdated in ms  uvarint length of id  id
type header struct {
	deleted bool
	purged  bool // the versions before this one are gone for good
	method  store.Method
	typ     uint32
	version uint64
	millis  int64
	id      []byte // aliases the record
}

const (
	flagDeleted = 0x80
	flagPurged  = 0x40
)

func appendHeader(b []byte, h *header, id string) []byte {
	flags := byte(h.method)
	if h.deleted {
		flags |= flagDeleted
	}
	if h.purged {
		flags |= flagPurged
	}
	b = appendNum(append(b, flags), h.typ)
	b = binary.AppendUvarint(b, h.version)
	b = binary.AppendUvarint(b, uint64(h.millis))
	b = binary.AppendUvarint(b, uint64(len(id)))
	return append(b, id...)
}

// cutHeader splits a record into its header and its body.
func cutHeader(record []byte) (h header, body []byte, err error) {
	if len(record) < 1 {
		return h, nil, fmt.Errorf("resource: %w", errCorrupt)
	}
	h.deleted, h.purged, h.method = record[0]&flagDeleted != 0, record[0]&flagPurged != 0, store.Method(record[0]&^(flagDeleted|flagPurged))
	typ, b, ok := cutNum(record[1:])
	h.typ = typ
	var millis, length uint64
	for _, v := range []*uint64{&h.version, &millis, &length} {
		if !ok {
			break
		}
		b, ok = cutUvarint(b, v)
	}
	if !ok || length > uint64(len(b)) {
		return h, nil, fmt.Errorf("resource: %w", errCorrupt)
	}
	h.millis, h.id = int64(millis), b[:length]
	return h, b[length:], nil
}

func cutUvarint(b []byte, v *uint64) (rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 {
		return nil, false
	}
	*v = n
	return b[size:], true
}

// resource copies what a record holds. The id is taken from key where the caller knows it.
func resource(typ, id string, number uint64, h *header, body []byte) store.Resource {
	r := described(typ, id, number, h)
	if !h.deleted {
		r.Body = append(make([]byte, 0, len(body)), body...)
	}
	return r
}

// described is resource without the body.
func described(typ, id string, number uint64, h *header) store.Resource {
	return store.Resource{Key: store.Key{Type: typ, ID: id}, Version: h.version, LastUpdated: time.UnixMilli(h.millis).UTC(),
		Deleted: h.deleted, Method: h.method, Number: number}
}

// change is one entry of the log: number, type, flags as in header, uvarint version, uvarint lastUpdated in ms.
type change struct {
	number  uint64
	typ     uint32
	deleted bool
	method  store.Method
	version uint64
	millis  int64
}

func appendChange(b []byte, c *change) []byte {
	flags := byte(c.method)
	if c.deleted {
		flags |= flagDeleted
	}
	b = append(appendNum(appendNumber(b, c.number), c.typ), flags)
	return binary.AppendUvarint(binary.AppendUvarint(b, c.version), uint64(c.millis))
}

func cutChange(b []byte) (c change, err error) {
	if len(b) < numberLen {
		return c, fmt.Errorf("change: %w", errCorrupt)
	}
	c.number = binary.BigEndian.Uint64(b)
	typ, b, ok := cutNum(b[numberLen:])
	if !ok || len(b) < 1 {
		return c, fmt.Errorf("change: %w", errCorrupt)
	}
	c.typ, c.deleted, c.method = typ, b[0]&flagDeleted != 0, store.Method(b[0]&^flagDeleted)
	var millis uint64
	b, ok = cutUvarint(b[1:], &c.version)
	if ok {
		_, ok = cutUvarint(b, &millis)
	}
	if !ok {
		return c, fmt.Errorf("change: %w", errCorrupt)
	}
	c.millis = int64(millis)
	return c, nil
}
