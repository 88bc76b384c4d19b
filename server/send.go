package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"meridian/mappings/hl7v2"
)

// sendCommand sends files of HL7 v2 messages, and loads a server with them.
type sendCommand struct {
	Files []string      `arg:"" name:"file" help:"Files of one or more messages each, in their own charset." type:"existingfile"`
	To    string        `default:"127.0.0.1:2575" env:"MERIDIAN_MLLP" placeholder:"HOST:PORT" help:"MLLP address (${default})."`
	N     int           `short:"n" default:"0" placeholder:"N" help:"Send N messages in all, over and over, each with a control id, patient and report number of its own; print figures instead of answers."`
	C     int           `short:"c" default:"1" placeholder:"N" help:"Connections at once with -n (${default})."`
	Rate  float64       `placeholder:"N" help:"Messages per second in all with -n; 0 is as fast as it goes."`
	Wait  time.Duration `default:"30s" placeholder:"TIME" help:"Longest wait for an acknowledgment (${default})."`
}

// Run sends.
func (c *sendCommand) Run(ctx context.Context) error {
	var messages [][]byte
	for _, name := range c.Files {
		raw, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		list, rest := hl7v2.Split(raw)
		if len(rest) > 0 {
			return fmt.Errorf("%s: %d bytes stand before the first MSH", name, len(rest))
		}
		messages = append(messages, list...)
	}
	if len(messages) == 0 {
		return errors.New("there is no message in the files")
	}
	if c.N > 0 {
		return c.load(ctx, messages)
	}
	return c.print(ctx, messages)
}

func (c *sendCommand) dial() (*hl7v2.Client, error) {
	conn, err := net.DialTimeout("tcp", c.To, 5*time.Second)
	if err != nil {
		return nil, fmt.Errorf("%w (is the server running? go run ./server)", err)
	}
	return hl7v2.NewClient(conn, hl7v2.ClientOptions{AckTimeout: c.Wait}), nil
}

// print sends each message once and shows its acknowledgment.
func (c *sendCommand) print(ctx context.Context, messages [][]byte) error {
	client, err := c.dial()
	if err != nil {
		return err
	}
	defer client.Close()
	refused := 0
	for _, m := range messages {
		answer, err := client.Send(ctx, m)
		if err != nil {
			return err
		}
		fmt.Println(strings.ReplaceAll(strings.TrimRight(answer.Message.Print(), "\r"), "\r", "\n"))
		if !answer.Positive() {
			refused++
		}
	}
	if refused > 0 {
		return fmt.Errorf("%d of %d messages were not accepted", refused, len(messages))
	}
	return nil
}

// load sends N messages over C connections and prints the rate and the times to the acknowledgment.
func (c *sendCommand) load(ctx context.Context, messages [][]byte) error {
	var next atomic.Int64
	var mu sync.Mutex
	var times []time.Duration
	var errs []error
	start := time.Now()
	var all sync.WaitGroup
	for range max(c.C, 1) {
		all.Add(1)
		go func() {
			defer all.Done()
			mine, err := c.lane(ctx, messages, &next, start)
			mu.Lock()
			defer mu.Unlock()
			times = append(times, mine...)
			if err != nil {
				errs = append(errs, err)
			}
		}()
	}
	all.Wait()
	took := time.Since(start)
	slices.Sort(times)
	if n := len(times); n > 0 {
		fmt.Printf("%d messages accepted in %.2f s, %.0f/s; acknowledgment p50 %.2f ms, p99 %.2f ms, longest %.2f ms\n", n, took.Seconds(), float64(n)/took.Seconds(),
			ms(times[n/2]), ms(times[n*99/100]), ms(times[n-1]))
	}
	return errors.Join(errs...)
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

// lane is one connection of the load.
func (c *sendCommand) lane(ctx context.Context, messages [][]byte, next *atomic.Int64, start time.Time) ([]time.Duration, error) {
	client, err := c.dial()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var times []time.Duration
	for {
		i := int(next.Add(1)) - 1
		if i >= c.N || ctx.Err() != nil {
			return times, ctx.Err()
		}
		if c.Rate > 0 {
			if d := time.Until(start.Add(time.Duration(float64(i) / c.Rate * float64(time.Second)))); d > 0 {
				time.Sleep(d)
			}
		}
		m := vary(messages[i%len(messages)], i)
		sent := time.Now()
		answer, err := client.Send(ctx, m)
		if err != nil {
			return times, err
		}
		if !answer.Positive() {
			return times, fmt.Errorf("message %d was answered %s", i, answer.Code)
		}
		times = append(times, time.Since(sent))
	}
}

// vary gives message i numbers of its own: the control id (MSH-10), the patient
// (PID-3.1), the visit (PV1-19), the order and report numbers (ORC-2, ORC-3,
// OBR-2, OBR-3) and the specimen's (SPM-2) get a suffix; all other bytes stay.
// Each run of ten messages is about one patient.
func vary(message []byte, i int) []byte {
	if len(message) < 8 {
		return message
	}
	sep := string(message[3])
	segments := strings.SplitAfter(string(message), "\r")
	for k, s := range segments {
		switch {
		case strings.HasPrefix(s, "MSH"):
			segments[k] = suffixField(s, sep, 9, i)
		case strings.HasPrefix(s, "PID"):
			segments[k] = suffixField(s, sep, 3, i/10)
		case strings.HasPrefix(s, "ORC"), strings.HasPrefix(s, "OBR"):
			segments[k] = suffixField(suffixField(s, sep, 2, i), sep, 3, i)
		case strings.HasPrefix(s, "PV1"):
			segments[k] = suffixField(s, sep, 19, i/10)
		case strings.HasPrefix(s, "SPM"):
			segments[k] = suffixField(s, sep, 2, i)
		}
	}
	return []byte(strings.Join(segments, ""))
}

// suffixField appends -n to the number in a field (by position after
// splitting), where it has one: to the first component, or, of a pair of
// numbers as SPM-2 is, to each.
func suffixField(segment, sep string, field, n int) string {
	fields := strings.Split(strings.TrimRight(segment, "\r\n"), sep)
	if field >= len(fields) || fields[field] == "" {
		return segment
	}
	first, rest, more := strings.Cut(fields[field], "^")
	if first != "" {
		first = suffix(first, n)
	}
	if more {
		if strings.HasPrefix(segment, "SPM") {
			rest = suffix(rest, n)
		}
		first += "^" + rest
	}
	fields[field] = first
	return strings.Join(fields, sep) + segment[len(strings.TrimRight(segment, "\r\n")):]
}

// suffix appends -n to the number of an entity identifier, before its authority.
func suffix(id string, n int) string {
	number, authority, more := strings.Cut(id, "&")
	number = fmt.Sprintf("%s-%d", number, n)
	if more {
		number += "&" + authority
	}
	return number
}
