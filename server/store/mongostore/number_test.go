package mongostore

import (
	"testing"
	"time"
)

func TestNumbers(t *testing.T) {
	now := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	g := newNumbers(func() time.Time { return now }, nil, "me", nil)
	g.node, g.until = 17, now.Add(24*time.Hour)
	ctx := t.Context()
	last := int64(0)
	for i := range 3 * (1 << counterBits) { // more than a standing millisecond holds
		n, err := g.next(ctx)
		if err != nil || n <= last {
			t.Fatalf("number %d: %d after %d, %v", i, n, last, err)
		}
		if node := n >> counterBits & (maxNodes - 1); node != 17 {
			t.Fatalf("node %d", node)
		}
		last = n
	}
	if at := numberTime(last); at.Before(now) || at.After(now.Add(5*time.Millisecond)) {
		t.Errorf("made at %v, the clock says %v", at, now)
	}
	now = now.Add(-time.Hour)
	if n, err := g.next(ctx); err != nil || n <= last {
		t.Errorf("after the clock was set back: %d after %d, %v", n, last, err)
	}
	ahead := numberAt(now.Add(2 * time.Hour))
	if n, err := g.position(ctx, ahead); err != nil || n <= ahead {
		t.Errorf("after another process's position %d: %d, %v", ahead, n, err)
	} else if low, ok := g.flying(); !ok || low != n {
		t.Errorf("in flight: %d, %t", low, ok)
	} else if g.landed(n); len(g.flight) != 0 {
		t.Error("landed and still in flight")
	}
}

func TestPositionText(t *testing.T) {
	for _, n := range []int64{0, 1, 1 << 40, 1<<63 - 1} {
		if got, err := parseNumber(textNumber(n)); err != nil || got != n {
			t.Errorf("%d is read back as %d, %v", n, got, err)
		}
	}
	if textNumber(9) > textNumber(16) {
		t.Error("texts do not sort like numbers")
	}
	for _, s := range []string{"", "12", "zzzzzzzzzzzzzzzz", "-000000000000001", "8000000000000000"} {
		if n, err := parseNumber(s); err == nil {
			t.Errorf("%q is read as %d", s, n)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	g := newNumbers(time.Now, nil, "me", nil)
	g.until = time.Now().Add(time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.next(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
