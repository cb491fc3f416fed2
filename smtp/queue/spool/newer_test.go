package spool

import (
	"errors"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// TestNewer: what a newer version has written is told from what is damaged.
func TestNewer(t *testing.T) {
	t.Parallel()
	e := &queue.Entry{ID: "x", Queued: time.Unix(1, 0).UTC(), To: []queue.Recipient{{Path: smtp.Path{Local: "a", Domain: "example.org"}}}}
	envelope, state := string(FormatEntry(e)), string(FormatState(queue.NewState(e)))
	whole := func(text string) string { return text[:len(text)-len("end\n")] }
	for _, c := range []struct {
		name, envelope, state string
		newer                 bool
	}{
		{"new key of the entry", whole(envelope) + "wish: x\nend\n", "", true},
		{"number of the envelope", "postrider-envelope 2\nwhatever\nend\n", "", true},
		{"new key of a recipient", "", whole(state) + "wish: x\nend\n", true},
		{"new key of the state", "", "postrider-state 1\nwish: x\n" + state[len("postrider-state 1\n"):], true},
		{"number of the state", "", "postrider-state 12\nend\n", true},
		{"torn", whole(envelope), whole(state), false},
		{"torn, of a higher number", "postrider-envelope 2\nwhate", "postrider-state 2\nwhate", false},
		{"another kind", "postrider-state 2\nend\n", "postrider-envelope 2\nend\n", false},
		{"no number", "postrider-envelope x\nend\n", "postrider-state \nend\n", false},
		{"a bad value", whole(envelope) + "priority: x\nend\n", whole(state) + "attempts: x\nend\n", false},
		{"a recipient's key before the first", "", "postrider-state 1\nattempts: 1\n" + state[len("postrider-state 1\n"):], false},
	} {
		if c.envelope != "" {
			if _, err := ParseEntry([]byte(c.envelope)); err == nil || errors.Is(err, ErrNewer) != c.newer {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		if c.state != "" {
			if _, err := ParseState([]byte(c.state)); err == nil || errors.Is(err, ErrNewer) != c.newer {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
}
