package search

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/schema"
)

// Index fills into with the facts of a resource, reusing its slices; what was
// there is overwritten. The strings of one call share one allocation and do not
// keep the body alive. The error is internal: root is not a resource.
func (r *Registry) Index(root element.Node, into *Facts) error {
	into.Keys, into.Forward = into.Keys[:0], into.Forward[:0]
	if !root.Valid() || root.Type().Kind != schema.Resource {
		return fmt.Errorf("index: not a resource")
	}
	t := r.tableOf(root.Type())
	if t == nil {
		return fmt.Errorf("index: no search parameters for type %s", root.Type().Name)
	}
	b := r.scratch.Get().(*builder)
	b.reset(r, t, root)
	b.walk(root, t.root)
	err := b.finishParams(root)
	if err == nil {
		b.finish(into)
	}
	r.scratch.Put(b)
	return err
}

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
	text []byte // unescaped text of a node, valid until the next call of bytes
}

// span is a part of builder.buf.
type span struct{ at, end uint32 }

// protoKey is a Key before its texts are strings.
type protoKey struct {
	name   uint16
	fixed  string // the scope where it is a constant
	scope  span   // else
	value  span
	sorted bool // false for a key that only says that there is a value
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

func (b *builder) key(name uint16, fixed string, scope, value span) {
	b.keys = append(b.keys, protoKey{name, fixed, scope, value, true})
}

// present says that p has a value that gave no other key. typ is the resource
// type that a reference of unknown place is known to name, or NoSystem.
func (b *builder) present(p *Param, typ string) {
	b.keys = append(b.keys, protoKey{name: p.main, fixed: typ})
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
	}
}

func (b *builder) exists(p *Param, n element.Node) {
	if !n.HasValue() {
		return
	}
	b.seen = append(b.seen, p)
	if n.TypeID() == schema.TypeBoolean {
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
	scope := func(k *protoKey) string {
		if k.fixed != "" {
			return k.fixed
		}
		return s[k.scope.at:k.scope.end]
	}
	slices.SortFunc(b.keys, func(x, y protoKey) int {
		if x.name != y.name {
			return int(x.name) - int(y.name)
		}
		if c := cmp.Compare(scope(&x), scope(&y)); c != 0 {
			return c
		}
		return cmp.Compare(s[x.value.at:x.value.end], s[y.value.at:y.value.end])
	})
	for i := range b.keys {
		k := &b.keys[i]
		key := Key{b.t.names[k.name], scope(k), s[k.value.at:k.value.end]}
		if n := len(into.Keys); n > 0 && into.Keys[n-1] == key {
			continue
		}
		into.Keys = append(into.Keys, key)
		if k.sorted && b.t.forms[k.name].forward {
			addForward(into, key.Param, b.t.forms[k.name].param.Kind, k, s)
		}
	}
}

// addForward takes a key, coming in order, into the forward value of its parameter.
func addForward(into *Facts, param string, kind Kind, k *protoKey, s string) {
	text := s[k.value.at:k.value.end]
	switch {
	case kind == KindReference:
		// type and id stand side by side in the text: Patient/123
		text = s[min(k.scope.at, k.value.at):k.value.end]
		if k.scope == (span{}) {
			text = s[k.value.at:k.value.end]
		}
	case k.fixed != "" || k.scope.end > k.scope.at:
		return
	case kind == KindDate || kind == KindNumber || kind == KindQuantity:
		text, _ = SplitRange(text)
	}
	if n := len(into.Forward); n > 0 && into.Forward[n-1].Param == param {
		f := &into.Forward[n-1]
		f.Low, f.High = min(f.Low, text), max(f.High, text)
		return
	}
	into.Forward = append(into.Forward, Forward{param, text, text})
}
