package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"meridian/fhir/search"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

// visit is the i-th commit of a made population as the Gate has it: 60 observations, of which 8, then 3, are vital signs and
// the others laboratory; each has a code of its own, all have the same status.
func visit(i int) (writes []store.Write) {
	for n := range 60 {
		category := "laboratory"
		if n < 8 || n >= 48 && n < 51 {
			category = "vital-signs"
		}
		w := storetest.Sample{Type: "Observation", ID: fmt.Sprintf("v%07d-%02d", i, n), Facts: []storetest.Fact{
			storetest.Token("code", "loinc", fmt.Sprint("c", n)), storetest.Token("category", "kind", category), storetest.Token("status", "st", "final")}}.Write()
		writes = append(writes, w)
	}
	return writes
}

// denseStores are filled once a run: by whole visits, by one write a commit, and so again with the lists folded.
var denseStores [3]struct {
	once sync.Once
	s    *Store
	dir  string
}

func denseStore(b *testing.B, kind int) *Store {
	b.Helper()
	d, single := &denseStores[kind], kind > 0
	d.once.Do(func() {
		var err error
		if d.dir, err = os.MkdirTemp("", "pebblestore"); err != nil {
			b.Fatal(err)
		}
		o := Options{Dir: d.dir, Index: storetest.Index, tuning: measured()}
		if o.tuning.foldAfter = 1 << 60; kind == 2 {
			o.tuning.foldAfter = 256
		}
		if d.s, err = Open(o); err != nil {
			b.Fatal(err)
		}
		var group sync.WaitGroup
		var failed error
		for i := range *resources / 60 {
			writes := visit(i)
			if !single {
				err = d.s.Commit(context.Background(), store.CommitParams{Writes: writes})
				failed = errors.Join(failed, err)
				continue
			}
			// In the order of the visit: what is committed beside it is of another one.
			for n := range writes {
				group.Go(func() { _ = d.s.Commit(context.Background(), store.CommitParams{Writes: writes[n : n+1]}) })
			}
			group.Wait()
		}
		if failed != nil {
			b.Fatal(failed)
		}
		if kind == 2 {
			b.Logf("folded in %d goes", foldAll(b, d.s))
		}
		if err := d.s.db.Compact(context.Background(), []byte{0}, []byte{0xff}, true); err != nil {
			b.Fatal(err)
		}
		b.Logf("%d bytes in tables each", d.s.db.Metrics().Total().TablesSize/int64(*resources))
	})
	return d.s
}

// foldAll hands the lists of categories, codes and the status to the sweeper, as searches would.
func foldAll(b *testing.B, s *Store) (goes int) {
	todo := map[string]bool{}
	iter, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixPosting}, UpperBound: []byte{prefixPosting + 1}})
	if err != nil {
		b.Fatal(err)
	}
	var of []stretch
	for iter.First(); iter.Valid(); iter.Next() {
		if list := string(iter.Key()[:len(iter.Key())-numberLen]); !todo[list] && list[len(list)-1] == 0 {
			todo[list] = true
			of = append(of, stretch{list, 0, true})
		}
	}
	if err := errors.Join(iter.Error(), iter.Close()); err != nil {
		b.Fatal(err)
	}
	for ; len(of) > 0; goes++ {
		of = s.sweeper.sweep(of)
	}
	return goes
}

// BenchmarkDense searches and counts where lists hold a large part of all resources; docs/decision/2026-11-22-dense-lists.md
// has its figures with -resources 1000000.
func BenchmarkDense(b *testing.B) {
	point := func(param, value string) search.Expr {
		return search.Point{Key: search.Key{Param: param, Value: value}}
	}
	and := func(of ...search.Expr) search.Expr { return search.And{Of: of} }
	lab, vital, final := point("category", "laboratory"), point("category", "vital-signs"), point("status", "final")
	for kind, from := range []string{"visits", "single writes", "single writes, folded"} {
		for _, c := range []struct {
			name  string
			where search.Expr
			count bool
		}{
			{"82 and 18 percent, disjoint", and(lab, vital), false},
			{"a code and 18 percent, disjoint", and(point("code", "c20"), vital), false},
			{"first page of all", final, false},
			{"count of all", final, true},
			{"count of 82 percent", lab, true},
			{"count of a code", point("code", "c20"), true},
			{"count of all and 82 percent", and(final, lab), true},
		} {
			b.Run(from+"/"+c.name, func(b *testing.B) {
				s := denseStore(b, kind)
				p := search.Plan{Type: "Observation", Where: c.where, Limit: 20}
				b.ReportAllocs()
				b.ResetTimer()
				n := 0
				loop(b, func(int) error {
					if !c.count {
						_, err := s.Search(b.Context(), &p)
						return err
					}
					total, err := s.Count(b.Context(), &p, 0)
					n = total.N
					return err
				})
				if n > 0 {
					b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "keys/s")
				}
			})
		}
	}
}
