package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
)

// lineEvery is how often the progress is told where it is not a terminal.
const lineEvery = 10 * time.Second

// meter shows how far long work is: a bar with rate and time left on a
// terminal, else a line now and then. For one goroutine.
type meter struct {
	out      io.Writer
	terminal bool
	now      func() time.Time

	note  string // shown beside the bar
	phase string
	unit  string
	bar   *progressbar.ProgressBar
	first int64 // done when the phase began here
	begun time.Time
	told  time.Time
}

func newMeter(out *os.File) *meter {
	info, err := out.Stat()
	return &meter{out: out, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0, now: time.Now}
}

// set shows done of total in a phase; total 0 is not known. Rates are of what is done since the phase began here.
func (m *meter) set(phase, unit string, done, total int64) {
	now := m.now()
	if phase != m.phase {
		m.end()
		m.phase, m.unit, m.first, m.begun, m.told = phase, unit, done, now, now
		if m.terminal {
			m.bar = progressbar.NewOptions64(max(total, done, 1), progressbar.OptionSetWriter(m.out), progressbar.OptionSetDescription(phase), progressbar.OptionShowCount(),
				progressbar.OptionSetPredictTime(true), progressbar.OptionShowIts(), progressbar.OptionSetItsString(unit), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetWidth(30))
		}
	}
	if m.bar != nil {
		m.bar.Describe(m.phase + " " + m.note)
		m.bar.ChangeMax64(max(total, done, 1))
		_ = m.bar.Set64(done) // a terminal that is gone is no reason to stop
		return
	}
	if now.Sub(m.told) >= lineEvery {
		m.told = now
		fmt.Fprintln(m.out, m.line(done, total))
	}
}

// line is the progress in words: "import: 12000 of 50000 resources, 5300/s, 7s left".
func (m *meter) line(done, total int64) string {
	s := fmt.Sprintf("%s: %d %s", m.phase, done, m.unit)
	if total > 0 {
		s = fmt.Sprintf("%s: %d of %d %s", m.phase, done, total, m.unit)
	}
	if m.note != "" {
		s += ", " + m.note
	}
	rate := float64(done-m.first) / max(m.now().Sub(m.begun).Seconds(), 0.001)
	s += fmt.Sprintf(", %.0f/s", rate)
	if total > done && rate > 0 {
		s += fmt.Sprintf(", %s left", (time.Duration(float64(total-done)/rate) * time.Second).Round(time.Second))
	}
	return s
}

// end leaves the bar as it is.
func (m *meter) end() {
	if m.bar != nil {
		fmt.Fprintln(m.out)
		m.bar = nil
	}
	m.phase = ""
}
