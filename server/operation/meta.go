package operation

import (
	"context"
	"strconv"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
	"meridian/fhir/search"
	"meridian/server/interaction"
	"meridian/server/store"
)

// maxMetaScan is how many labelled resources $meta reads on a type or the
// system; with more there the call is too costly.
const maxMetaScan = 10_000

// metaPage is how many of them it reads at once.
const metaPage = 1000

func metaDefinition() *interaction.OperationDefinition {
	return &interaction.OperationDefinition{
		Name: "meta", URL: "http://hl7.org/fhir/OperationDefinition/Resource-meta", System: true, Type: true, Instance: true, Versions: true,
		Params: []interaction.OperationParameter{{Name: "return", Out: true, Min: 1, Max: 1, Type: "Meta", Documentation: "The meta returned by the operation"}},
		Documentation: "Profiles, tags and security labels of a resource or of one of its versions; on a type or the system those in use there, " +
			"as long as at most " + strconv.Itoa(maxMetaScan) + " resources have any.",
	}
}

func meta(ctx context.Context, c *interaction.OperationCall) (interaction.OperationResult, error) {
	if c.Level == interaction.InstanceLevel {
		r, err := readCall(ctx, c)
		if err != nil {
			return interaction.OperationResult{}, err
		}
		return metaOf(c.Service, &r)
	}
	types := []string{c.Key.Type}
	if c.Level == interaction.SystemLevel {
		types = schema.ResourceTypes()
	}
	var all labels
	left := maxMetaScan
	for _, typ := range types {
		if err := all.scan(ctx, c.Service, typ, &left); err != nil {
			return interaction.OperationResult{}, err
		}
	}
	return metaResult(withMembers(nil, element.Node{}, all.members()...)), nil
}

// readCall reads the instance, or the version, that a call addresses.
func readCall(ctx context.Context, c *interaction.OperationCall) (store.Resource, error) {
	read := c.Service.Read
	if c.Version != 0 {
		read = c.Service.VRead
	}
	r, err := read(ctx, interaction.ReadParams{Key: c.Key, Version: c.Version})
	return r.Resource, err
}

// metaOf answers the meta of a version.
func metaOf(s *interaction.Service, r *store.Resource) (interaction.OperationResult, error) {
	root, done, err := s.Tree(r.Body)
	if err != nil {
		return interaction.OperationResult{}, err
	}
	defer done()
	out := metaResult(codec.AppendJSON(nil, root.Child("meta"), nil))
	out.Resource = r
	return out, nil
}

// metaResult answers a meta. One without members cannot be written: an element has a value or children.
//
// https://hl7.org/fhir/R4/element.html#Element
func metaResult(meta []byte) interaction.OperationResult {
	var p interaction.Parameters
	if string(meta) != "{}" {
		p.Add("return", "valueMeta", meta)
	}
	return interaction.OperationResult{Body: p.Bytes()}
}

// labels are the profiles, tags and security labels of one or more metas, each once,
// in the order in which they were found. Profiles are equal by url, the others by system and code.
type labels struct {
	seen     map[label]bool
	profiles [][]byte // as JSON
	security [][]byte
	tags     [][]byte
}

type label struct{ kind, system, code string }

// labelOf gives the identity of a child of Meta; false for one that is no label.
func labelOf(n element.Node) (label, bool) {
	switch kind := n.Name(); kind {
	case "profile":
		return label{kind, "", n.Text()}, n.HasValue()
	case "security", "tag":
		return label{kind, n.Child("system").Text(), n.Child("code").Text()}, true
	}
	return label{}, false
}

// add takes the labels of a meta that are not among drop.
func (l *labels) add(meta element.Node, drop map[label]bool) {
	if l.seen == nil {
		l.seen = map[label]bool{}
	}
	for n := meta.First(); n.Valid(); n = n.Next() {
		key, ok := labelOf(n)
		if !ok || l.seen[key] || drop[key] {
			continue
		}
		l.seen[key] = true
		json := codec.AppendJSON(nil, n, nil)
		switch key.kind {
		case "profile":
			l.profiles = append(l.profiles, json)
		case "security":
			l.security = append(l.security, json)
		case "tag":
			l.tags = append(l.tags, json)
		}
	}
}

// members are the elements of Meta that hold the labels.
func (l *labels) members() []member {
	return []member{{"profile", array(l.profiles...)}, {"security", array(l.security...)}, {"tag", array(l.tags...)}}
}

// scan adds the labels of all resources of a type.
func (l *labels) scan(ctx context.Context, s *interaction.Service, typ string, left *int) error {
	p := interaction.FindParams{Type: typ, Limit: metaPage}
	var labelled [][]search.Pair
	for _, param := range []string{"_profile", "_security", "_tag"} {
		labelled = append(labelled, []search.Pair{{Name: param + ":missing", Value: "false"}})
	}
	p.Any = [][][]search.Pair{labelled}
	for {
		page, err := s.Find(ctx, p)
		if err != nil {
			return err
		}
		if *left -= len(page.Rows); *left < 0 {
			return issue.New(issue.TooCostly, "meta.scan", "more than "+strconv.Itoa(maxMetaScan)+" resources have profiles, tags or labels: ask for a type, or an instance", "")
		}
		for i := range page.Rows {
			root, done, err := s.Tree(page.Rows[i].Body)
			if err != nil {
				return err
			}
			l.add(root.Child("meta"), nil)
			done()
		}
		if !page.More {
			return nil
		}
		p.After = &page.Rows[len(page.Rows)-1].At
	}
}
