package search

import "strings"

// A URL is below another that it is, or that it continues behind a '/', '?' or
// '#'; a canonical whose version is given, below the same URL whose version is a
// beginning of it up to a '.':
//
//	:below=http://acme.org/fhir        http://acme.org/fhir, http://acme.org/fhir/ValueSet/1, not http://acme.org/fhirx
//	:below=http://acme.org/fhir/       http://acme.org/fhir/ValueSet/1
//	:below=http://acme.org/vs/1|2.1    http://acme.org/vs/1|2.1, http://acme.org/vs/1|2.1.3, not http://acme.org/vs/1|2.10
//
// Above is the converse. A URN has no such order.
//
// https://hl7.org/fhir/R4/search.html#uri

const urlSeparators = "/?#"

// isURL says that there is something behind "://".
func isURL(s string) bool {
	i := strings.Index(s, "://")
	return i > 0 && i+3 < len(s)
}

// isBelow says whether the URL x is below of.
func isBelow(x, of string) bool {
	if x, v, ok := strings.Cut(x, "|"); ok && strings.Contains(of, "|") {
		url, version, _ := strings.Cut(of, "|")
		return x == url && isURL(url) && (v == version || strings.HasPrefix(v, version+"."))
	}
	if !isURL(of) || !strings.HasPrefix(x, of) {
		return false
	}
	return len(x) == len(of) || strings.IndexByte(urlSeparators, of[len(of)-1]) >= 0 || strings.IndexByte(urlSeparators, x[len(of)]) >= 0
}

// belowTerm is any value of the keys with an empty scope that is below of.
func belowTerm(param, of string) term {
	prefix := func(s string) term {
		short, _ := cut(s)
		return term{Prefix{Key{Param: param, Value: short}}, !mayBeCut(s)}
	}
	last := of[len(of)-1]
	switch {
	case strings.Contains(of, "|"):
		return either([]term{exactPoint(param, "", of), prefix(of + ".")})
	case strings.IndexByte(urlSeparators, last) >= 0:
		return prefix(of)
	}
	all := []term{exactPoint(param, "", of)}
	for _, c := range urlSeparators {
		all = append(all, prefix(of+string(c)))
	}
	return either(all)
}

// aboveTerm is any value that x is below of.
func aboveTerm(param, x string) term {
	all := []term{exactPoint(param, "", x)}
	add := func(s string) {
		if isURL(s) && len(s) < len(x) {
			all = append(all, exactPoint(param, "", s))
		}
	}
	if url, version, ok := strings.Cut(x, "|"); ok {
		for i, c := range version {
			if c == '.' {
				add(url + "|" + version[:i])
			}
		}
		return either(all)
	}
	for i := 0; i < len(x); i++ {
		if strings.IndexByte(urlSeparators, x[i]) >= 0 {
			add(x[:i])
			add(x[:i+1])
		}
	}
	return either(all)
}

func relatedTerm(m Modifier, param, url string) term {
	if m == ModBelow {
		return belowTerm(param, url)
	}
	return aboveTerm(param, url)
}

// related says whether a URL of a resource stands to the asked one as m says.
func related(m Modifier, is, asked string) bool {
	if m == ModBelow {
		return isBelow(is, asked)
	}
	return isBelow(asked, is)
}

// relatedURL reads the value of :above and :below on a URL.
func relatedURL(s string) (string, string) {
	if !isURL(s) {
		return s, ":above and :below are for URLs, not for URNs"
	}
	return s, ""
}
