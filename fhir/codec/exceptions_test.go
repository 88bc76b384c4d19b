package codec_test

import "regexp"

// exceptions are the official examples that are not written as jsontext
// compacts them, each with its reason. The list only shrinks.
var exceptions = map[string]string{}

// xmlExceptions are the official examples that do not come back from XML
// token by token, each with its reason. The list only shrinks.
var xmlExceptions = map[string]string{}

// besideDiv is an id that JSON may have beside the narrative's div, which is
// the div's own attribute in XML: docs/format/xml.md.
var besideDiv = regexp.MustCompile(`(,"_div":\{"id":"[^"]*"\})|("_div":\{"id":"[^"]*"\},)`)
