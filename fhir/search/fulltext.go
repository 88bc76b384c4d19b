package search

import (
	"html"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"meridian/fhir/element"
	"meridian/fhir/schema"
)

// _text asks for words of the narrative, _content for words of the narrative
// and of all texts: string, markdown and code elements, but not ids, URLs and
// references. Words are whole, folded as in words.go. A run of Han or kana is
// indexed by its pairs and its last character, and may be asked for in its midst.
//
//	_text=bone liver              both words
//	_text=(bone OR liver) AND ct  operators in either case, AND binds tighter
//	_text="bone marrow"           the words next to each other, in one text
//	_content=糖尿病                the pairs 糖尿 and 尿病; that they touch is decided on the body
//
// https://hl7.org/fhir/R4/search.html#content

type textField uint8

const (
	textNone textField = iota
	textNarrative
	textContent
)

// MaxTerms bounds the words and operators of one value of _text or _content.
const MaxTerms = 100

// withoutExpression is for the parameters whose definition has none.
func (p *Param) withoutExpression(indexed bool) {
	p.types = []schema.ID{}
	switch p.Code {
	case "_text":
		p.fullText, p.Expression = textNarrative, "DomainResource.text.div"
	case "_content":
		p.fullText, p.Expression = textContent, "Resource"
	default:
		p.Unsupported = "this search parameter is not supported"
		return
	}
	if !indexed {
		p.Unsupported = "full text is not indexed here; the setting full-text turns it on"
	}
}

// finding is a value of _text or _content as it is understood.
type finding struct {
	or, and []*finding
	phrase  []word // one word, or several next to each other
}

// parseFinding reads words, "phrases", AND, OR and parentheses.
func parseFinding(s string) (*finding, string) {
	p := findingParser{rest: s}
	p.next()
	f := p.either()
	switch {
	case p.reason != "":
		return nil, p.reason
	case p.token != "":
		return nil, "a ')' has no '('"
	case f == nil:
		return nil, "it holds no word"
	}
	return f, ""
}

type findingParser struct {
	rest   string
	token  string // "(", ")", "and", "or", a quote and a phrase, or a word; "" at the end
	terms  int
	reason string
}

func (p *findingParser) next() {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n\u3000")
	if p.terms++; p.terms > MaxTerms {
		p.rest, p.token, p.reason = "", "", "it has more than "+strconv.Itoa(MaxTerms)+" words and operators"
	}
	if p.rest == "" {
		p.token = ""
		return
	}
	n := strings.IndexAny(p.rest, " \t\r\n\u3000()\"")
	switch {
	case p.rest[0] == '"':
		if n = strings.IndexByte(p.rest[1:], '"') + 2; n < 2 {
			p.rest, p.token, p.reason = "", "", "a '\"' is not closed"
			return
		}
		p.token, p.rest = p.rest[:n-1], p.rest[n:]
		return
	case n == 0:
		n = 1
	case n < 0:
		n = len(p.rest)
	}
	p.token, p.rest = p.rest[:n], p.rest[n:]
	if low := strings.ToLower(p.token); low == "and" || low == "or" {
		p.token = low
	}
}

// either is both { OR both }; nil where there is no word.
func (p *findingParser) either() *finding {
	f := &finding{}
	for {
		if x := p.both(); x != nil {
			f.or = append(f.or, x)
		}
		if p.token != "or" {
			return f.plain(f.or)
		}
		p.next()
	}
}

// both is one { [AND] one }.
func (p *findingParser) both() *finding {
	f := &finding{}
	for p.token != "" && p.token != "or" && p.token != ")" {
		switch {
		case p.token == "and":
		case p.token == "(":
			p.next()
			if x := p.either(); x != nil {
				f.and = append(f.and, x)
			}
			if p.token != ")" && p.reason == "" {
				p.reason = "a '(' has no ')'"
			}
		case p.token[0] == '"':
			if words := wordsOf(p.token[1:]); len(words) > 0 {
				f.and = append(f.and, &finding{phrase: words})
			}
		default:
			for _, w := range wordsOf(p.token) {
				f.and = append(f.and, &finding{phrase: []word{w}})
			}
		}
		p.next()
	}
	return f.plain(f.and)
}

// plain is f, without a level that has one member only; nil without any.
func (f *finding) plain(of []*finding) *finding {
	switch len(of) {
	case 0:
		return nil
	case 1:
		return of[0]
	}
	return f
}

// fullText adds the words of the resource.
func (b *builder) fullText(n element.Node) {
	content := b.t.byCode["_content"].main
	narrative := content
	if p := b.t.byCode["_text"]; p != nil { // a Bundle has no narrative of its own
		narrative = p.main
	}
	for c := n.First(); c.Valid(); c = c.Next() {
		switch {
		case c.TypeID() == schema.TypeXhtml:
			if c.HasValue() {
				b.longWords(narrative, []byte(plainText(string(b.bytes(c)))))
			}
		case isContent(c):
			b.longWords(content, b.bytes(c))
		}
		b.fullText(c)
	}
}

// isContent says that _content is about an element.
func isContent(n element.Node) bool {
	switch n.TypeID() {
	case schema.TypeString:
		return n.HasValue() && !(n.ElementIndex() == referenceReference && n.Parent().TypeID() == schema.TypeReference)
	case schema.TypeMarkdown, schema.TypeCode:
		return n.HasValue()
	}
	return false
}

