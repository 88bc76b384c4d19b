package transfer

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"meridian/server/store"
)

// maxList is how many items or receipts are listed at once.
const maxList = 1000

// copyReceipts copies the receipts that the target does not have.
func (m *migrator) copyReceipts() error {
	done := 0
	for after := ""; ; {
		page, err := m.From.Receipts(m.ctx, after, maxList)
		if err != nil {
			return fmt.Errorf("receipts of the source: %w", err)
		}
		if len(page) == 0 {
			return nil
		}
		err = m.each(len(page), func(i int) error {
			if _, err := m.To.Receipt(m.ctx, page[i].Key); err == nil {
				return nil // compared in the end
			}
			return m.To.Commit(m.ctx, store.CommitParams{Receipt: &page[i]})
		})
		if err != nil {
			return fmt.Errorf("copy receipts: %w", err)
		}
		done, after = done+len(page), page[len(page)-1].Key
		m.step(CopyingReceipt, done, done)
	}
}

// copyQueue copies the items that follow those that the target has.
func (m *migrator) copyQueue() error {
	topics, err := m.From.Queue().Topics(m.ctx)
	if err != nil {
		return fmt.Errorf("topics of the source: %w", err)
	}
	for _, topic := range topics {
		if err := m.copyTopic(topic); err != nil {
			return fmt.Errorf("topic %s: %w", topic, err)
		}
	}
	return nil
}

// itemIDs gives the ids of a topic's items, the oldest first.
func (m *migrator) itemIDs(q store.Queue, topic string) ([]string, error) {
	var ids []string
	for after := ""; ; {
		page, err := q.List(m.ctx, store.ListParams{Topic: topic, After: after, Limit: maxList})
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			slices.Reverse(ids)
			return ids, nil
		}
		for i := range page {
			ids = append(ids, page[i].ID)
		}
		after = page[len(page)-1].ID
	}
}

func (m *migrator) copyTopic(topic string) error {
	from, to, err := m.bothIDs(topic)
	if err != nil {
		return err
	}
	if len(to) > len(from) {
		return fmt.Errorf("%w: it has %d items, the source %d", ErrNotACopy, len(to), len(from))
	}
	for n := range to {
		if d, err := m.itemDiffers(from[n], to[n]); err != nil || d != "" {
			return errorOr(err, "%w: item %s: %s", ErrNotACopy, to[n], d)
		}
	}
	items, size := make([]store.Item, 0, maxList), 0
	for n := len(to); n < len(from); n++ {
		it, err := m.From.Queue().Get(m.ctx, from[n])
		if err != nil {
			return err
		}
		items, size = append(items, it), size+len(it.Body)
		if len(items) < cap(items) && size < migrateBytes && n < len(from)-1 {
			continue
		}
		if err := m.To.Queue().Restore(m.ctx, items); err != nil {
			return err
		}
		items, size = items[:0], 0
		m.step(CopyingQueue, n+1, len(from))
	}
	return nil
}

// errorOr is err, or a new one.
func errorOr(err error, format string, args ...any) error {
	if err != nil {
		return err
	}
	return fmt.Errorf(format, args...)
}

func (m *migrator) bothIDs(topic string) (from, to []string, err error) {
	if from, err = m.itemIDs(m.From.Queue(), topic); err != nil {
		return nil, nil, fmt.Errorf("list the source: %w", err)
	}
	if to, err = m.itemIDs(m.To.Queue(), topic); err != nil {
		return nil, nil, fmt.Errorf("list the target: %w", err)
	}
	return from, to, nil
}

// itemDiffers says in what an item differs from its copy, "" when in nothing.
// Times are compared to the millisecond; what is leased is pending in the copy.
func (m *migrator) itemDiffers(from, to string) (string, error) {
	a, err := m.From.Queue().Get(m.ctx, from)
	if err != nil {
		return "", err
	}
	b, err := m.To.Queue().Get(m.ctx, to)
	if err != nil {
		return "", err
	}
	if a.State == store.Leased {
		a.State = store.Pending
	}
	same := func(a, b time.Time) bool {
		return a.Truncate(time.Millisecond).Equal(b.Truncate(time.Millisecond))
	}
	switch {
	case a.Topic != b.Topic || a.Key != b.Key:
		return "another item stands in its place", nil
	case a.State != b.State || a.Label != b.Label || a.Attempts != b.Attempts:
		return "the state differs", nil
	case !same(a.Appended, b.Appended) || !same(a.Due, b.Due):
		return "the time differs", nil
	case !bytes.Equal(a.Body, b.Body):
		return "the body differs", nil
	case !bytes.Equal(a.Note, b.Note):
		return "the note differs", nil
	}
	return "", nil
}
