package pebblestore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

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
	return Open(Options{Dir: "db", FS: fs, Index: c.Index, IndexVersion: c.IndexVersion, Clock: c.Clock,
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
