package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// manifestName is the list of what an export wrote, the last file that it writes; exportName how far it is until then.
const (
	manifestName = "manifest.json"
	exportName   = "export" + progressName
)

// Export writes what a FHIR service has to files, one of NDJSON for each type: Patient.ndjson, with History
// Patient.history.ndjson. It walks searches without a sort, so a resource that is there all the time is in its file exactly
// once, in a version that was current while the export ran; what is written or deleted meanwhile is in it or not.
type Export struct {
	Service Service
	// Types are those to be written; none is all that the service has.
	Types []string
	// Out is the directory; made when missing.
	Out string
	// Since leaves out what was last changed before, a FHIR instant or date; "" for none.
	Since string
	// History writes all versions, deletions too: each line is a Bundle of type history, newest first.
	History bool
	// Gzip compresses the files.
	Gzip bool
	// Page is how many resources are asked for at once; 0 is 1000.
	Page int
	// Again begins anew, over what an earlier export left in Out.
	Again bool
	// Now is the time of the manifest where the service does not tell its own; nil is time.Now.
	Now func() time.Time
	// Progress hears of each page: the type, and how many resources are written in all.
	Progress func(typ string, done int)
}

// Manifest is manifest.json, in the form of bulk data's (https://hl7.org/fhir/uv/bulkdata/STU2/export.html#response---complete-status) with sums of the files.
type Manifest struct {
	TransactionTime string   `json:"transactionTime"` // when the export began, by the clock of the service: Since for the next one
	Request         string   `json:"request"`
	Token           bool     `json:"requiresAccessToken"`
	Output          []Output `json:"output"`
	Error           []Output `json:"error"` // always empty: an export that fails is none
}

// Output is one file.
type Output struct {
	Type   string `json:"type"`
	URL    string `json:"url"` // relative to the manifest
	Count  int    `json:"count"`
	SHA256 string `json:"sha256"`
}

// exportState is export.progress: written anew after each page.
type exportState struct {
	Base    string       `json:"base"`
	Since   string       `json:"since"`
	History bool         `json:"history"`
	Gzip    bool         `json:"gzip"`
	Begun   string       `json:"begun"`
	Types   []exportType `json:"types"`
}

type exportType struct {
	Type  string `json:"type"`
	Next  string `json:"next"` // page to be read; "" when all are
	Size  int64  `json:"size"`
	Count int    `json:"count"`
}

// Run exports what is missing. After an error it may be run again and goes on at the page that it had come to.
func (x *Export) Run(ctx context.Context) (Manifest, error) {
	e := &exporter{Export: x, base: trimBase(x.Service.Base)}
	if err := e.begin(ctx); err != nil {
		return Manifest{}, err
	}
	for i := range e.state.Types {
		if err := e.walk(ctx, &e.state.Types[i]); err != nil {
			return Manifest{}, fmt.Errorf("export %s: %w", e.state.Types[i].Type, err)
		}
	}
	return e.end()
}

type exporter struct {
	*Export
	base  string
	state exportState
	done  int
}

func (e *exporter) path(name string) string { return filepath.Join(e.Out, name) }

// begin reads what an earlier run left, or asks what there is.
func (e *exporter) begin(ctx context.Context) error {
	if err := os.MkdirAll(e.Out, 0o700); err != nil {
		return err
	}
	if e.Again {
		for _, name := range []string{manifestName, exportName} {
			if err := os.Remove(e.path(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	if _, err := os.Stat(e.path(manifestName)); err == nil {
		return fmt.Errorf("%s holds an export already; --again writes over it", e.Out)
	}
	want := exportState{Base: e.base, Since: e.Since, History: e.History, Gzip: e.Gzip}
	text, err := os.ReadFile(e.path(exportName))
	switch {
	case errors.Is(err, os.ErrNotExist):
		e.state = want
		return e.plan(ctx)
	case err != nil:
		return err
	}
	if err := json.Unmarshal(text, &e.state); err != nil {
		return fmt.Errorf("%s: %w", e.path(exportName), err)
	}
	was := e.state
	was.Begun, was.Types = "", nil
	if !equalState(was, want) || len(e.Types) > 0 && !slices.Equal(e.Types, e.types()) {
		return fmt.Errorf("another export was begun in %s; --again begins anew", e.Out)
	}
	for i := range e.state.Types {
		e.done += e.state.Types[i].Count
	}
	return nil
}

func equalState(a, b exportState) bool {
	return a.Base == b.Base && a.Since == b.Since && a.History == b.History && a.Gzip == b.Gzip
}

func (e *exporter) types() []string {
	var out []string
	for i := range e.state.Types {
		out = append(out, e.state.Types[i].Type)
	}
	return out
}

// plan notes the first page of each type.
func (e *exporter) plan(ctx context.Context) error {
	a, err := e.Service.do(ctx, http.MethodGet, e.base+"/metadata", nil, nil)
	if err != nil {
		return err
	}
	var capability struct {
		Rest []struct {
			Resource []struct {
				Type string `json:"type"`
			} `json:"resource"`
		} `json:"rest"`
	}
	if err := json.Unmarshal(a.body, &capability); err != nil || !a.ok() || len(capability.Rest) == 0 {
		return fmt.Errorf("%s/metadata is no CapabilityStatement of a server (%d)", e.base, a.status)
	}
	e.state.Begun = a.date(e.Now).UTC().Format("2006-01-02T15:04:05.000Z")
	var known []string
	for _, r := range capability.Rest[0].Resource {
		known = append(known, r.Type)
	}
	types := e.Types
	if len(types) == 0 {
		types = known
	}
	for _, typ := range types {
		if !slices.Contains(known, typ) {
			return fmt.Errorf("the service has no resources of type %q", typ)
		}
		e.state.Types = append(e.state.Types, exportType{Type: typ, Next: e.first(typ)})
	}
	return e.keep()
}

func (e *exporter) first(typ string) string {
	page := e.Page
	if page <= 0 {
		page = 1000
	}
	q := url.Values{"_count": {strconv.Itoa(page)}}
	if e.History {
		if e.Since != "" {
			q.Set("_since", e.Since)
		}
		return e.base + "/" + typ + "/_history?" + q.Encode()
	}
	if e.Since != "" {
		q.Set("_lastUpdated", "ge"+e.Since)
	}
	return e.base + "/" + typ + "?" + q.Encode()
}

// keep writes the state, whole or not at all.
func (e *exporter) keep() error { return writeWhole(e.path(exportName), &e.state) }

func writeWhole(name string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// end writes the manifest.
func (e *exporter) end() (Manifest, error) {
	m := Manifest{TransactionTime: e.state.Begun, Request: e.base, Output: []Output{}, Error: []Output{}}
	for i := range e.state.Types {
		t := &e.state.Types[i]
		if t.Count == 0 {
			continue
		}
		sum, err := sumFile(e.path(e.name(t)))
		if err != nil {
			return m, err
		}
		m.Output = append(m.Output, Output{Type: t.Type, URL: e.name(t), Count: t.Count, SHA256: sum})
	}
	if err := writeWhole(e.path(manifestName), &m); err != nil {
		return m, err
	}
	return m, os.Remove(e.path(exportName))
}

func (e *exporter) name(t *exportType) string {
	name := t.Type
	if e.History {
		name += ".history"
	}
	if name += ".ndjson"; e.Gzip {
		name += ".gz"
	}
	return name
}
