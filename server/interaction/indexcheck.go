package interaction

import (
	"context"
	"errors"

	"meridian/fhir/issue"
	"meridian/fhir/schema"
	"meridian/fhir/search"
	"meridian/server/store"
)

// IndexReport says how the stored keys of resources agree with what their bodies give now.
type IndexReport struct {
	Type    string
	Checked int // resources
	Differ  int // of them, those that lack a key or have one that they should not
	Extra   int // keys that stand in lists for nobody (embedded store)
	Mended  int // resources that lacked keys before, by RepairIndex
}

// VerifyIndex compares the resources of a type, or the one that key names, and changes nothing.
// Issue codes: conflict when search parameters were added or taken away meanwhile.
func (s *Service) VerifyIndex(ctx context.Context, key store.Key, progress func(checked int)) (IndexReport, error) {
	if key.ID != "" {
		page, err := s.store.Reindex(ctx, store.ReindexParams{Type: key.Type, IDs: []string{key.ID}, Look: true})
		return IndexReport{Type: key.Type, Checked: page.Checked, Differ: page.Mended}, translateIndex(err)
	}
	v, err := s.store.Verify(ctx, store.VerifyParams{Type: key.Type, Progress: progress})
	return IndexReport{Type: key.Type, Checked: v.Checked, Differ: v.Differ, Extra: v.Extra}, translateIndex(err)
}

// RepairIndex puts what resources lack, takes away what stands for nobody, and then verifies. It is repeated without harm.
func (s *Service) RepairIndex(ctx context.Context, key store.Key, progress func(checked int)) (IndexReport, error) {
	p := store.ReindexParams{Type: key.Type, Limit: reindexSlice}
	if key.ID != "" {
		p.IDs = []string{key.ID}
	}
	mended, checked := 0, 0
	for {
		page, err := s.store.Reindex(ctx, p)
		if err != nil {
			return IndexReport{}, translateIndex(err)
		}
		mended, checked = mended+page.Mended, checked+page.Checked
		progress(checked)
		if p.After = page.Next; p.After == "" {
			break
		}
	}
	if key.ID == "" {
		if _, err := s.store.Verify(ctx, store.VerifyParams{Type: key.Type, Mend: true}); err != nil {
			return IndexReport{}, translateIndex(err)
		}
	}
	report, err := s.VerifyIndex(ctx, key, func(int) {})
	report.Mended = mended
	return report, err
}

func translateIndex(err error) error {
	if errors.Is(err, store.ErrCatalog) {
		return issue.New(issue.Conflict, "index.changed", "search parameters were added or taken away meanwhile; send the request again", "")
	}
	return translate(err, "compare the index with the resources")
}

// StoredTypes lists the resource types of which there is any, with how many.
func (s *Service) StoredTypes(ctx context.Context) (types []string, resources map[string]int, err error) {
	resources = map[string]int{}
	for _, typ := range schema.ResourceTypes() {
		n, err := s.store.Count(ctx, &search.Plan{Type: typ, Where: search.All{}}, 0)
		if err != nil {
			return nil, nil, translate(err, "count "+typ)
		}
		if n.N > 0 {
			types, resources[typ] = append(types, typ), n.N
		}
	}
	return types, resources, nil
}

// ReportProgress tells who waits for an asynchronous request how far it is; see WithProgress.
func ReportProgress(ctx context.Context, done, total int) { progressOf(ctx)(done, total) }
