package operation

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/search"
	"meridian/fhir/value"
	"meridian/server/interaction"
	"meridian/server/store"
)

// Limits of $stats.
const (
	// maxStats is how many observations it reads; with more it is too costly.
	maxStats = 100_000
	// maxStatsSource is how many source observations it answers when limit is not sent.
	maxStatsSource = 1000
)

func statsDefinition() *interaction.OperationDefinition {
	in := func(name, typ string, min, max int, text string) interaction.OperationParameter {
		return interaction.OperationParameter{Name: name, Type: typ, Min: min, Max: max, Documentation: text}
	}
	return &interaction.OperationDefinition{
		Name: "stats", URL: "http://hl7.org/fhir/OperationDefinition/Observation-stats", Type: true, Types: []string{"Observation"},
		Params: []interaction.OperationParameter{
			in("subject", "uri", 1, 1, "Whose observations: Patient/123"),
			in("code", "string", 0, 0, "Codes of observations or of their components; of a panel its members are evaluated, each code by itself"),
			in("system", "uri", 0, 1, "The system of code; without it codes of any system count"),
			in("coding", "Coding", 0, 0, "Code and system in one"),
			in("duration", "decimal", 0, 1, "Hours back from now"),
			in("period", "Period", 0, 1, "The time of the observations, where duration is not sent"),
			in("statistic", "code", 1, 0, "Codes of http://hl7.org/fhir/ValueSet/observation-statistics: "+strings.Join(statisticCodes(), ", ")),
			in("include", "boolean", 0, 1, "Also answer the observations that contributed"),
			in("limit", "positiveInt", 0, 1, "How many of them, the most recent; "+strconv.Itoa(maxStatsSource)+" when it is not sent"),
			{Name: "statistics", Out: true, Min: 1, Type: "Observation", Documentation: "An Observation for each code with a component for each statistic"},
			{Name: "source", Out: true, Type: "Observation", Documentation: "The observations that contributed"},
		},
		Documentation: "Statistics of measured values, in decimal arithmetic. Units are converted to that of the most recent value; what is no number, or cannot be " +
			"converted, counts in total-count only, and a note says so.",
	}
}

// stats is one call.
type stats struct {
	c       *interaction.OperationCall
	s       *interaction.Service
	subject string
	wanted  []wantedCode
	groups  []*statsGroup
	byCode  map[string]*statsGroup
	members []store.Key        // of panels
	seen    map[store.Key]bool // members noted
	found   map[store.Key]bool // observations that the search gave
	start   string             // of the effective period, "" for open
	end     string
	left    int // observations that may still be read
}

// wantedCode is a code that was asked for.
type wantedCode struct{ system, code, display string }

func (w *wantedCode) matches(coding element.Node) bool {
	return coding.Child("code").Text() == w.code && (w.system == "" || coding.Child("system").Text() == w.system)
}

// runStats selects, collects, computes.
//
// https://hl7.org/fhir/R4/observation-operation-stats.html
func runStats(ctx context.Context, c *interaction.OperationCall) (interaction.OperationResult, error) {
	st := &stats{c: c, s: c.Service, subject: c.Text("subject"), byCode: map[string]*statsGroup{}, seen: map[store.Key]bool{}, found: map[store.Key]bool{}, left: maxStats}
	if err := st.readCodes(); err != nil {
		return interaction.OperationResult{}, err
	}
	if err := st.readTime(); err != nil {
		return interaction.OperationResult{}, err
	}
	asked, err := askedStatistics(c)
	if err != nil {
		return interaction.OperationResult{}, err
	}
	for i := range st.wanted {
		w := &st.wanted[i]
		st.group(w.system, w.code).asked = w
	}
	if err := st.collect(ctx); err != nil {
		return interaction.OperationResult{}, err
	}
	return st.answer(asked)
}

// readCodes reads code with system, and coding.
func (st *stats) readCodes() error {
	system := st.c.Text("system")
	for _, v := range st.c.Values("code") {
		st.want(wantedCode{system: system, code: v.Text()})
	}
	for _, v := range st.c.Values("coding") {
		w := wantedCode{system: v.Node.Child("system").Text(), code: v.Node.Child("code").Text(), display: v.Node.Child("display").Text()}
		if w.code == "" {
			return issue.New(issue.Required, "stats.code", "a coding of $stats has a code", v.Node.Location())
		}
		st.want(w)
	}
	if len(st.wanted) == 0 {
		return issue.New(issue.Required, "stats.code", "$stats needs a code or a coding", "")
	}
	return nil
}

// want notes a code; each counts once.
func (st *stats) want(w wantedCode) {
	for i := range st.wanted {
		if have := &st.wanted[i]; have.system == w.system && have.code == w.code {
			have.display = cmp.Or(have.display, w.display)
			return
		}
	}
	st.wanted = append(st.wanted, w)
}

