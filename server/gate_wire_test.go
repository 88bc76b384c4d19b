//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// wire is one keep-alive connection of HTTP/1.1 that costs the machine as little as it can: requests are written as bytes, of an
// answer only status, Location and length are read. For one goroutine; the body of an answer is valid until the next request.
type wire struct {
	conn     net.Conn
	in       *bufio.Reader
	out, got []byte
	location string
}

func dial(b testing.TB, addr string) *wire {
	b.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return &wire{conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}
}

func dialAll(b testing.TB, addr string, n int) []*wire {
	list := make([]*wire, n)
	for i := range list {
		list[i] = dial(b, addr)
	}
	return list
}

// do sends a request, with a body when it is not nil.
func (w *wire) do(method, path string, body []byte) (status int, answer []byte, err error) {
	w.out = append(append(append(append(w.out[:0], method...), ' '), path...), " HTTP/1.1\r\nHost: gate\r\nAccept: application/fhir+json\r\n"...)
	if body != nil {
		w.out = fmt.Appendf(w.out, "Content-Type: application/fhir+json\r\nContent-Length: %d\r\n", len(body))
	}
	w.out = append(append(w.out, "\r\n"...), body...)
	if _, err := w.conn.Write(w.out); err != nil {
		return 0, nil, err
	}
	length, err := w.head(&status)
	if err != nil {
		return 0, nil, err
	}
	if cap(w.got) < length {
		w.got = make([]byte, length, 2*length)
	}
	w.got = w.got[:length]
	_, err = io.ReadFull(w.in, w.got)
	return status, w.got, err
}

// head reads the status line and the header of an answer and gives the length of its body.
func (w *wire) head(status *int) (length int, err error) {
	length, w.location = -1, ""
	for first := true; ; first = false {
		row, err := w.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		row = bytes.TrimRight(row, "\r\n")
		switch {
		case first && len(row) < 12:
			return 0, fmt.Errorf("status line %q", row)
		case first:
			if *status, err = strconv.Atoi(string(row[9:12])); err != nil {
				return 0, err
			}
		case len(row) == 0 && *status == 204: // has no body, and need not say so
			return 0, nil
		case len(row) == 0 && length < 0:
			return 0, fmt.Errorf("an answer %d without a length", *status)
		case len(row) == 0:
			return length, nil
		case bytes.HasPrefix(row, []byte("Content-Length: ")):
			if length, err = strconv.Atoi(string(row[16:])); err != nil {
				return 0, err
			}
		case bytes.HasPrefix(row, []byte("Location: ")):
			w.location = string(row[10:])
		}
	}
}

// must does a request that has to be answered with want.
func (w *wire) must(b testing.TB, want int, method, path string, body []byte) []byte {
	b.Helper()
	status, answer, err := w.do(method, path, body)
	if err != nil || status != want {
		b.Fatalf("%s %s: %d %v %.500s", method, path, status, err, answer)
	}
	return answer
}

// located cuts "Patient/123" out of a location.
func located(location string) string {
	location, _, _ = strings.Cut(location, "/_history/")
	if i := strings.LastIndexByte(location, '/'); i >= 0 {
		if j := strings.LastIndexByte(location[:i], '/'); j >= 0 {
			return location[j+1:]
		}
	}
	return location
}

// pace is how fast operations went: by the clock, and in CPU time of this whole process, clients included. On a machine that others use
// too, the CPU time moves far less than the rate.
type pace struct {
	perSecond float64
	cpu       float64 // µs per operation
}

// many does n operations from so many goroutines.
func many(b *testing.B, clients, n int, op func(client, i int) error) pace {
	b.Helper()
	var next atomic.Int64
	var failed atomic.Pointer[error]
	start, before := time.Now(), cpu(b)
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for failed.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := op(c, i); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		b.Fatal(*err)
	}
	return pace{float64(n) / time.Since(start).Seconds(), float64(cpu(b)-before) / 1e3 / float64(n)}
}

// gets gives an operation of many: GET of path(i), answered 200.
func gets(wires []*wire, path func(i int) string) func(client, i int) error {
	return func(client, i int) error {
		status, body, err := wires[client].do("GET", path(i), nil)
		if err == nil && status != 200 {
			err = fmt.Errorf("GET %s: %d %.300s", path(i), status, body)
		}
		return err
	}
}

// medianTimes asks for the i-th path of each kind in turn, n times, on one connection, and gives the median time of each kind, in ms.
func medianTimes(b *testing.B, w *wire, n int, kinds ...func(i int) string) []float64 {
	b.Helper()
	times := make([][]float64, len(kinds))
	for i := range n + n/10 {
		for k, path := range kinds {
			p := path(i)
			start := time.Now()
			w.must(b, 200, "GET", p, nil)
			if took := float64(time.Since(start)) / 1e6; i >= n/10 { // the first tenth warms up
				times[k] = append(times[k], took)
			}
		}
	}
	out := make([]float64, len(kinds))
	for k := range kinds {
		out[k] = median(times[k])
	}
	return out
}
