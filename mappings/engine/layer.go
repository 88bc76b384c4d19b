package engine

import (
	"strconv"
	"strings"
)

// A layer is a short file over a map: what one kind of sender does differently.
//
//	map: oru_r01_mindray_bs
//	version: 1
//	extends: oru_r01
//	when: "msg.MSH.f3.1 == 'Mindray'"      # applies by itself; without it a source names the layer
//	tables: {gender: gender_bs}            # lookups of gender go to this table first
//	set:
//	  resources.pat.target.identifier.1: null
//	  partials.observation.target.code.args.name: x.f4
//	add:
//	  filters: [{when: "msg.MSH.f16 == '2'", rule: quality-control}]
//
// A `set` key walks the map: names of keys, of resources (by name) and scopes
// (by as), and numbers of list entries from 0. null removes. The result is
// checked like any map; problems name the file where the text stands.

// compileLayer applies a layer to its map and compiles the result.
func (l *Library) compileLayer(doc *ynode, base map[string]*ynode) Problems {
	c := &compiler{}
	ext, name := doc.get("extends"), doc.get("map")
	below := base[ext.text]
	if below == nil {
		c.problem(ext, "M050", nearest(ext.text, keysOf(base)), "there is no map %q to extend", ext.text)
		return c.problems
	}
	under := l.mapNamed(ext.text)
	if base[name.text] != nil || under != nil && under.layers[name.text] != nil {
		c.problem(name, "M050", "", "two maps are named %q", name.text)
		return c.problems
	}
	merged := below.clone()
	merged.put("map", name)
	merged.put("version", doc.get("version"))
	if w := doc.get("when"); w != nil {
		merged.put("when", w)
	}
	if s := doc.get("set"); s != nil {
		for i, k := range s.keys {
			c.set(merged, k, s.vals[i])
		}
	}
	if a := doc.get("add"); a != nil {
		for i, k := range a.keys {
			list := merged.get(k.text)
			if list == nil {
				list = &ynode{kind: yamlList, file: k.file, line: k.line, col: k.col}
				merged.put(k.text, list)
			}
			list.vals = append(list.vals, a.vals[i].list()...)
		}
	}
	tables := c.overlay(l.tables, doc.get("tables"))
	if len(c.problems) > 0 || under == nil {
		return c.problems
	}
	m, ps := compileDoc(merged, tables, l.bindings)
	if m != nil {
		under.layers[name.text] = m
		if m.auto != nil {
			under.autos = append(under.autos, m)
		}
	}
	return ps
}

func (l *Library) mapNamed(name string) *Map {
	for _, m := range l.maps {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// overlay gives the tables with some put over others.
func (c *compiler) overlay(tables map[string]*Table, y *ynode) map[string]*Table {
	if y == nil {
		return tables
	}
	out := make(map[string]*Table, len(tables))
	for k, t := range tables {
		out[k] = t
	}
	for i, k := range y.keys {
		below, above := tables[k.text], tables[y.vals[i].text]
		switch {
		case below == nil:
			c.problem(k, "M030", nearest(k.text, tableNames(tables)), "there is no table %q", k.text)
		case above == nil:
			c.problem(y.vals[i], "M030", nearest(y.vals[i].text, tableNames(tables)), "there is no table %q", y.vals[i].text)
		default:
			out[k.text] = above.over(below)
		}
	}
	return out
}

// set puts a value where a dotted key leads, or removes what stands there.
func (c *compiler) set(doc *ynode, key, v *ynode) {
	parts := strings.Split(key.text, ".")
	at := doc
	for i, part := range parts[:len(parts)-1] {
		next := at.step(part)
		if next == nil {
			c.problem(key, "M050", nearest(part, at.stepNames()), "the map has no %s", strings.Join(parts[:i+1], "."))
			return
		}
		at = next
	}
	last := parts[len(parts)-1]
	switch {
	case at.kind == yamlMap && v.kind == yamlNull:
		if !at.remove(last) {
			c.problem(key, "M050", nearest(last, at.stepNames()), "the map has no %s", key.text)
		}
	case at.kind == yamlMap:
		at.put(last, v)
	case at.kind == yamlList:
		c.setEntry(at, last, key, v)
	default:
		c.problem(key, "M050", "", "%s is a value: nothing can be set in it", strings.Join(parts[:len(parts)-1], "."))
	}
}

func (c *compiler) setEntry(list *ynode, name string, key, v *ynode) {
	for i := range list.vals {
		if list.entry(i, name) {
			if v.kind == yamlNull {
				list.vals = append(list.vals[:i], list.vals[i+1:]...)
			} else {
				list.vals[i] = v
			}
			return
		}
	}
	c.problem(key, "M050", nearest(name, list.stepNames()), "the map has no %s", key.text)
}

// clone copies the tree of lists and maps; scalars are shared.
func (y *ynode) clone() *ynode {
	if y.kind != yamlList && y.kind != yamlMap {
		return y
	}
	out := *y
	out.keys = append([]*ynode(nil), y.keys...)
	out.vals = make([]*ynode, len(y.vals))
	for i, v := range y.vals {
		out.vals[i] = v.clone()
	}
	return &out
}

func (y *ynode) put(key string, v *ynode) {
	for i, k := range y.keys {
		if k.text == key {
			y.vals[i] = v
			return
		}
	}
	y.keys = append(y.keys, &ynode{kind: yamlScalar, text: key, plain: key, file: v.file, line: v.line, col: v.col})
	y.vals = append(y.vals, v)
}

func (y *ynode) remove(key string) bool {
	for i, k := range y.keys {
		if k.text == key {
			y.keys = append(y.keys[:i], y.keys[i+1:]...)
			y.vals = append(y.vals[:i], y.vals[i+1:]...)
			return true
		}
	}
	return false
}

// step goes one name down: a key, or an entry of a list by its name, its `as`, or its number.
func (y *ynode) step(name string) *ynode {
	if y.kind == yamlList {
		for i, v := range y.vals {
			if y.entry(i, name) {
				return v
			}
		}
		return nil
	}
	return y.get(name)
}

// entry says that entry i of a list goes by a name.
func (y *ynode) entry(i int, name string) bool {
	v := y.vals[i]
	return v.str("name") == name || v.str("name") == "" && v.str("as") == name || strconv.Itoa(i) == name
}

func (y *ynode) stepNames() []string {
	var out []string
	for _, k := range y.keys {
		out = append(out, k.text)
	}
	if y.kind == yamlList {
		for i, v := range y.vals {
			out = append(out, v.str("name"), v.str("as"), strconv.Itoa(i))
		}
	}
	return out
}

func keysOf(m map[string]*ynode) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	return out
}
