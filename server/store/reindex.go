package store

import "context"

// Reindexer changes what a store is indexed by while it serves: search
// parameters that a deployment adds and takes away. What the index gives
// without them is not touched, and is the matter of IndexVersion alone.
//
// A store is opened with two functions: Index gives the facts of a body,
// Adopt(Catalog) says from when on Index gives those of another catalog too.
// Adopt is called before Open indexes anything, and whenever another catalog
// begins to hold in this process.
//
//	PutCatalog(generation 7, +shoe)   from its return on: commits of facts below 7 are refused (ConflictError.Stale)
//	Reindex(Patient, after "")        puts what the resources that were there before lack, a slice at a time
//	…                                 (a crash: go on from the last Next, or begin again: it is idempotent)
//	Verify(Patient)                   compares every resource of the type with what its body gives
//
// So what Verify counts as different after a walk that began after PutCatalog is an
// error, and none is the proof that the parameter answers for every resource.
type Reindexer interface {
	// Catalog gives what is recorded; the zero Catalog when nothing ever was. Where other processes
	// write to the same store it asks the database, and has this process adopt what it finds.
	Catalog(ctx context.Context) (Catalog, error)
	// PutCatalog records c durably and has it adopted. Its Revision is that of the one that stands plus
	// one, else ErrCatalog; its Generation is not lower. Of Added that stood and stand no more no key is left,
	// at once or when Reindex has gone through the type; the same name may be added again later.
	PutCatalog(ctx context.Context, c Catalog) error
	// Reindex puts the keys that up to Limit resources lack, on the state that stands then: a commit beside it
	// loses nothing. On MongoDB the first call after a PutCatalog waits until every process has seen it.
	Reindex(ctx context.Context, p ReindexParams) (ReindexPage, error)
	// Verify compares the stored keys of all resources of a type with those that Index gives, and
	// changes nothing unless it is asked to; ErrCatalog when the catalog changed meanwhile.
	Verify(ctx context.Context, p VerifyParams) (Verification, error)
}

// Catalog is what the index gives beyond what it is built with.
type Catalog struct {
	// Revision counts the catalogs that were put; 0 is none.
	Revision uint64
	// Generation is the lowest search.Facts.Generation that commits may have.
	Generation uint64
	// Added are the parameters whose keys are given, others than before only with another Generation; all forms of a name (shoe:py) count with it.
	Added []Added
	// Body is the caller's, at most MaxCatalog bytes.
	Body []byte
}

// Added is a parameter of one resource type, as search.Key.Param has it.
type Added struct{ Type, Param string }

// ReindexParams is a slice of one type.
type ReindexParams struct {
	Type  string
	After string // Next of the slice before; "" from the first
	Limit int    // resources, at most MaxReindex
	// IDs, when not nil, are the resources, in place of After and Limit; at most MaxReindex.
	IDs []string
	// Look changes nothing: ReindexPage.Mended is then how many would be.
	Look bool
	// Params are those whose keys are looked at, forms included; nil is all. A store may look at more.
	Params []string
}

// ReindexPage is what was done.
type ReindexPage struct {
	Next    string // "" when this was the last
	Checked int    // resources that were looked at, deleted ones left out
	Mended  int    // of them, those that lacked keys
}

// VerifyParams is one type.
type VerifyParams struct {
	Type   string
	Params []string // as in ReindexParams
	// Mend removes, once they are counted, keys that stand for no resource; Verify is then the one that finds
	// none. What resources lack is Reindex's to put. Where keys stand in the resources Reindex replaces both.
	Mend bool
	// Progress hears now and then how many resources were compared; nil for none.
	Progress func(checked int)
}

// Verification is what Verify found.
type Verification struct {
	Checked int // resources
	// Differ is how many lack a key, or have one that their body does not give.
	Differ int
	// Extra is how many keys stand in lists for no resource that gives them, where lists are kept apart from resources.
	Extra int
}

// Limits of a Reindexer.
const (
	MaxReindex = 1_000
	// MaxCatalog is the largest Catalog.Body, in bytes.
	MaxCatalog = 8 << 20
)
