package pebblestore

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"meridian/server/store"
	"meridian/server/store/storetest"
)

// benchReindex stores resources with some 15 keys each and one added parameter that they lack.
func benchReindex(b *testing.B, n int) *Store {
	x := &following{}
	s, err := Open(Options{Dir: "db", FS: vfs.NewMem(), Index: x.index, Adopt: x.adopt, IndexVersion: "1"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	for at := 0; at < n; at += 1000 {
		var p store.CommitParams
		for i := at; i < min(n, at+1000); i++ {
			sm := shoe(fmt.Sprintf("p%06d", i), 1)
			for k := range 6 {
				sm.Facts = append(sm.Facts, storetest.Token(fmt.Sprint("code", k), "s", fmt.Sprint(i%100)))
			}
			w := sm.Write()
			if w.Facts, err = x.index(w.Body); err != nil {
				b.Fatal(err)
			}
			p.Writes = append(p.Writes, w)
		}
		if err := s.Commit(b.Context(), p); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.PutCatalog(b.Context(), withShoe); err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkReindex is one resource of a walk that puts what it lacks.
func BenchmarkReindex(b *testing.B) {
	s := benchReindex(b, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	for after := ""; ; {
		page, err := s.Reindex(b.Context(), store.ReindexParams{Type: "Patient", After: after, Limit: 200, Params: []string{"shoe@1"}})
		if err != nil || page.Mended != page.Checked {
			b.Fatal(page, err)
		}
		if after = page.Next; after == "" {
			return
		}
	}
}

// BenchmarkVerify is one resource whose keys are compared, with all of them and with those of one parameter.
func BenchmarkVerify(b *testing.B) {
	for name, params := range map[string][]string{"all": nil, "one": {"code0"}} {
		b.Run(name, func(b *testing.B) {
			s := benchReindex(b, b.N)
			b.ReportAllocs()
			b.ResetTimer()
			if v, err := s.Verify(b.Context(), store.VerifyParams{Type: "Patient", Params: params}); err != nil || v.Checked != b.N {
				b.Fatal(v, err)
			}
		})
	}
}