// longWords adds a key for each word, of runs for each pair and the last character.
func (b *builder) longWords(name uint16, text []byte) {
	b.scan.rest = text
	for w, run := b.scan.next(); w != nil; w, run = b.scan.next() {
		if !run {
			value, _ := b.put(w)
			b.key(name, span{}, value)
			continue
		}
		for len(w) > 0 {
			one, two := pairOf(w)
			value, _ := b.put(w[:two])
			b.key(name, span{}, value)
			w = w[one:]
		}
	}
}

// pairOf gives the lengths of the first character and of the first two.
func pairOf[T string | []byte](w T) (one, two int) {
	for two = 1; two < len(w) && !utf8.RuneStart(w[two]); two++ {
	}
	one = two
	for two < len(w) {
		if two++; two == len(w) || utf8.RuneStart(w[two]) {
			break
		}
	}
	return one, two
}

// find compiles a value of p.
func (c *compiler) find(p *Param, f *finding) term {
	var of []term
	switch {
	case len(f.or) > 0:
		for _, x := range f.or {
			of = append(of, c.find(p, x))
		}
		return either(of)
	case len(f.and) > 0:
		for _, x := range f.and {
			of = append(of, c.find(p, x))
		}
		return all(of)
	}
	exact := len(f.phrase) == 1
	for _, w := range f.phrase {
		of = append(of, c.findWord(p, w))
	}
	t := all(of)
	return term{t.Expr, t.exact && exact}
}

func (c *compiler) findWord(p *Param, w word) term {
	if !w.run {
		return c.inTexts(p, func(param string) term { return exactPoint(param, "", w.text) })
	}
	var of []term
	for rest := w.text; ; {
		one, two := pairOf(rest)
		key := rest[:two]
		if one == two && len(of) > 0 {
			break // the pair before says so
		}
		of = append(of, c.inTexts(p, func(param string) term {
			if one == two {
				return term{Prefix{Key{Param: param, Value: key}}, true}
			}
			return exactPoint(param, "", key)
		}))
		if rest = rest[one:]; rest == "" {
			break
		}
	}
	t := all(of)
	return term{t.Expr, t.exact && len(of) == 1}
}

// inTexts asks the narrative, and for _content the texts too.
func (c *compiler) inTexts(p *Param, ask func(param string) term) term {
	c.leaves++
	if p.fullText == textNarrative {
		return ask(p.key)
	}
	return either([]term{ask(p.key), ask("_text")})
}

// texts lists the texts that a full-text parameter is about.
func (field textField) texts(n element.Node) []string {
	var out []string
	for c := n.First(); c.Valid(); c = c.Next() {
		switch {
		case c.TypeID() == schema.TypeXhtml:
			if c.HasValue() {
				out = append(out, plainText(c.Text()))
			}
		case field == textContent && isContent(c):
			out = append(out, c.Text())
		}
		out = append(out, field.texts(c)...)
	}
	return out
}

func fullTextMatches(c *Criterion, root element.Node) bool {
	var texts [][]word
	for _, s := range c.Param.fullText.texts(root) {
		if words := wordsOf(s); len(words) > 0 {
			texts = append(texts, words)
		}
	}
	if c.Modifier == ModMissing {
		return len(texts) == 0 == c.Missing
	}
	return slices.ContainsFunc(c.Values, func(v Value) bool { return v.find.matches(texts) })
}

func (f *finding) matches(texts [][]word) bool {
	switch {
	case len(f.or) > 0:
		return slices.ContainsFunc(f.or, func(x *finding) bool { return x.matches(texts) })
	case len(f.and) > 0:
		return !slices.ContainsFunc(f.and, func(x *finding) bool { return !x.matches(texts) })
	}
	return slices.ContainsFunc(texts, func(words []word) bool {
		for i := 0; i+len(f.phrase) <= len(words); i++ {
			if isPhrase(words[i:i+len(f.phrase)], f.phrase) {
				return true
			}
		}
		return false
	})
}

// isPhrase: of a run at the phrase's edge, a part that touches what comes next is enough.
func isPhrase(words, phrase []word) bool {
	for i, p := range phrase {
		w := words[i]
		first, last := i == 0, i == len(phrase)-1
		switch {
		case p.run != w.run:
			return false
		case !p.run && p.text != w.text,
			p.run && first && last && !strings.Contains(w.text, p.text),
			p.run && first && !last && !strings.HasSuffix(w.text, p.text),
			p.run && !first && last && !strings.HasPrefix(w.text, p.text),
			p.run && !first && !last && p.text != w.text:
			return false
		}
	}
	return true
}

// inline elements do not divide words: H<sub>2</sub>O.
var inline = []string{"a", "b", "big", "em", "font", "i", "small", "span", "strong", "sub", "sup", "tt", "u"}

// plainText is the text of XHTML.
func plainText(xhtml string) string {
	var b strings.Builder
	for {
		at := strings.IndexByte(xhtml, '<')
		if at < 0 {
			b.WriteString(html.UnescapeString(xhtml))
			return b.String()
		}
		b.WriteString(html.UnescapeString(xhtml[:at]))
		xhtml = xhtml[at:]
		ends := ">"
		if strings.HasPrefix(xhtml, "<!--") {
			ends = "-->"
		}
		end := strings.Index(xhtml, ends)
		if end < 0 {
			return b.String()
		}
		name := strings.TrimLeft(xhtml[1:end], "/")
		name = name[:len(name)-len(strings.TrimLeft(name, "abcdefghijklmnopqrstuvwxyz"))]
		if !slices.Contains(inline, name) {
			b.WriteByte(' ')
		}
		xhtml = xhtml[end+len(ends):]
	}
}
