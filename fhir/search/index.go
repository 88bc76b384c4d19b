package search

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/schema"
)

// Index fills into with the facts of a resource, reusing its slices; what was
// there is overwritten. The strings of one call share one allocation and do not
// keep the body alive. The error is internal: root is not a resource.
func (r *Registry) Index(root element.Node, into *Facts) error {
	b, err := r.begin(root, into)
	if err != nil {
		return err
	}
	b.walk(root, b.t.root)
	if err = b.finishParams(root); err == nil {
		b.finish(into)
	}
	r.end(b)
	if err != nil {
		return err
	}
	return r.indexContained(root, into)
}

// begin empties into and gives a builder for root.
func (r *Registry) begin(root element.Node, into *Facts) (*builder, error) {
	into.Keys, into.Forward = into.Keys[:0], into.Forward[:0]
	if !root.Valid() || root.Type().Kind != schema.Resource {
		return nil, fmt.Errorf("index: not a resource")
	}
	set := r.added.Load()
	t := r.tableIn(set, root.Type())
	if t == nil {
		return nil, fmt.Errorf("index: no search parameters for type %s", root.Type().Name)
	}
	into.Generation = set.generation
	b := r.scratch.Get().(*builder)
	b.reset(r, t, root)
	return b, nil
}

// end keeps the builder for the next resource.
func (r *Registry) end(b *builder) {
	if b.root = (element.Node{}); cap(b.buf) <= maxPooledBuffer {
		r.scratch.Put(b)
	}
}

// maxPooledBuffer is the largest text buffer that is kept for the next resource, in bytes.
const maxPooledBuffer = 1 << 20

// builder collects the keys of one resource: their texts in buf, their places
// in keys. It becomes strings once, at the end.
type builder struct {
	r    *Registry
	t    *typeTable
	root element.Node
	buf  []byte
	keys []protoKey
	seen []*Param // of typeTable.absent
	fold []byte
	scan wordScanner
	// joined are the words of a text.
	joined []byte
	text   []byte // unescaped text of a node, valid until the next call of bytes

	stamp     element.Tree // see IndexStamped
	stampText []byte       // its source
}

// span is a part of builder.buf.
type span struct{ at, end uint32 }

// protoKey is a Key before its texts are strings.
type protoKey struct {
	name   uint16 // place in typeTable.names
	hollow bool   // only says that there is a value: not sorted by
	scope  span
	value  span
}

func (b *builder) reset(r *Registry, t *typeTable, root element.Node) {
	b.r, b.t, b.root = r, t, root
	b.buf, b.keys, b.seen = b.buf[:0], b.keys[:0], b.seen[:0]
}

// finishParams adds what the walk could not: parameters outside the simple
// subset, and those whose answer is "false" where nothing was found.
func (b *builder) finishParams(root element.Node) error {
	for _, p := range b.t.absent {
		if !slices.Contains(b.seen, p) {
			b.boolean(p, []byte("false"))
		}
	}
	if b.t.fullText {
		b.fullText(root)
	}
	if len(b.t.slow) > 0 {
		return b.slow(root)
	}
	return nil
}

// put appends a text to buf, cut at MaxValue, and says whether it was cut. A
// U+0000, which no legal string has, becomes U+FFFD.
func (b *builder) put(s []byte) (span, bool) {
	s, was := cut(s)
	at := uint32(len(b.buf))
	b.buf = append(b.buf, s...)
	if bytes.IndexByte(s, 0) >= 0 {
		clean := bytes.ReplaceAll(b.buf[at:], []byte{0}, []byte("\uFFFD"))
		clean, _ = cut(clean)
		b.buf = append(b.buf[:at], clean...)
	}
	return span{at, uint32(len(b.buf))}, was
}

func (b *builder) key(name uint16, scope, value span) {
	b.keys = append(b.keys, protoKey{name: name, scope: scope, value: value})
}

// fixed puts a scope that is a constant.
func (b *builder) fixed(scope string) span {
	at := uint32(len(b.buf))
	b.buf = append(b.buf, scope...)
	return span{at, uint32(len(b.buf))}
}

// present says that p has a value that gave no other key. typ is the resource
// type that a reference of unknown place is known to name, or NoSystem.
func (b *builder) present(p *Param, typ string) {
	b.keys = append(b.keys, protoKey{name: p.main, hollow: true, scope: b.fixed(typ)})
}

