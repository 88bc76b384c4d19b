package pebblestore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"meridian/fhir/search"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

// memoryDisk is a file system in memory that can be cut. Of what was not
// synced a crash leaves nothing, half or all, by turns.
type memoryDisk struct {
	mem    *vfs.MemFS
	onSync func(crash func() storetest.Disk)
	cuts   int
}

// reuse takes the lock against cloning once at a time: MemFS.ReuseForWrite
// takes it for reading twice, and hangs when a clone begins in between.
type reuse struct{ *vfs.MemFS }

func (r reuse) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := r.Rename(oldname, newname); err != nil {
		return nil, err
	}
	return r.OpenReadWrite(newname, category)
}

func (d *memoryDisk) Open(t testing.TB, c storetest.Config) (store.Store, error) {
	fs := errorfs.Wrap(reuse{d.mem}, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			if d.onSync != nil {
				d.onSync(d.crash)
			}
		}
		return nil
	}))
	return Open(Options{Dir: "db", FS: fs, Index: c.Index, Adopt: c.Adopt, IndexVersion: c.IndexVersion, Clock: c.Clock,
		CacheBytes: 2 << 20, MemTableBytes: 256 << 10, Sort: map[string][]string{}})
}

func (d *memoryDisk) OnSync(f func(crash func() storetest.Disk)) { d.onSync = f }

// crash is called under the suite's lock.
func (d *memoryDisk) crash() storetest.Disk {
	d.cuts++
	cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[d.cuts%3], RNG: rand.New(rand.NewPCG(uint64(d.cuts), 0))}
	return &memoryDisk{mem: d.mem.CrashClone(cfg)}
}

func TestCrash(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			storetest.Crash(t, &memoryDisk{mem: vfs.NewCrashableMem()}, seed, func(s store.Store) error {
				return s.(*Store).Check(context.Background())
			})
		})
	}
}

// TestCrashBesideSweeps: sweeps are not synced; what a crash leaves of them is all or nothing, and no list loses what was acknowledged.
func TestCrashBesideSweeps(t *testing.T) {
	disk := vfs.NewCrashableMem()
	o := Options{Dir: "db", FS: reuse{disk}, Index: storetest.Index, CacheBytes: 2 << 20, MemTableBytes: 256 << 10, tuning: measured()}
	o.tuning.sweepKeys = 40
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := rand.New(rand.NewPCG(2, 1))
	status := map[string]string{}
	versions := map[string]uint64{}
	for round := range 30 {
		for i := range 1 + r.IntN(30) {
			id := fmt.Sprint(round, "-", i)
			if i%3 == 2 {
				id = fmt.Sprint(r.IntN(round+1), "-", 0)
			}
			versions[id]++
			status[id] = []string{"ready", "done"}[r.IntN(2)]
			commit(t, s, statusOf(id, versions[id], status[id]))
		}
		s.sweeper.sweep(allRuns(t, s))
		cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[round%3], RNG: rand.New(rand.NewPCG(uint64(round), 0))}
		o.FS = reuse{disk.CrashClone(cfg)}
		left, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := left.Check(t.Context()); err != nil {
			t.Error(err)
		}
		for _, of := range []string{"ready", "done"} {
			want := 0
			for _, st := range status {
				if st == of {
					want++
				}
			}
			if n, err := left.Count(t.Context(), &search.Plan{Type: "Task", Where: withStatus(of)}, 0); err != nil || n.N != want {
				t.Errorf("round %d: %v are %s, %v; want %d", round, n, of, err, want)
			}
		}
		if err := left.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestCrashWhileReindexing(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			storetest.CrashReindex(t, &memoryDisk{mem: vfs.NewCrashableMem()}, seed, func(s store.Store) error {
				return s.(*Store).Check(context.Background())
			})
		})
	}
}
