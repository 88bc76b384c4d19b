package codec_test

// exceptions are the official examples that are not written as jsontext
// compacts them, each with its reason. The list only shrinks.
var exceptions = map[string]string{}
