package interaction

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"meridian/server/store"
)

// watch measures a search, to log it when it was slow.
type watch struct {
	r     *request
	begin time.Time
	tally store.Tally
}

// watchSearch begins to measure. Where no slow searches are logged it costs nothing.
func (s *Service) watchSearch(ctx context.Context, r *request) (context.Context, *watch) {
	if s.slow <= 0 {
		return ctx, nil
	}
	w := &watch{r: r, begin: s.clock()}
	return store.WithTally(ctx, &w.tally), w
}

// end logs a slow search in FHIR's terms: types, names of parameters with their
// modifiers and chains, and how it was executed. Never a value.
func (w *watch) end() {
	if w == nil {
		return
	}
	took := w.r.s.clock().Sub(w.begin)
	if took < w.r.s.slow {
		return
	}
	var types, names []string
	for i := range w.r.arms {
		types = append(types, w.r.arms[i].query.Type)
	}
	for _, p := range w.r.query.Canonical() {
		names = append(names, p.Name)
	}
	if len(types) > 8 {
		types = append(types[:8], "…")
	}
	w.r.s.log.Warn("slow search", slog.String("type", strings.Join(types, ",")), slog.String("parameters", strings.Join(names, " ")),
		slog.Int64("ms", took.Milliseconds()), slog.Int("page", w.r.shape.count), slog.Bool("first", w.r.token == ""),
		slog.String("strategy", w.tally.Strategy()), slog.Int("read", w.tally.Read()), slog.Int("checked", w.tally.Checked()))
}
