package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// Import sends files to a FHIR service; see input for the formats. Resources keep their ids: they are written by PUT, in transactions of some (in batches where the
// service has none), and what is there already with the same content makes no new version. Bundles of type transaction and batch are sent as they are.
//
// The inputs are sent one after the other, the files of a directory in the order of their names and
// side by side. All that concerns one resource is in one lane and stays in its order, so a file may hold a resource twice.
type Import struct {
	Service Service
	// Inputs are files, directories, or "-" for standard input.
	Inputs []string
	// Stdin is what "-" reads.
	Stdin io.Reader
	// State is the directory of progress and rejected resources; "" is beside the first input.
	State string
	// Lanes are the requests at once; 0 is 4. An import that goes on keeps the lanes it began with.
	Lanes int
	// Size is how many resources a request has at most; 0 is 200.
	Size int
	// Again forgets the progress of an earlier run.
	Again bool
	// Progress hears now and then how far it is; nil for none. It is called by one goroutine at a time.
	Progress func(Progressed)
}

// Counts of resources. Present is what was there: updated, or unchanged.
type Counts struct{ Created, Present, Rejected int }

// Progressed is how far an import is: what its runs have done in all, and bytes of the files as they stand on disk.
type Progressed struct {
	Counts
	Read, Total int64
}

// Imported is what an import did.
type Imported struct {
	Counts            // of all runs
	Skipped  []string // files of directories that are none of ours
	Refused  string   // the file of rejected resources, when there are some
	Outcomes string   // and why
	Before   int      // resources that an earlier run had done
}

// errNoInput: no argument names a file.
var errNoInput = errors.New("there is nothing to import")

// Run sends what is not sent yet. A resource that is refused is written beside the input with its outcome and the import goes on;
// any other error ends it, and a further run goes on from there.
func (im *Import) Run(ctx context.Context) (Imported, error) {
	var out Imported
	var groups [][]*input
	total := int64(0)
	for _, arg := range im.Inputs {
		files, skipped, err := expand(arg)
		if err != nil {
			return out, err
		}
		for _, f := range files {
			total += f.size
		}
		groups, out.Skipped = append(groups, files), append(out.Skipped, skipped...)
	}
	if len(slices.Concat(groups...)) == 0 {
		return out, errNoInput
	}
	lanes := im.Lanes
	if lanes <= 0 {
		lanes = 4
	}
	stdin := slices.Contains(im.Inputs, "-")
	j, err := openJournal(journalBase(im.Inputs[0], im.State), cmp.Or(im.Service.Name, im.Service.Base), lanes, !stdin, im.Again)
	if err != nil {
		return out, err
	}
	r := &importer{Import: im, journal: j, sender: &sender{service: &im.Service}, total: total}
	out.Before = j.counts.Created + j.counts.Present + j.counts.Rejected
	for _, files := range groups {
		if err = r.group(ctx, files); err != nil {
			break
		}
	}
	err = errors.Join(err, j.close())
	out.Counts = j.counts
	if j.counts.Rejected > 0 {
		out.Refused, out.Outcomes = j.rejected.name, j.outcomes.name
	}
	return out, err
}

type importer struct {
	*Import
	journal *journal
	sender  *sender
	total   int64
	read    int64 // of the files before the group
	files   []*input

	telling sync.Mutex
	failed  atomic.Pointer[error]
	backlog *backlog
}

// maxBacklog is how many bytes of records wait for the lanes before the reader waits for them.
const maxBacklog = 64 << 20

// backlog counts the bytes that are read and that no lane has taken.
type backlog struct {
	mu    sync.Mutex
	freed sync.Cond
	bytes int
}

func newBacklog() *backlog {
	b := &backlog{}
	b.freed.L = &b.mu
	return b
}

// add waits until there is room, or ctx ends. One record may go over it, so that any has room.
func (b *backlog) add(ctx context.Context, n int) error {
	defer context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.freed.Broadcast()
	})()
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.bytes >= maxBacklog && ctx.Err() == nil {
		b.freed.Wait()
	}
	b.bytes += n
	return ctx.Err()
}

func (b *backlog) take(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes -= n
	b.freed.Broadcast()
}

