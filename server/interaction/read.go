package interaction

import (
	"context"
	"errors"
	"fmt"
	"time"

	"meridian/server/store"
)

// ReadParams of a read or, with Version, a vread.
type ReadParams struct {
	Key         store.Key
	Version     uint64 // 0 reads the current version
	IfNoneMatch string
	// IfModifiedSince is compared in seconds, the precision of its header; zero asks nothing.
	IfModifiedSince time.Time
}

// ReadResult is a version; NotModified says that the client has it already (304).
type ReadResult struct {
	Resource    store.Resource
	NotModified bool
}

// Read gives the current version. Issue codes: not-found, deleted. For a
// deleted resource the result holds its last version beside the error.
//
// https://hl7.org/fhir/R4/http.html#read
func (s *Service) Read(ctx context.Context, p ReadParams) (ReadResult, error) {
	r, err := s.store.Read(ctx, p.Key)
	if err != nil {
		return ReadResult{}, s.readError(err, p.Key)
	}
	return answerRead(r, &p)
}

// readyTimeout is how long the store may take to answer Ready.
const readyTimeout = time.Second

// Ready says whether the store answers: it reads one resource, which need not
// be there. The error is internal.
func (s *Service) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if _, err := s.store.Read(ctx, store.Key{Type: "Basic", ID: "ready"}); err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("read from the store: %w", err)
	}
	return nil
}

func (s *Service) readError(err error, key store.Key) error {
	if !errors.Is(err, store.ErrNotFound) {
		return translate(err, "read")
	}
	if !IsResourceType(key.Type) {
		return unknownType(key.Type)
	}
	return notFound(key)
}

func answerRead(r store.Resource, p *ReadParams) (ReadResult, error) {
	if r.Deleted {
		return ReadResult{Resource: r}, deleted(r.Key)
	}
	res := ReadResult{Resource: r}
	switch {
	case p.IfNoneMatch != "":
		res.NotModified = etagMatches(p.IfNoneMatch, r.Version)
	case !p.IfModifiedSince.IsZero():
		res.NotModified = !r.LastUpdated.Truncate(time.Second).After(p.IfModifiedSince)
	}
	return res, nil
}
