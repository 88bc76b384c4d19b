package views

import (
	"context"
	"errors"
	"strconv"

	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// Limits of one resource.
const (
	MaxCells  = 1 << 20 // rows times columns, those that wait to be joined included
	MaxRepeat = 100_000 // items that one repeat finds
	maxLevels = 200     // of a repeat
)

// Runner runs a view over one resource after the other. It keeps its buffers.
type Runner struct {
	view  *View
	env   fhirpath.Env
	index fhirpath.Collection // value of %rowIndex, changed in place
	cells []cell              // a stack of rows, each as wide as its selection
	items []fhirpath.Item     // what cells point to
	focus []fhirpath.Item     // a stack of what iterations found
	// What is evaluated, for errors: a column of at, at itself when column is -1, a condition when at is nil.
	at     *selection
	column int
}

// cell is a range of Runner.items.
type cell struct{ from, to int32 }

// noCell is of the row that forEachOrNull gives where it finds nothing.
var noCell = cell{-1, -1}

// NewRunner gives a Runner. The constants of the view are added to env.Vars; env
// says what else expressions may ask for.
func (v *View) NewRunner(env fhirpath.Env) *Runner {
	r := &Runner{view: v, env: env, index: fhirpath.Collection{fhirpath.IntegerItem(0)}}
	r.env.EmptyJoin = true
	r.env.Vars = map[string]fhirpath.Collection{rowIndex: r.index}
	for name, value := range env.Vars {
		r.env.Vars[name] = value
	}
	for name, value := range v.constants {
		r.env.Vars[name] = value
	}
	return r
}

// Row is a row of the table.
type Row struct {
	columns []Column
	cells   []cell
	items   []fhirpath.Item
}

// Columns of the view.
func (r Row) Columns() []Column { return r.columns }

// Value is the content of column i. It is empty where Null says so, and for a collection without items.
func (r Row) Value(i int) fhirpath.Collection {
	if r.cells[i] == noCell {
		return nil
	}
	return fhirpath.Collection(r.items[r.cells[i].from:r.cells[i].to])
}

// Null says that column i has no value. A collection without items is one, but
// for the row that forEachOrNull gives where it finds nothing.
func (r Row) Null(i int) bool {
	c := r.cells[i]
	return c == noCell || c.from == c.to && !r.columns[i].Collection
}

// Rows calls emit for each row that root gives; none for a resource of another
// type. The error is an *issue.Error with the place in the ViewDefinition, of the
// codes processing, value, too-costly and not-supported, or what emit or ctx said.
func (r *Runner) Rows(ctx context.Context, root element.Node, emit func(Row) error) error {
	if root.Type().Name != r.view.Resource {
		return nil
	}
	r.cells, r.items, r.focus = r.cells[:0], r.items[:0], r.focus[:0]
	focus := fhirpath.NodeItem(root)
	if ok, err := r.candidate(focus); !ok || err != nil {
		return r.failed(err)
	}
	n, err := r.selection(ctx, r.view.root, focus, 0)
	if err != nil {
		return r.failed(err)
	}
	width := len(r.view.Columns)
	for i := range n {
		if err := emit(Row{r.view.Columns, r.cells[i*width : (i+1)*width], r.items}); err != nil {
			return err
		}
	}
	return nil
}

// failed gives an error of an expression as a client may see it.
func (r *Runner) failed(err error) error {
	var e *fhirpath.Error
	if !errors.As(err, &e) {
		return err
	}
	is := e.Issue()
	is.Expression, is.ID = r.place(), "view.run"
	return &issue.Error{Issues: []issue.Issue{is}}
}

// place is where in the ViewDefinition the expression stands that is evaluated.
func (r *Runner) place() string {
	switch {
	case r.at == nil:
		return r.view.where[r.column].place
	case r.column < 0:
		return r.at.place
	}
	return r.at.place + ".column[" + strconv.Itoa(r.column) + "]"
}

// candidate says that the resource meets the conditions.
func (r *Runner) candidate(focus fhirpath.Item) (bool, error) {
	for i := range r.view.where {
		w := &r.view.where[i]
		r.at, r.column = nil, i
		got, err := r.eval(w.expr, focus, 0)
		if err != nil {
			return false, err
		}
		mark := len(r.items) - got
		items := r.items[mark:]
		r.items = r.items[:mark]
		if got == 0 {
			return false, nil
		}
		b, ok := items[0].Bool()
		if !ok || got > 1 {
			return false, issue.New(issue.Value, "view.where", "a condition is one boolean, not "+strconv.Itoa(got)+" of "+items[0].TypeName(), w.place)
		}
		if !b {
			return false, nil
		}
	}
	return true, nil
}

// eval appends what e gives to items, and says how many.
func (r *Runner) eval(e *fhirpath.Expr, focus fhirpath.Item, index int) (int, error) {
	mark := len(r.items)
	r.index[0] = fhirpath.IntegerItem(int64(index))
	at := [1]fhirpath.Item{focus}
	items, err := e.EvalItems(&r.env, r.items, at[:])
	r.items = items
	return len(r.items) - mark, err
}

// selection appends the rows of s to cells, and says how many.
func (r *Runner) selection(ctx context.Context, s *selection, focus fhirpath.Item, index int) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if s.each == nil && s.repeat == nil {
		return r.item(ctx, s, focus, index)
	}
	mark := len(r.focus)
	defer func() { r.focus = r.focus[:mark] }()
	if err := r.iterate(s, focus, index); err != nil {
		return 0, err
	}
	rows := 0
	for i := mark; i < len(r.focus); i++ {
		n, err := r.item(ctx, s, r.focus[i], i-mark)
		if err != nil {
			return 0, err
		}
		rows += n
	}
	if len(r.focus) == mark && s.orNull {
		r.null(s)
		rows = 1
	}
	return rows, r.costly(s)
}

