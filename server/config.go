package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
)

// commands is the command line. Every flag has a unit and a default in --help,
// an environment variable MERIDIAN_… and a place in the YAML file.
type commands struct {
	Config configFile `help:"YAML file with settings, named as the flags." placeholder:"FILE" env:"MERIDIAN_CONFIG"`

	Serve    serveCommand    `cmd:"" default:"withargs" help:"Run the server (the default)."`
	Send     sendCommand     `cmd:"" help:"Send HL7 v2 files over MLLP and print the acknowledgments."`
	Messages messagesCommand `cmd:"" help:"List, show and replay the messages of a running server."`
	Import   importCommand   `cmd:"" help:"Send files of resources or bundles to a FHIR service; goes on where it was cut off."`
	Export   exportCommand   `cmd:"" help:"Write what a FHIR service has to files of NDJSON; goes on where it was cut off."`
	Migrate  migrateCommand  `cmd:"" help:"Copy one store into another, with history, messages and receipts, and verify the copy."`
	Version  versionCommand  `cmd:"" help:"Print the version."`
}

// serveCommand holds the settings of the server.
type serveCommand struct {
	Listen   string `default:"127.0.0.1:8080" env:"MERIDIAN_LISTEN" placeholder:"HOST:PORT" help:"Address of HTTP (${default}). Loopback only until authentication is configured."`
	MLLP     string `name:"mllp" default:"127.0.0.1:2575" env:"MERIDIAN_MLLP" placeholder:"HOST:PORT" help:"Address of MLLP, or off (${default})."`
	Data     string `default:"./data" env:"MERIDIAN_DATA" placeholder:"DIR" help:"Directory of the embedded store (${default})."`
	MongoDB  string `name:"mongodb" env:"MERIDIAN_MONGODB" placeholder:"URI" help:"Connection string of MongoDB; then no embedded store is opened."`
	Database string `default:"meridian" env:"MERIDIAN_DATABASE" placeholder:"NAME" help:"Database in MongoDB (${default})."`
	// Transactions of MongoDB: asked of the server, unless a deployment is known to have them or not.
	MongoDBTransactions    string `name:"mongodb-transactions" default:"auto" enum:"auto,on,off" env:"MERIDIAN_MONGODB_TRANSACTIONS" help:"Whether MongoDB has transactions: auto, on, off (${default})."`
	MongoDBMaxTransactions int    `name:"mongodb-max-transactions" default:"4" env:"MERIDIAN_MONGODB_MAX_TRANSACTIONS" placeholder:"N" help:"Transactions of MongoDB that are open at once: with many and a small cache they abort each other (${default})."`

	BaseURL   string        `name:"base-url" env:"MERIDIAN_BASE_URL" placeholder:"URL" help:"Address of the FHIR service as clients know it (http://LISTEN/fhir)."`
	Zone      string        `default:"Asia/Shanghai" env:"MERIDIAN_ZONE" placeholder:"NAME" help:"Time zone of dates without one (${default})."`
	FullText  bool          `name:"full-text" env:"MERIDIAN_FULL_TEXT" help:"Index the words of narratives and texts, for _text and _content; the store is indexed anew when this changes."`
	BodyLimit sizeFlag      `name:"body-limit" default:"64MiB" env:"MERIDIAN_BODY_LIMIT" placeholder:"SIZE" help:"Largest request body, uncompressed (${default})."`
	PageSize  int           `name:"page-size" default:"20" env:"MERIDIAN_PAGE_SIZE" placeholder:"N" help:"Resources on a page when _count is not given (${default})."`
	MaxPage   int           `name:"max-page-size" default:"1000" env:"MERIDIAN_MAX_PAGE_SIZE" placeholder:"N" help:"Largest _count (${default})."`
	Timeout   time.Duration `default:"5m" env:"MERIDIAN_TIMEOUT" placeholder:"TIME" help:"Longest time of one request (${default})."`
	SlowTime  time.Duration `name:"slow-search" default:"1s" env:"MERIDIAN_SLOW_SEARCH" placeholder:"TIME" help:"Searches that take as long are logged by the names of their parameters, without values; 0 for none (${default})."`
	StopTime  time.Duration `name:"stop-time" default:"30s" env:"MERIDIAN_STOP_TIME" placeholder:"TIME" help:"Longest wait for requests in flight at a stop (${default})."`
	CursorKey string        `name:"cursor-key" env:"MERIDIAN_CURSOR_KEY" placeholder:"SECRET" help:"Secret that authenticates next links; the same on all servers of one deployment (made and kept in DATA)."`

	ConditionalDelete      string        `name:"conditional-delete" default:"single" enum:"single,multiple" env:"MERIDIAN_CONDITIONAL_DELETE" placeholder:"single|multiple" help:"Whether a conditional delete may delete several resources (${default})."`
	ConditionalDeleteLimit int           `name:"conditional-delete-limit" default:"1000" env:"MERIDIAN_CONDITIONAL_DELETE_LIMIT" placeholder:"N" help:"With multiple: the most that one may delete, at most 9999 (${default})."`
	Packages               string        `default:"" env:"MERIDIAN_PACKAGES" placeholder:"DIR" help:"Folder of FHIR packages (*.tgz) whose profiles, value sets and code systems count beside those of R4. Nothing is fetched. packages.sha256 in it, as sha256sum writes it, pins them."`
	Integrity              string        `default:"off" env:"MERIDIAN_INTEGRITY" placeholder:"off|warn|enforce,TYPE=…" help:"Whether references must name something that is there, and what is referred to may be deleted: off, warn or enforce, and for single types: off,Patient=enforce (${default})."`
	Validation             string        `default:"off" env:"MERIDIAN_VALIDATION" placeholder:"off|warn|enforce,TYPE=…" help:"Whether what is written is validated beyond its structure, by the profiles it claims, invariants and value sets: off, warn or enforce, and for single types: off,Observation=enforce (${default})."`
	IdempotencyTime        time.Duration `name:"idempotency-time" default:"24h" env:"MERIDIAN_IDEMPOTENCY_TIME" placeholder:"TIME" help:"How long the answer to a request with an Idempotency-Key is kept (${default})."`
	Transactions           int           `default:"8" env:"MERIDIAN_TRANSACTIONS" placeholder:"N" help:"Bundles of type transaction carried out at once; on MongoDB they are also limited by --mongodb-max-transactions (${default})."`
	AsyncWorkers           int           `name:"async-workers" default:"2" env:"MERIDIAN_ASYNC_WORKERS" placeholder:"N" help:"Asynchronous requests carried out at once (${default})."`
	AsyncTime              time.Duration `name:"async-time" default:"1h" env:"MERIDIAN_ASYNC_TIME" placeholder:"TIME" help:"Longest time of an asynchronous request (${default})."`
	AsyncKeep              time.Duration `name:"async-keep" default:"24h" env:"MERIDIAN_ASYNC_KEEP" placeholder:"TIME" help:"How long the answer to an asynchronous request is kept (${default})."`

	MemoryLimit  sizeFlag      `name:"memory-limit" default:"1GiB" env:"MERIDIAN_MEMORY_LIMIT" placeholder:"SIZE" help:"Memory of the program, caches aside, beyond which garbage is collected more often; GOMEMLIMIT comes first (${default})."`
	GCHeadroom   sizeFlag      `name:"gc-headroom" default:"16MiB" env:"MERIDIAN_GC_HEADROOM" placeholder:"SIZE" help:"Garbage that may always gather before it is collected; GOGC comes first (${default})."`
	DoneTime     time.Duration `name:"done-time" default:"9600h" env:"MERIDIAN_DONE_TIME" placeholder:"TIME" help:"How long finished messages are kept, with the bytes that came; 0 for ever (${default}, 400 days)."`
	CacheSize    sizeFlag      `name:"cache-size" default:"128MiB" env:"MERIDIAN_CACHE_SIZE" placeholder:"SIZE" help:"Block cache of the embedded store (${default})."`
	MessageLimit sizeFlag      `name:"message-limit" default:"16MiB" env:"MERIDIAN_MESSAGE_LIMIT" placeholder:"SIZE" help:"Largest message (${default})."`
	Workers      int           `default:"8" env:"MERIDIAN_WORKERS" placeholder:"N" help:"Messages mapped at once (${default})."`
	Source       string        `default:"default" env:"MERIDIAN_SOURCE" placeholder:"ID" help:"Name of the system that sends to the MLLP address; part of the ids of what it sends (${default})."`
	Ack          string        `default:"stored" enum:"stored,mapped" env:"MERIDIAN_ACK" placeholder:"stored|mapped" help:"When a message is acknowledged: stored, when it is on disk; mapped, when it is in the record, AE with the reason where it is not (${default})."`
	Charset      string        `env:"MERIDIAN_CHARSET" placeholder:"NAME" help:"Charset of the source, where MSH-18 is wrong: UTF-8, GB18030, …"`

	Pprof     string `placeholder:"HOST:PORT" env:"MERIDIAN_PPROF" help:"Address of Go's profiler, loopback only; none when not given."`
	AccessLog string `name:"access-log" default:"stdout" env:"MERIDIAN_ACCESS_LOG" placeholder:"stdout|off" help:"Where requests are logged, without values (${default})."`
	LogLevel  string `name:"log-level" default:"info" enum:"debug,info,warn,error" env:"MERIDIAN_LOG_LEVEL" help:"debug, info, warn or error (${default})."`
}

