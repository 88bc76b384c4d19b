package rest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"

	"meridian/fhir/issue"
	"meridian/server/interaction"
)

// onceHeaders are those that make another request of the same address and body.
var onceHeaders = []string{"If-None-Exist", "If-Match", "If-None-Match", "Content-Type"}

// once reads Idempotency-Key: the zero Once when there is none. An asynchronous request without one has its job's.
// Issue code: value.
func (x *call) once(body []byte) (interaction.Once, error) {
	header, sent := x.Request().Header["Idempotency-Key"]
	if !sent {
		if run := runOf(x.ctx); run != nil {
			return interaction.Once{Key: run.token, Hash: x.requestHash(body)}, nil
		}
		return interaction.Once{}, nil
	}
	if len(header) != 1 {
		return interaction.Once{}, issue.New(issue.Value, "idempotency.key", "the header Idempotency-Key is sent more than once", "")
	}
	key, err := interaction.ParseOnceKey(header[0])
	if err != nil {
		return interaction.Once{}, err
	}
	return interaction.Once{Key: key, Hash: x.requestHash(body)}, nil
}

// requestHash tells requests apart: method, address, conditions, body.
func (x *call) requestHash(body []byte) string {
	h := sha256.New()
	line := func(s string) { _, _ = io.WriteString(h, s+"\n") } // never fails
	line(x.Request().Method)
	line(x.Request().URL.Path)
	line(x.query)
	for _, name := range onceHeaders {
		line(x.list(name))
	}
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// replayed says that the answer is that of the first request.
func (x *call) replayed(yes bool) {
	if yes {
		x.Response().Header().Set("Idempotency-Replayed", "true")
	}
}

// write carries out a write, once where it has a key, and answers.
func (x *call) write(body []byte, do func(ctx context.Context) (interaction.Result, error)) error {
	once, err := x.once(body)
	if err != nil {
		return err
	}
	r, replayed, err := x.service.WriteOnce(x.ctx, once, do)
	x.replayed(replayed)
	return x.answerWrite(&r, err)
}

// maxWarnings is how many Warning headers one answer has.
const maxWarnings = 5

// warn puts warnings where an answer without an OperationOutcome has a place for them, and counts them.
func (x *call) warn(warnings []issue.Issue) {
	for i := range warnings {
		if i == maxWarnings {
			break
		}
		text := warnings[i].Text
		if at := warnings[i].Expression; at != "" {
			text += " (" + at + ")"
		}
		x.Response().Header().Add("Warning", `299 meridian "`+quoted(text)+`"`)
	}
	x.h.metrics.warnings.WithLabelValues(x.interaction).Add(float64(len(warnings)))
}

// quoted is text for a quoted string of a header.
func quoted(text string) string {
	b := []byte(text)
	for i, c := range b {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			b[i] = '\''
		}
	}
	return string(b)
}