// readTime reads duration, else period.
func (st *stats) readTime() error {
	if text := st.c.Text("duration"); text != "" {
		hours, err := strconv.ParseFloat(text, 64)
		if err != nil || hours <= 0 || hours > 24*366*200 {
			return issue.New(issue.Value, "stats.duration", "duration is a number of hours above 0, at most 200 years", "")
		}
		now := st.s.Now()
		st.start = now.Add(-time.Duration(hours * float64(time.Hour))).Format(instantLayout)
		st.end = now.Format(instantLayout)
		return nil
	}
	if v := st.c.Value("period"); v != nil {
		st.start, st.end = v.Node.Child("start").Text(), v.Node.Child("end").Text()
	}
	return nil
}

const instantLayout = "2006-01-02T15:04:05.000Z07:00"

// criteria of the search for what is evaluated.
func (st *stats) criteria() []search.Pair {
	var codes []string
	for _, w := range st.wanted {
		text := search.Escape(w.code)
		if w.system != "" {
			text = search.Escape(w.system) + "|" + text
		}
		codes = append(codes, text)
	}
	out := []search.Pair{
		{Name: "subject", Value: search.Escape(st.subject)},
		{Name: "combo-code", Value: strings.Join(codes, ",")},
		{Name: "status:not", Value: "entered-in-error"},
	}
	if st.start != "" {
		out = append(out, search.Pair{Name: "date", Value: "ge" + st.start})
	}
	if st.end != "" {
		out = append(out, search.Pair{Name: "date", Value: "le" + st.end})
	}
	return out
}

// collect goes through the observations, the most recent first, then through the members of panels.
func (st *stats) collect(ctx context.Context) error {
	p := interaction.FindParams{Type: "Observation", All: st.criteria(), Sort: "-date", Limit: 1000}
	for {
		page, err := st.s.Find(ctx, p)
		if err != nil {
			return err
		}
		for i := range page.Rows {
			if err := st.resource(&page.Rows[i].Resource, true); err != nil {
				return err
			}
		}
		if !page.More {
			break
		}
		p.After = &page.Rows[len(page.Rows)-1].At
	}
	for at := 0; at < len(st.members); at += store.MaxReadMany {
		found, err := st.s.Current(ctx, st.members[at:min(at+store.MaxReadMany, len(st.members))])
		if err != nil {
			return err
		}
		for i := range found {
			if found[i].Body == nil {
				continue
			}
			if err := st.resource(&found[i], false); err != nil {
				return err
			}
		}
	}
	return nil
}

// resource evaluates one observation; of a panel's member (not found by its code) every value counts.
func (st *stats) resource(r *store.Resource, found bool) error {
	if st.left--; st.left < 0 {
		return issue.New(issue.TooCostly, "stats.matches", "more than "+strconv.Itoa(maxStats)+" observations match: ask for a period or fewer codes", "")
	}
	root, done, err := st.s.Tree(r.Body)
	if err != nil {
		return err
	}
	defer done()
	o := &measured{resource: r, root: root, when: effectiveOf(root, st.s.Registry().Zone()), modified: root.Child("modifierExtension").Valid()}
	if !found {
		st.member(o)
		return nil
	}
	st.found[r.Key] = true
	components := elements(root, "component")
	panel := !root.Child("value").Valid() && (len(components) > 0 || root.Child("hasMember").Valid())
	asked := false
	for i := range st.wanted {
		w := &st.wanted[i]
		if hasCoding(root, w) {
			asked = true
			if g := st.group(w.system, w.code); panel {
				g.panel = true
			} else {
				g.add(o, root)
			}
		}
		for _, c := range components {
			if hasCoding(c, w) {
				st.group(w.system, w.code).add(o, c)
			}
		}
	}
	if asked && panel {
		st.panel(o, components)
	}
	return nil
}

// panel evaluates components that were not asked for by themselves, and notes members.
func (st *stats) panel(o *measured, components []element.Node) {
	for _, c := range components {
		if !slices.ContainsFunc(st.wanted, func(w wantedCode) bool { return hasCoding(c, &w) }) {
			st.all(o, c)
		}
	}
	for _, m := range elements(o.root, "hasMember") {
		ref := st.s.Registry().ParseReference(m.Child("reference").Text())
		key := store.Key{Type: ref.Type, ID: ref.ID}
		if ref.Local() && ref.Type == "Observation" && !st.seen[key] {
			st.seen[key] = true
			st.members = append(st.members, key)
		}
	}
}

