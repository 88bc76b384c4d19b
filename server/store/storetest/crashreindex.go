package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"meridian/server/store"
)

// CrashReindex adds a parameter to a store on disk and walks through its
// resources beside writers, keeps what a crash at every sync would leave, and
// reopens each: a catalog that was acknowledged holds, every acknowledged version is
// there, and after a walk that begins anew no key is missing and none too many, by Verify
// and by verify, which checks what the store alone can know.
func CrashReindex(t *testing.T, disk Disk, seed uint64, verify func(store.Store) error) {
	c := &crashReindex{t: t, seed: seed, acked: map[string]uint64{}}
	c.clock.Set(start)
	a, err := c.open(disk)
	if err != nil {
		t.Fatal(err)
	}
	for i := range crashResources {
		a.store(t, shod(crashID(i), 40))
	}
	disk.OnSync(c.cut)
	c.work(a)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if len(c.cuts) < 10 {
		t.Errorf("%d crashes only", len(c.cuts))
	}
	for i := range c.cuts {
		if c.reopen(i, verify); t.Failed() {
			return
		}
	}
	t.Logf("%d crashes reopened, %d with the catalog", len(c.cuts), c.with)
}

const (
	crashResources = 40
	crashSlice     = 3
)

func crashID(i int) string { return fmt.Sprintf("o%02d", i) }

type crashReindex struct {
	t     *testing.T
	clock Clock
	seed  uint64

	mu    sync.Mutex
	acked map[string]uint64 // versions by id
	put   bool              // the catalog was acknowledged
	cuts  []reindexCut
	with  int // crashes that left the catalog
}

type reindexCut struct {
	disk  Disk
	acked map[string]uint64
	put   bool
}

func (c *crashReindex) open(disk Disk) (*adding, error) {
	x := &addedIndex{}
	st, err := disk.Open(c.t, Config{Index: x.Index, Adopt: x.Adopt, IndexVersion: "storetest-1", Clock: c.clock.Now})
	if err != nil {
		return nil, err
	}
	return &adding{&subject{Store: st, clock: &c.clock, ctx: c.t.Context()}, x}, nil
}

func (c *crashReindex) cut(crash func() Disk) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.cuts) == maxCuts {
		return
	}
	k := reindexCut{put: c.put, acked: map[string]uint64{}}
	for id, v := range c.acked {
		k.acked[id] = v
	}
	k.disk = crash()
	c.cuts = append(c.cuts, k)
}

// work puts the catalog and walks, beside two writers.
func (c *crashReindex) work(a *adding) {
	stop := make(chan struct{})
	together(3, func(i int) {
		if i == 2 {
			defer close(stop)
			if err := a.PutCatalog(a.ctx, catalogOf(1, "shoe@1", "length@2")); err != nil {
				c.t.Error(err)
				return
			}
			c.mu.Lock()
			c.put = true
			c.mu.Unlock()
			if _, _, err := reindex(a.ctx, a, crashSlice, []string{"shoe@1", "length@2"}); err != nil {
				c.t.Error(err)
			}
			return
		}
		rnd := rand.New(rand.NewPCG(c.seed, uint64(i)))
		for {
			select {
			case <-stop:
				return
			default:
			}
			id := crashID(i + 2*rnd.IntN(crashResources/2))
			if err := a.anything(rnd, id); err != nil {
				c.t.Error(err)
				return
			}
			r, err := a.Read(a.ctx, store.Key{Type: "Observation", ID: id})
			if err != nil {
				c.t.Error(err)
				return
			}
			c.mu.Lock()
			c.acked[id] = r.Version
			c.mu.Unlock()
		}
	})
}

// reopen looks at one crash, and ends the walk.
func (c *crashReindex) reopen(i int, verify func(store.Store) error) {
	k := &c.cuts[i]
	a, err := c.open(k.disk)
	if err != nil {
		c.t.Errorf("crash %d: open: %v", i, err)
		return
	}
	defer a.Close()
	for id, version := range k.acked {
		if r, err := a.Read(a.ctx, store.Key{Type: "Observation", ID: id}); err != nil || r.Version < version {
			c.t.Errorf("crash %d: %s is at version %d, %d was acknowledged: %v", i, id, r.Version, version, err)
		}
	}
	stands, err := a.Catalog(a.ctx)
	if err != nil || k.put && stands.Revision != 1 {
		c.t.Errorf("crash %d: the catalog was acknowledged, revision %d stands, %v", i, stands.Revision, err)
	}
	if stands.Revision == 0 {
		if a.index.catalog.Load() != nil {
			c.t.Errorf("crash %d: a catalog was adopted that does not stand", i)
		}
		err = a.PutCatalog(a.ctx, catalogOf(1, "shoe@1", "length@2"))
	} else {
		c.with++
	}
	_, _, err2 := reindex(a.ctx, a, 7, nil)
	got, err3 := a.Verify(a.ctx, store.VerifyParams{Type: "Observation"})
	if err := errors.Join(err, err2, err3); err != nil || got.Differ+got.Extra > 0 || got.Checked == 0 {
		c.t.Errorf("crash %d: %+v, %v", i, got, err)
	}
	if err := verify(a.Store); err != nil {
		c.t.Errorf("crash %d: %v", i, err)
	}
	c.clock.Add(time.Millisecond)
}
