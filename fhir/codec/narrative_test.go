package codec

import (
	"strings"
	"testing"

	"meridian/fhir/issue"
)

const xhtmlDiv = `<div xmlns="http://www.w3.org/1999/xhtml">`

func narrativeError(text string) (string, int) {
	s := xhtml{b: []byte(text)}
	s.document()
	return s.err, s.i
}

// https://hl7.org/fhir/R4/narrative.html
func TestNarrativeAccepts(t *testing.T) {
	for _, text := range []string{
		`<div>x</div>`,
		xhtmlDiv + `x</div>`,
		"\n " + xhtmlDiv + "x</div >\n",
		xhtmlDiv + `<p class='a' style="color: red">a<br/><b>b</b><i>c</i></p></div>`,
		xhtmlDiv + `<table border="1"><thead><tr><th colspan="2">a</th></tr></thead><tbody><tr><td rowspan='1'>b</td></tr></tbody></table></div>`,
		xhtmlDiv + `<ul><li>a</li></ul><dl><dt>a</dt><dd>b</dd></dl><hr/><pre>x</pre></div>`,
		xhtmlDiv + `<a href="http://example.org/?a=b&amp;c=d">x</a><a name="y"/><a href="Patient/1">z</a><a href="#q">z</a></div>`,
		xhtmlDiv + `<img src="#pic" alt=""/><img src="data:image/png;base64,AAAA" alt="x"></img></div>`,
		xhtmlDiv + `&lt;&gt;&amp;&quot;&apos;&#160;&#x4e2D;</div>`,
		xhtmlDiv + `<!-- a comment - with < and & --><p>x</p></div>`,
		xhtmlDiv + `张三 😀 > ] ]> "quotes"</div>`,
		xhtmlDiv + `<blockquote cite="http://x"><q>a</q></blockquote><h1>a</h1><sub>1</sub><sup>2</sup></div>`,
		xhtmlDiv + strings.Repeat("<span>", maxNarrativeDepth-1) + strings.Repeat("</span>", maxNarrativeDepth-1) + `</div>`,
		xhtmlDiv + `<p title="a > b">x</p><p xml:lang="zh" lang="zh" dir="ltr" id="p1">y</p></div>`,
		xhtmlDiv + `<td style="background: url(#a)">x</td></div>`,
	} {
		if err, at := narrativeError(text); err != "" {
			t.Errorf("%s: %s at %d", text, err, at)
		}
	}
}

