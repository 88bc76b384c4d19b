package rest

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/klauspost/compress/gzip"

	"meridian/fhir/issue"
)

// streamHeld is how much of a stream is held back, in bytes: an error until then
// is answered as one.
const streamHeld = 256 << 10

// stream answers with what write writes, as it comes. A stream that fails when a
// part of it is sent is broken off, so that no client takes that for the whole.
//
// https://www.rfc-editor.org/rfc/rfc9112.html#name-handling-incomplete-message
func (x *call) stream(contentType string, write func(ctx context.Context, w io.Writer) error) error {
	if x.Request().Method == http.MethodHead {
		x.Response().Header().Set("Content-Type", contentType)
		return x.transmit(http.StatusOK, nil, nil)
	}
	s := &held{x: x, contentType: contentType, most: streamHeld, buf: []byte{}}
	if runOf(x.ctx) != nil {
		s.most = x.h.async.AnswerBytes // a job's answer is held anyway, and one that is larger not given
	}
	err := write(x.ctx, s)
	if !s.begun {
		if err == nil {
			x.varies = true
			err = x.transmit(http.StatusOK, []string{contentType}, s.buf)
		}
		return err
	}
	if err == nil {
		err = s.close()
	}
	if err != nil && runOf(x.ctx) == nil {
		if e := issue.As(err); e == nil && x.ctx.Err() == nil && !errors.Is(err, errGone) {
			x.h.errors.LogAttrs(x.ctx, levelError, "stream broken off", logError(err)...)
		}
		panic(http.ErrAbortHandler)
	}
	return nil
}

// errGone: the client does not take any more.
var errGone = errors.New("the client went away")

// held is the writer of a stream: it holds what comes first, then sends.
type held struct {
	x           *call
	contentType string
	most        int
	buf         []byte
	begun       bool
	gzip        *gzip.Writer
}

func (s *held) Write(p []byte) (int, error) {
	if !s.begun && len(s.buf)+len(p) <= s.most {
		s.buf = append(s.buf, p...)
		return len(p), nil
	}
	if !s.begun {
		s.begin()
		if err := s.send(s.buf); err != nil {
			return 0, err
		}
		s.buf = nil
	}
	return len(p), s.send(p)
}

func (s *held) begin() {
	s.begun = true
	head := s.x.Response().Header()
	head["Content-Type"], head["Vary"] = []string{s.contentType}, varyBoth
	if s.x.acceptsGzip() {
		head["Content-Encoding"] = encodingGzip
		s.gzip = s.x.h.gzips.Get().(*gzip.Writer)
		s.gzip.Reset(s.x.Response())
	}
	s.x.status = http.StatusOK
	s.x.Response().WriteHeader(http.StatusOK)
}

func (s *held) send(p []byte) (err error) {
	if s.gzip != nil {
		_, err = s.gzip.Write(p)
	} else {
		_, err = s.x.Response().Write(p)
	}
	if err != nil {
		return errors.Join(errGone, err)
	}
	return nil
}

func (s *held) close() error {
	if s.gzip == nil {
		return nil
	}
	if err := s.gzip.Close(); err != nil {
		return errors.Join(errGone, err)
	}
	s.x.h.gzips.Put(s.gzip)
	return nil
}
