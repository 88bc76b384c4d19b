package interaction

import "context"

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
