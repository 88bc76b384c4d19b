package transfer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Ends of the names of what an import writes beside its first input.
const (
	progressName = ".progress"
	rejectedName = ".rejected.ndjson"
	outcomeName  = ".rejected.outcomes.ndjson"
)

// place is where a record ends.
type place struct {
	At   int64 `json:"at"`   // bytes of the content, or entries of a Bundle
	Line int64 `json:"line"` // of the record
}

// entry is a line of the progress file. The first one is the head; each file has one before its marks; then comes
// one for each request that was answered:
//
//	{"to":"http://127.0.0.1:8080/fhir","lanes":4}
//	{"file":"patients.ndjson","size":1048576,"modified":1767225600000}
//	{"lane":2,"marks":[{"file":0,"at":40960,"line":40}],"created":19,"present":0,"rejected":1,"rejectedSize":812,"outcomesSize":344}
//	{"ended":0}
//
// The order within a lane is that of its files, so what a lane did is all up to its last mark.
// A line is appended after the answer has come: what a cut loses is at most one request for each lane, which is sent again.
type entry struct {
	To    string `json:"to,omitempty"`
	Lanes int    `json:"lanes,omitempty"`

	File     string `json:"file,omitempty"`
	Size     int64  `json:"size,omitempty"`
	Modified int64  `json:"modified,omitempty"`

	Lane         int        `json:"lane,omitempty"`
	Marks        []fileMark `json:"marks,omitempty"`
	Created      int        `json:"created,omitempty"`
	Present      int        `json:"present,omitempty"`
	Rejected     int        `json:"rejected,omitempty"`
	RejectedSize int64      `json:"rejectedSize,omitempty"`
	OutcomesSize int64      `json:"outcomesSize,omitempty"`

	Ended *int `json:"ended,omitempty"`
}

type fileMark struct {
	File int `json:"file"`
	place
}

// known is what the journal says of a file.
type known struct {
	name           string
	size, modified int64
	lanes          map[int]place
	ended          bool
}

// journal is the progress file and the two files of what was rejected. Safe for concurrent use.
type journal struct {
	to     string
	lanes  int
	files  []*known
	counts Counts // of all runs

	mu        sync.Mutex
	progress  *os.File // nil: nothing is kept
	rejected  *appended
	outcomes  *appended
	synced    time.Time
	syncEvery time.Duration
}

// appended is a file that grows; it is made with its first line.
type appended struct {
	name string
	f    *os.File
	size int64
}

func (a *appended) write(b []byte) error {
	if a.f == nil {
		var err error
		if a.f, err = os.OpenFile(a.name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
			return err
		}
	}
	n, err := a.f.Write(b)
	a.size += int64(n)
	return err
}

