package transfer

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"meridian/fhir/search"
	"meridian/server/store"
)

// verify compares the stores and names up to maxDifferent differences.
func (m *migrator) verify() error {
	v := &verifier{migrator: m}
	for _, check := range []func() error{v.log, v.counts, v.catalog, v.queues, v.receipts} {
		if err := check(); err != nil {
			return fmt.Errorf("verify: %w", err)
		}
	}
	if len(v.found) > 0 {
		return fmt.Errorf("the copy differs from the source in %d places: %w", v.n, errors.Join(v.found...))
	}
	return nil
}

type verifier struct {
	*migrator
	found []error
	n     int
}

func (v *verifier) differ(format string, args ...any) {
	if v.n++; len(v.found) < maxDifferent {
		v.found = append(v.found, fmt.Errorf(format, args...))
	}
}

// log compares both logs with all that they name.
func (v *verifier) log() error {
	var from, to store.Position
	for {
		changes, next, err := v.sourceChanges(from)
		if err != nil {
			return err
		}
		if len(changes) == 0 {
			break
		}
		copied, toNext, err := v.targetChanges(to, len(changes))
		if err != nil {
			return err
		}
		if len(copied) < len(changes) {
			v.differ("%s/%s version %d and what follows is not there", changes[len(copied)].Type, changes[len(copied)].ID, changes[len(copied)].Version)
			return nil
		}
		if err := v.pair(changes, copied); err != nil {
			return err
		}
		from, to = next, toNext
		v.step(Verifying, v.sum.Versions+v.sum.Purged, v.total)
	}
	more, _, err := v.targetChanges(to, 1)
	if err == nil && len(more) > 0 {
		v.differ("%s/%s version %d is in the target only", more[0].Type, more[0].ID, more[0].Version)
	}
	return err
}

func (v *verifier) pair(changes, copied []store.Change) error {
	a, err := v.load(v.From, changes)
	if err != nil {
		return fmt.Errorf("read the source: %w", err)
	}
	b, err := v.load(v.To, copied)
	if err != nil {
		return fmt.Errorf("read the target: %w", err)
	}
	for i := range a {
		if d := a[i].differs(&b[i]); d != "" {
			v.differ("%s: %s", a[i].place(), d)
		} else if a[i].current != b[i].current {
			v.differ("%s: it stands in one store only", a[i].place())
		}
		if a[i].current {
			v.sum.Resources[a[i].Change.Type]++
		}
		if a[i].gone {
			v.sum.Purged++
		} else {
			v.sum.Versions++
		}
	}
	return nil
}

// counts asks the target's index for what the log says is there.
func (v *verifier) counts() error {
	for _, typ := range slices.Sorted(maps.Keys(v.sum.Resources)) {
		n, err := v.To.Count(v.ctx, &search.Plan{Type: typ, Where: search.All{}}, 0)
		if err != nil {
			return fmt.Errorf("count %s: %w", typ, err)
		}
		if n.N != v.sum.Resources[typ] {
			v.differ("a search of the target finds %d of %s, there are %d", n.N, typ, v.sum.Resources[typ])
		}
	}
	return nil
}

func (v *verifier) queues() error {
	topics, err := v.From.Queue().Topics(v.ctx)
	if err != nil {
		return err
	}
	copied, err := v.To.Queue().Topics(v.ctx)
	if err != nil {
		return err
	}
	for _, topic := range copied {
		if !slices.Contains(topics, topic) {
			v.differ("topic %s is in the target only", topic)
		}
	}
	for _, topic := range topics {
		from, to, err := v.bothIDs(topic)
		if err != nil {
			return err
		}
		if len(from) != len(to) {
			v.differ("topic %s has %d items, its copy %d", topic, len(from), len(to))
			continue
		}
		differences := make([]string, len(from))
		err = v.each(len(from), func(i int) (err error) {
			differences[i], err = v.itemDiffers(from[i], to[i])
			return err
		})
		if err != nil {
			return fmt.Errorf("topic %s: %w", topic, err)
		}
		for i, d := range differences {
			if d != "" {
				v.differ("topic %s, item %s: %s", topic, from[i], d)
			}
		}
		v.sum.Items[topic] = len(from)
	}
	return nil
}

func (v *verifier) receipts() error {
	for after := ""; ; {
		page, err := v.From.Receipts(v.ctx, after, maxList)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, r := range page {
			c, err := v.To.Receipt(v.ctx, r.Key)
			switch {
			case errors.Is(err, store.ErrNotFound):
				if still, err := v.From.Receipt(v.ctx, r.Key); err == nil {
					v.differ("a receipt that is there until %s is missing", still.Until.UTC())
				}
				continue // its time is over meanwhile
			case err != nil:
				return err
			case c.Hash != r.Hash || string(c.Answer) != string(r.Answer) || !c.Until.Equal(r.Until):
				v.differ("a receipt differs")
			}
			v.sum.Receipts++
		}
		after = page[len(page)-1].Key
	}
}
