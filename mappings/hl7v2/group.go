package hl7v2

import (
	"iter"
	"strings"
)

// GroupOptions of GroupMessage; the zero value works.
type GroupOptions struct {
	// Structure is used instead of MSH-9, for a source that names it wrongly: "ORU_R01".
	Structure string
	// SpecimenFirst reads an OBX that follows SPM as a result of the order, not as an observation about the specimen. Set it for a
	// source that sends ORC OBR SPM OBX…, which CodeSpecimenResults reports.
	SpecimenFirst bool
}

// Tree is a message arranged by its grammar.
type Tree struct {
	Structure string // the grammar used: "ORU_R01", or "" for a flat list
	Root      *Group // its Name is the Structure
	Findings  []Finding
}

// Group is one occurrence of a group of a message: a list of segments and further groups in the order of the text. Every
// segment of the message is in exactly one group.
type Group struct {
	Name   string // "ORDER_OBSERVATION"
	Number int    // among the groups of this name under the same parent, from 1
	Parent *Group // nil for the root

	first, last *node
}

type node struct {
	segment Segment // or
	group   *Group
	next    *node
}

// Children yields what stands in the group, in the order of the text: for each either a segment or, with an
// empty segment, a group.
func (g *Group) Children() iter.Seq2[Segment, *Group] {
	return func(yield func(Segment, *Group) bool) {
		if g == nil {
			return
		}
		for n := g.first; n != nil; n = n.next {
			if !yield(n.segment, n.group) {
				return
			}
		}
	}
}

// Groups yields the groups of a name directly below g. A nil Group has none.
func (g *Group) Groups(name string) iter.Seq[*Group] {
	return func(yield func(*Group) bool) {
		for _, c := range g.Children() {
			if c != nil && c.Name == name && !yield(c) {
				return
			}
		}
	}
}

// Group is the first group of a name directly below g, or nil.
func (g *Group) Group(name string) *Group {
	for c := range g.Groups(name) {
		return c
	}
	return nil
}

// Segments yields the segments of a name directly in g.
func (g *Group) Segments(name string) iter.Seq[Segment] {
	return func(yield func(Segment) bool) {
		for s := range g.Children() {
			if s.Exists() && s.Name() == name && !yield(s) {
				return
			}
		}
	}
}

// Segment is the first segment of a name directly in g, or the zero Segment.
func (g *Group) Segment(name string) Segment {
	for s := range g.Segments(name) {
		return s
	}
	return Segment{}
}

// All yields every segment in and below g in the order of the text.
func (g *Group) All() iter.Seq[Segment] {
	return func(yield func(Segment) bool) { g.all(yield) }
}

func (g *Group) all(yield func(Segment) bool) bool {
	for s, c := range g.Children() {
		if c != nil {
			if !c.all(yield) {
				return false
			}
		} else if !yield(s) {
			return false
		}
	}
	return true
}

// element is one place in a grammar: a segment or a group of elements.
type element struct {
	name         string
	of           []element // nil for a segment
	required     bool
	repeats      bool
	anyOrder     bool    // may come again after elements that stand behind it
	since, until version // zero: always
}

func (e *element) legal(v version) bool {
	return v == anyVersion || v >= e.since && (e.until == 0 || v <= e.until)
}

// Structure is MSH-9.3 or, where that is empty, what MSH-9.1 and MSH-9.2 stand for.
func (m *Message) Structure() string {
	f := m.Header().Field(9)
	if s := f.Component(3).Raw(); s != "" && s != `""` {
		return s
	}
	return f.Component(1).Raw() + "_" + f.Component(2).Raw()
}

// GroupMessage arranges the segments by the grammar of the message's structure and version.
//
// A segment goes to the next place that the grammar has for it. If there is none, it goes to the closest group around the last
// segment that has such a segment (CodeSegmentOrder), else it opens the group it belongs to although a required segment is
// missing there (CodeSegmentMissing), else it stays in the innermost group (CodeSegmentUnexpected). Z segments stay in the innermost
// group without a finding. What is legal in another version than that of MSH-12 is placed as there (CodeSegmentVersion). A
// structure without a grammar here takes that of its message code, ORU_… that of ORU_R01, or else becomes a flat list.
func GroupMessage(m *Message, opt GroupOptions) Tree {
	g := grouper{m: m, opt: opt}
	name := opt.Structure
	if name == "" {
		name = m.Structure()
	}
	grammar := g.grammar(name)
	g.version = g.messageVersion()
	root := g.newGroup(grammar.name, nil)
	g.stack = append(g.stackSpace[:0], frame{group: root, of: grammar.of, at: -1})
	for _, s := range m.segs {
		g.place(s)
	}
	for len(g.stack) > 0 {
		g.pop()
	}
	return Tree{Structure: grammar.name, Root: root, Findings: g.fs.done()}
}

