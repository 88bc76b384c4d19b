package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"meridian/server/store"
)

// Receipts are written by the committer, in the batch of the commit that they are for:
//
//	C key                       uvarint until in ms, text hash, answer
//	X until in ms:8 key         nothing; the order in which they are swept
//
// Each commit with a receipt removes up to maxSwept whose time is over.

const maxSwept = 4

func receiptKey(key string) []byte { return append([]byte{prefixReceipt}, key...) }

func expiryKey(until time.Time, key string) []byte {
	return append(appendNumber([]byte{prefixExpiry}, uint64(until.UnixMilli())), key...)
}

func appendReceipt(b []byte, r *store.Receipt) []byte {
	return append(appendText(binary.AppendUvarint(b, uint64(r.Until.UnixMilli())), r.Hash), r.Answer...)
}

func cutReceipt(key string, b []byte) (store.Receipt, error) {
	var until uint64
	b, ok := cutUvarint(b, &until)
	var hash []byte
	if ok {
		hash, b, ok = cutText(b)
	}
	if !ok {
		return store.Receipt{}, fmt.Errorf("receipt: %w", errCorrupt)
	}
	return store.Receipt{Key: key, Hash: string(hash), Answer: append([]byte(nil), b...), Until: time.UnixMilli(int64(until)).UTC()}, nil
}

func sizeOf(r *store.Receipt) error {
	if r != nil && (len(r.Key) == 0 || len(r.Key) > store.MaxReceiptKey || len(r.Answer) > MaxBody) {
		return fmt.Errorf("a receipt with a key of %d and an answer of %d bytes: %w", len(r.Key), len(r.Answer), store.ErrTooLarge)
	}
	return nil
}

// Receipt gives a receipt whose time is not over.
func (s *Store) Receipt(_ context.Context, key string) (store.Receipt, error) {
	if !s.enter() {
		return store.Receipt{}, store.ErrClosed
	}
	defer s.leave()
	r, err := s.receipt(key)
	if err == nil && !r.Until.After(s.options.Clock()) {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Receipt{}, fmt.Errorf("receipt: %w", err)
	}
	return r, nil
}

// Receipts gives receipts whose time is not over, in the order of their keys.
func (s *Store) Receipts(ctx context.Context, from string, limit int) ([]store.Receipt, error) {
	if !s.enter() {
		return nil, store.ErrClosed
	}
	defer s.leave()
	lower := []byte{prefixReceipt}
	if from != "" {
		lower = append(receiptKey(from), 0)
	}
	iter, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: []byte{prefixReceipt + 1}})
	if err != nil {
		return nil, fmt.Errorf("receipts: %w", err)
	}
	defer iter.Close()
	var out []store.Receipt
	now := s.options.Clock()
	for iter.First(); iter.Valid() && len(out) < limit; iter.Next() {
		r, err := cutReceipt(string(iter.Key()[1:]), iter.Value())
		if err := errors.Join(err, ctx.Err()); err != nil {
			return nil, fmt.Errorf("receipts: %w", err)
		}
		if r.Until.After(now) {
			out = append(out, r)
		}
	}
	return out, iter.Error()
}

// receipt gives what stands, its time over or not; store.ErrNotFound.
func (s *Store) receipt(key string) (store.Receipt, error) {
	value, closer, err := s.db.Get(receiptKey(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return store.Receipt{}, store.ErrNotFound
	}
	if err != nil {
		return store.Receipt{}, err
	}
	defer closer.Close()
	return cutReceipt(key, value)
}

// checkReceipt looks whether one with this key stands, on all that was committed before.
func (c *committer) checkReceipt(r *store.Receipt) error {
	if r == nil {
		return nil
	}
	if c.open.receipts[r.Key] {
		c.apply()
	}
	old, err := c.store.receipt(r.Key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("receipt: %w", err)
	case old.Until.After(c.store.options.Clock()):
		return &store.ConflictError{Receipt: true}
	}
	return nil
}

// putReceipt adds a checked receipt to the open group, over one whose time is over.
func (c *committer) putReceipt(r *store.Receipt) error {
	if r == nil {
		return nil
	}
	old, err := c.store.receipt(r.Key)
	if err == nil {
		err = c.open.batch.Delete(expiryKey(old.Until, r.Key), nil)
	} else if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	if err := errors.Join(err, c.sweep(r.Key), c.open.batch.Set(receiptKey(r.Key), appendReceipt(nil, r), nil), c.open.batch.Set(expiryKey(r.Until, r.Key), nil, nil)); err != nil {
		return err
	}
	if end := expiryKey(r.Until, r.Key); string(end) < string(c.expired) {
		c.expired = end
	}
	if c.open.receipts == nil {
		c.open.receipts = map[string]bool{}
	}
	c.open.receipts[r.Key] = true
	return nil
}

// sweep removes receipts whose time is over, except that of key, and those of the open group.
func (c *committer) sweep(key string) error {
	if c.expired == nil {
		c.expired = []byte{prefixExpiry}
	}
	upper := appendNumber([]byte{prefixExpiry}, uint64(c.store.options.Clock().UnixMilli())+1)
	if string(c.expired) >= string(upper) {
		return nil
	}
	iter, err := c.store.db.NewIter(&pebble.IterOptions{LowerBound: c.expired, UpperBound: upper})
	if err != nil {
		return err
	}
	defer iter.Close()
	n := 0
	for iter.First(); iter.Valid() && n < maxSwept; iter.Next() {
		over := string(iter.Key()[1+numberLen:])
		if over == key || c.open.receipts[over] {
			continue // its X is replaced in this group
		}
		if err := errors.Join(c.open.batch.Delete(iter.Key(), nil), c.open.batch.Delete(receiptKey(over), nil)); err != nil {
			return err
		}
		c.expired = append(append(c.expired[:0], iter.Key()...), 0)
		n++
	}
	return iter.Error()
}

// noMatch runs the searches that must find nothing, on all that was committed before.
func (c *committer) noMatch(p *store.CommitParams) error {
	if len(p.NoMatch) == 0 {
		return nil
	}
	c.apply()
	written := make(map[store.Key]bool, len(p.Writes))
	for i := range p.Writes {
		written[p.Writes[i].Key] = true
	}
	for i, plan := range p.NoMatch {
		plan := *plan
		plan.Limit, plan.After, plan.Sort = min(len(written)+1, store.MaxPage), nil, nil
		page, err := c.store.search(context.Background(), &plan, MaxReadUnless)
		if err != nil {
			return fmt.Errorf("search %d that must find nothing: %w", i, err)
		}
		for _, row := range page.Rows {
			if !written[row.Key] {
				return &store.ConflictError{NoMatch: true, Index: i, Match: &row.Key}
			}
		}
	}
	return nil
}

// receipts expects each with its place in the order of their ends, and no more.
func (c *checker) receipts() error {
	n := 0
	err := c.each([]byte{prefixReceipt}, func(key, value []byte) error {
		n++
		r, err := cutReceipt(string(key[1:]), value)
		if err != nil {
			return err
		}
		return c.has(expiryKey(r.Until, r.Key), nil, "the end of a receipt", 0)
	})
	if err != nil {
		return err
	}
	ends := 0
	err = c.each([]byte{prefixExpiry}, func(_, _ []byte) error { ends++; return nil })
	if ends != n {
		c.found("%d ends of receipts, there are %d", ends, n)
	}
	return err
}