// sizeFlag is a number of bytes: 64MiB, 512KiB, 1GiB, or plain bytes.
type sizeFlag int64

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}, {"", 1}}

// Decode reads a size for kong.
func (s *sizeFlag) Decode(ctx *kong.DecodeContext) error {
	var text string
	if err := ctx.Scan.PopValueInto("size", &text); err != nil {
		return err
	}
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(text, u.suffix)
		if !ok {
			continue
		}
		var n int64
		if _, err := fmt.Sscanf(digits+"\n", "%d\n", &n); err == nil && n > 0 && n <= (1<<62)/u.bytes {
			*s = sizeFlag(n * u.bytes)
			return nil
		}
	}
	return errors.New("a size is expected, such as 64MiB")
}

// configFile loads a YAML file whose keys are the names of flags.
type configFile string

// BeforeResolve is kong's hook: the file's values stand below flags and environment.
func (c configFile) BeforeResolve(k *kong.Kong, ctx *kong.Context, trace *kong.Path) error {
	name := string(ctx.FlagValue(trace.Flag).(configFile))
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	defer f.Close()
	r, err := yamlResolver(f, knownFlags(k.Model.Node))
	if err != nil {
		return fmt.Errorf("read settings %s: %w", name, err)
	}
	ctx.AddResolver(r)
	return nil
}

func knownFlags(n *kong.Node) map[string]bool {
	known := map[string]bool{}
	for _, f := range n.Flags {
		known[f.Name] = true
	}
	for _, c := range n.Children {
		for name := range knownFlags(c) {
			known[name] = true
		}
	}
	return known
}

// yamlResolver gives the values of a settings file; a key that is no flag is an error.
func yamlResolver(r io.Reader, known map[string]bool) (kong.Resolver, error) {
	values := map[string]any{}
	if err := yaml.NewDecoder(r).Decode(&values); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	for key := range values {
		if !known[key] {
			return nil, fmt.Errorf("there is no setting %q", key)
		}
	}
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		v, ok := values[flag.Name]
		if !ok {
			return nil, nil
		}
		switch reflect.ValueOf(v).Kind() {
		case reflect.Map, reflect.Slice:
			return nil, fmt.Errorf("setting %q takes one value", flag.Name)
		}
		return fmt.Sprint(v), nil
	}), nil
}
