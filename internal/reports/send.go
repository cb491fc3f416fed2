package reports

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// maxPackedOut is how large a report may be, in octets: who gets it may take no more.
const maxPackedOut = 10 << 20

// send sends the report of a domain's day to wherever it wants it, has agreed to have it,
// and has not had it yet. A mailbox that sent one back has a rest.
func (s *Sender) send(ctx context.Context, day time.Time, domain string, c *counted) error {
	if len(c.Rows) == 0 {
		return nil
	}
	to, err := s.permitted(ctx, domain, c.Wanted)
	errs := []error{err}
	if len(to) == 0 {
		return err
	}
	l, err := s.compose(day, domain, c)
	if err != nil {
		return err
	}
	if len(l.packed) > maxPackedOut {
		s.log().Warn("a report is too large to be sent", "domain", domain, "octets", len(l.packed))
		return nil
	}
	for _, d := range to {
		if slices.Contains(c.Done, d.Address) || strings.ContainsFunc(d.Address, unsafe) || s.rests.resting(d.Address, time.Now()) {
			continue
		}
		message := l.message(d.Address, s.rests.messageID(day, domain, d.Address, s.Hostname()))
		if d.MaxSize > 0 && int64(len(message)) > d.MaxSize {
			continue
		}
		if err := s.Send(ctx, d.Address, message); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", d.Address, err))
			continue
		}
		c.Done = append(c.Done, d.Address)
	}
	return errors.Join(errs...)
}

func (s *Sender) log() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.Default()
}

func (s *Sender) permitted(ctx context.Context, domain string, wanted []Destination) ([]Destination, error) {
	if s.Permitted != nil {
		return s.Permitted(ctx, domain, wanted)
	}
	return slices.DeleteFunc(slices.Clone(wanted), func(d Destination) bool {
		return !domains.Within(d.Address[strings.LastIndexByte(d.Address, '@')+1:], domain)
	}), nil
}

// unsafe is what may not stand in an address between < and >.
func unsafe(c rune) bool { return unicode.IsControl(c) || c == '<' || c == '>' }
