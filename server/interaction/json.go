package interaction

import (
	"strconv"
	"time"
)

// instantLayout is an instant as the server writes it: UTC, milliseconds.
const instantLayout = "2006-01-02T15:04:05.000Z"

func appendInstant(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, instantLayout)
}

// appendETag appends W/"n" as it stands in JSON.
func appendETag(dst []byte, version uint64) []byte {
	dst = append(dst, `"W/\"`...)
	dst = strconv.AppendUint(dst, version, 10)
	return append(dst, `\""`...)
}