type grouper struct {
	m          *Message
	opt        GroupOptions
	version    version
	stack      []frame
	stackSpace [8]frame
	fs         findings

	groups []Group // the rest of the current block
	nodes  []node
}

// frame is an open group and the place in its grammar where the last child stands.
type frame struct {
	group *Group
	of    []element
	at    int // index into of, -1 before the first
	// groups counts the groups opened for each element of of.
	groups [maxElements]int
}

// maxElements bounds the elements of one level of a grammar; a test holds the tables to it.
const maxElements = 16

// blockSize is how many groups and nodes are allocated at once.
const blockSize = 32

func (g *grouper) newGroup(name string, parent *Group) *Group {
	if len(g.groups) == 0 {
		g.groups = make([]Group, blockSize)
	}
	n := &g.groups[0]
	g.groups = g.groups[1:]
	n.Name, n.Parent, n.Number = name, parent, 1
	if parent != nil {
		g.append(parent, node{group: n})
	}
	return n
}

func (g *grouper) append(to *Group, n node) {
	if len(g.nodes) == 0 {
		g.nodes = make([]node, blockSize)
	}
	p := &g.nodes[0]
	g.nodes = g.nodes[1:]
	*p = n
	if to.last == nil {
		to.first = p
	} else {
		to.last.next = p
	}
	to.last = p
}

// grammar finds the table for a structure, or the nearest.
func (g *grouper) grammar(name string) structure {
	for _, s := range structures {
		if s.name == name {
			return s
		}
	}
	code, _, _ := strings.Cut(name, "_")
	for _, s := range structures {
		if strings.HasPrefix(s.name, code+"_") || s.name == code {
			g.fs.add(CodeStructureUnknown, Warning, "MSH[1].9", "no grammar for this structure; that of "+s.name+" is used")
			return s
		}
	}
	g.fs.add(CodeStructureUnknown, Warning, "MSH[1].9", "no grammar for this structure; the segments are a flat list")
	return structure{}
}

func (g *grouper) messageVersion() version {
	v, known := parseVersion(g.m.Header().Field(12).Component(1).Raw())
	if !known {
		g.fs.add(CodeVersionUnknown, Warning, "MSH[1].12", "no such version; read as "+v.String())
	}
	return v
}

// place puts one segment where it belongs.
func (g *grouper) place(s Segment) {
	name := s.Name()
	top := &g.stack[len(g.stack)-1]
	if g.stack[0].of == nil || s.Local() {
		g.append(top.group, node{segment: s})
		return
	}
	if g.opt.SpecimenFirst && name == "OBX" {
		g.leaveSpecimen()
	}
	for _, v := range [...]version{g.version, anyVersion} {
		if g.forward(s, name, v) || g.around(s, name, v) || g.below(s, name, v) {
			if v != g.version {
				g.fs.add(CodeSegmentVersion, Information, s.Label(), "no such segment here in version "+g.version.String())
			}
			return
		}
	}
	g.fs.add(CodeSegmentUnexpected, Warning, s.Label(), "the grammar of "+g.stack[0].group.Name+" has no such segment")
	g.append(g.stack[len(g.stack)-1].group, node{segment: s})
}

// leaveSpecimen closes SPECIMEN so that an OBX after it becomes a result of the order.
func (g *grouper) leaveSpecimen() {
	for i, f := range g.stack {
		if f.group.Name == "SPECIMEN" {
			for len(g.stack) > i {
				g.pop()
			}
			f := &g.stack[len(g.stack)-1]
			for k, e := range f.of {
				if e.name == "OBSERVATION" {
					f.at = k
				}
			}
			return
		}
	}
}

