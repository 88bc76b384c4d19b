package interaction

import (
	"bytes"
	"strconv"
	"strings"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// Links inside a transaction: what an entry's resource says about other
// entries by their fullUrl is replaced by the address under which they are stored.
//
// https://hl7.org/fhir/R4/http.html#trules, https://hl7.org/fhir/R4/bundle.html#references

// linker knows where the entries of a transaction went.
type linker struct {
	byURL map[string]place // fullUrl, as sameURN spells it → stored identity
	// conditional resolves `Patient?identifier=…`; nil error and "" leave the text.
	conditional func(ref string) (string, error)
}

// place is an identity and the version that the transaction makes of it.
type place struct {
	path    string // "Patient/1"
	version uint64
}

// links gives the links to be replaced in the resource that an entry stores; nil
// when there are none. Those that are known stood there before a patch, so that
// they name nothing in the bundle.
func (l *linker) links(e *entry, resource element.Node, known map[string]bool) (*codec.Edit, error) {
	root := restfulRoot(e.fullURL)
	var edit *codec.Edit
	err := walk(resource, func(n element.Node) error {
		if !n.IsString() || !n.HasValue() || len(known) > 0 && mayHoldLink(n) && known[n.Text()] {
			return nil
		}
		to, err := l.replacement(n, root)
		if err != nil {
			return locate(err, e.at+".resource"+strings.TrimPrefix(n.Location(), resource.Location()))
		}
		if to != "" {
			if edit == nil {
				edit = &codec.Edit{Replace: map[int][]byte{}}
			}
			edit.Replace[n.Index()] = codec.AppendString(nil, to)
		}
		return nil
	})
	return edit, err
}

// mayHoldLink says that replacement looks at a node.
func mayHoldLink(n element.Node) bool {
	switch n.TypeID() {
	case schema.TypeXhtml, schema.TypeUri, schema.TypeUrl, schema.TypeOid, schema.TypeUuid:
		return true
	}
	return n.Name() == "reference" && n.Parent().TypeID() == schema.TypeReference
}

// knownLinks gives what stands in a stored body where a link may stand.
func knownLinks(parser *codec.Parser, body []byte) (map[string]bool, error) {
	tree, err := parser.Parse(body)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	err = walk(tree.Root(), func(n element.Node) error {
		if n.HasValue() && mayHoldLink(n) {
			known[n.Text()] = true
		}
		return nil
	})
	return known, err
}

// walk visits every node of a resource. The entries of a bundle in it are left
// out: their links are resolved inside that bundle.
func walk(n element.Node, visit func(element.Node) error) error {
	for c := n.First(); c.Valid(); c = c.Next() {
		if err := visit(c); err != nil {
			return err
		}
		if c.First().Valid() && c.Type().Name != "Bundle.entry" {
			if err := walk(c, visit); err != nil {
				return err
			}
		}
	}
	return nil
}

// replacement gives the new text of a value, "" when it stays.
func (l *linker) replacement(n element.Node, root string) (string, error) {
	if n.Parent().TypeID() == schema.TypeReference && n.Name() == "reference" {
		text := n.Text()
		if to := l.resolve(text, root); to != "" {
			return to, nil
		}
		if isURN(text) {
			return "", issue.New(issue.Value, "reference.unresolved", "no entry of the transaction that is written has this urn as its fullUrl", "")
		}
		if strings.Contains(text, "?") {
			return l.conditional(text)
		}
		return "", nil
	}
	switch n.TypeID() {
	case schema.TypeXhtml:
		return l.narrative(n, root), nil
	case schema.TypeUri, schema.TypeUrl, schema.TypeOid, schema.TypeUuid:
		if l.mayLink(n.Bytes(), root) {
			return l.resolve(n.Text(), root), nil
		}
	}
	return "", nil
}

// mayLink says without allocating that a text cannot name an entry, as most uris cannot.
func (l *linker) mayLink(text []byte, root string) bool {
	if _, ok := l.byURL[string(text)]; ok || bytes.Contains(text, []byte("/_history/")) || bytes.IndexByte(text, '#') >= 0 {
		return true
	}
	if isURN(text) {
		return true
	}
	return root != "" && bytes.IndexByte(text, ':') < 0
}

// resolve finds what a link names among the entries: its stored address, with
// the new version when the link names one. root is that of the fullUrl of the
// entry that holds the link.
func (l *linker) resolve(link, root string) string {
	if link == "" || link[0] == '#' || len(l.byURL) == 0 {
		return ""
	}
	base, fragment, inside := strings.Cut(link, "#")
	base, _, versioned := strings.Cut(base, "/_history/")
	to, ok := l.byURL[sameURN(base)]
	if !ok && root != "" && isRelative(base) {
		to, ok = l.byURL[root+base]
	}
	if !ok {
		return ""
	}
	out := to.path
	if versioned {
		out += "/_history/" + strconv.FormatUint(to.version, 10)
	}
	if inside {
		out += "#" + fragment
	}
	if out == link {
		return ""
	}
	return out
}

// Prefixes of the urns that entries have as fullUrl.
const (
	urnUUID = "urn:uuid:"
	urnOID  = "urn:oid:"
)

// isURN says that a link is urn:uuid:… or urn:oid:…, which can only name an entry of its bundle.
func isURN[T string | []byte](link T) bool { return hasURN(link, urnUUID) || hasURN(link, urnOID) }

func hasURN[T string | []byte](link T, prefix string) bool {
	return len(link) >= len(prefix) && strings.EqualFold(string(link[:len(prefix)]), prefix)
}

// sameURN spells a urn so that equal ones are equal texts: the case of letters
// says nothing in "urn:uuid:", nor in a UUID (RFC 8141 section 3.1, RFC 9562 section 4).
func sameURN(link string) string {
	switch {
	case hasURN(link, urnUUID):
		return strings.ToLower(link)
	case hasURN(link, urnOID):
		return urnOID + link[len(urnOID):]
	}
	return link
}

// isRelative says that a link is Type/id.
func isRelative(link string) bool {
	typ, id, ok := strings.Cut(link, "/")
	return ok && ValidID(id) && IsResourceType(typ)
}

// restfulRoot gives "http://x/fhir/" of "http://x/fhir/Patient/1", "" when
// a fullUrl has not that form.
func restfulRoot(fullURL string) string {
	if !strings.HasPrefix(fullURL, "http://") && !strings.HasPrefix(fullURL, "https://") {
		return ""
	}
	i := strings.LastIndexByte(fullURL, '/')
	if i < 0 {
		return ""
	}
	j := strings.LastIndexByte(fullURL[:i], '/')
	if j < 0 || !isRelative(fullURL[j+1:]) {
		return ""
	}
	return fullURL[:j+1]
}

// narrative replaces the targets of <a href> and <img src>.
func (l *linker) narrative(n element.Node, root string) string {
	if len(l.byURL) == 0 {
		return ""
	}
	text := n.Bytes()
	var out []byte
	at := 0
	for i := 0; i < len(text); {
		open := bytes.IndexByte(text[i:], '<')
		if open < 0 {
			break
		}
		i += open
		end := bytes.IndexByte(text[i:], '>')
		if end < 0 {
			break
		}
		tag := text[i : i+end]
		if from, to, ok := linkAttribute(tag); ok {
			if link := l.resolve(strings.ReplaceAll(string(tag[from:to]), "&amp;", "&"), root); link != "" {
				out = append(append(out, text[at:i+from]...), link...)
				at = i + to
			}
		}
		i += end
	}
	if at == 0 {
		return ""
	}
	return string(append(out, text[at:]...))
}

// linkAttribute finds the value of href in an <a> and of src in an <img>.
func linkAttribute(tag []byte) (from, to int, ok bool) {
	var name string
	switch {
	case bytes.HasPrefix(tag, []byte("<a")) && len(tag) > 2 && isSpace(tag[2]):
		name = "href"
	case bytes.HasPrefix(tag, []byte("<img")) && len(tag) > 4 && isSpace(tag[4]):
		name = "src"
	default:
		return 0, 0, false
	}
	for i := 0; ; {
		k := bytes.Index(tag[i:], []byte(name))
		if k < 0 {
			return 0, 0, false
		}
		i += k
		j := i + len(name)
		if before := tag[i-1]; isSpace(before) {
			for j < len(tag) && isSpace(tag[j]) {
				j++
			}
			if j < len(tag) && tag[j] == '=' {
				for j++; j < len(tag) && isSpace(tag[j]); j++ {
				}
				if j < len(tag) && (tag[j] == '"' || tag[j] == '\'') {
					if n := bytes.IndexByte(tag[j+1:], tag[j]); n >= 0 {
						return j + 1, j + 1 + n, true
					}
				}
			}
		}
		i += len(name)
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
