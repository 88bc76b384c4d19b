package mongostore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// A number is 63 bits: milliseconds since epoch (41), the process's node (10),
// a counter (12). It is unique over all processes, increases within one, and
// is time-ordered between them as far as their clocks agree. Resource numbers,
// positions of the log and ids of queue items are numbers. These widths are in
// the database and must not change.
const (
	nodeBits    = 10
	counterBits = 12
	maxNodes    = 1 << nodeBits
)

// epoch of the milliseconds in a number; they last until 2089.
var epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// nodeLease is how long a process holds its node without saying so again;
// nodeMargin before the end it does, or stops making numbers. Clocks of
// processes may differ by less than nodeMargin.
const (
	nodeLease  = 10 * time.Minute
	nodeMargin = 5 * time.Minute
)

// numbers makes numbers. The node is claimed in the meta collection once and
// renewed every few minutes by whoever asks for a number then; making one
// needs no round trip otherwise. Safe for concurrent use.
type numbers struct {
	now   func() time.Time
	meta  *mongo.Collection
	owner string
	rand  io.Reader

	mu     sync.Mutex
	node   int64
	until  time.Time          // end of the lease of node; zero when there is none
	last   int64              // milliseconds << counterBits | counter of the last number
	flight map[int64]struct{} // positions given and not yet written
}

// nodeDoc is a node's place in the meta collection.
type nodeDoc struct {
	ID    string    `bson:"_id"` // node/17
	Kind  string    `bson:"kind"`
	Node  int64     `bson:"node"`
	Owner string    `bson:"owner"`
	Until time.Time `bson:"until"`
}

func newNumbers(now func() time.Time, meta *mongo.Collection, owner string, rand io.Reader) *numbers {
	return &numbers{now: now, meta: meta, owner: owner, rand: rand, flight: map[int64]struct{}{}}
}

// next gives a number above every one this process gave or saw.
func (g *numbers) next(ctx context.Context) (int64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.nextLocked(ctx, 0)
}

// position gives a number above after and holds Changes back below it until landed is called with it.
func (g *numbers) position(ctx context.Context, after int64) (int64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, err := g.nextLocked(ctx, after)
	if err == nil {
		g.flight[n] = struct{}{}
	}
	return n, err
}

// landed says that what has position n is in the log, or never will be.
func (g *numbers) landed(n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.flight, n)
}

// flying is the lowest position given and not landed; ok is false when there is none.
func (g *numbers) flying() (low int64, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for n := range g.flight {
		if !ok || n < low {
			low, ok = n, true
		}
	}
	return low, ok
}

func (g *numbers) nextLocked(ctx context.Context, after int64) (int64, error) {
	ms := g.now().Sub(epoch).Milliseconds()
	tick := max(ms<<counterBits, g.last+1)
	if after > 0 {
		// Another process's clock may be ahead: a later version must not come before an earlier one.
		tick = max(tick, (after>>(nodeBits+counterBits)+1)<<counterBits)
	}
	if at := epoch.Add(time.Duration(tick>>counterBits) * time.Millisecond); !at.Before(g.until.Add(-nodeMargin)) {
		if err := g.claim(ctx, at); err != nil {
			return 0, err
		}
		tick = max(tick, g.last+1)
	}
	g.last = tick
	return tick>>counterBits<<(nodeBits+counterBits) | g.node<<counterBits | tick&(1<<counterBits-1), nil
}

// claim renews the lease of this process's node, or takes a node that nobody holds.
func (g *numbers) claim(ctx context.Context, at time.Time) error {
	until := at.Add(nodeLease).Truncate(time.Millisecond)
	set := bson.D{{Key: "$set", Value: bson.D{{Key: "owner", Value: g.owner}, {Key: "until", Value: until}}}}
	if !g.until.IsZero() {
		r, err := g.meta.UpdateOne(ctx, bson.D{{Key: "_id", Value: nodeID(g.node)}, {Key: "owner", Value: g.owner}}, set)
		if err != nil {
			return fmt.Errorf("mongostore: renew node %d: %w", g.node, err)
		}
		if r.MatchedCount == 1 {
			g.until = until
			return nil
		}
	}
	var old nodeDoc
	err := g.meta.FindOneAndUpdate(ctx, bson.D{{Key: "kind", Value: "node"}, {Key: "until", Value: bson.D{{Key: "$lt", Value: at}}}}, set,
		options.FindOneAndUpdate().SetReturnDocument(options.Before)).Decode(&old)
	if err == nil {
		// Numbers made under the former lease lie below its end.
		g.node, g.until = old.Node, until
		g.last = max(g.last, old.Until.Sub(epoch).Milliseconds()<<counterBits)
		return nil
	}
	if !errors.Is(err, mongo.ErrNoDocuments) {
		return fmt.Errorf("mongostore: take over a node: %w", err)
	}
	return g.claimNew(ctx, until)
}

func (g *numbers) claimNew(ctx context.Context, until time.Time) error {
	var b [2]byte
	if _, err := io.ReadFull(g.rand, b[:]); err != nil {
		return fmt.Errorf("mongostore: random bytes: %w", err)
	}
	first := int64(binary.BigEndian.Uint16(b[:]))
	for i := range int64(maxNodes) {
		node := (first + i) % maxNodes
		_, err := g.meta.InsertOne(ctx, nodeDoc{ID: nodeID(node), Kind: "node", Node: node, Owner: g.owner, Until: until})
		if err == nil {
			g.node, g.until = node, until
			return nil
		}
		if !mongo.IsDuplicateKeyError(err) {
			return fmt.Errorf("mongostore: claim node %d: %w", node, err)
		}
	}
	return fmt.Errorf("mongostore: all %d nodes are held by running processes", maxNodes)
}

// release gives the node back, so that the next process need not wait for the lease to end.
func (g *numbers) release(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.until.IsZero() {
		return nil
	}
	until := epoch.Add(time.Duration(g.last>>counterBits+1) * time.Millisecond)
	_, err := g.meta.UpdateOne(ctx, bson.D{{Key: "_id", Value: nodeID(g.node)}, {Key: "owner", Value: g.owner}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "owner", Value: ""}, {Key: "until", Value: until}}}})
	g.until = time.Time{}
	if err != nil {
		return fmt.Errorf("mongostore: release node %d: %w", g.node, err)
	}
	return nil
}

func nodeID(node int64) string { return "node/" + strconv.FormatInt(node, 10) }

// numberTime is the time at which a number was made, to the millisecond.
func numberTime(n int64) time.Time {
	return epoch.Add(time.Duration(n>>(nodeBits+counterBits)) * time.Millisecond)
}

// numberAt is the lowest number made at t or later.
func numberAt(t time.Time) int64 {
	return max(t.Sub(epoch).Milliseconds(), 0) << (nodeBits + counterBits)
}

// textNumber is a number as text that sorts like it: 16 hexadecimal digits.
func textNumber(n int64) string { return fmt.Sprintf("%016x", n) }

// parseNumber undoes textNumber.
func parseNumber(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 16, 63)
	if err != nil || len(s) != 16 {
		return 0, fmt.Errorf("mongostore: %q is not a position", s)
	}
	return int64(n), nil
}
