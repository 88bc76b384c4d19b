package interaction

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"meridian/server/store"
)

// What runs long tells how far it is through its context, so that an
// interaction need not know whether somebody waits for it.

type progressKey struct{}

// WithProgress has report called with the entries of a batch that are done; by several goroutines at once.
func WithProgress(ctx context.Context, report func(done, total int)) context.Context {
	return context.WithValue(ctx, progressKey{}, report)
}

// progressOf gives what WithProgress was given; never nil.
func progressOf(ctx context.Context) func(done, total int) {
	if report, ok := ctx.Value(progressKey{}).(func(done, total int)); ok {
		return report
	}
	return func(int, int) {}
}

// asyncScope is what tokens of asynchronous requests are sealed for.
const asyncScope = "async"

// SealJob gives the token under which the asynchronous request with this job is asked for: who does not have it cannot guess it.
func (s *Service) SealJob(id string) string { return s.cursors.seal([]byte(id), asyncScope) }

// OpenJob undoes SealJob; false for what is no token of this deployment.
func (s *Service) OpenJob(token string) (id string, ok bool) {
	text, err := s.cursors.open(token, asyncScope)
	return string(text), err == nil
}

// answerChunk is how much of an answer one receipt holds, in bytes: what a document of MongoDB takes.
const answerChunk = 8 << 20

func answerKey(name string, chunk int) string { return "answer/" + name + "/" + strconv.Itoa(chunk) }

// KeepAnswer keeps the answer to an asynchronous request under a name that is
// not used again. It is there when KeepAnswer returns, and until keep is over.
func (s *Service) KeepAnswer(ctx context.Context, name string, answer []byte, keep time.Duration) error {
	until := s.clock().Add(keep)
	chunks := max(1, (len(answer)+answerChunk-1)/answerChunk)
	for i := chunks - 1; i >= 0; i-- { // the first one last: it tells how many there are
		part := answer[i*answerChunk : min(len(answer), (i+1)*answerChunk)]
		err := s.store.Commit(ctx, store.CommitParams{Receipt: &store.Receipt{Key: answerKey(name, i), Hash: strconv.Itoa(chunks), Answer: part, Until: until}})
		var conflict *store.ConflictError
		if err != nil && !errors.As(err, &conflict) {
			return fmt.Errorf("keep an answer: %w", err)
		}
	}
	return nil
}

// Answer gives what KeepAnswer kept; store.ErrNotFound when it is not there any more.
func (s *Service) Answer(ctx context.Context, name string) ([]byte, error) {
	first, err := s.store.Receipt(ctx, answerKey(name, 0))
	if err != nil {
		return nil, err
	}
	answer := first.Answer
	chunks, _ := strconv.Atoi(first.Hash)
	for i := 1; i < chunks; i++ {
		r, err := s.store.Receipt(ctx, answerKey(name, i))
		if err != nil {
			return nil, err
		}
		answer = append(answer, r.Answer...)
	}
	return answer, nil
}
