package queue

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/smtp"
)

// TestExplainTold: of a recipient that failed, an operator reads whether its sender
// has heard of it, and who hears where that is nobody.
func TestExplainTold(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(f *fixture, e *Entry)
		want   string
	}{
		{"told", func(*fixture, *Entry) {}, "the sender has been told"},
		{"never", func(_ *fixture, e *Entry) { e.To[0].Params.Notify = smtp.NotifyNever }, "did not want to hear of it"},
		{"success only", func(_ *fixture, e *Entry) { e.To[0].Params.Notify = smtp.NotifySuccess }, "did not want to hear of it"},
		{"not yet", func(f *fixture, _ *Entry) { f.notes.err = errors.New("full") }, "has not been told yet"},
		{"no sender", func(_ *fixture, e *Entry) { e.From = smtp.Path{} }, "was put aside for the postmaster"},
		{"no sender yet", func(f *fixture, e *Entry) { e.From, f.lost.err = smtp.Path{}, errors.New("full") }, "still to be put aside"},
		{"stranger", func(_ *fixture, e *Entry) { e.Class = Stranger }, "unless there had been too many"},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture()
			f.world.answer = func(_ *Delivery, r Recipient) Result {
				if r.Path.Local == "no" {
					return never5
				}
				return grey
			}
			f.run(t)
			defer f.stop(t)
			e := entry("a", "no@example.net", "later@example.net")
			c.change(f, e)
			f.submit(t, e)
			synctest.Wait()
			x, err := f.Explain(t.Context(), "a")
			if err != nil || len(x.Why) != 2 || !strings.HasPrefix(x.Why[0], "no@example.net: It is settled (failed), and ") || !strings.Contains(x.Why[0], c.want) {
				t.Errorf("%s: %v, %v", c.name, fmt.Sprintf("%q", x.Why), err)
			}
		})
	}
}

// TestExplainCountsTheLine: who waits for a place in line is in line.
func TestExplainCountsTheLine(t *testing.T) {
	for parked, want := range map[int]string{0: "; 1 message is waiting for net.example.", 2: "; 3 messages are waiting for net.example."} {
		f := newFixture()
		d := &destination{}
		d.lanes[Ordinary].jobs, d.lanes[Ordinary].parked = []*job{{}}, make([]*item, parked)
		f.dests.by = map[string]*destination{"net.example": d}
		words := f.whatNext(&View{Active: true}, &RecipientView{Destination: "net.example"}, time.Now())
		if len(words) != 1 || !strings.HasSuffix(words[0], want) {
			t.Errorf("%d without a place: %q", parked, words)
		}
	}
}
