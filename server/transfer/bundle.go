package transfer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// bundle emits a file of JSON: a resource as it is, a batch or transaction as it is, the
// resources of any other Bundle one by one. A Bundle's type may stand behind its
// entries, so entries are held back until it is known; nearly always it stands before them.
func (f *input) bundle(ctx context.Context, r io.Reader, emit emit) error {
	b := &bundleReader{file: f, emit: emit, top: map[string]json.RawMessage{}}
	b.dec = json.NewDecoder(io.TeeReader(r, &b.text))
	err := b.read(ctx)
	if errors.Is(err, errMore) {
		return emit(&record{file: f, line: int64(b.n), end: int64(b.n) + 1, err: outcome("structure", fmt.Sprintf("%s (byte %d), which is not read", errMore, b.dec.InputOffset()))})
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errShape) {
		return emit(&record{file: f, line: int64(b.n), end: int64(b.n) + 1, err: outcome("structure", fmt.Sprintf("malformed JSON (byte %d); what follows is not read", b.dec.InputOffset()))})
	}
	return err
}

// errTooLarge: a file that is to be sent whole.
var errTooLarge = fmt.Errorf("a batch or transaction has at most %d bytes; of other bundles the type is to stand before the entries", MaxLine)

// errShape: JSON that is no resource.
var errShape = errors.New("not a JSON object of a resource")

// errMore: what several lines of NDJSON are under another name.
var errMore = errors.New("there is more behind the one JSON object that a file has")

type bundleReader struct {
	file *input
	emit emit
	dec  *json.Decoder
	top  map[string]json.RawMessage // members beside entry
	kept []json.RawMessage          // entries before the type, or of what is sent whole
	n    int                        // entries
	text capture                    // what was read
}

// capture keeps what passes, up to MaxLine bytes.
type capture struct {
	b    []byte
	off  bool // nothing more is kept
	over bool
}

func (c *capture) Write(b []byte) (int, error) {
	if c.over = c.over || len(c.b)+len(b) > MaxLine; c.off || c.over {
		c.b = nil
	} else {
		c.b = append(c.b, b...)
	}
	return len(b), nil
}

func (b *bundleReader) read(ctx context.Context) error {
	if t, err := b.dec.Token(); err != nil || t != json.Delim('{') {
		return errors.Join(errShape, eofIsUnexpected(err))
	}
	for b.dec.More() {
		t, err := b.dec.Token()
		if err != nil {
			return eofIsUnexpected(err)
		}
		name, _ := t.(string)
		if name == "entry" && b.is("resourceType", "Bundle", "") {
			if err := b.entries(ctx); err != nil {
				return err
			}
			continue
		}
		var value json.RawMessage
		if err := b.dec.Decode(&value); err != nil {
			return eofIsUnexpected(err)
		}
		b.top[name] = value
		if !b.text.off && b.streams() {
			if err := b.release(); err != nil {
				return err
			}
		}
	}
	if _, err := b.dec.Token(); err != nil {
		return eofIsUnexpected(err)
	}
	return b.last()
}

// last reads to the end of the file, which also has its sums compared where it is compressed.
func (b *bundleReader) last() error {
	var syntax *json.SyntaxError
	switch _, err := b.dec.Token(); {
	case errors.Is(err, io.EOF):
		return b.end()
	case err == nil || errors.As(err, &syntax):
		return errMore
	default:
		return err
	}
}

func eofIsUnexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// is says whether a member has one of these values; "" stands for its absence.
func (b *bundleReader) is(name string, values ...string) bool {
	var text string
	if raw, ok := b.top[name]; ok && json.Unmarshal(raw, &text) != nil {
		return false
	}
	for _, v := range values {
		if text == v {
			return true
		}
	}
	return false
}

// streams says whether it is known that the entries are resources to be written one by one.
func (b *bundleReader) streams() bool {
	return b.is("resourceType", "Bundle") && !b.is("type", "", "batch", "transaction", "history")
}

func (b *bundleReader) entries(ctx context.Context) error {
	if t, err := b.dec.Token(); err != nil || t != json.Delim('[') {
		return errors.Join(errShape, eofIsUnexpected(err))
	}
	for b.dec.More() {
		if err := ctx.Err(); err != nil {
			return err
		}
		var raw json.RawMessage
		if err := b.dec.Decode(&raw); err != nil {
			return eofIsUnexpected(err)
		}
		if b.streams() {
			if err := b.resource(raw); err != nil {
				return err
			}
			continue
		}
		if b.kept = append(b.kept, raw); b.text.over {
			return errTooLarge
		}
	}
	_, err := b.dec.Token()
	return eofIsUnexpected(err)
}

// release emits the entries that were held back.
func (b *bundleReader) release() error {
	for _, raw := range b.kept {
		if err := b.resource(raw); err != nil {
			return err
		}
	}
	b.kept, b.text = nil, capture{off: true}
	return nil
}

// resource emits the resource of an entry; an entry without one, such as a deletion, cannot be imported.
func (b *bundleReader) resource(raw json.RawMessage) error {
	var entry struct {
		Resource json.RawMessage `json:"resource"`
	}
	rec := &record{file: b.file, line: int64(b.n), end: int64(b.n) + 1, body: raw}
	if err := json.Unmarshal(raw, &entry); err != nil || entry.Resource == nil {
		rec.err = outcome("required", "the entry has no resource")
	} else {
		rec.body = entry.Resource
		rec.name()
	}
	b.n++
	return b.emit(rec)
}

// end emits what is not resources of a Bundle.
func (b *bundleReader) end() error {
	switch {
	case b.streams():
		return nil
	case b.is("resourceType", "Bundle") && b.is("type", "history"):
		return b.emit(&record{file: b.file, end: 1, err: outcome("not-supported", "a history cannot be imported: a server gives versions itself. migrate copies a store with its history")})
	}
	if b.text.over {
		return errTooLarge
	}
	body := bytes.TrimSpace(b.text.b)
	rec := &record{file: b.file, end: 1, body: body}
	rec.name()
	return b.emit(rec)
}
