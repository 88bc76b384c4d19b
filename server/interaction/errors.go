package interaction

import (
	"context"
	"errors"
	"fmt"

	"meridian/fhir/issue"
	"meridian/fhir/search"
	"meridian/server/store"
)

// statusNotImplemented is the HTTP status of what this deployment cannot do, which no IssueType stands for.
const statusNotImplemented = 501

// translate turns a store's error into one that a client may see; what is not
// for clients comes back wrapped with what was done.
func translate(err error, doing string) error {
	var conflict *store.ConflictError
	switch {
	case err == nil:
		return nil
	case issue.As(err) != nil:
		return err
	case errors.As(err, &conflict):
		return issue.New(issue.Conflict, "write.conflict", "other writers changed "+conflict.Key.Type+" again and again at the same time; send the request again", "")
	case errors.Is(err, store.ErrNoTransactions):
		return noTransactions()
	case errors.Is(err, store.ErrTooCostly):
		return issue.New(issue.TooCostly, "search.too-costly", "the search would read more than this server allows; add a criterion", "")
	case errors.Is(err, store.ErrTooLarge):
		return issue.New(issue.TooLong, "store.too-large", "the resource, or the bundle, is larger than the store takes", "")
	case errors.Is(err, store.ErrStarting):
		return issue.New(issue.Transient, "store.starting", "the store is being opened; try again in a moment", "")
	case errors.Is(err, store.ErrClosed):
		return issue.New(issue.Transient, "store.closed", "the server is stopping; try again in a moment", "")
	case errors.Is(err, context.Canceled):
		return issue.New(issue.Transient, "canceled", "the request was given up before it was done", "")
	case errors.Is(err, context.DeadlineExceeded):
		return issue.New(issue.Timeout, "timeout", "the request took longer than this server allows", "")
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func noTransactions() error {
	return issue.New(issue.NotSupported, "transaction.unsupported", "bundles of type transaction need a store with transactions: "+
		"configure a MongoDB replica set or sharded cluster (--mongodb), or use the embedded store; "+
		"nothing of this bundle was applied", "Bundle.type").WithStatus(statusNotImplemented)
}

func unknownType(typ string) error {
	if len(typ) > MaxID || !ValidID(typ) {
		typ = "this"
	}
	return issue.New(issue.NotFound, "type.unknown", typ+" is not a resource type of FHIR R4", "")
}

// UnknownOperation names what stands behind the $, where it could be a name;
// near is a name that there is, or empty.
func UnknownOperation(name, near string) error {
	text := "this server has no such operation"
	if ValidID(name) {
		text += ": $" + name
	}
	if near != "" {
		text += "; did you mean $" + near + "?"
	}
	return issue.New(issue.NotFound, "operation.unknown", text, "")
}

// NoParameters refuses the query string of a request that has none: it would be
// ignored, and elsewhere there are such that make a delete cascade. Issue codes: not-supported; those of ParseQuery.
func NoParameters(what, query string) error {
	pairs, err := ParseQuery(query)
	if err != nil || len(pairs) == 0 {
		return err
	}
	return issue.New(issue.NotSupported, "write.query", what+" has no parameters, such as "+search.Shown(pairs[0].Name), "")
}

func notFound(key store.Key) error {
	return issue.New(issue.NotFound, "resource.unknown", "there is no "+key.Type+" with this id", "")
}

func deleted(key store.Key) error {
	return issue.New(issue.Deleted, "resource.deleted", "this "+key.Type+" was deleted", "")
}

// locate prefixes the issues of err with the place of a bundle entry.
func locate(err error, entry string) error {
	e := issue.As(err)
	if e == nil {
		return fmt.Errorf("%s: %w", entry, err)
	}
	out := &issue.Error{Status: e.Status, Issues: make([]issue.Issue, len(e.Issues))}
	copy(out.Issues, e.Issues)
	for i := range out.Issues {
		if x := out.Issues[i].Expression; len(x) < 6 || x[:6] != "Bundle" {
			out.Issues[i].Expression = entry
			if x != "" {
				out.Issues[i].Text += " (at " + x + ")"
			}
		}
	}
	return out
}
