package terminology

import (
	"slices"
	"strings"
)

// DisplayIn gives the concept's display in a language (BCP 47): that of the
// designation of that language, of one of its regions, or of the language
// without region; "" when there is none.
func (c *Concept) DisplayIn(language string) string {
	best, rank := "", 0
	for _, d := range c.Designations {
		r := 0
		switch have := d.Language; {
		case have == "":
		case strings.EqualFold(have, language):
			r = 3
		case hasTagPrefix(have, language):
			r = 2
		case hasTagPrefix(language, have):
			r = 1
		}
		if r > rank {
			best, rank = d.Value, r
		}
	}
	return best
}

// hasTagPrefix: zh-CN and zh-Hans-CN are zh.
func hasTagPrefix(tag, prefix string) bool {
	return len(tag) > len(prefix) && tag[len(prefix)] == '-' && strings.EqualFold(tag[:len(prefix)], prefix)
}

// Displays lists all ways to say the concept, the display first.
func (c *Concept) Displays() []string {
	var out []string
	for _, s := range appendTexts(nil, c.Display, c.Designations) {
		if s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
