// Package codec reads and writes resources as JSON, lossless to the lexeme:
// syntax here, meaning in the packages above.
//
// Contract (JSON; XML has its place beside it in xml.go when it comes):
//
//	Parse(src, Options) (*element.Tree, error)        one resource; *issue.Error with every issue found, each with
//	                                                  FHIRPath location and byte offset; limits are named in Options
//	NewParser / (*Parser).Parse                        the same, reusing one arena: the tree is valid until the next call
//	AppendStored(dst, root, Meta{ID, VersionID, LastUpdated}) []byte
//	                                                  the stored form: minified; resourceType, id, meta first; in meta
//	                                                  versionId, lastUpdated, then the client's other members; all else as sent
//	AppendJSON(dst, node, *Edit) []byte               minified, as sent, with replaced values, left-out elements
//	AppendPretty(dst, json) []byte                    an answer's indentation
//	StoredMeta(body) (Meta, tail)                     id, version and time from the fixed place of a stored body, without a parse
//
// https://hl7.org/fhir/R4/json.html
package codec
