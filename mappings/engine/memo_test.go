package engine

import (
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"meridian/mappings/hl7v2"
)

// withoutMemos is a map that writes every member of every row anew.
func withoutMemos(m *Map) *Map {
	plain := *m
	plain.memos, plain.layers, plain.autos = 0, map[string]*Map{}, nil
	for name, layer := range m.layers {
		plain.layers[name] = withoutMemos(layer)
	}
	for _, layer := range m.autos {
		plain.autos = append(plain.autos, plain.layers[layer.Name])
	}
	return &plain
}

// reworded exchanges fields of rows with those of others, and puts in what senders write seldom, so that rows agree in some fields only.
func reworded(text string, random *rand.Rand) string {
	seldom := []string{"", `""`, "a~b", "x^y&z", "1^2^99LIS~3", "20991231", "不详", "F", "↑"}
	segments := strings.Split(text, "\r")
	var rows []int
	for i, s := range segments {
		if strings.HasPrefix(s, "OBX|") || strings.HasPrefix(s, "SPM|") || strings.HasPrefix(s, "NK1|") {
			rows = append(rows, i)
		}
	}
	for range len(rows) {
		a, b := rows[random.IntN(len(rows))], rows[random.IntN(len(rows))]
		to, from := strings.Split(segments[a], "|"), strings.Split(segments[b], "|")
		k := 1 + random.IntN(min(len(to), len(from))-1)
		to[k] = from[k]
		if random.IntN(4) == 0 {
			to[k] = seldom[random.IntN(len(seldom))]
		}
		segments[a] = strings.Join(to, "|")
	}
	return strings.Join(segments, "\r")
}

// What the rows before said changes nothing of a result: not its bytes, findings, unmapped codes, nor what counts as read.
func TestMemosChangeNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 12))
	m := oru(t)
	plain, src := withoutMemos(m), &Source{ID: "lis"}
	all := corpus(t)
	names := slices.Sorted(maps.Keys(all))
	hits := 0
	for round := range 12 {
		random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			d, err := hl7v2.Decode(all[name], hl7v2.DecodeOptions{})
			if err != nil {
				t.Fatal(name, err)
			}
			text := d.Text
			if round%2 > 0 {
				text = strings.Replace(reworded(text, random), "+0800||", "-0500||", random.IntN(2)) // the message's own zone
			}
			received := benchTime.AddDate(0, 0, -random.IntN(2)) // a day before, times lie in the future
			with, err1 := m.Run(record(t, []byte(text)), src, received)
			without, err2 := plain.Run(record(t, []byte(text)), src, received)
			if !reflect.DeepEqual(err1, err2) || !reflect.DeepEqual(with, without) {
				t.Fatalf("round %d, %s: with memos %+v %v\nwithout %+v %v\n%s", round, name, with, err1, without, err2, text)
			}
			if with.Coverage != nil {
				hits += known(m, src)
			}
		}
	}
	if hits == 0 {
		t.Error("no memo was ever of use")
	}
}

// known is how many members of a map a pooled run remembers.
func known(m *Map, src *Source) (n int) {
	rt := runs.Get().(*run)
	defer runs.Put(rt)
	for _, s := range rt.sets {
		for i := range s.memos {
			if s.m == m && s.src == src {
				n += len(s.memos[i].entries)
			}
		}
	}
	return n
}
