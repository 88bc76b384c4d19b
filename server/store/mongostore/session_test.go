package mongostore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/mongo"
)

// fakeSession plays a script of commit results and records what is asked of it.
type fakeSession struct {
	commits []error // result of each commit; nil after the last
	startE  error
	log     []string
}

func (f *fakeSession) start() error {
	f.log = append(f.log, "start")
	return f.startE
}

func (f *fakeSession) commit(context.Context) error {
	f.log = append(f.log, "commit")
	if len(f.commits) == 0 {
		return nil
	}
	err := f.commits[0]
	f.commits = f.commits[1:]
	return err
}

func (f *fakeSession) abort(context.Context) error {
	f.log = append(f.log, "abort")
	return nil
}

func (f *fakeSession) context(ctx context.Context) context.Context { return ctx }

func (f *fakeSession) end(context.Context) {}

func labeled(label string) error {
	return mongo.CommandError{Code: 112, Message: "WriteConflict", Labels: []string{label}}
}

func TestRunTransaction(t *testing.T) {
	transient, unknown := labeled(transientLabel), labeled(unknownLabel)
	plain := errors.New("plain")
	for _, c := range []struct {
		rule    string
		bodies  []error
		commits []error
		want    error
		log     string
	}{
		{"a clean run", nil, nil, nil, "start body commit"},
		{"a plain error of the body aborts and is not tried again", []error{plain}, nil, plain, "start body abort"},
		{"a transient error of the body begins anew", []error{fmt.Errorf("write: %w", transient), transient}, nil, nil,
			"start body abort wait start body abort wait start body commit"},
		{"a transient error of the commit begins anew", nil, []error{transient}, nil, "start body commit wait start body commit"},
		{"an unknown result repeats the commit alone", nil, []error{unknown, unknown}, nil, "start body commit wait commit wait commit"},
		{"an unknown result, then a transient error", nil, []error{unknown, transient}, nil, "start body commit wait commit wait start body commit"},
		{"a plain error of the commit is the answer", nil, []error{plain}, plain, "start body commit"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			f := &fakeSession{commits: c.commits}
			bodies := c.bodies
			err := runTransaction(t.Context(), f,
				func(context.Context, int) error { f.log = append(f.log, "wait"); return nil },
				func(context.Context) error {
					f.log = append(f.log, "body")
					if len(bodies) == 0 {
						return nil
					}
					err := bodies[0]
					bodies = bodies[1:]
					return err
				})
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if got := strings.Join(f.log, " "); got != c.log {
				t.Errorf("did   %s\nwant  %s", got, c.log)
			}
		})
	}
}

func TestRunTransactionIsBounded(t *testing.T) {
	noWait := func(context.Context, int) error { return nil }
	t.Run("transient errors", func(t *testing.T) {
		f := &fakeSession{}
		err := runTransaction(t.Context(), f, noWait, func(context.Context) error { return labeled(transientLabel) })
		if starts := count(f.log, "start"); starts != maxTransactionTries || !hasLabel(err, transientLabel) {
			t.Errorf("%d tries, %v", starts, err)
		}
	})
	t.Run("unknown results", func(t *testing.T) {
		f := &fakeSession{commits: slices.Repeat([]error{labeled(unknownLabel)}, 100)}
		err := runTransaction(t.Context(), f, noWait, func(context.Context) error { return nil })
		if commits := count(f.log, "commit"); commits != maxCommitTries || err == nil || !strings.Contains(err.Error(), "unknown") {
			t.Errorf("%d commits, %v", commits, err)
		}
	})
	t.Run("a context that ends while waiting", func(t *testing.T) {
		f := &fakeSession{}
		stop := errors.New("ended")
		err := runTransaction(t.Context(), f, func(context.Context, int) error { return stop }, func(context.Context) error { return labeled(transientLabel) })
		if !errors.Is(err, stop) || count(f.log, "start") != 1 {
			t.Errorf("%v after %v", err, f.log)
		}
	})
	t.Run("a session that does not start", func(t *testing.T) {
		f := &fakeSession{startE: errors.New("no")}
		if err := runTransaction(t.Context(), f, noWait, func(context.Context) error { return nil }); !errors.Is(err, f.startE) {
			t.Errorf("got %v", err)
		}
	})
}

func count(log []string, what string) int {
	n := 0
	for _, l := range log {
		if l == what {
			n++
		}
	}
	return n
}
