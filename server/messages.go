package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"meridian/mappings/hl7v2"
	"meridian/server/inbox"
)

// messagesCommand asks a running server about its messages.
type messagesCommand struct {
	Server string `default:"http://127.0.0.1:8080" env:"MERIDIAN_SERVER" placeholder:"URL" help:"Address of the running server (${default})."`

	List    listMessages   `cmd:"" default:"withargs" help:"List messages, newest first."`
	Show    showMessage    `cmd:"" help:"Show one message: timeline, findings, text."`
	Preview previewMessage `cmd:"" help:"Show what a replay of one message would do now."`
	Replay  replayMessages `cmd:"" help:"Run messages again, with the maps and tables as they are now."`
}

type listMessages struct {
	State string `enum:",pending,leased,done,parked" default:"" placeholder:"STATE" help:"pending, leased, done or parked; all when not given."`
	Label string `placeholder:"LABEL" help:"Outcome or reason: committed, stale, patient.unidentified, …"`
	Limit int    `default:"50" placeholder:"N" help:"How many, at most 1000 (${default})."`
	After string `placeholder:"ID" help:"Go on after this message: the next page."`
}

type showMessage struct {
	ID string `arg:"" help:"The message's id."`
}

type previewMessage struct {
	ID   string `arg:"" help:"The message's id."`
	Body bool   `help:"Print the resources too."`
}

type replayMessages struct {
	IDs   []string `arg:"" optional:"" name:"id" help:"Ids of messages."`
	State string   `enum:",parked,done" default:"" placeholder:"STATE" help:"Replay all messages in this state: parked or done."`
	Label string   `placeholder:"LABEL" help:"With --state: of this outcome or reason only."`
}

// client calls the operations interface of a running server.
type client struct{ base string }

const clientTimeout = time.Minute

func (c client) do(ctx context.Context, method, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.base, "/")+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("%w (is the server running? go run ./server)", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		var p struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(body, &p) == nil && p.Error != "" {
			return errors.New(p.Error)
		}
		return fmt.Errorf("the server answered %s", resp.Status)
	}
	return json.Unmarshal(body, into)
}

// Run prints a table.
func (l *listMessages) Run(ctx context.Context, m *messagesCommand) error {
	q := url.Values{"limit": {fmt.Sprint(l.Limit)}}
	if l.State != "" {
		q.Set("state", l.State)
	}
	if l.Label != "" {
		q.Set("label", l.Label)
	}
	if l.After != "" {
		q.Set("after", l.After)
	}
	var list inbox.List
	if err := (client{m.Server}).do(ctx, "GET", "/ops/messages?"+q.Encode(), &list); err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSTORED\tSOURCE\tTYPE\tCONTROL ID\tSTATE\tOUTCOME\tWHERE")
	for _, x := range list.Messages {
		env := x.Envelope
		if env == nil {
			env = &inbox.Envelope{}
		}
		where := ""
		if env.Parked != nil {
			where = env.Parked.Path
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", x.ID, x.Stored.Local().Format(time.DateTime), env.Source, env.Type, env.Control, x.State, x.Label, where)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range []string{"pending", "leased", "done", "parked"} {
		for state, n := range list.Counts {
			if string(state) == s {
				fmt.Printf("%s %d  ", s, n)
			}
		}
	}
	fmt.Println()
	if list.Next != "" {
		fmt.Printf("there are more: --after %s\n", list.Next)
	}
	return nil
}

// Run prints one message with its story.
func (s *showMessage) Run(ctx context.Context, m *messagesCommand) error {
	var x inbox.Message
	if err := (client{m.Server}).do(ctx, "GET", "/ops/messages/"+url.PathEscape(s.ID), &x); err != nil {
		return err
	}
	fmt.Printf("message %s: %s %s, %d attempts\n", x.ID, x.State, x.Label, x.Attempts)
	if env := x.Envelope; env != nil {
		fmt.Printf("source %s (%s), %s version %s, charset %s (declared %q), map %s\n", env.Source, env.Remote, env.Type, env.Version, env.Charset, env.Declared, env.Map)
		fmt.Printf("resources %d, written %d\n", env.Resources, env.Written)
		printParked(env.Parked)
		for _, t := range env.Timeline {
			fmt.Printf("  %s  %s %s\n", t.At.Local().Format("2006-01-02 15:04:05.000"), t.State, t.Detail)
		}
		printFindings(env.Findings, env.Unmapped, env.Unread)
	}
	var as hl7v2.DecodeOptions
	if x.Envelope != nil {
		as.Override = x.Envelope.Charset // as the server read it
	}
	if d, err := hl7v2.Decode(x.Raw, as); err == nil {
		fmt.Println(strings.ReplaceAll(d.Text, "\r", "\n"))
	} else {
		fmt.Printf("%d bytes that cannot be decoded: %v\n", len(x.Raw), err)
	}
	return nil
}

// Run prints what a replay would do.
func (c *previewMessage) Run(ctx context.Context, m *messagesCommand) error {
	var p inbox.Preview
	if err := (client{m.Server}).do(ctx, "GET", "/ops/messages/"+url.PathEscape(c.ID)+"/preview", &p); err != nil {
		return err
	}
	fmt.Printf("a replay would end as: %s\n", p.Outcome)
	printParked(p.Parked)
	for _, r := range p.Resources {
		fmt.Printf("  %-9s %s/%s", r.Effect, r.Type, r.ID)
		if r.Version > 0 {
			fmt.Printf(" (version %d stands)", r.Version)
		}
		if len(r.Changed) > 0 {
			fmt.Printf(": %s", strings.Join(r.Changed, ", "))
		}
		fmt.Println()
		if c.Body && r.Body != nil {
			fmt.Printf("    %s\n", r.Body)
		}
	}
	printFindings(p.Findings, p.Unmapped, p.Unread)
	return nil
}

func printParked(p *inbox.Parked) {
	if p != nil {
		fmt.Printf("parked at %s: %s at %s\n  %s\n  %s\n", p.Stage, p.Code, p.Path, p.Hint, p.HintZH)
	}
}

func printFindings(findings []inbox.Finding, unmapped []inbox.Unmapped, unread []inbox.Unread) {
	for _, f := range findings {
		fmt.Printf("  finding %s at %s: %s\n", f.Code, f.Path, f.Text)
	}
	for _, u := range unmapped {
		fmt.Printf("  unmapped %s %s at %s (unit %s)\n", u.Table, u.Code, u.Path, u.Unit)
	}
	for _, u := range unread {
		fmt.Printf("  not read %s, %d times, first at %s\n", u.Place, u.Count, u.First)
	}
}

// Run makes messages pending again.
func (r *replayMessages) Run(ctx context.Context, m *messagesCommand) error {
	c := client{m.Server}
	var answer struct {
		Replayed int
		More     bool
	}
	if len(r.IDs) == 0 && r.State == "" {
		return errors.New("name the messages, or say --state parked")
	}
	total := 0
	for _, id := range r.IDs {
		if err := c.do(ctx, "POST", "/ops/messages/"+url.PathEscape(id)+"/replay", &answer); err != nil {
			return err
		}
		total += answer.Replayed
	}
	if r.State != "" {
		q := url.Values{"state": {r.State}, "label": {r.Label}}
		if err := c.do(ctx, "POST", "/ops/messages/replay?"+q.Encode(), &answer); err != nil {
			return err
		}
		total += answer.Replayed
	}
	if answer.More {
		fmt.Println("there are more: the limit of one request was reached, replay again when these are done")
	}
	fmt.Printf("%d messages are pending again; see: go run ./server messages list\n", total)
	return nil
}
