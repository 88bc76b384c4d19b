package patch

import (
	"errors"
	"slices"
	"strconv"

	"meridian/fhir/codec"
	"meridian/fhir/issue"
)

// jsonOperation is one operation of a JSON Patch.
type jsonOperation struct {
	index      int
	op         string
	path, from pointer
	shown      string // the path as sent
	value      []byte // nil where the operation has none
}

// ParseJSON reads a JSON Patch. Issue codes: structure for what is no JSON,
// invalid, required and value for what is no operation, too-costly for too many.
//
// https://www.rfc-editor.org/rfc/rfc6902
func ParseJSON(src []byte, l Limits) (*Patch, error) {
	p := &Patch{limits: l.withDefaults(), kind: jsonPatch}
	list, err := parseText(src)
	if err != nil {
		return nil, err
	}
	if !list.isArray() {
		return nil, issue.New(issue.Invalid, idDocument, "a JSON Patch is an array of operations", "")
	}
	d := document{nodes: p.limits.Nodes}
	items, err := d.open(list)
	if err != nil {
		return nil, err
	}
	if len(items.items) > p.limits.Operations {
		return nil, tooMany(p.limits.Operations)
	}
	failed := &issue.Error{}
	p.json = make([]jsonOperation, len(items.items))
	for i := range items.items {
		p.json[i].index = i
		if err := p.json[i].parse(&d, &items.items[i]); err != nil && len(failed.Issues) < maxIssues {
			failed.Issues = append(failed.Issues, issue.As(err).Issues...)
		}
	}
	if len(failed.Issues) > 0 {
		return nil, failed
	}
	return p, nil
}

// parseText checks the syntax of a patch document.
func parseText(src []byte) (*value, error) {
	if err := codec.CheckSyntax(src, codec.Options{MaxDepth: maxDepth, MaxBytes: max(len(src), 1)}); err != nil {
		return nil, err
	}
	v := newValue(src)
	return &v, nil
}

// parse reads the members of an operation. Unknown ones say nothing (RFC 6902 section 4).
func (o *jsonOperation) parse(d *document, v *value) error {
	if !v.isObject() {
		return o.bad(issue.Invalid, "an operation is an object")
	}
	b, err := d.open(v)
	if err != nil {
		return o.wrap(err)
	}
	text := func(name string) (string, bool, error) {
		i := b.find(name)
		if i < 0 {
			return "", false, nil
		}
		if !b.items[i].isString() {
			return "", false, o.bad(issue.Value, name+" is a string")
		}
		return b.items[i].string(), true, nil
	}
	var hasPath, hasFrom bool
	var from string
	if o.op, _, err = text("op"); err != nil {
		return err
	}
	if o.shown, hasPath, err = text("path"); err != nil {
		return err
	}
	if i := b.find("value"); i >= 0 {
		o.value = b.items[i].append(nil)
	}
	needsValue, needsFrom := false, false
	switch o.op {
	case "add", "replace", "test":
		needsValue = true
	case "move", "copy":
		needsFrom = true
		if from, hasFrom, err = text("from"); err != nil {
			return err
		}
	case "remove":
	case "":
		return o.bad(issue.Required, "an operation has an op")
	default:
		o.op = "" // not repeated
		return o.bad(issue.Value, "op is one of add, remove, replace, move, copy, test")
	}
	switch {
	case !hasPath:
		return o.bad(issue.Required, "the operation has no path")
	case needsValue && o.value == nil:
		return o.bad(issue.Required, "the operation has no value")
	case needsFrom && !hasFrom:
		return o.bad(issue.Required, "the operation has no from")
	}
	if o.path, err = parsePointer(o.shown); err == nil {
		o.from, err = parsePointer(from)
	}
	if err != nil {
		e := issue.As(o.bad(issue.Value, err.Error()))
		e.Issues[0].ID = idPath
		return e
	}
	return nil
}

// place is how an error names the operation: operation[2] replace "/name/0/family".
func (o *jsonOperation) place() string {
	s := "operation[" + strconv.Itoa(o.index) + "]"
	if o.op != "" {
		s += " " + o.op
	}
	if o.shown != "" {
		s += " " + strconv.QuoteToASCII(clip(o.shown))
	}
	return s
}