// costly refuses a resource that gives more than can be held.
func (r *Runner) costly(s *selection) error {
	if len(r.cells) <= MaxCells {
		return nil
	}
	return issue.New(issue.TooCostly, "view.cells", "one resource gives more than "+strconv.Itoa(MaxCells)+" cells", s.place)
}

// iterate pushes the items of forEach, forEachOrNull or repeat on focus.
func (r *Runner) iterate(s *selection, focus fhirpath.Item, index int) error {
	r.at, r.column = s, -1
	if s.each == nil {
		return r.repeat(s, focus, index, len(r.focus), 0)
	}
	n, err := r.eval(s.each, focus, index)
	if err != nil {
		return err
	}
	mark := len(r.items) - n
	r.focus = append(r.focus, r.items[mark:]...)
	r.items = r.items[:mark]
	return nil
}

// repeat pushes what the expressions find at focus, and behind each item what
// they find there: parents before their children.
func (r *Runner) repeat(s *selection, focus fhirpath.Item, index, from, level int) error {
	if level > maxLevels || len(r.focus)-from > MaxRepeat {
		return issue.New(issue.TooCostly, "view.repeat", "repeat goes deeper than "+strconv.Itoa(maxLevels)+" levels or finds more than "+strconv.Itoa(MaxRepeat)+" items", s.place)
	}
	mark := len(r.items)
	defer func() { r.items = r.items[:mark] }()
	for _, e := range s.repeat {
		if _, err := r.eval(e, focus, index); err != nil {
			return err
		}
	}
	for i, end := mark, len(r.items); i < end; i++ {
		item := r.items[i]
		r.focus = append(r.focus, item)
		if err := r.repeat(s, item, index, from, level+1); err != nil {
			return err
		}
	}
	return nil
}

// item appends the rows of s for one item: its columns, joined with what its parts give.
func (r *Runner) item(ctx context.Context, s *selection, focus fhirpath.Item, index int) (int, error) {
	mark := len(r.cells)
	for k := range s.paths {
		if err := r.cell(s, k, focus, index); err != nil {
			return 0, err
		}
	}
	rows, width := 1, len(s.paths)
	for i := range s.parts {
		p := &s.parts[i]
		from, n := len(r.cells), 0
		for _, alt := range p.of {
			got, err := r.selection(ctx, alt, focus, index)
			if err != nil {
				return 0, err
			}
			n += got
		}
		r.join(mark, from, rows, width, n, p.hi-p.lo)
		rows, width = rows*n, width+p.hi-p.lo
		if err := r.costly(s); err != nil || rows == 0 {
			r.cells = r.cells[:mark]
			return 0, err
		}
	}
	return rows, nil
}

