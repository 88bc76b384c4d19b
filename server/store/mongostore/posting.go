package mongostore

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"meridian/fhir/search"
)

// A posting is the text of a search.Key:
//
//	param=value            code=718-7      name=张三      url=http://x\|1
//	param=scope|value      code=http://loinc.org|718-7    subject=Patient|123    code=|718-7 (search.NoSystem)
//
// In param the characters \ | = and in scope and value the characters \ | are
// written behind a backslash. So the first bare = ends the parameter, at most
// one bare | follows, and two keys never share a text. Escaping is character by
// character: the text of a prefix is a prefix of the text, and MongoDB compares
// strings as bytes.
//
// A range key (search.AppendRange) is an element of r instead: {p: its posting
// without the value, lo, hi}.
type span struct {
	P  string `bson:"p"`
	Lo string `bson:"lo"`
	Hi string `bson:"hi"`
}

// appendEscaped appends s with \ and | behind a backslash, in a parameter also =.
func appendEscaped(dst []byte, s string, param bool) []byte {
	from := 0
	for i := range len(s) {
		if c := s[i]; c == '|' || c == '\\' || c == '=' && param {
			dst = append(append(dst, s[from:i]...), '\\')
			from = i
		}
	}
	return append(dst, s[from:]...)
}

// escape is appendEscaped for a scope or value.
func escape(s string) string { return string(appendEscaped(nil, s, false)) }

// appendScope appends the part of a posting before its value.
func appendScope(dst []byte, param, scope string) []byte {
	dst = append(appendEscaped(dst, param, true), '=')
	switch scope {
	case "":
		return dst
	case search.NoSystem:
		return append(dst, '|')
	}
	return append(appendEscaped(dst, scope, false), '|')
}

// paramText is the part of a posting up to and with the equals sign.
func paramText(param string) string { return string(appendScope(nil, param, "")) }

// scopeText is the part of a posting before its value.
func scopeText(param, scope string) string { return string(appendScope(nil, param, scope)) }

// postingText is the posting of a key.
func postingText(k search.Key) string {
	return string(appendEscaped(appendScope(nil, k.Param, k.Scope), k.Value, false))
}

// splitText undoes postingText for a key of param; ok is false for another parameter's posting.
func splitText(param, text string) (scope, value string, ok bool) {
	rest, ok := strings.CutPrefix(text, paramText(param))
	if !ok {
		return "", "", false
	}
	var b strings.Builder
	escaped := false
	for _, r := range rest {
		switch {
		case !escaped && r == '\\':
			escaped = true
			continue
		case !escaped && r == '|':
			if scope = b.String(); scope == "" {
				scope = search.NoSystem
			}
			b.Reset()
		default:
			b.WriteRune(r)
		}
		escaped = false
	}
	return scope, b.String(), true
}

// successor is the lowest string above every string that begins with prefix,
// which is not empty and does not consist of U+10FFFF alone.
func successor(prefix string) string {
	for {
		r, n := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-n]
		switch {
		case r == utf8.MaxRune:
			continue // nothing of this width is above; the character before it decides
		case r == 0xD7FF:
			return prefix + "\uE000"
		}
		return prefix + string(r+1)
	}
}

// postings are a resource's keys in the form of the documents.
type postings struct {
	K []string
	R []span
}

func (p postings) len() int { return len(p.K) + len(p.R) }

// toPostings writes keys as points and spans. A key whose value may be two
// bounds stands in both forms: whether it is a range or a text of two words is
// its parameter's matter, which is not known here.
func toPostings(keys []search.Key) (postings, error) {
	if len(keys) > MaxResourcePostings {
		return postings{}, fmt.Errorf("%d search keys, at most %d", len(keys), MaxResourcePostings)
	}
	// All texts are parts of one string. A scope's text begins its posting's.
	ends := make([]struct{ scope, text int }, len(keys))
	spans := 0
	buf := make([]byte, 0, 48*len(keys))
	for i, k := range keys {
		buf = appendScope(buf, k.Param, k.Scope)
		ends[i].scope = len(buf)
		buf = appendEscaped(buf, k.Value, false)
		ends[i].text = len(buf)
		if mayBeRange(k.Value) {
			spans++
		}
	}
	all := string(buf)
	p := postings{K: make([]string, len(keys)), R: make([]span, 0, spans)}
	at := 0
	for i, k := range keys {
		p.K[i] = all[at:ends[i].text]
		if mayBeRange(k.Value) {
			lo, hi := search.SplitRange(k.Value)
			p.R = append(p.R, span{P: all[at:ends[i].scope], Lo: lo, Hi: hi})
		}
		at = ends[i].text
	}
	return p, nil
}

// mayBeRange: bounds have no separator in them, so a range has exactly one.
func mayBeRange(value string) bool { return strings.Count(value, search.RangeSep) == 1 }

// split divides postings into what the head carries and what goes to overflow documents.
func (p postings) split(limit int) (head postings, rest []postings) {
	for p.len() > limit {
		k := min(len(p.K), limit)
		r := min(len(p.R), limit-k)
		part := postings{K: p.K[:k], R: p.R[:r]}
		p = postings{K: p.K[k:], R: p.R[r:]}
		if head.len() == 0 {
			head = part
			continue
		}
		rest = append(rest, part)
	}
	if head.len() == 0 {
		return p, nil
	}
	return head, append(rest, p)
}

// fieldName is a search parameter's code as the name of a field: MongoDB takes
// a dot for a path and a dollar sign for an operator.
func fieldName(param string) string {
	return strings.NewReplacer("~", "~t", ".", "~d", "$", "~s").Replace(param)
}
