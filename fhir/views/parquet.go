package views

import (
	"io"

	"github.com/parquet-go/parquet-go"

	"meridian/fhir/fhirpath"
)

// Limits of a row group of Parquet, which is held until it is written.
const (
	groupRows  = 50_000
	groupBytes = 16 << 20 // of values
)

// parquetWriter writes a table as Parquet: booleans as BOOLEAN, integers as
// INT(32), all other primitives as STRING, so that decimals and partial dates stay
// as they were sent; complex values as JSON; a collection as a LIST. Every column is optional.
//
// https://parquet.apache.org/docs/file-format/types/logicaltypes/
type parquetWriter struct {
	w       *parquet.GenericWriter[any]
	columns []Column
	row     parquet.Row
	rows    int
	bytes   int
}

// orderedGroup is a group whose fields stand in the order of the table; those of parquet.Group are sorted.
type orderedGroup struct {
	parquet.Group
	fields []parquet.Field
}

func (g orderedGroup) Fields() []parquet.Field { return g.fields }

func newParquetWriter(w io.Writer, columns []Column) *parquetWriter {
	g := orderedGroup{Group: parquet.Group{}}
	for i := range columns {
		n := columns[i].parquetNode()
		g.Group[columns[i].Name] = n
		g.fields = append(g.fields, parquet.Group{columns[i].Name: n}.Fields()[0])
	}
	schema := parquet.NewSchema("view", g)
	return &parquetWriter{w: parquet.NewGenericWriter[any](w, schema, parquet.Compression(&parquet.Zstd), parquet.CreatedBy("meridian", "", "")), columns: columns}
}

func (c *Column) parquetNode() parquet.Node {
	var leaf parquet.Node
	switch {
	case c.kind == fhirpath.Boolean:
		leaf = parquet.Leaf(parquet.BooleanType)
	case c.kind == fhirpath.Integer:
		leaf = parquet.Int(32)
	case c.Complex():
		leaf = parquet.JSON()
	default:
		leaf = parquet.String()
	}
	if c.Collection {
		return parquet.Optional(parquet.List(leaf))
	}
	return parquet.Optional(leaf)
}

func (p *parquetWriter) Write(r Row) error {
	p.row = p.row[:0]
	for i := range p.columns {
		items := r.Value(i)
		if len(items) == 0 { // null, or a list without items
			defined := 1
			if r.Null(i) {
				defined = 0
			}
			p.row = append(p.row, parquet.NullValue().Level(0, defined, i))
			continue
		}
		present := 1
		if p.columns[i].Collection {
			present = 2
		}
		for k, item := range items {
			p.row = append(p.row, p.value(&p.columns[i], item).Level(min(k, 1), present, i))
		}
	}
	if _, err := p.w.WriteRows([]parquet.Row{p.row}); err != nil {
		return err
	}
	if p.rows++; p.rows < groupRows && p.bytes < groupBytes {
		return nil
	}
	p.rows, p.bytes = 0, 0
	return p.w.Flush()
}

func (p *parquetWriter) value(c *Column, i fhirpath.Item) parquet.Value {
	if c.kind == fhirpath.Boolean {
		b, _ := i.Bool()
		return parquet.BooleanValue(b)
	}
	if c.kind == fhirpath.Integer {
		n, _ := i.Int()
		return parquet.Int32Value(int32(n))
	}
	var text []byte
	if primitive(i) {
		text = []byte(plain(i))
	} else {
		text = appendItem(nil, i)
	}
	p.bytes += len(text)
	return parquet.ByteArrayValue(text)
}

func (p *parquetWriter) Close() error { return p.w.Close() }