// at is the text from where the scanner must have stopped.
func TestNarrativeRefuses(t *testing.T) {
	for _, c := range []struct{ rule, text, at string }{
		{"nothing", ``, ``},
		{"text", `x`, `x`},
		{"another element", `<p>x</p>`, `<p>x</p>`},
		{"a div that is none", `<divx>x</divx>`, `<divx>x</divx>`},
		{"two elements", xhtmlDiv + `x</div><div>y</div>`, `<div>y</div>`},
		{"text behind the div", xhtmlDiv + `x</div>y`, `y`},
		{"not closed", xhtmlDiv + `x`, ``},
		{"not closed inside", xhtmlDiv + `<p>x</div>`, `</div>`},
		{"closed in the wrong order", xhtmlDiv + `<b><i>x</b></i></div>`, `</b></i></div>`},
		{"closed without a start", xhtmlDiv + `x</p></div>`, `</p></div>`},
		{"a tag cut short", xhtmlDiv + `<p`, `<p`},
		{"another namespace", `<div xmlns="http://www.w3.org/2000/svg">x</div>`, `xmlns="http://www.w3.org/2000/svg">x</div>`},
		{"a prefix", xhtmlDiv + `<x:p>x</x:p></div>`, `<x:p>x</x:p></div>`},
		{"capital letters", xhtmlDiv + `<P>x</P></div>`, `<P>x</P></div>`},
		{"script", xhtmlDiv + `<script>x</script></div>`, `<script>x</script></div>`},
		{"style element", xhtmlDiv + `<style>x</style></div>`, `<style>x</style></div>`},
		{"iframe", xhtmlDiv + `<iframe src="x"/></div>`, `<iframe src="x"/></div>`},
		{"object", xhtmlDiv + `<object/></div>`, `<object/></div>`},
		{"form", xhtmlDiv + `<form/></div>`, `<form/></div>`},
		{"input", xhtmlDiv + `<input/></div>`, `<input/></div>`},
		{"link", xhtmlDiv + `<link href="x"/></div>`, `<link href="x"/></div>`},
		{"base", xhtmlDiv + `<base href="x"/></div>`, `<base href="x"/></div>`},
		{"svg", xhtmlDiv + `<svg/></div>`, `<svg/></div>`},
		{"math", xhtmlDiv + `<math/></div>`, `<math/></div>`},
		{"body", xhtmlDiv + `<body/></div>`, `<body/></div>`},
		{"a deprecated element", xhtmlDiv + `<font>x</font></div>`, `<font>x</font></div>`},
		{"inserted text (chapter 9.4)", xhtmlDiv + `<ins>x</ins></div>`, `<ins>x</ins></div>`},
		{"an event", xhtmlDiv + `<p onclick="x">x</p></div>`, `onclick="x">x</p></div>`},
		{"an event on the div", `<div onload="x">x</div>`, `onload="x">x</div>`},
		{"an attribute of another element", xhtmlDiv + `<p href="x">x</p></div>`, `href="x">x</p></div>`},
		{"an attribute without a value", xhtmlDiv + `<a name>x</a></div>`, `>x</a></div>`},
		{"an attribute without quotes", xhtmlDiv + `<a name=x>x</a></div>`, `x>x</a></div>`},
		{"an attribute twice", xhtmlDiv + `<p id="a" id="b">x</p></div>`, `id="b">x</p></div>`},
		{"attributes without a space", xhtmlDiv + `<p id="a"class="b">x</p></div>`, `<p id="a"class="b">x</p></div>`},
		{"< in an attribute", xhtmlDiv + `<p id="<">x</p></div>`, `<">x</p></div>`},
		{"an entity of HTML", xhtmlDiv + `&nbsp;</div>`, `&nbsp;</div>`},
		{"a bare &", xhtmlDiv + `a & b</div>`, `& b</div>`},
		{"a bare & in an attribute", xhtmlDiv + `<a href="?a&b">x</a></div>`, `&b">x</a></div>`},
		{"the number of a control character", xhtmlDiv + `&#0;</div>`, `&#0;</div>`},
		{"the number of a surrogate", xhtmlDiv + `&#xD800;</div>`, `&#xD800;</div>`},
		{"a number out of range", xhtmlDiv + `&#x110000;</div>`, `&#x110000;</div>`},
		{"a number without digits", xhtmlDiv + `&#;</div>`, `&#;</div>`},
		{"CDATA, which HTML reads otherwise", xhtmlDiv + `<![CDATA[<script>x</script>]]></div>`, `<![CDATA[<script>x</script>]]></div>`},
		{"a processing instruction", xhtmlDiv + `<?x?></div>`, `<?x?></div>`},
		{"a declaration", `<!DOCTYPE div>` + xhtmlDiv + `</div>`, `<!DOCTYPE div>` + xhtmlDiv + `</div>`},
		{"a comment that HTML ends at once", xhtmlDiv + `<!--><img src="x"/>--></div>`, `<!--><img src="x"/>--></div>`},
		{"the same with a hyphen", xhtmlDiv + `<!---><img src="x"/>--></div>`, `<!---><img src="x"/>--></div>`},
		{"a comment that HTML ends in the middle", xhtmlDiv + `<!-- --!><b>--></b></div>`, `<!-- --!><b>--></b></div>`},
		{"a comment not closed", xhtmlDiv + `<!-- x</div>`, `<!-- x</div>`},
		{"]]> in text", xhtmlDiv + `a]]>b</div>`, `a]]>b</div>`},
		{"a javascript link", xhtmlDiv + `<a href="javascript:x">x</a></div>`, `href="javascript:x">x</a></div>`},
		{"in capitals", xhtmlDiv + `<a href="JavaScript:x">x</a></div>`, `href="JavaScript:x">x</a></div>`},
		{"with a character number", xhtmlDiv + `<a href="&#106;avascript:x">x</a></div>`, `href="&#106;avascript:x">x</a></div>`},
		{"with white space inside", xhtmlDiv + "<a href=' java\nscript:x'>x</a></div>", "href=' java\nscript:x'>x</a></div>"},
		{"with a tab's number inside", xhtmlDiv + `<a href="java&#9;script:x">x</a></div>`, `href="java&#9;script:x">x</a></div>`},
		{"a data link that is no image", xhtmlDiv + `<a href="data:text/html,x">x</a></div>`, `href="data:text/html,x">x</a></div>`},
		{"a javascript image", xhtmlDiv + `<img src="vbscript:x"/></div>`, `src="vbscript:x"/></div>`},
		{"an expression in a style", xhtmlDiv + `<p style="width: expression(x)">x</p></div>`, `style="width: expression(x)">x</p></div>`},
		{"a script in a style", xhtmlDiv + `<p style="background: url(javascript:x)">x</p></div>`, `style="background: url(javascript:x)">x</p></div>`},
		{"nested too deep", xhtmlDiv + strings.Repeat("<b>", maxNarrativeDepth), ``},
	} {
		err, at := narrativeError(c.text)
		if err == "" {
			t.Errorf("%s: accepted", c.rule)
		} else if got := c.text[at:]; got != c.at && c.rule != "nested too deep" {
			t.Errorf("%s: %s, stopped at %q", c.rule, err, got)
		}
	}
}

// The offset is that of the byte in the body, whatever escapes stand before it.
func TestNarrativeOffset(t *testing.T) {
	for _, div := range []string{
		`<div xmlns=\"http://www.w3.org/1999/xhtml\">x‸<script/></div>`,
		`\u003cdiv\u003e\ud83d\ude00\u4e2d\uD83D\uDE00é\n‸<script/></div>`,
		`<div>x‸\u003cscript/></div>`,
		`<div>x‸<script/></div>`,
	} {
		body := `{"resourceType":"Patient","text":{"status":"generated","div":"` + div + `"}}`
		_, err := Parse([]byte(strings.Replace(body, "‸", "", 1)), Options{})
		e := issue.As(err)
		if e == nil || e.Issues[0].ID != idNarrative || e.Issues[0].Expression != "Patient.text.div" || e.Issues[0].Offset != strings.Index(body, "‸") {
			t.Errorf("%s: %v", div, err)
		}
	}
}

func FuzzNarrative(f *testing.F) {
	f.Add(xhtmlDiv + `<p class="a">x<br/>&amp;<!-- c --></p></div>`)
	f.Add(`<div><a href="java&#x73;cript:x">x</a></div>`)
	f.Fuzz(func(t *testing.T, text string) {
		err, at := narrativeError(text)
		if at < 0 || at > len(text) {
			t.Fatalf("stopped at %d of %d", at, len(text))
		}
		if err == "" {
			wellFormed(t, text)
		}
	})
}
