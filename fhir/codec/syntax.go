package codec

import "meridian/fhir/issue"

// CheckSyntax says whether src is one JSON text in UTF-8, whatever it means:
// for bodies that are no resource, such as a JSON Patch. Of o it heeds MaxBytes
// and MaxDepth. The error is an *issue.Error with the code structure and the
// offset, or too-long.
func CheckSyntax(src []byte, o Options) error {
	p := Parser{opt: o.withDefaults(), src: src}
	if len(src) > p.opt.MaxBytes {
		p.report(issue.TooLong, idTooLarge, p.opt.MaxBytes, "", "the body is larger than the limit")
		return p.error()
	}
	i := p.space(0)
	if i >= len(src) {
		p.fail(i, idSyntax, "the body is empty")
		return p.error()
	}
	if i = p.skip(i, 1); i >= 0 {
		if i = p.space(i); i < len(src) {
			i = p.fail(i, idSyntax, "something follows the end of the JSON value")
		}
	}
	if i < 0 {
		return p.error()
	}
	return nil
}
