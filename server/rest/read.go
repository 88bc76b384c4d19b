package rest

import (
	"net/http"

	"meridian/fhir/issue"
	"meridian/server/interaction"
	"meridian/server/store"
)

// https://hl7.org/fhir/R4/http.html#read
func read(x *call) error {
	p := interaction.ReadParams{Key: store.Key{Type: x.Param("type"), ID: x.Param("id")}}
	if err := x.checkInstance(p.Key); err != nil {
		return err
	}
	part, err := x.part()
	if err != nil {
		return err
	}
	x.readConditions(&p)
	r, err := x.service.Read(x.ctx, p)
	return x.answerRead(&r, part, err)
}

// https://hl7.org/fhir/R4/http.html#vread
func vread(x *call) error {
	p := interaction.ReadParams{Key: store.Key{Type: x.Param("type"), ID: x.Param("id")}}
	if err := x.checkInstance(p.Key); err != nil {
		return err
	}
	var ok bool
	if p.Version, ok = interaction.ParseVersion(x.Param("version")); !ok {
		return issue.New(issue.NotFound, "resource.unknown", "version ids of this server are decimal numbers from 1", "")
	}
	part, err := x.part()
	if err != nil {
		return err
	}
	x.readConditions(&p)
	r, err := x.service.VRead(x.ctx, p)
	return x.answerRead(&r, part, err)
}

// checkInstance: what stands in the place of an id is one, and no operation.
func (x *call) checkInstance(key store.Key) error {
	if key.ID != "" && key.ID[0] == '$' {
		return interaction.UnknownOperation(key.ID[1:], "")
	}
	if !interaction.ValidID(key.ID) {
		return issue.New(issue.NotFound, "resource.unknown", "an id has 1 to 64 characters of A-Z a-z 0-9 - .", "")
	}
	return nil
}

func (x *call) readConditions(p *interaction.ReadParams) {
	p.IfNoneMatch = x.list("If-None-Match")
	if since := x.header("If-Modified-Since"); since != "" {
		// A date that cannot be read asks nothing (RFC 9110 section 13.1.3).
		p.IfModifiedSince, _ = http.ParseTime(since)
	}
}

// part reads _summary and _elements of a read.
func (x *call) part() (*interaction.Part, error) {
	if x.query == "" {
		return nil, nil
	}
	pairs, err := interaction.ParseQuery(x.query)
	if err != nil {
		return nil, err
	}
	return interaction.ReadPart(x.Param("type"), pairs, x.lenient)
}

func (x *call) answerRead(r *interaction.ReadResult, part *interaction.Part, err error) error {
	x.stamp(&r.Resource)
	if err != nil {
		return err
	}
	if r.NotModified {
		return x.send(http.StatusNotModified, nil)
	}
	if x.format == formatRaw {
		if part != nil {
			return noPart()
		}
		return x.sendData(http.StatusOK, r.Resource.Body)
	}
	if part == nil {
		return x.send(http.StatusOK, r.Resource.Body)
	}
	if x.out, err = x.service.AppendPart(x.out, r.Resource.Body, part); err != nil {
		return err
	}
	return x.send(http.StatusOK, x.out)
}
