package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/klauspost/compress/gzip"
)

// page is a Bundle of type searchset or history.
type page struct {
	ResourceType string `json:"resourceType"`
	Link         []struct {
		Relation string `json:"relation"`
		URL      string `json:"url"`
	} `json:"link"`
	Entry []json.RawMessage `json:"entry"`
}

func (p *page) next() string {
	for _, l := range p.Link {
		if l.Relation == "next" {
			return l.URL
		}
	}
	return ""
}

// walk reads the pages of a type from where it was on and appends them to its file.
func (e *exporter) walk(ctx context.Context, t *exportType) error {
	if t.Next == "" {
		return nil
	}
	f, err := os.OpenFile(e.path(e.name(t)), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	// What a cut left behind the last page that was noted is read again.
	_, seekErr := f.Seek(t.Size, io.SeekStart)
	err = errors.Join(cutTo(f.Name(), t.Size), seekErr)
	for err == nil && t.Next != "" {
		err = e.page(ctx, f, t)
	}
	if err = errors.Join(err, f.Close()); err == nil && t.Count == 0 {
		return os.Remove(e.path(e.name(t)))
	}
	return err
}

// page appends one page and notes that it did.
func (e *exporter) page(ctx context.Context, f *os.File, t *exportType) error {
	a, err := e.Service.do(ctx, http.MethodGet, t.Next, nil, nil)
	if err != nil {
		return err
	}
	if !a.ok() {
		return fmt.Errorf("the service answers %d %s: %.300s", a.status, http.StatusText(a.status), diagnostics(a.body))
	}
	var p page
	if err := json.Unmarshal(a.body, &p); err != nil || p.ResourceType != "Bundle" {
		return errors.Join(errors.New("the answer is no Bundle"), err)
	}
	text, n, err := e.text(&p)
	if err != nil {
		return err
	}
	if e.Gzip {
		if text, err = compressed(text); err != nil {
			return err
		}
	}
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	t.Size, t.Count, t.Next = t.Size+int64(len(text)), t.Count+n, p.next()
	if e.done += n; e.Progress != nil {
		e.Progress(t.Type, e.done)
	}
	return e.keep()
}

// text is a page as lines of NDJSON, and how many entries that are.
func (e *exporter) text(p *page) ([]byte, int, error) {
	if len(p.Entry) == 0 {
		return nil, 0, nil
	}
	var text []byte
	if e.History {
		text = append(text, `{"resourceType":"Bundle","type":"history","entry":[`...)
		for i, raw := range p.Entry {
			if i > 0 {
				text = append(text, ',')
			}
			text = append(text, oneLine(raw)...)
		}
		return append(text, "]}\n"...), len(p.Entry), nil
	}
	for _, raw := range p.Entry {
		var entry struct {
			Resource json.RawMessage `json:"resource"`
			Search   struct {
				Mode string `json:"mode"`
			} `json:"search"`
		}
		if err := json.Unmarshal(raw, &entry); err != nil || entry.Resource == nil {
			return nil, 0, errors.Join(errors.New("an entry has no resource"), err)
		}
		if entry.Search.Mode == "outcome" {
			return nil, 0, fmt.Errorf("the service warns: %.300s", diagnostics(entry.Resource))
		}
		text = append(append(text, oneLine(entry.Resource)...), '\n')
	}
	return text, len(p.Entry), nil
}

// compressed is a whole member of a gzip file, which is made of any number of them.
func compressed(text []byte) ([]byte, error) {
	if len(text) == 0 {
		return nil, nil
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(text); err != nil {
		return nil, err
	}
	err := z.Close()
	return b.Bytes(), err
}

func sumFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close() // read only
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