// maxPathShown is how many bytes of a path an error repeats.
const maxPathShown = 200

func clip(path string) string {
	if len(path) > maxPathShown {
		return path[:maxPathShown] + "…"
	}
	return path
}

func (o *jsonOperation) bad(code issue.Code, text string) error {
	return issue.New(code, idDocument, o.place()+": "+text, "")
}

// wrap names the operation in an error of the document below.
func (o *jsonOperation) wrap(err error) error {
	if e := issue.As(err); e != nil {
		out := issue.New(e.Issues[0].Code, e.Issues[0].ID, o.place()+": "+e.Issues[0].Text, "")
		out.Status = e.Status
		return out
	}
	id := idApply
	if errors.Is(err, errDifferent) {
		id = idTest
	}
	return issue.New(issue.Processing, id, o.place()+": "+err.Error(), "")
}

// apply carries out one operation.
func (d *document) apply(o *jsonOperation) error {
	var err error
	switch o.op {
	case "add":
		err = d.add(o.path, o.value)
	case "remove":
		_, err = d.remove(o.path)
	case "replace":
		err = d.replace(o.path, o.value)
	case "move":
		err = d.move(o.from, o.path)
	case "copy":
		err = d.copy(o.from, o.path)
	case "test":
		err = d.test(o.path, o.value)
	}
	if err != nil {
		return o.wrap(err)
	}
	return nil
}

// spend takes n bytes that are added off what may be.
func (d *document) spend(n int) error {
	if d.bytes -= n; d.bytes < 0 {
		return tooMuch()
	}
	return nil
}

func (d *document) add(p pointer, text []byte) error {
	if err := d.spend(len(text)); err != nil {
		return err
	}
	return d.put(p, value{text: text})
}

// put adds a value: a member, which may be there already, or an item at an index.
func (d *document) put(p pointer, val value) error {
	if len(p) == 0 {
		d.root = val
		return nil
	}
	v, b, err := d.parent(p)
	if errors.Is(err, errNoMember) || errors.Is(err, errNoItem) {
		return errNoParent
	}
	if err != nil {
		return err
	}
	last := p[len(p)-1]
	if v.isObject() {
		b.set(last, codec.AppendString(nil, last), val)
		return nil
	}
	i := len(b.items)
	if last != "-" {
		if i, err = index(last, i+1); err != nil {
			return err
		}
	}
	b.insert(i, val)
	return nil
}

func (d *document) remove(p pointer) (value, error) {
	if len(p) == 0 {
		return value{}, errRoot
	}
	v, b, err := d.parent(p)
	if err != nil {
		return value{}, err
	}
	i, err := b.place(v, p[len(p)-1])
	if err != nil {
		return value{}, err
	}
	if v.isObject() {
		return b.unset(i), nil
	}
	return b.cut(i), nil
}

func (d *document) replace(p pointer, text []byte) error {
	v, err := d.find(p)
	if err != nil {
		return err
	}
	*v = value{text: text}
	return d.spend(len(text))
}

func (d *document) move(from, to pointer) error {
	if to.isBelow(from) {
		return errInside
	}
	if _, err := d.find(from); err != nil {
		return err
	}
	if slices.Equal(from, to) {
		return nil
	}
	v, err := d.remove(from)
	if err != nil {
		return err
	}
	return d.put(to, v)
}

func (d *document) copy(from, to pointer) error {
	v, err := d.find(from)
	if err != nil {
		return err
	}
	// What was opened is written, so that the copy is one of its own.
	if v.box != nil {
		text := v.append(nil)
		return d.add(to, text)
	}
	return d.add(to, v.text)
}

func (d *document) test(p pointer, text []byte) error {
	v, err := d.find(p)
	if err != nil {
		return err
	}
	want := value{text: text}
	same, err := d.equal(v, &want)
	if err != nil {
		return err
	}
	if !same {
		return errDifferent
	}
	return nil
}
