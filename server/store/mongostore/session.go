package mongostore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

// session is what a transaction needs of mongo.Session.
type session interface {
	start() error
	commit(ctx context.Context) error
	abort(ctx context.Context) error
	// context is ctx with the session in it: operations with it belong to the transaction.
	context(ctx context.Context) context.Context
	end(ctx context.Context)
}

// Labels by which the server says what may be tried again.
// https://www.mongodb.com/docs/manual/core/transactions-in-applications/#transaction-error-handling
const (
	transientLabel = "TransientTransactionError"
	unknownLabel   = "UnknownTransactionCommitResult"
)

// Limits of runTransaction.
const (
	maxTransactionTries = 32
	maxCommitTries      = 8
	abortWait           = 5 * time.Second
	backOffMin          = 2 * time.Millisecond
	backOffMax          = 250 * time.Millisecond
)

// runTransaction runs body in a transaction of sess and commits it. A
// transient error begins it anew, an unknown result of the commit repeats the
// commit alone; both are bounded. Body may run several times. After an error
// nothing is written, except after one that says that the result is unknown.
func runTransaction(ctx context.Context, sess session, backOff func(ctx context.Context, try int) error, body func(ctx context.Context) error) error {
	for try := 1; ; try++ {
		err := tryTransaction(ctx, sess, backOff, body)
		if err == nil || !hasLabel(err, transientLabel) {
			return err
		}
		if try == maxTransactionTries {
			return fmt.Errorf("mongostore: transaction gave up after %d tries: %w", try, err)
		}
		if stop := backOff(ctx, try); stop != nil {
			return stop
		}
	}
}

func tryTransaction(ctx context.Context, sess session, backOff func(ctx context.Context, try int) error, body func(ctx context.Context) error) error {
	if err := sess.start(); err != nil {
		return fmt.Errorf("mongostore: start a transaction: %w", err)
	}
	if err := body(sess.context(ctx)); err != nil {
		abortCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortWait)
		defer cancel()
		// The server ends a transaction that it cannot hear of by itself.
		_ = sess.abort(abortCtx)
		return err
	}
	for try := 1; ; try++ {
		err := sess.commit(ctx)
		switch {
		case err == nil:
			return nil
		case hasLabel(err, transientLabel):
			return err
		case !hasLabel(err, unknownLabel):
			return fmt.Errorf("mongostore: commit: %w", err)
		case try == maxCommitTries:
			return fmt.Errorf("mongostore: the result of a commit stays unknown after %d tries: %w", try, err)
		}
		if stop := backOff(ctx, try); stop != nil {
			return fmt.Errorf("mongostore: the result of a commit is unknown: %w", stop)
		}
	}
}

// hasLabel looks for a label anywhere in the chain of err.
func hasLabel(err error, label string) bool {
	var labeled interface{ HasErrorLabel(string) bool }
	return errors.As(err, &labeled) && labeled.HasErrorLabel(label)
}

// backOff waits before another try: a random part of a time that doubles.
func (s *Store) backOff(ctx context.Context, try int) error {
	d := min(backOffMin<<min(try, 16), backOffMax)
	var b [1]byte
	if _, err := io.ReadFull(s.opts.Rand, b[:]); err != nil {
		return fmt.Errorf("mongostore: random bytes: %w", err)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d * time.Duration(int(b[0])+1) / 256):
		return nil
	}
}

// driverSession is a session of the driver.
type driverSession struct{ s *mongo.Session }

func (s *Store) newSession() (session, error) {
	d, err := s.client.StartSession()
	if err != nil {
		return nil, err
	}
	return driverSession{d}, nil
}

func (d driverSession) start() error {
	journaled := true
	return d.s.StartTransaction(options.Transaction().
		SetReadConcern(readconcern.Snapshot()).
		SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: &journaled}))
}

func (d driverSession) commit(ctx context.Context) error {
	return d.s.CommitTransaction(mongo.NewSessionContext(ctx, d.s))
}

func (d driverSession) abort(ctx context.Context) error {
	return d.s.AbortTransaction(mongo.NewSessionContext(ctx, d.s))
}

func (d driverSession) context(ctx context.Context) context.Context {
	return mongo.NewSessionContext(ctx, d.s)
}

func (d driverSession) end(ctx context.Context) { d.s.EndSession(ctx) }