// member evaluates what a panel refers to, unless it was found by a code of its own.
func (st *stats) member(o *measured) {
	components := elements(o.root, "component")
	switch {
	case st.found[o.resource.Key] || o.root.Child("status").Text() == "entered-in-error":
	case o.root.Child("value").Valid() || len(components) == 0:
		st.all(o, o.root)
	default:
		for _, c := range components {
			st.all(o, c)
		}
	}
}

// all evaluates an observation or component under its own first coding.
func (st *stats) all(o *measured, n element.Node) {
	for _, c := range elements(n.Child("code"), "coding") {
		if code := c.Child("code").Text(); code != "" {
			st.group(c.Child("system").Text(), code).add(o, n)
			return
		}
	}
}

func hasCoding(n element.Node, w *wantedCode) bool {
	return slices.ContainsFunc(elements(n.Child("code"), "coding"), w.matches)
}

func (st *stats) group(system, code string) *statsGroup {
	key := system + "|" + code
	g := st.byCode[key]
	if g == nil {
		g = &statsGroup{system: system, code: code}
		st.byCode[key] = g
		st.groups = append(st.groups, g)
	}
	return g
}

// effectiveOf gives the beginning of effective[x]; the zero Instant, and false, when it has none.
func effectiveOf(root element.Node, zone *time.Location) (out moment) {
	e := root.Child("effective")
	if !e.HasValue() && !e.First().Valid() {
		return out
	}
	text := e.Text()
	if e.Type().Name == "Period" {
		text = e.Child("start").Text()
	}
	if d, err := value.ParseElementDateTime(text); err == nil {
		out.at, _ = d.Interval(zone)
		out.known = true
	}
	return out
}

// moment is a time that may not be known.
type moment struct {
	at    value.Instant
	known bool
}

// answer computes and writes the Parameters.
func (st *stats) answer(asked []*statistic) (interaction.OperationResult, error) {
	var out interaction.Parameters
	var sources []*store.Resource
	taken := map[store.Key]bool{}
	limit, err := st.sourceLimit()
	if err != nil {
		return interaction.OperationResult{}, err
	}
	cut := false
	for _, g := range st.groups {
		if g.panel && len(g.values) == 0 && g.total == 0 {
			continue // its members have their own
		}
		for _, v := range g.values {
			if taken[v.from.Key] {
				continue
			}
			if len(sources) >= limit {
				cut = true
				break
			}
			taken[v.from.Key] = true
			sources = append(sources, v.from)
		}
		if cut && limit > 0 {
			g.notes = append(g.notes, fmt.Sprintf("the source observations are the most recent %d", limit))
		}
		out.AddResource("statistics", g.observation(st, asked))
	}
	for _, r := range sources {
		out.AddResource("source", r.Body)
	}
	return interaction.OperationResult{Body: out.Bytes()}, nil
}

// sourceLimit is how many source observations are answered.
func (st *stats) sourceLimit() (int, error) {
	if st.c.Text("include") != "true" {
		return 0, nil
	}
	limit := maxStatsSource
	if text := st.c.Text("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n > maxStats {
			return 0, issue.New(issue.Value, "stats.limit", "limit is at most "+strconv.Itoa(maxStats), "")
		}
		limit = n
	}
	return limit, nil
}

// observation writes the answer for one code.
func (g *statsGroup) observation(st *stats, asked []*statistic) []byte {
	out := append([]byte(nil), `{"resourceType":"Observation","status":"final","code":{"coding":[{`...)
	if g.system != "" {
		out = append(codec.AppendString(append(out, `"system":`...), g.system), ',')
	}
	out = codec.AppendString(append(out, `"code":`...), g.code)
	if d := g.display(); d != "" {
		out = codec.AppendString(append(out, `,"display":`...), d)
	}
	out = codec.AppendString(append(out, `}]},"subject":{"reference":`...), st.subject)
	out = append(out, '}')
	if st.start != "" || st.end != "" {
		var period []string
		if st.start != "" {
			period = append(period, `"start":"`+st.start+`"`)
		}
		if st.end != "" {
			period = append(period, `"end":"`+st.end+`"`)
		}
		out = append(out, `,"effectivePeriod":{`+strings.Join(period, ",")+`}`...)
	}
	for i, note := range g.remarks() {
		if i == 0 {
			out = append(out, `,"note":[`...)
		} else {
			out = append(out, ',')
		}
		out = append(codec.AppendString(append(out, `{"text":`...), note), '}')
	}
	if len(g.remarks()) > 0 {
		out = append(out, ']')
	}
	out = append(out, `,"component":[`...)
	s := g.sample()
	for i, k := range asked {
		if i > 0 {
			out = append(out, ',')
		}
		out = k.append(out, g, s)
	}
	return append(out, `]}`...)
}
