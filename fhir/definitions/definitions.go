// Package definitions gives read access to the official definitions of R4
// (hl7.fhir.r4.core 4.0.1): 4,474 resources, embedded, and to the eleven of
// additional.json: resource types that R4 does not have, which is ViewDefinition. Code systems that Chinese
// hospitals exchange (china/*.csv), and the tables by which messages are mapped
// (mappings/maps/tables), are there as CodeSystem, ValueSet and ConceptMap.
//
// Search parameters and compartments are static tables and cost nothing to
// open. All definitions, these included, are in an archive: blocks of some
// 128 kB of minified JSON, each deflated by itself. A lookup finds the
// canonical in a static index by binary search and inflates one block; nothing
// is decoded before it is asked for.
//
//	archive_gen.bin   count, end of each block (uint32, little endian), blocks
//	archive_gen.go    {"StructureDefinition", "http://hl7.org/fhir/StructureDefinition/Patient", block, from, length}
//
// The vendored bundles beside it (*.json.gz), additional.json and those tables are the source of
// both and are not embedded. Everything handed out is shared and must not be changed. All
// functions and methods are safe for concurrent use.
package definitions

import (
	"bytes"
	"compress/flate"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"sort"
	"strings"
	"sync"
)

//go:embed archive_gen.bin
var archive string

// ErrNotFound says that no definition has the canonical that was asked for.
var ErrNotFound = errors.New("definition not found")

// Entry says where a definition stands in the archive.
type Entry struct {
	Kind string // resource type: StructureDefinition, ValueSet, …
	URL  string // canonical, without version

	block, from, length int32
}

// Set reads definitions. The zero value holds the embedded definitions of R4.
// It keeps the block it inflated last, so that definitions that stand
// together, and all of a kind in turn, cost one inflation a block.
type Set struct {
	mu    sync.Mutex
	block int32
	data  []byte // nil before the first read
}

// Find gives the entry of a canonical. A version ("|4.0.1") that is not part of
// the definition's own url (".../CodeSystem/v2-0391|2.6" is one of six) is cut
// off: the set holds one version of each. kind is the resource type.
func (s *Set) Find(kind, canonical string) (Entry, bool) {
	if e, ok := find(kind, canonical); ok {
		return e, true
	}
	if i := strings.LastIndexByte(canonical, '|'); i >= 0 {
		return find(kind, canonical[:i])
	}
	return Entry{}, false
}

func find(kind, url string) (Entry, bool) {
	i := sort.Search(len(entries), func(i int) bool {
		e := &entries[i]
		return e.Kind > kind || e.Kind == kind && e.URL >= url
	})
	if i < len(entries) && entries[i].Kind == kind && entries[i].URL == url {
		return entries[i], true
	}
	return Entry{}, false
}

// Entries lists the definitions of a kind, sorted by canonical; an empty kind lists all.
func (s *Set) Entries(kind string) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		from := sort.Search(len(entries), func(i int) bool { return entries[i].Kind >= kind })
		for _, e := range entries[from:] {
			if kind != "" && e.Kind != kind || !yield(e) {
				return
			}
		}
	}
}

// JSON gives a definition as minified JSON, numbers as the source has them.
// It stays valid, and keeps its block in memory, as long as it is referred to.
func (s *Set) JSON(e Entry) ([]byte, error) {
	data, err := s.inflated(e.block)
	if err != nil {
		return nil, fmt.Errorf("definitions: %s %s: %w", e.Kind, e.URL, err)
	}
	end := int(e.from) + int(e.length)
	if e.length == 0 || end > len(data) {
		return nil, fmt.Errorf("definitions: %s %s: %w", e.Kind, e.URL, ErrNotFound)
	}
	return data[e.from:end:end], nil
}

// Resource is Find and JSON in one: ErrNotFound when there is none.
func (s *Set) Resource(kind, canonical string) ([]byte, error) {
	e, ok := s.Find(kind, canonical)
	if !ok {
		return nil, fmt.Errorf("definitions: %s %s: %w", kind, canonical, ErrNotFound)
	}
	return s.JSON(e)
}

// Structure gives the StructureDefinition of a type by its name: "Patient", "HumanName".
func (s *Set) Structure(typ string) ([]byte, error) {
	return s.Resource("StructureDefinition", "http://hl7.org/fhir/StructureDefinition/"+typ)
}

func (s *Set) inflated(block int32) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.data != nil && s.block == block {
		return s.data, nil
	}
	data, err := inflate(int(block))
	if err != nil {
		return nil, err
	}
	s.block, s.data = block, data
	return data, nil
}

func inflate(block int) ([]byte, error) {
	count := int(number(0))
	if block < 0 || block >= count {
		return nil, fmt.Errorf("block %d of %d", block, count)
	}
	body := archive[4*(count+1):]
	from := uint32(0)
	if block > 0 {
		from = number(block)
	}
	r := flate.NewReader(strings.NewReader(body[from:number(block+1)]))
	var out bytes.Buffer
	out.Grow(blockHint)
	if _, err := io.Copy(&out, r); err != nil {
		return nil, fmt.Errorf("block %d: %w", block, err)
	}
	return out.Bytes(), r.Close()
}

// blockHint holds a block of the usual size; a definition that is larger stands alone in its block.
const blockHint = 129 << 10

func number(i int) uint32 { return binary.LittleEndian.Uint32([]byte(archive[4*i : 4*i+4])) }