// join puts each of the n rows at from beside each of the rows at mark.
func (r *Runner) join(mark, from, rows, width, n, add int) {
	if rows == 1 && width == 0 { // nothing stands on the left
		copy(r.cells[mark:], r.cells[from:])
		r.cells = r.cells[:mark+n*add]
		return
	}
	if total := rows * n * (width + add); total > MaxCells { // costly says so
		r.cells = append(r.cells, make([]cell, max(0, MaxCells+1-len(r.cells)))...)
		return
	}
	end := len(r.cells)
	for i := range rows {
		for j := range n {
			r.cells = append(r.cells, r.cells[mark+i*width:mark+(i+1)*width]...)
			r.cells = append(r.cells, r.cells[from+j*add:from+(j+1)*add]...)
		}
	}
	r.cells = r.cells[:mark+copy(r.cells[mark:], r.cells[end:])]
}

// cell appends the cell of a column.
func (r *Runner) cell(s *selection, k int, focus fhirpath.Item, index int) error {
	col := &r.view.Columns[s.lo+k]
	r.at, r.column = s, k
	n, err := r.eval(s.paths[k].expr, focus, index)
	if err != nil {
		return err
	}
	from := len(r.items) - n
	if n > 1 && !col.Collection {
		return issue.New(issue.Processing, "view.collection", "column "+col.Name+" has "+strconv.Itoa(n)+" values and is no collection", r.place())
	}
	kept := from
	for _, i := range r.items[from:] {
		if i.Kind() == fhirpath.Element && i.Node().Type().Kind == schema.Primitive && !i.Node().HasValue() {
			continue // it has only an id or extensions
		}
		if !col.takes(i) {
			return issue.New(issue.Value, "view.value", "column "+col.Name+" is of "+col.typeText()+", here is "+i.TypeName(), r.place())
		}
		r.items[kept] = i
		kept++
	}
	r.items = r.items[:kept]
	r.cells = append(r.cells, cell{int32(from), int32(kept)})
	return nil
}

// takes says that a value is of the column's type.
func (c *Column) takes(i fhirpath.Item) bool {
	if !c.unsure {
		return true
	}
	if i.Kind() == fhirpath.Element {
		t := i.Node().Type()
		if c.kind != 0 {
			return fitsKind(c.kind, fhirpath.TypeKind(t.ID))
		}
		want := schema.ByName(c.Type)
		return want == nil && t.Kind == schema.Primitive || want != nil && t.IsA(want.ID)
	}
	if c.kind != 0 {
		return fitsKind(c.kind, i.Kind())
	}
	return i.Kind() < fhirpath.KindQuantity && c.Type == "" || i.Kind() == fhirpath.KindQuantity && c.Type == "Quantity"
}

// null appends a row without values, but for %rowIndex, which is 0.
func (r *Runner) null(s *selection) {
	from := len(r.cells)
	for range s.hi - s.lo {
		r.cells = append(r.cells, noCell)
	}
	r.zeroIndex(s, from-s.lo)
}

// zeroIndex gives the columns that are %rowIndex their 0, in s and in what
// iterates no further; base is where column 0 of the row would stand.
func (r *Runner) zeroIndex(s *selection, base int) {
	for k, p := range s.paths {
		if p.index {
			r.items = append(r.items, fhirpath.IntegerItem(0))
			r.cells[base+s.lo+k] = cell{int32(len(r.items) - 1), int32(len(r.items))}
		}
	}
	for _, p := range s.parts {
		if alt := p.of[0]; alt.each == nil && alt.repeat == nil {
			r.zeroIndex(alt, base)
		}
	}
}