// bytes gives a primitive's text without copying where nothing is escaped.
func (b *builder) bytes(n element.Node) []byte {
	if !n.Escaped() {
		return n.Bytes()
	}
	raw := n.Raw()
	b.text = element.AppendUnescaped(b.text[:0], raw[1:len(raw)-1])
	return b.text
}

// value adds the keys of one value of p.
func (b *builder) value(p *Param, n element.Node) {
	switch p.Kind {
	case KindNumber:
		b.number(p, n)
	case KindDate:
		b.date(p, n)
	case KindString:
		b.stringValue(p, n)
	case KindToken:
		b.token(p, n)
	case KindReference:
		b.reference(p, n)
	case KindQuantity:
		b.quantity(p, n)
	case KindURI:
		b.uri(p, n)
	case KindSpecial:
		b.near(p, n)
	}
}

// exists answers for X.exists() and X != false: with false where that is the
// value, else with true, also where there are extensions only (a
// deceasedDateTime whose date is unknown).
func (b *builder) exists(p *Param, n element.Node) {
	b.seen = append(b.seen, p)
	if n.TypeID() == schema.TypeBoolean && n.HasValue() {
		b.boolean(p, n.Bytes())
		return
	}
	b.boolean(p, []byte("true"))
}

// slow evaluates the expressions that the trie does not serve.
func (b *builder) slow(root element.Node) error {
	for _, p := range b.t.slow {
		items, err := p.eval(root)
		if err != nil {
			return err
		}
		for _, it := range items {
			if v, ok := it.Bool(); ok && it.Kind() == fhirpath.Boolean {
				b.boolean(p, strconv.AppendBool(nil, v))
			} else if it.Kind() == fhirpath.Element {
				b.value(p, it.Node())
			}
		}
	}
	return nil
}

// finish sorts the keys, drops duplicates and fills into.
func (b *builder) finish(into *Facts) {
	s := string(b.buf)
	sortKeys(b.keys, s)
	into.Keys = slices.Grow(into.Keys, len(b.keys))
	for i := range b.keys {
		k := &b.keys[i]
		if i > 0 && compareProto(&b.keys[i-1], k, s) == 0 {
			continue
		}
		f := &b.t.forms[k.name]
		into.Keys = append(into.Keys, Key{b.t.names[k.name], s[k.scope.at:k.scope.end], s[k.value.at:k.value.end]})
		if f.forward && !k.hollow {
			addForward(into, f.param, k, s)
		}
	}
}

// fewKeys is how many keys an insertion sort takes; a resource rarely has more.
const fewKeys = 32

func sortKeys(keys []protoKey, s string) {
	if len(keys) > fewKeys {
		slices.SortFunc(keys, func(x, y protoKey) int { return compareProto(&x, &y, s) })
		return
	}
	for i := 1; i < len(keys); i++ {
		k := keys[i]
		j := i
		for ; j > 0; j-- {
			x := &keys[j-1]
			if x.name < k.name || x.name == k.name && compareProto(x, &k, s) <= 0 {
				break // the name decides mostly, without a call
			}
			keys[j] = *x
		}
		keys[j] = k
	}
}

func compareProto(x, y *protoKey, s string) int {
	if x.name != y.name {
		return int(x.name) - int(y.name)
	}
	if c := strings.Compare(s[x.scope.at:x.scope.end], s[y.scope.at:y.scope.end]); c != 0 {
		return c
	}
	return strings.Compare(s[x.value.at:x.value.end], s[y.value.at:y.value.end])
}

// addForward takes a key, coming in order, into the forward value of its parameter.
func addForward(into *Facts, p *Param, k *protoKey, s string) {
	text := s[k.value.at:k.value.end]
	switch {
	case p.Kind == KindReference:
		if k.scope != (span{}) {
			text = s[k.scope.at:k.value.end] // type and id stand side by side: Patient/123
		}
	case k.scope.end > k.scope.at:
		return
	case p.Kind == KindDate || p.Kind == KindNumber || p.Kind == KindQuantity:
		text, _ = SplitRange(text)
	}
	if n := len(into.Forward); n > 0 && into.Forward[n-1].Param == p.key {
		f := &into.Forward[n-1]
		f.Low, f.High = min(f.Low, text), max(f.High, text)
		return
	}
	into.Forward = append(into.Forward, Forward{p.key, text, text})
}
