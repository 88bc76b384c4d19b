package inbox

import (
	"context"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"meridian/mappings/hl7v2"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

// report20 is the ORU^R01 of 20 OBX of testdata, with numbers of its own.
func report20(tb testing.TB) func(i int) []byte {
	tb.Helper()
	raw, err := os.ReadFile("../../testdata/hl7v2/oru_r01.hl7")
	if err != nil {
		tb.Fatal(err)
	}
	text := string(raw)
	return func(i int) []byte {
		n := strconv.Itoa(i)
		return []byte(strings.NewReplacer("0000123456", "P"+strconv.Itoa(i/10), "QL2026112100042", "M"+n, "QL26112100042", "S"+n, "YZ20261121000871", "A"+n, "YZ20261121000872", "B"+n, "MZ2026112100318", "V"+n).Replace(text))
	}
}

// onDisk is the embedded store with its defaults, on a real disk.
var onDisk = backend{"disk", func(t testing.TB, c storetest.Config) store.Store { return openPebbleOn(t, c, vfs.Default) }}

// Messages of 20 results over MLLP from 8 connections, until they are committed.
func BenchmarkMLLP(b *testing.B) {
	message := report20(b)
	b.Chdir(b.TempDir())
	m := &counts{}
	in := newBench(b, onDisk, setup{observer: m})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	door := in.Listen(l, "")
	defer door.Close()
	var next atomic.Int64
	var all sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range 8 {
		conn, err := net.Dial("tcp", door.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		all.Add(1)
		go func() {
			defer all.Done()
			c := hl7v2.NewClient(conn, hl7v2.ClientOptions{})
			defer c.Close()
			for i := int(next.Add(1)); i <= b.N; i = int(next.Add(1)) {
				if a, err := c.Send(context.Background(), message(i*10)); err != nil || !a.Positive() {
					b.Errorf("%v %v", a.Code, err)
					return
				}
			}
		}()
	}
	all.Wait()
	for m.get("committed") < b.N {
		if m.get("parked patient.unidentified")+m.get("retry") > 0 {
			b.Fatal(m.n)
		}
		time.Sleep(100 * time.Microsecond)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// A message that says what stands already: read, mapped, compared.
func BenchmarkUnchanged(b *testing.B) {
	message := report20(b)
	b.Chdir(b.TempDir())
	in := newBench(b, onDisk, setup{idle: true})
	in.give(b, string(message(1)))
	items, err := in.queue.Lease(b.Context(), Topic, 1, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	until := time.Now().Add(time.Hour)
	if e := in.process(b.Context(), in.read(&items[0], until)); e.Label != "committed" {
		b.Fatal(e.Label)
	}
	b.ReportAllocs()
	for b.Loop() {
		if e := in.process(b.Context(), in.read(&items[0], until)); e.Label != "unchanged" {
			b.Fatal(e.Label)
		}
	}
}

// Taking a message: header, hash, envelope, the queue, the acknowledgment.
func BenchmarkReceive(b *testing.B) {
	message := report20(b)
	b.Chdir(b.TempDir())
	in := newBench(b, onDisk, setup{idle: true})
	var n atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := in.Receive(b.Context(), "", "bench", message(int(n.Add(1)))); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