// group reads files one after the other into the lanes and returns when all of them are done.
func (r *importer) group(ctx context.Context, files []*input) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	size := r.Size
	if size <= 0 {
		size = 200
	}
	r.files, r.backlog = files, newBacklog()
	lanes := make([]*lane, r.journal.lanes)
	var wait sync.WaitGroup
	for i := range lanes {
		lanes[i] = &lane{importer: r, number: i, size: size, in: make(chan *record, size), names: map[string]bool{}}
		wait.Go(func() {
			if err := lanes[i].run(ctx); err != nil {
				r.failed.CompareAndSwap(nil, &err)
				cancel()
			}
		})
	}
	var err error
	for _, f := range files {
		if err = r.file(ctx, f, lanes); err != nil {
			break
		}
	}
	for _, l := range lanes {
		close(l.in)
	}
	wait.Wait()
	for _, f := range files {
		r.read += f.size
	}
	if failed := r.failed.Load(); failed != nil {
		return *failed
	}
	return err
}

// file hands the records of a file to the lanes, those that are done left out.
func (r *importer) file(ctx context.Context, f *input, lanes []*lane) error {
	k, err := r.journal.begin(f)
	if err != nil || k.ended {
		f.read.Store(f.size)
		return err
	}
	before := maps.Clone(k.lanes)
	from := place{}
	if len(before) == len(lanes) {
		from = slices.MinFunc(slices.Collect(maps.Values(before)), func(a, b place) int { return int(a.At - b.At) })
	}
	err = f.each(ctx, r.Stdin, from, func(rec *record) error {
		n := laneOf(rec, len(lanes))
		if rec.end <= before[n].At {
			return nil
		}
		f.pending.Add(1)
		if err := r.backlog.add(ctx, len(rec.body)); err != nil {
			return err
		}
		select {
		case lanes[n].in <- rec:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	if err != nil {
		return err
	}
	f.ended.Store(true)
	if f.pending.Load() == 0 {
		return r.journal.ended(f)
	}
	return nil
}

// laneOf: all that concerns one resource is in one lane.
func laneOf(r *record, lanes int) int {
	h := fnv.New32a()
	if r.whole || r.id == "" {
		fmt.Fprintf(h, "%s\x00%d", r.file.name, r.line)
	} else {
		h.Write([]byte(r.typ + "/" + r.id))
	}
	return int(h.Sum32() % uint32(lanes))
}

// lane sends what it is given in order, one request after the other.
type lane struct {
	*importer
	number int
	size   int
	in     chan *record

	records []*record
	bytes   int
	names   map[string]bool
}

func (l *lane) run(ctx context.Context) error {
	for rec := range l.in {
		l.backlog.take(len(rec.body))
		if ctx.Err() != nil {
			continue // until the reader has stopped
		}
		name := rec.typ + "/" + rec.id
		if rec.whole || l.names[name] || len(l.records) >= l.size || l.bytes+len(rec.body) > maxRequest {
			if err := l.flush(ctx); err != nil {
				return err
			}
		}
		l.records, l.bytes = append(l.records, rec), l.bytes+len(rec.body)
		if rec.err == nil {
			l.names[name] = true
		}
		if rec.whole {
			if err := l.flush(ctx); err != nil {
				return err
			}
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return l.flush(ctx)
}

// flush sends what was gathered and records what became of it.
func (l *lane) flush(ctx context.Context) error {
	if len(l.records) == 0 {
		return nil
	}
	results, err := l.sender.send(ctx, l.records)
	if err != nil {
		return err
	}
	if err := l.journal.done(l.number, l.records, results); err != nil {
		return fmt.Errorf("record the progress: %w", err)
	}
	for _, rec := range l.records {
		if rec.file.pending.Add(-1) == 0 && rec.file.ended.Load() {
			if err := l.journal.ended(rec.file); err != nil {
				return fmt.Errorf("record the progress: %w", err)
			}
		}
	}
	l.records, l.bytes = l.records[:0], 0
	clear(l.names)
	l.tell()
	return nil
}

// tell reports the progress of all lanes.
func (r *importer) tell() {
	if r.Progress == nil {
		return
	}
	r.telling.Lock()
	defer r.telling.Unlock()
	p := Progressed{Read: r.read, Total: r.total}
	for _, f := range r.files {
		p.Read += f.read.Load()
	}
	r.journal.mu.Lock()
	p.Counts = r.journal.counts
	r.journal.mu.Unlock()
	r.Progress(p)
}
