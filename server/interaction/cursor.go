package interaction

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"slices"
	"sync"

	"meridian/fhir/issue"
)

// The cursor of a paging link, `_cursor=…`, is sealed: authenticated and
// encrypted, so that clients cannot change it and patient values in a query do
// not stand in the logs of proxies. docs/format/cursor.md is its format.

// cursorFormat is the first byte of every token. It changes when the layout below does.
const cursorFormat = 4

// maxCursor is the longest token that is looked at, in bytes.
const maxCursor = 32 << 10

// sealer seals with AES-256-GCM under a nonce made from the text itself, so
// that equal cursors have equal tokens and no randomness is needed.
type sealer struct {
	aead  cipher.AEAD
	works *sync.Pool // of *sealing
}

// sealing is what sealing a text needs: a page has two links.
type sealing struct {
	mac     hash.Hash // under the key of nonces
	in, out []byte
	sum     [sha256.Size]byte
}

func newSealer(key []byte) (sealer, error) {
	if len(key) == 0 {
		key = make([]byte, 32)
		if _, err := rand.Read(key); err != nil {
			return sealer{}, fmt.Errorf("interaction: random cursor key: %w", err)
		}
	}
	block, err := aes.NewCipher(derive(key, "cursor seal"))
	if err != nil {
		return sealer{}, fmt.Errorf("interaction: cursor key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return sealer{}, fmt.Errorf("interaction: cursor key: %w", err)
	}
	nonceKey := derive(key, "cursor nonce")
	return sealer{aead, &sync.Pool{New: func() any { return &sealing{mac: hmac.New(sha256.New, nonceKey)} }}}, nil
}

func derive(key []byte, purpose string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(purpose))
	return h.Sum(nil)
}

// seal gives the token of text; open needs the same scope (what the link is for).
func (s *sealer) seal(text []byte, scope string) string {
	w := s.works.Get().(*sealing)
	defer s.works.Put(w)
	w.in = append(append(append(append(w.in[:0], cursorFormat), scope...), 0), text...)
	w.mac.Reset()
	w.mac.Write(w.in)
	nonce := w.mac.Sum(w.sum[:0])[:s.aead.NonceSize()]
	w.out = append(append(w.out[:0], cursorFormat), nonce...)
	w.out = s.aead.Seal(w.out, nonce, text, w.in[:1+len(scope)])
	return base64.RawURLEncoding.EncodeToString(w.out)
}

var errCursor = errors.New("cursor is not ours")