// forward looks for the next legal place: in the innermost group behind the last child, then in the groups around it, without skipping
// anything required.
func (g *grouper) forward(s Segment, name string, v version) bool {
	for depth := len(g.stack) - 1; depth >= 0; depth-- {
		f := &g.stack[depth]
		for i := range f.of {
			e := &f.of[i]
			if !e.legal(v) || i < f.at && !e.anyOrder {
				continue
			}
			if (i > f.at || e.repeats || e.anyOrder) && starts(e, name, v) {
				g.enter(depth, i, s, name, v)
				return true
			}
			if i > f.at && e.required {
				break
			}
		}
	}
	return false
}

// starts reports whether e is the segment, or a group that may begin with it.
func starts(e *element, name string, v version) bool {
	if e.of == nil {
		return e.name == name
	}
	for i := range e.of {
		c := &e.of[i]
		if !c.legal(v) {
			continue
		}
		if starts(c, name, v) {
			return true
		}
		if c.required {
			return false
		}
	}
	return false
}

// around looks in the open groups, innermost first, for any place that takes the segment, earlier ones included.
func (g *grouper) around(s Segment, name string, v version) bool {
	for depth := len(g.stack) - 1; depth >= 0; depth-- {
		f := &g.stack[depth]
		for i := range f.of {
			if e := &f.of[i]; e.legal(v) && starts(e, name, v) && (i <= f.at || e.of == nil) {
				code, detail := CodeSegmentOrder, "the segment stands later than the grammar allows"
				if i > f.at {
					code, detail = CodeSegmentMissing, "a required segment is missing before this one"
				}
				g.fs.add(code, Warning, s.Label(), detail)
				g.enter(depth, i, s, name, v)
				return true
			}
		}
	}
	return false
}

// below opens groups that lack their required first segments, in the open groups, innermost first.
func (g *grouper) below(s Segment, name string, v version) bool {
	for depth := len(g.stack) - 1; depth >= 0; depth-- {
		f := &g.stack[depth]
		for i := range f.of {
			e := &f.of[i]
			if e.legal(v) && holds(e, name, v) && (i > f.at || e.repeats) {
				g.fs.add(CodeSegmentMissing, Warning, s.Label(), "a required segment is missing before this one")
				g.enter(depth, i, s, name, v)
				return true
			}
		}
	}
	return false
}

// holds reports whether the segment is e or somewhere below it.
func holds(e *element, name string, v version) bool {
	if e.of == nil {
		return e.name == name
	}
	for i := range e.of {
		if c := &e.of[i]; c.legal(v) && holds(c, name, v) {
			return true
		}
	}
	return false
}

// enter closes the groups inside the one at depth and puts the segment at its element i, opening groups on the way.
func (g *grouper) enter(depth, i int, s Segment, name string, v version) {
	for len(g.stack) > depth+1 {
		g.pop()
	}
	for {
		f := &g.stack[len(g.stack)-1]
		f.at = max(f.at, i)
		e := &f.of[i]
		if e.of == nil {
			g.append(f.group, node{segment: s})
			return
		}
		f.groups[i]++
		child := g.newGroup(e.name, f.group)
		child.Number = f.groups[i]
		g.stack = append(g.stack, frame{group: child, of: e.of, at: -1})
		i = childFor(e, name, v)
	}
}

// childFor is the element of e that takes the segment: the first that may begin with it, else the first that holds it.
func childFor(e *element, name string, v version) int {
	for i := range e.of {
		if c := &e.of[i]; c.legal(v) && starts(c, name, v) {
			return i
		}
	}
	for i := range e.of {
		if c := &e.of[i]; c.legal(v) && holds(c, name, v) {
			return i
		}
	}
	return 0
}

// pop closes the innermost group.
func (g *grouper) pop() {
	f := &g.stack[len(g.stack)-1]
	g.stack = g.stack[:len(g.stack)-1]
	if f.group.Name == "ORDER_OBSERVATION" && f.group.Group("OBSERVATION") == nil {
		if sp := f.group.Group("SPECIMEN"); sp != nil && sp.holdsOBX() {
			g.fs.add(CodeSpecimenResults, Warning, sp.Segment("SPM").Label(),
				"every OBX of this order follows SPM and so is about the specimen; see GroupOptions.SpecimenFirst")
		}
	}
}

func (g *Group) holdsOBX() bool {
	for s := range g.All() {
		if s.Name() == "OBX" {
			return true
		}
	}
	return false
}
