package patch

import "meridian/fhir/issue"

// ParseMerge reads a JSON Merge Patch. Issue codes: structure for what is no
// JSON, invalid for what is no object.
//
// https://www.rfc-editor.org/rfc/rfc7396
func ParseMerge(src []byte, l Limits) (*Patch, error) {
	p := &Patch{limits: l.withDefaults(), kind: mergePatch}
	v, err := parseText(src)
	if err != nil {
		return nil, err
	}
	if !v.isObject() {
		return nil, issue.New(issue.Invalid, idDocument, "a merge patch of a resource is an object", "")
	}
	p.merge = v.text
	return p, nil
}

// merge brings patch into target: null removes, an object goes into what is
// there, all else replaces it.
func (d *document) merge(target, patch *value) error {
	if !patch.isObject() {
		*target = value{text: patch.text}
		return d.spend(len(patch.text))
	}
	b, err := d.open(patch)
	if err != nil {
		return err
	}
	if !target.isObject() {
		*target = value{text: []byte("{}")}
	}
	in, err := d.open(target)
	if err != nil {
		return err
	}
	for i := range b.items {
		name := unquote(b.names[i])
		at := in.find(name)
		switch {
		case b.items[i].isNull():
			if at >= 0 {
				in.unset(at)
			}
		case at >= 0:
			err = d.merge(&in.items[at], &b.items[i])
		default:
			member := value{text: []byte("null")}
			if err = d.merge(&member, &b.items[i]); err == nil {
				in.set(name, b.names[i], member)
			}
		}
		if err != nil {
			return err
		}
	}
	// {"maritalStatus":{"text":null}} on nothing makes nothing.
	in.emptied = in.live == 0 && len(b.items) > 0
	return nil
}
