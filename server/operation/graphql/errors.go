package graphql

import (
	"errors"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"meridian/fhir/codec"
	"meridian/fhir/issue"
	"meridian/server/interaction"
)

// failed is one of the "errors".
type failed struct {
	issue  issue.Issue
	status int
	places []gqlerror.Location
}

// fail notes what is wrong with a part of the document. An error that no client may see ends all others.
func (x *run) fail(at *ast.Position, err error) {
	e := issue.As(err)
	if e == nil {
		x.internal = err
		e = issue.New(issue.Exception, "internal", "the server failed; its log has the reason", "")
	}
	for _, i := range e.Issues {
		i.Offset = issue.NoOffset // of a body that the client did not send like this
		f := failed{issue: i, status: e.Status}
		if at != nil {
			f.places = []gqlerror.Location{{Line: at.Line, Column: at.Column}}
		}
		x.note(f)
	}
}

// refuse is fail with one issue.
func (x *run) refuse(at *ast.Position, code issue.Code, id, text string) {
	x.fail(at, issue.New(code, "graphql."+id, text, ""))
}

// costly notes that a limit is reached, and stops the run.
func (x *run) costly(at *ast.Position, what string, limit int) {
	if !x.stopped {
		x.refuse(at, issue.TooCostly, "too-costly", "the query has more than "+strconv.Itoa(limit)+" "+what)
	}
	x.stopped = true
}

// giveUp ends a request whose time is over.
func (x *run) giveUp(at *ast.Position) {
	x.refuse(at, issue.Timeout, "timeout", "the request took longer than this server allows")
	x.stopped = true
}

// note adds to the list, each error of a place once.
func (x *run) note(f failed) {
	if len(x.failed) >= x.limits.Errors {
		x.stopped = true
		return
	}
	for i := range x.failed {
		if o := &x.failed[i]; o.issue.Text == f.issue.Text && len(o.places) == len(f.places) && (len(f.places) == 0 || o.places[0] == f.places[0]) {
			return
		}
	}
	x.failed = append(x.failed, f)
}

// noteParsed takes errors of gqlparser; values that were sent are taken out of them.
func (x *run) noteParsed(err *gqlerror.Error) {
	f := failed{places: err.Locations, issue: issue.Issue{Severity: issue.SevError, Code: issue.Invalid, ID: "graphql.invalid", Offset: issue.NoOffset}}
	switch {
	case err.Rule == "":
		f.issue.Code, f.issue.ID, f.issue.Text = issue.Structure, "graphql.syntax", withoutToken(err.Message)
	case strings.HasPrefix(err.Rule, "ValuesOfCorrectType") && !strings.HasPrefix(err.Message, "Field "):
		f.issue.Code, f.issue.ID = issue.Value, "graphql.value"
		f.issue.Text, _, _ = strings.Cut(err.Message, ", found ")
		f.issue.Text, _, _ = strings.Cut(f.issue.Text, ": ")
	default:
		f.issue.Text = err.Message
	}
	x.note(f)
}

// withoutToken leaves out of a message about syntax what was sent as a value.
func withoutToken(text string) string {
	for _, kind := range []string{"String ", "BlockString ", "Int ", "Float "} {
		if before, _, ok := strings.Cut(text, kind+`"`); ok {
			return before + strings.TrimSpace(kind)
		}
	}
	if strings.HasPrefix(text, "Invalid character escape sequence") {
		return "Invalid character escape sequence"
	}
	return text
}

// appendErrors writes the member of all that failed.
//
// https://hl7.org/fhir/R4/graphql.html#errors
func (x *run) appendErrors(dst []byte) []byte {
	dst = append(dst, `"errors":[`...)
	for i := range x.failed {
		f := &x.failed[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = codec.AppendString(append(dst, `{"message":`...), f.issue.Text)
		if len(f.places) > 0 {
			dst = append(dst, `,"locations":[`...)
			for k, p := range f.places {
				if k > 0 {
					dst = append(dst, ',')
				}
				dst = strconv.AppendInt(append(dst, `{"line":`...), int64(p.Line), 10)
				dst = strconv.AppendInt(append(dst, `,"column":`...), int64(p.Column), 10)
				dst = append(dst, '}')
			}
			dst = append(dst, ']')
		}
		dst = interaction.AppendOutcome(append(dst, `,"extensions":{"resource":`...), []issue.Issue{f.issue})
		dst = append(dst, `}}`...)
	}
	return append(dst, ']')
}

// failure is the answer with the errors alone.
func (x *run) failure() error {
	first := &x.failed[0]
	err := error((&issue.Error{Issues: []issue.Issue{first.issue}}).WithStatus(first.status))
	if x.internal != nil {
		err = x.internal
	}
	return &interaction.OperationError{Err: err, ContentType: ContentType, Body: append(x.appendErrors([]byte(`{"data":null,`)), '}')}
}

// parserErrors gives the errors of gqlparser, one or a list.
func parserErrors(err error) gqlerror.List {
	var list gqlerror.List
	if errors.As(err, &list) {
		return list
	}
	var one *gqlerror.Error
	if errors.As(err, &one) {
		return gqlerror.List{one}
	}
	return gqlerror.List{gqlerror.Wrap(err)}
}

// Refuse gives the answer to a request that cannot be read.
func Refuse(err error) error {
	limits := Limits{}.withDefaults()
	x := &run{limits: &limits}
	x.fail(nil, err)
	return x.failure()
}