// reset cuts the file to its size, which removes what a cut left of a request that is sent again.
func (a *appended) reset() error {
	if a.size == 0 {
		if err := os.Remove(a.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	return cutTo(a.name, a.size)
}

// cutTo takes away what stands behind a size. A file that is shorter has lost something, and is no more what was noted.
func cutTo(name string, size int64) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if info.Size() < size {
		return fmt.Errorf("%s has %d bytes, and %d were noted; --again begins anew", name, info.Size(), size)
	}
	return os.Truncate(name, size)
}

func (a *appended) close() error {
	if a.f == nil {
		return nil
	}
	return errors.Join(a.f.Sync(), a.f.Close())
}

// journalBase is the beginning of the names, for the first argument and a state directory.
func journalBase(arg, state string) string {
	base := filepath.Clean(arg)
	if arg == "-" {
		base = "stdin"
	}
	if state != "" {
		base = filepath.Join(state, filepath.Base(base))
	}
	return base
}

// openJournal goes on with what stands under base, or begins. Standard input keeps no progress, since it cannot be read again.
func openJournal(base, to string, lanes int, keep, again bool) (*journal, error) {
	j := &journal{to: to, lanes: lanes, rejected: &appended{name: base + rejectedName}, outcomes: &appended{name: base + outcomeName}, syncEvery: time.Second}
	name := base + progressName
	if again || !keep {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	end, err := j.load(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := errors.Join(j.rejected.reset(), j.outcomes.reset()); err != nil {
		return nil, err
	}
	if !keep {
		return j, nil
	}
	if j.progress, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	if _, err = j.progress.Seek(end, io.SeekStart); err == nil {
		err = j.progress.Truncate(end)
	}
	if err == nil && end == 0 {
		err = j.append(&entry{To: to, Lanes: lanes})
	}
	return j, err
}

// load reads what stands; a last line that was cut off is none. It gives the length of the lines that are whole.
func (j *journal) load(name string) (end int64, err error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	to := ""
	for s := bufio.NewReader(bytes.NewReader(text)); ; {
		line, err := s.ReadBytes('\n')
		if err != nil {
			break
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return 0, fmt.Errorf("this is no progress of an import; --again begins anew: %w", err)
		}
		if e.To != "" {
			to, j.lanes = e.To, e.Lanes
		}
		if err := j.take(&e); err != nil {
			return 0, err
		}
		end += int64(len(line))
	}
	if end > 0 && to != j.to {
		return 0, fmt.Errorf("the import that began here went to %s; --again begins anew", to)
	}
	return end, nil
}

// take adds an entry to what is known.
func (j *journal) take(e *entry) error {
	bad := func(n int) bool { return n < 0 || n >= len(j.files) }
	if e.File != "" {
		j.files = append(j.files, &known{name: e.File, size: e.Size, modified: e.Modified, lanes: map[int]place{}})
	}
	for _, m := range e.Marks {
		if bad(m.File) {
			return errors.New("it names a file that there is not; --again begins anew")
		}
		j.files[m.File].lanes[e.Lane] = m.place
	}
	if e.Ended != nil {
		if bad(*e.Ended) {
			return errors.New("it names a file that there is not; --again begins anew")
		}
		j.files[*e.Ended].ended = true
	}
	j.counts.Created += e.Created
	j.counts.Present += e.Present
	j.counts.Rejected += e.Rejected
	j.rejected.size, j.outcomes.size = max(j.rejected.size, e.RejectedSize), max(j.outcomes.size, e.OutcomesSize)
	return nil
}

// append writes an entry. The caller holds mu, or is alone.
func (j *journal) append(e *entry) error {
	if j.progress == nil {
		return nil
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if _, err := j.progress.Write(append(line, '\n')); err != nil {
		return err
	}
	if now := time.Now(); now.Sub(j.synced) >= j.syncEvery {
		j.synced = now
		return j.progress.Sync()
	}
	return nil
}

func (a *appended) sync() error {
	if a.f == nil {
		return nil
	}
	return a.f.Sync()
}

// begin finds a file in the journal, or adds it. What has changed since cannot be gone on with.
func (j *journal) begin(f *input) (*known, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, k := range j.files {
		if k.name != f.name {
			continue
		}
		if k.size != f.size || k.modified != f.mod {
			return nil, fmt.Errorf("%s has changed since its import began; --again begins anew", f.name)
		}
		f.index = i
		return k, nil
	}
	f.index = len(j.files)
	k := &known{name: f.name, size: f.size, modified: f.mod, lanes: map[int]place{}}
	j.files = append(j.files, k)
	return k, j.append(&entry{File: f.name, Size: f.size, Modified: f.mod})
}

// ended records that a file is done.
func (j *journal) ended(f *input) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.files[f.index].ended = true
	return j.append(&entry{Ended: &f.index})
}

// rejection is a line of the file of outcomes.
type rejection struct {
	File    string          `json:"file"`
	Line    int64           `json:"line"`
	Status  int             `json:"status,omitempty"`
	Outcome json.RawMessage `json:"outcome"`
}

// done records what a lane's request did: rejected records first, then the progress that says so.
func (j *journal) done(lane int, records []*record, results []result) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := entry{Lane: lane}
	for i, r := range records {
		e.Created, e.Present, e.Rejected = e.Created+results[i].created, e.Present+results[i].present, e.Rejected+len(results[i].rejected)
		for _, rej := range results[i].rejected {
			if err := j.reject(r, &rej); err != nil {
				return err
			}
		}
		mark := fileMark{r.file.index, place{r.end, r.line}}
		if n := len(e.Marks); n > 0 && e.Marks[n-1].File == mark.File {
			e.Marks[n-1] = mark
		} else {
			e.Marks = append(e.Marks, mark)
		}
	}
	j.counts.Created += e.Created
	j.counts.Present += e.Present
	j.counts.Rejected += e.Rejected
	e.RejectedSize, e.OutcomesSize = j.rejected.size, j.outcomes.size
	if e.Rejected > 0 { // on disk before the progress that counts on it can be
		if err := errors.Join(j.rejected.sync(), j.outcomes.sync()); err != nil {
			return err
		}
	}
	return j.append(&e)
}

func (j *journal) reject(r *record, rej *rejected) error {
	line, err := json.Marshal(rejection{r.file.name, r.line, rej.status, rej.outcome})
	if err != nil {
		return err
	}
	if rej.body != nil {
		if err := j.rejected.write(append(oneLine(rej.body), '\n')); err != nil {
			return err
		}
	}
	return j.outcomes.write(append(line, '\n'))
}

// oneLine is a body without line breaks. What is no JSON has none, or came from a line.
func oneLine(body []byte) []byte {
	if !bytes.ContainsAny(body, "\n\r") {
		return bytes.Clone(body)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, body); err != nil {
		return bytes.ReplaceAll(bytes.ReplaceAll(body, []byte("\n"), []byte(" ")), []byte("\r"), []byte(" "))
	}
	return b.Bytes()
}

func (j *journal) close() error {
	var err error
	if j.progress != nil {
		err = errors.Join(j.progress.Sync(), j.progress.Close())
	}
	return errors.Join(j.rejected.close(), j.outcomes.close(), err)
}
