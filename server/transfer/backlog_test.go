package transfer_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"meridian/server/transfer"
)

// endless gives resources of a MiB, some hundred of them, and counts what is read.
type endless struct {
	io.Reader
	read atomic.Int64
}

func newEndless(n int) *endless {
	var parts []io.Reader
	pad := strings.Repeat("x", 1<<20)
	for i := range n {
		parts = append(parts, strings.NewReader(fmt.Sprintf(`{"resourceType":"Binary","id":"%d","contentType":"text/plain","data":"`, i)), strings.NewReader(pad), strings.NewReader("\"}\n"))
	}
	return &endless{Reader: io.MultiReader(parts...)}
}

func (e *endless) Read(b []byte) (int, error) {
	n, err := e.Reader.Read(b)
	e.read.Add(int64(n))
	return n, err
}

// stopped answers a request when nobody can go on without its answer.
type stopped struct {
	*fake
	ahead func()
}

func (s stopped) RoundTrip(r *http.Request) (*http.Response, error) {
	synctest.Wait()
	s.ahead()
	return s.fake.RoundTrip(r)
}

// While the service takes its time, no more of large resources is read than there is room for.
func TestImportReadsNoFurtherThanItMayHold(t *testing.T) {
	const n, room = 180, (64 + 2*8 + 2) << 20 // what waits, what a lane gathers and sends, what is read ahead
	synctest.Test(t, func(t *testing.T) {
		in, sent, most := newEndless(n), int64(0), int64(0)
		f := newFake()
		service := transfer.Service{Base: "http://fhir.example/fhir", Patience: time.Nanosecond, Client: &http.Client{Transport: stopped{f, func() { most = max(most, in.read.Load()-sent); sent = int64(len(f.versions)) << 20 }}}}
		sum, err := (&transfer.Import{Service: service, Inputs: []string{"-"}, Stdin: in, State: t.TempDir(), Lanes: 1}).Run(t.Context())
		if err != nil || sum.Created != n {
			t.Fatalf("%+v, %v", sum, err)
		}
		if most > room {
			t.Errorf("%d MiB were read and not sent", most>>20)
		}
	})
}