func (s *sealer) open(token, scope string) ([]byte, error) {
	if len(token) > maxCursor {
		return nil, errCursor
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	n := s.aead.NonceSize()
	if err != nil || len(raw) < 1+n || raw[0] != cursorFormat {
		return nil, errCursor
	}
	text, err := s.aead.Open(nil, raw[1:1+n], raw[1+n:], append(raw[:1:1], scope...))
	if err != nil {
		return nil, errCursor
	}
	return text, nil
}

func cursorError() error {
	return issue.New(issue.Value, "search.cursor", "_cursor: the link is not valid any more, or is that of another server: begin the search again", "")
}

// cursorAlone: what a client adds to a link would be ignored, so it is refused.
func cursorAlone() error {
	return issue.New(issue.Invalid, "search.cursor", "a link to a page is followed as it is, without further parameters", "")
}

// searchScope binds a cursor to what was searched (the path) and to the form of
// its sort values (the version of the index).
func searchScope(index, path string) string { return "search\x00" + index + "\x00" + path }

// searchCursor is the content of a search's cursor.
type searchCursor struct {
	Query string    // as in the self link of the first page
	Total int       // of the first page, -1 when it had none
	After *rowPlace // the last row of the page before; nil for the first page
	// Trail are the places of the pages before, the nearest first: what After was for each, as they stand in the token. Each tells its
	// number by that of the one before it, the first by that of After, so the trail of a page is that of the page before behind one more place.
	Trail []byte
	// Rest, when not nil, asks for more of what the page includes.
	Rest *rest
}

// rest is where the includes of a page go on.
type rest struct {
	End    *rowPlace // the last match of the page
	More   bool      // matches follow it
	Step   int       // of the page's includes
	Key    string    // the last one that a step of references gave
	Number uint64    // the last one that a step of searches gave
}

// The pages before that a cursor remembers: nearTrail of them, and more up to wantTrail bytes, some 20 without a sort; never
// more than maxTrail bytes. `previous` leads back so far; `first` always. Links carry it both ways: with 2 KiB a page deep
// in a walk cost 1.7 times the first (Gate, 20,000 resources).
const (
	nearTrail = 5
	wantTrail = 128
	maxTrail  = 2 << 10
)

// Layout: total+1 as uvarint; place; length of the trail as uvarint and the trail, places one behind the other; 0, or 1 and the rest; the query.
func (c *searchCursor) append(dst []byte) []byte {
	dst = slices.Grow(dst, 128+len(c.Trail)+len(c.Query))
	dst = binary.AppendUvarint(dst, uint64(c.Total+1))
	dst = c.After.append(dst, 0)
	dst = append(binary.AppendUvarint(dst, uint64(len(c.Trail))), c.Trail...)
	if c.Rest == nil {
		dst = append(dst, 0)
	} else {
		dst = c.Rest.append(append(dst, 1))
	}
	return append(dst, c.Query...)
}

// ahead is the cursor of the page after this one, which begins behind the row end.
func (c *searchCursor) ahead(end *rowPlace) *searchCursor {
	trail := append(c.After.append(make([]byte, 0, wantTrail+64), end.number()), c.Trail...)
	r := cursorReader{b: trail}
	kept := 0
	for n := 0; len(r.b) > 0; n++ {
		r.skip()
		if at := len(trail) - len(r.b); r.bad || at > maxTrail || n >= nearTrail && at > wantTrail {
			break
		} else {
			kept = at
		}
	}
	return &searchCursor{After: end, Trail: trail[:kept]}
}

// back is the cursor of the page before, nil where the trail is at its end.
func (c *searchCursor) back() *searchCursor {
	if len(c.Trail) == 0 {
		return nil
	}
	r := cursorReader{b: c.Trail}
	return &searchCursor{After: r.place(c.After.number()), Trail: r.b}
}

// append: 0 for nil; else arm+1 as uvarint, the number as varint beyond from (neighbours are near), then how many sort
// values there are, each 0 for none or 1, length and bytes.
func (p *rowPlace) append(dst []byte, from uint64) []byte {
	if p == nil {
		return append(dst, 0)
	}
	dst = binary.AppendUvarint(dst, uint64(p.Arm)+1)
	dst = binary.AppendVarint(dst, int64(p.Number-from))
	dst = binary.AppendUvarint(dst, uint64(len(p.Values)))
	for _, v := range p.Values {
		if v == nil {
			dst = append(dst, 0)
			continue
		}
		dst = append(dst, 1)
		dst = binary.AppendUvarint(dst, uint64(len(*v)))
		dst = append(dst, *v...)
	}
	return dst
}

// number is 0 for nil.
func (p *rowPlace) number() uint64 {
	if p == nil {
		return 0
	}
	return p.Number
}

// append: the place of the end, 1 when matches follow, step, length and key, number.
func (x *rest) append(dst []byte) []byte {
	dst = x.End.append(dst, 0)
	more := byte(0)
	if x.More {
		more = 1
	}
	dst = binary.AppendUvarint(append(dst, more), uint64(x.Step))
	dst = binary.AppendUvarint(dst, uint64(len(x.Key)))
	return binary.AppendUvarint(append(dst, x.Key...), x.Number)
}

func (c *searchCursor) parse(text []byte) error {
	r := cursorReader{b: text}
	c.Total = int(r.uvarint()) - 1
	c.After = r.place(0)
	trail := cursorReader{b: r.bytes(r.uvarint())}
	if len(trail.b) > 0 {
		c.Trail = trail.b
	}
	for len(trail.b) > 0 {
		trail.skip()
	}
	r.bad = r.bad || trail.bad || len(c.Trail) > maxTrail
	if r.byte() == 1 {
		x := &rest{End: r.place(0), More: r.byte() == 1, Step: int(r.uvarint())}
		x.Key = r.string(r.uvarint())
		x.Number = r.uvarint()
		c.Rest = x
	}
	c.Query = string(r.b)
	if r.bad {
		return errCursor
	}
	return nil
}

func (r *cursorReader) place(from uint64) *rowPlace {
	arm := r.uvarint()
	if arm == 0 {
		return nil
	}
	p := &rowPlace{Arm: int(arm - 1)}
	p.Number = from + uint64(r.varint())
	n := r.uvarint()
	if r.bad || n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	for range n {
		if r.byte() == 0 {
			p.Values = append(p.Values, nil)
			continue
		}
		v := r.string(r.uvarint())
		p.Values = append(p.Values, &v)
	}
	return p
}

// skip goes past a place.
func (r *cursorReader) skip() {
	if r.uvarint() == 0 {
		return
	}
	r.varint()
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		if r.byte() != 0 {
			r.bytes(r.uvarint())
		}
	}
}

// cursorReader reads fields and remembers that one was cut short.
type cursorReader struct {
	b   []byte
	bad bool
}

func (r *cursorReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *cursorReader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *cursorReader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *cursorReader) string(n uint64) string { return string(r.bytes(n)) }

// bytes are a part of what is read.
func (r *cursorReader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}
