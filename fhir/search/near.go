package search

import (
	"math"
	"strconv"

	"meridian/fhir/element"
	"meridian/fhir/ucum"
	"meridian/fhir/value"
)

// nearCode is the one special parameter of R4 that is about a resource's own data.
const nearCode = "near"

const (
	// NearDistance is what `near` means where no distance is given, in meters.
	NearDistance = 50_000
	// earthRadius is the mean radius in meters; distances are those on a sphere.
	earthRadius = 6_371_008.8
	// nearSlack widens the box that is looked through before distances are worked out, in degrees (some 10 cm).
	nearSlack = 1e-6

	scopeLatitude  = "lat"
	scopeLongitude = "lon"
)

// Circle is the value of `near`: what lies at most Meters from a place.
type Circle struct{ Latitude, Longitude, Meters float64 }

var (
	positionLatitude  = index("Location.position", "latitude")
	positionLongitude = index("Location.position", "longitude")
)

// near adds two keys of a position, its latitude and its longitude, as points.
// https://hl7.org/fhir/R4/location.html#search
func (b *builder) near(p *Param, n element.Node) {
	lat, ok1 := decimalOf(childAt(n, positionLatitude))
	lon, ok2 := decimalOf(childAt(n, positionLongitude))
	if !ok1 || !ok2 || !onEarth(number(lat), number(lon)) {
		b.present(p, NoSystem)
		return
	}
	at := b.bounds(point(lat))
	b.key(p.main, b.fixed(scopeLatitude), at)
	at = b.bounds(point(lon))
	b.key(p.main, b.fixed(scopeLongitude), at)
}

func number(d value.Decimal) float64 {
	f, err := strconv.ParseFloat(d.String(), 64)
	if err != nil {
		return math.NaN()
	}
	return f
}

// onEarth is false for NaN too.
func onEarth(lat, lon float64) bool {
	return lat >= -90 && lat <= 90 && lon >= -180 && lon <= 180
}

// parseNear reads latitude|longitude[|distance[|unit]]. The unit is any of
// length in UCUM, km where it is not given.
func parseNear(s string) (c Circle, reason string) {
	parts := splitEscaped(s, '|')
	if len(parts) < 2 || len(parts) > 4 {
		return c, "it is not latitude|longitude|distance|unit"
	}
	var of [3]float64
	for i, part := range parts[:min(len(parts), 3)] {
		if i == 2 && part == "" {
			continue
		}
		d, reason := parseNumber(unescape(part))
		if reason != "" {
			return c, [3]string{"the latitude", "the longitude", "the distance"}[i] + " is not a decimal number"
		}
		of[i] = number(d)
	}
	c = Circle{of[0], of[1], NearDistance}
	switch {
	case !onEarth(of[0], of[1]):
		return c, "latitudes are from -90 to 90, longitudes from -180 to 180"
	case len(parts) < 3 || parts[2] == "":
		return c, ""
	case of[2] < 0:
		return c, "the distance is negative"
	}
	unit := "km"
	if len(parts) == 4 && parts[3] != "" {
		unit = unescape(parts[3])
	}
	meters, ok := lengthOf(unit)
	if !ok {
		return c, "the unit is none of length in UCUM, such as km, m or [mi_us]"
	}
	c.Meters = of[2] * meters
	return c, ""
}

// lengthOf is a unit in meters.
func lengthOf(unit string) (float64, bool) {
	u, err := ucum.Parse(unit)
	if err != nil || u.Canonical() != "m" {
		return 0, false
	}
	f, _ := u.Base(value.DecimalFromInt(1)).Float64()
	return f, f > 0
}

// box is the smallest stretch of latitudes and of longitudes around the circle;
// west > east crosses the 180th meridian, and all says that every longitude is in it.
func (c Circle) box() (south, north, west, east float64, all bool) {
	angle := c.Meters / earthRadius
	degrees := angle*180/math.Pi + nearSlack
	south, north = c.Latitude-degrees, c.Latitude+degrees
	reach := math.Sin(angle) / math.Cos(c.Latitude*math.Pi/180)
	if south <= -90 || north >= 90 || angle >= math.Pi/2 || !(reach < 1) {
		return max(south, -90), min(north, 90), -180, 180, true
	}
	wide := math.Asin(reach)*180/math.Pi + nearSlack
	west, east = c.Longitude-wide, c.Longitude+wide
	if west < -180 {
		west += 360
	}
	if east > 180 {
		east -= 360
	}
	return south, north, west, east, false
}

// nearTerm looks through the box; the distance is worked out on the body.
func nearTerm(param string, c Circle) term {
	south, north, west, east, all := c.box()
	box := func(scope string, from, to float64) Expr {
		return Box{Param: param, Scope: scope, LoMin: degreeKey(from), HiMax: degreeKey(to) + above}
	}
	lat := box(scopeLatitude, south, north)
	switch {
	case all:
		return term{lat, false}
	case west > east:
		return term{And{[]Expr{lat, Or{[]Expr{box(scopeLongitude, west, 180), box(scopeLongitude, -180, east)}}}}, false}
	}
	return term{And{[]Expr{lat, box(scopeLongitude, west, east)}}, false}
}

// degreeKey is the key of an angle to nine places.
func degreeKey(f float64) string {
	d, err := value.ParseDecimal(strconv.FormatFloat(f, 'f', 9, 64))
	if err != nil {
		return ""
	}
	return string(d.AppendKey(nil))
}

// greatCircle is the length of the great circle between two places, in meters.
func greatCircle(lat1, lon1, lat2, lon2 float64) float64 {
	const rad = math.Pi / 180
	a, b := math.Sin((lat2-lat1)*rad/2), math.Sin((lon2-lon1)*rad/2)
	h := a*a + math.Cos(lat1*rad)*math.Cos(lat2*rad)*b*b
	return 2 * earthRadius * math.Asin(math.Sqrt(min(h, 1)))
}

func (m *matcher) nearNode(n element.Node) bool {
	lat, err1 := strconv.ParseFloat(n.Child("latitude").Text(), 64)
	lon, err2 := strconv.ParseFloat(n.Child("longitude").Text(), 64)
	if err1 != nil || err2 != nil || !onEarth(lat, lon) {
		return false
	}
	for i := range m.c.Values {
		c := m.c.Values[i].Near
		if greatCircle(c.Latitude, c.Longitude, lat, lon) <= c.Meters {
			return true
		}
	}
	return false
}
