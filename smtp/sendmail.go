package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// SendError says which recipients a message was not sent to.
type SendError struct {
	// Results are those of Send, with the recipients as they were given.
	To      []string
	Results []RcptResult
}

// Error names each recipient that failed, and why.
func (e *SendError) Error() string {
	var failed []string
	for i, r := range e.Results {
		if r.Err != nil {
			failed = append(failed, e.To[i]+": "+strings.TrimPrefix(r.Err.Error(), "smtp: "))
		}
	}
	return fmt.Sprintf("smtp: %d of %d recipients failed: %s", len(failed), len(e.To), strings.Join(failed, "; "))
}

// Unwrap gives the errors of the recipients that failed.
func (e *SendError) Unwrap() []error {
	var errs []error
	for _, r := range e.Results {
		if r.Err != nil {
			errs = append(errs, r.Err)
		}
	}
	return errs
}

// SendMail connects to addr, sends one message and says goodbye. from and to
// are addresses without angle brackets, "" for from means the null sender.
// Recipients that the server refuses do not keep it from the others. Any
// failure is an error; *SendError if some recipients may have it.
//
// What a message needs (8BITMIME, SMTPUTF8) is found out if body is an
// io.ReadSeeker; it is sent as 8-bit otherwise.
func (d *Dialer) SendMail(ctx context.Context, addr, from string, to []string, body io.Reader) error {
	m, err := envelope(from, to)
	if err != nil {
		return err
	}
	m.Params.Body = Body8BitMIME
	if s, ok := body.(io.ReadSeeker); ok {
		if err := m.inspect(s); err != nil {
			return fmt.Errorf("smtp: reading the message: %w", err)
		}
	}
	lenient := *d
	lenient.Send8Bit = true
	c, err := lenient.Dial(ctx, addr)
	if err != nil {
		return err
	}
	defer c.Close()
	results, err := c.Send(ctx, m, body)
	if err == nil {
		c.Quit(ctx)
	}
	for _, r := range results {
		if r.Err != nil {
			return &SendError{To: to, Results: results}
		}
	}
	return err
}

// SendMail is Dialer.SendMail of the zero Dialer.
func SendMail(ctx context.Context, addr, from string, to []string, body io.Reader) error {
	return new(Dialer).SendMail(ctx, addr, from, to, body)
}

// envelope makes an Outgoing of addresses.
func envelope(from string, to []string) (*Outgoing, error) {
	if len(to) == 0 {
		return nil, errors.New("smtp: no recipients")
	}
	m := &Outgoing{To: make([]Recipient, len(to))}
	var err error
	if from != "" {
		if m.From, err = ParseMailbox(from, PathUTF8|PathLenient); err != nil {
			return nil, fmt.Errorf("smtp: sender %q: %w", from, err)
		}
	}
	for i, addr := range to {
		if m.To[i].Path, err = ParseMailbox(addr, PathUTF8|PathLenient|PathPostmaster); err != nil {
			return nil, fmt.Errorf("smtp: recipient %q: %w", addr, err)
		}
	}
	return m, nil
}

// inspect sets the parameters the message asks for, and rewinds it.
func (m *Outgoing) inspect(s io.ReadSeeker) error {
	start, err := s.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	found, err := inspect(s)
	if err != nil {
		return err
	}
	m.Params.Body, m.Params.SMTPUTF8, m.Params.Size = found.body(), found.utf8Header, found.size
	if m.Params.Body == BodyBinaryMIME {
		m.Params.Body = Body8BitMIME // bare CR and LF will be made line endings
	}
	_, err = s.Seek(start, io.SeekStart)
	return err
}
