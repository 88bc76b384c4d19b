package hl7v2

import "bytes"

// Split cuts a file of messages into the bytes of each: a message begins with MSH at the start of a line. Frame bytes and blank lines around
// messages and the batch segments FHS, BHS, BTS and FTS are left aside; rest is a copy of the other lines before the first MSH and after a
// batch trailer, which no message holds. The messages share memory with raw. In UTF-16 line ends are other bytes: such a
// file is one message.
func Split(raw []byte) (messages [][]byte, rest []byte) {
	if cs, _ := byteOrderMark(raw); cs == UTF16LE || cs == UTF16BE || wideStart(raw) != undeclared {
		return [][]byte{raw}, nil
	}
	start := -1
	flush := func(end int) {
		if start >= 0 {
			messages = append(messages, bytes.TrimRight(raw[start:end], "\v\x1c\r\n"))
			start = -1
		}
	}
	for at := 0; at < len(raw); {
		line := raw[at:]
		if i := bytes.IndexAny(line, "\r\n"); i >= 0 {
			line = line[:i+1]
		}
		trimmed := bytes.TrimLeft(line, "\v\x1c \t")
		name := bytes.TrimPrefix(trimmed, []byte("\uFEFF"))
		switch {
		case isNamed(name, "MSH"):
			flush(at)
			start = at + len(line) - len(trimmed)
		case isNamed(name, "FHS"), isNamed(name, "BHS"), isNamed(name, "BTS"), isNamed(name, "FTS"):
			flush(at)
		case start < 0 && len(bytes.TrimSpace(name)) > 0:
			rest = append(rest, line...)
		}
		at += len(line)
	}
	flush(len(raw))
	return messages, rest
}

// isNamed reports whether a line is a segment of this name: the name and a delimiter.
func isNamed(line []byte, name string) bool {
	return len(line) > 3 && string(line[:3]) == name && isDelimiter(line[3])
}
