package codec

// Dates and times by the patterns of the specification, with days that exist.
// https://hl7.org/fhir/R4/datatypes.html#date

// two gives the number of two digits, 100 when they are none.
func two(b []byte) int {
	if b[0]-'0' > 9 || b[1]-'0' > 9 {
		return 100
	}
	return int(b[0]-'0')*10 + int(b[1]-'0')
}

// dateLen gives the length of the date that b starts with (4, 7 or 10), 0 when
// there is none or the day does not exist.
func dateLen(b []byte) int {
	if len(b) < 4 {
		return 0
	}
	century, rest := two(b), two(b[2:])
	year := century*100 + rest
	if century > 99 || rest > 99 || year == 0 {
		return 0
	}
	if len(b) < 7 || b[4] != '-' {
		return 4
	}
	month := two(b[5:])
	if month < 1 || month > 12 {
		return 0
	}
	if len(b) < 10 || b[7] != '-' {
		return 7
	}
	if day := two(b[8:]); day < 1 || day > daysIn(year, month) {
		return 0
	}
	return 10
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// clockLen gives the length of hh:mm:ss(.f+)? at the start of b, 0 when there
// is none. Second 60 is a leap second.
func clockLen(b []byte) int {
	if len(b) < 8 || b[2] != ':' || b[5] != ':' || two(b) > 23 || two(b[3:]) > 59 || two(b[6:]) > 60 {
		return 0
	}
	if len(b) == 8 || b[8] != '.' {
		return 8
	}
	k := 9
	for k < len(b) && b[k]-'0' <= 9 {
		k++
	}
	if k == 9 {
		return 0
	}
	return k
}

func isZonedTime(b []byte) bool {
	k := clockLen(b)
	if k == 0 {
		return false
	}
	return isZone(b[k:])
}

// isZone takes Z or an offset up to 14:00.
func isZone(b []byte) bool {
	if len(b) == 1 {
		return b[0] == 'Z'
	}
	if len(b) != 6 || b[0] != '+' && b[0] != '-' || b[3] != ':' {
		return false
	}
	h, m := two(b[1:]), two(b[4:])
	return h < 14 && m < 60 || h == 14 && m == 0
}

func isDateTime(b []byte) bool {
	k := dateLen(b)
	if k == len(b) {
		return k > 0
	}
	return k == 10 && b[10] == 'T' && isZonedTime(b[11:])
}
