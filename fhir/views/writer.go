package views

import (
	"fmt"
	"io"
)

// Format is how a table is written.
type Format uint8

const (
	JSON    Format = iota + 1 // one array of objects
	NDJSON                    // an object to a line
	CSV                       // RFC 4180, UTF-8
	Parquet                   // Apache Parquet, zstd
)

// ContentType is the media type of a format.
func (f Format) ContentType() string {
	switch f {
	case JSON:
		return "application/json"
	case NDJSON:
		return "application/x-ndjson"
	case CSV:
		return "text/csv; charset=utf-8"
	}
	return "application/vnd.apache.parquet"
}

// FormatOf reads the name of a format: json, ndjson, csv, parquet, or a media type.
func FormatOf(name string) (Format, bool) {
	switch name {
	case "json", "application/json", "application/fhir+json", "text/json":
		return JSON, true
	case "ndjson", "application/x-ndjson", "application/ndjson", "application/fhir+ndjson":
		return NDJSON, true
	case "csv", "text/csv":
		return CSV, true
	case "parquet", "application/vnd.apache.parquet", "application/x-parquet", "application/octet-stream":
		return Parquet, true
	}
	return 0, false
}

// Writer writes the rows of one table. Close ends it and does not close what it
// writes to. A table whose Write failed is not to be closed.
type Writer interface {
	Write(Row) error
	Close() error
}

// WriterOptions of a table.
type WriterOptions struct {
	// NoHeader leaves out the line of column names that begins CSV.
	NoHeader bool
}

// NewWriter begins a table of v's rows. It holds one row at a time; Parquet, a row group.
func (v *View) NewWriter(w io.Writer, f Format, o WriterOptions) (Writer, error) {
	switch f {
	case JSON:
		return &jsonWriter{w: w, open: "[", between: ",\n", end: "]\n"}, nil
	case NDJSON:
		return &jsonWriter{w: w, between: "\n", end: "\n"}, nil
	case CSV:
		c := &csvWriter{w: w}
		if o.NoHeader {
			return c, nil
		}
		return c, c.header(v.Columns)
	case Parquet:
		return newParquetWriter(w, v.Columns), nil
	}
	return nil, fmt.Errorf("views: no such format: %d", f)
}

// jsonWriter writes objects with something between them.
type jsonWriter struct {
	w                  io.Writer
	open, between, end string
	rows               int
	buf                []byte
}

func (j *jsonWriter) Write(r Row) error {
	j.buf = j.buf[:0]
	if j.rows == 0 {
		j.buf = append(j.buf, j.open...)
	} else {
		j.buf = append(j.buf, j.between...)
	}
	j.rows++
	j.buf = r.AppendObject(j.buf)
	_, err := j.w.Write(j.buf)
	return err
}

func (j *jsonWriter) Close() error {
	end := j.end
	if j.rows == 0 {
		if end = j.open + j.end; j.open == "" {
			return nil
		}
	}
	_, err := io.WriteString(j.w, end)
	return err
}

type csvWriter struct {
	w   io.Writer
	buf []byte
}

func (c *csvWriter) header(columns []Column) error {
	for i := range columns {
		if i > 0 {
			c.buf = append(c.buf, ',')
		}
		c.buf = append(c.buf, columns[i].Name...)
	}
	_, err := c.w.Write(append(c.buf, "\r\n"...))
	return err
}

func (c *csvWriter) Write(r Row) error {
	c.buf = c.buf[:0]
	for i := range r.columns {
		if i > 0 {
			c.buf = append(c.buf, ',')
		}
		s, ok := r.text(i)
		if len(r.columns) == 1 && !ok {
			ok = true // an empty line would be no row
		}
		c.buf = appendField(c.buf, s, ok)
	}
	_, err := c.w.Write(append(c.buf, "\r\n"...))
	return err
}

func (c *csvWriter) Close() error { return nil }
