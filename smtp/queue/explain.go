package queue

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/smtp"
)

// Explanation says in words why an entry is still here.
type Explanation struct {
	View
	// Why is one sentence or more for each recipient that is not settled,
	// with the recipient's address in front.
	Why []string `json:"why"`
}

// Explain says why an entry is still in the queue: what was tried, what the
// other side said, and what comes next.
func (q *Queue) Explain(ctx context.Context, id string) (Explanation, error) {
	q.start()
	e, st, active, err := q.look(ctx, id)
	if err != nil {
		return Explanation{}, err
	}
	v := q.elsewhere(ctx, q.view(e, st, active))
	x := Explanation{View: v}
	now := time.Now()
	for i := range v.Recipients {
		r := &v.Recipients[i]
		if r.Status == Delivered {
			continue
		}
		words := []string{lastAttempt(r, now)}
		switch {
		case r.Status != Pending:
			words = []string{fmt.Sprintf("It is settled (%s), and %s.", r.Status, whoIsTold(e, st, i))}
		case v.Held && v.Cause != "":
			words = append(words, "It is held, as "+v.Cause+": nothing happens until it is released.")
		case v.Held:
			words = append(words, "It is held by an operator: nothing happens until it is released.")
		default:
			words = append(words, q.whatNext(&v, r, now)...)
		}
		x.Why = append(x.Why, r.Address+": "+strings.Join(words, " "))
	}
	return x, nil
}

// whoIsTold reports whether the sender has heard of a recipient whose mail failed.
func whoIsTold(e *Entry, st *State, i int) string {
	switch done := st.To[i].Reported; {
	case !e.To[i].Params.Notify.Wants(smtp.NotifyFailure):
		return "its sender did not want to hear of it"
	case e.From.IsNull() && done:
		return "as it has no sender, it was put aside for the postmaster"
	case e.From.IsNull():
		return "as it has no sender, it is still to be put aside for the postmaster"
	case !done:
		return "the sender has not been told yet"
	case !e.proven():
		return "a report to its sender was made, unless there had been too many to that address"
	}
	return "the sender has been told"
}

// lastAttempt is what was tried, in words.
func lastAttempt(r *RecipientView, now time.Time) string {
	if r.Last.IsZero() {
		if r.Attempts > 0 {
			return "The first attempt is under way, or was cut off."
		}
		return "No attempt was made yet."
	}
	s := fmt.Sprintf("%s so far, the last %s ago", count(r.Attempts, "attempt"), round(now.Sub(r.Last)))
	switch {
	case r.Code != 0 && r.Host != "":
		s += fmt.Sprintf(": %s answered %d %s", r.Host, r.Code, withEnhanced(r))
	case r.Code != 0:
		s += fmt.Sprintf(": the answer was %d %s", r.Code, withEnhanced(r))
	default:
		s += ": " + oneLine(r.Text)
	}
	if r.TLS != "" {
		s += " (" + r.TLS + ")"
	}
	return strings.TrimSuffix(s, ".") + "."
}

func withEnhanced(r *RecipientView) string {
	return strings.TrimSpace(r.Enhanced + " " + oneLine(r.Text))
}

// whatNext is what is going to happen, in words.
func (q *Queue) whatNext(v *View, r *RecipientView, now time.Time) []string {
	var words []string
	q.mu.Lock()
	d := q.dests.by[r.Destination]
	var line int
	var down time.Time
	if d != nil {
		jobs, parked := d.waiting()
		line = jobs + parked
		if d.fails > 0 {
			down = d.down
		}
	}
	q.mu.Unlock()
	if now.Before(down) {
		words = append(words, fmt.Sprintf("%s was found unreachable and is left alone for %s.", r.Destination, round(down.Sub(now))))
	}
	if v.HoldUntil.After(now) {
		words = append(words, fmt.Sprintf("Its sender wants it held until %s.", v.HoldUntil.Format(time.RFC3339)))
	}
	switch {
	case v.Node != "":
		words = append(words, v.Node+" has it, to deliver it.")
	case v.Active:
		words = append(words, fmt.Sprintf("It is being delivered or waits in line; %s for %s.", count(line, "message is waiting", "messages are waiting"), r.Destination))
	case r.Next.After(now):
		words = append(words, fmt.Sprintf("The next attempt is due in %s, at %s.", round(r.Next.Sub(now)), r.Next.Format(time.RFC3339)))
	default:
		words = append(words, "It is due now.")
	}
	if r.GiveUp.After(now) {
		words = append(words, fmt.Sprintf("It is given up in %s.", round(r.GiveUp.Sub(now))))
	}
	return words
}

// count is n with its noun.
func count(n int, forms ...string) string {
	one, many := forms[0], forms[0]+"s"
	if len(forms) > 1 {
		many = forms[1]
	}
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// round is a duration in two units at most: "4d3h", "25m10s".
func round(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return d.Round(time.Second).String()
}
