package transfer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"

	"meridian/fhir/codec"
)

// MaxLine is the longest line of NDJSON, and the largest bundle that is sent as it is, in bytes: the server's own limit of a body.
const MaxLine = 64 << 20

// input is one file. Its format follows from its name:
//
//	….ndjson        a resource on each line
//	….json, ….xml   a Bundle, or one resource
//	….gz            one of these, compressed
//	-               standard input, NDJSON
type input struct {
	name  string
	size  int64 // on disk; 0 for standard input
	mod   int64 // modified, Unix milliseconds
	index int   // in the journal
	read  atomic.Int64

	ended   atomic.Bool  // read to its end
	pending atomic.Int64 // records that are read and not recorded
}

// record is one piece of a file: a resource to be written under its id, or a bundle to be sent as it is.
type record struct {
	file    *input
	line    int64 // from 1; in a Bundle the entry's place, from 0
	end     int64 // the place behind it: bytes of the content, or entries
	typ, id string
	body    []byte
	whole   bool   // a batch or transaction
	err     []byte // OperationOutcome of what cannot be sent
}

// emit takes a record; an error ends the reading.
type emit func(r *record) error

var formats = []string{".ndjson", ".json", ".xml"}

func format(name string) string {
	if name == "-" {
		return ".ndjson"
	}
	ext := filepath.Ext(strings.TrimSuffix(name, ".gz"))
	if slices.Contains(formats, ext) {
		return ext
	}
	return ""
}

// ours are the ends of names that Import and Export write themselves.
var ours = []string{rejectedName, outcomeName, progressName, manifestName}

// expand gives the files of an argument in the order of their names, and what is passed over in a directory.
func expand(arg string) (files []*input, skipped []string, err error) {
	if arg == "-" {
		return []*input{{name: arg}}, nil, nil
	}
	info, err := os.Stat(arg)
	if err != nil {
		return nil, nil, err
	}
	if !info.IsDir() {
		if format(arg) == "" {
			return nil, nil, fmt.Errorf("%s: the name ends in none of .ndjson, .json, .xml, or these with .gz", arg)
		}
		return []*input{{name: arg, size: info.Size(), mod: info.ModTime().UnixMilli()}}, nil, nil
	}
	err = filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if format(path) == "" || slices.ContainsFunc(ours, func(end string) bool { return strings.HasSuffix(path, end) }) {
			skipped = append(skipped, path)
			return nil
		}
		info, err := d.Info()
		if err == nil {
			files = append(files, &input{name: path, size: info.Size(), mod: info.ModTime().UnixMilli()})
		}
		return err
	})
	return files, skipped, err
}

// counted counts what is read of the file itself.
type counted struct {
	r io.Reader
	n *atomic.Int64
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// each reads a file from a place on and emits its records. The place is that of a record's end; line is that record's.
func (f *input) each(ctx context.Context, in io.Reader, from place, emit emit) error {
	r := in
	if f.name != "-" {
		file, err := os.Open(f.name)
		if err != nil {
			return err
		}
		defer file.Close() // read only
		if format(f.name) == ".ndjson" && !strings.HasSuffix(f.name, ".gz") {
			if _, err := file.Seek(from.At, io.SeekStart); err != nil {
				return err
			}
			f.read.Store(from.At)
		} else {
			from = place{}
		}
		r = counted{file, &f.read}
		if strings.HasSuffix(f.name, ".gz") {
			z, err := gzip.NewReader(r)
			if err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			r = z
		}
	}
	var err error
	switch format(f.name) {
	case ".ndjson":
		err = f.lines(ctx, r, from, emit)
	case ".json":
		err = f.bundle(ctx, r, emit)
	default:
		err = f.xml(ctx, r, emit)
	}
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%s: %w", f.name, err)
	}
	return err
}

// lines emits the resources of NDJSON. Empty lines are passed over.
func (f *input) lines(ctx context.Context, r io.Reader, from place, emit emit) error {
	b := bufio.NewReaderSize(r, 1<<20)
	at, line := from.At, from.Line
	for ctx.Err() == nil {
		text, n, err := readLine(b)
		if n == 0 && err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		at, line = at+n, line+1
		rec := &record{file: f, line: line, end: at, body: bytes.TrimSpace(text)}
		switch {
		case n > MaxLine:
			rec.body, rec.err = nil, outcome("too-long", fmt.Sprintf("the line has %d bytes, at most %d are taken; it is not copied beside", n, MaxLine))
		case len(rec.body) == 0:
			continue
		default:
			rec.name()
		}
		if err := emit(rec); err != nil {
			return err
		}
		if err != nil {
			continue // the last line, without an end; the next read says so
		}
	}
	return ctx.Err()
}

// readLine reads to the end of a line and says how many bytes that were. Of a line over MaxLine it keeps nothing.
func readLine(b *bufio.Reader) (text []byte, n int64, err error) {
	for {
		part, err := b.ReadSlice('\n')
		n += int64(len(part))
		if n <= MaxLine {
			text = append(text, part...)
		} else {
			text = nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return text, n, err
		}
	}
}

// name finds type and id of a resource; without them it cannot be written.
func (r *record) name() {
	var head struct {
		ResourceType string          `json:"resourceType"`
		ID           string          `json:"id"`
		Type         json.RawMessage `json:"type"` // a text in a Bundle, anything elsewhere
	}
	if err := json.Unmarshal(r.body, &head); err != nil {
		var syntax *json.SyntaxError
		text := "not a JSON object with resourceType and id as strings"
		if errors.As(err, &syntax) {
			text = fmt.Sprintf("malformed JSON (byte %d)", syntax.Offset)
		}
		r.err = outcome("structure", text)
		return
	}
	r.typ, r.id = head.ResourceType, head.ID
	switch {
	case r.typ == "":
		r.err = outcome("required", "there is no resourceType")
	case r.typ == "Bundle" && (string(head.Type) == `"transaction"` || string(head.Type) == `"batch"`):
		r.whole = true
	case r.id == "":
		r.err = outcome("required", "the resource has no id: it is written under its id, so that it is not written twice")
	}
}

// xml translates a file to JSON and goes on with that.
func (f *input) xml(ctx context.Context, r io.Reader, emit emit) error {
	text, err := io.ReadAll(io.LimitReader(r, MaxLine+1))
	if err != nil {
		return err
	}
	if len(text) > MaxLine {
		return fmt.Errorf("an XML file has at most %d bytes", MaxLine)
	}
	body, err := codec.NewXMLReader(codec.Options{}).JSON(text)
	if err != nil {
		return emit(&record{file: f, end: 1, err: outcome("structure", "the XML is not that of a resource: "+err.Error())})
	}
	return f.bundle(ctx, bytes.NewReader(body), emit)
}

// outcome is an OperationOutcome of our own.
func outcome(code, text string) []byte {
	s, _ := json.Marshal(text) // a string never fails
	return fmt.Appendf(nil, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"%s","diagnostics":%s}]}`, code, s)
}
