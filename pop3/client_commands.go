package pop3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/postrider-mail/postrider/parsers/textual"
)

// Message is a line of a listing.
type Message struct {
	Number int   // 1 and up, for this session
	Size   int64 // in octets; from List and Size
	// UID is the same in every session; from UIDL and UID. It is what the server
	// says, and may be "../../x": it becomes the name of a file by SafeName only.
	UID string
}

// SafeName makes the name of a file of a message's UID: no path, nothing that
// the system or a shell takes for something else, the same name for the same UID
// and different ones for different UIDs, also where case does not matter. It
// begins with "uid", has at most 214 octets, and is "uid-" and the UID itself if
// that is made of lower-case letters, digits, "-" and "_".
func SafeName(uid string) string {
	if len(uid) > 70 { // more than RFC 1939 §7 allows
		sum := sha256.Sum256([]byte(uid))
		return "uid.sha256-" + hex.EncodeToString(sum[:])
	}
	b := []byte("uid-")
	for i := range len(uid) {
		switch c := uid[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
			b = append(b, c)
		default:
			b = append(b, '=')
			b = hex.AppendEncode(b, []byte{c})
		}
	}
	return string(b)
}

// Stat gives the number and the octets of the messages (RFC 1939 §5).
func (c *Client) Stat(ctx context.Context) (count int, octets int64, err error) {
	err = c.call(ctx, func() error {
		text, err := c.exchange("STAT", "STAT")
		if err != nil {
			return err
		}
		first, rest := textual.Command([]byte(text))
		second, _ := textual.Command(rest)
		n, ok1 := parseNumber(first)
		var ok2 bool
		octets, ok2 = parseNumber(second)
		if count = int(n); !ok1 || !ok2 || n > 1<<31-1 {
			return fmt.Errorf("%w: STAT: %q", ErrMalformed, text)
		}
		return nil
	})
	return count, octets, err
}

// List gives the size of every message.
func (c *Client) List(ctx context.Context) ([]Message, error) { return collect(ctx, c.ListEach) }

// ListEach is List for long lists: it gives each message to take as its line comes. An error of take is returned, and closes the Client.
// take must not ask the Client for anything.
func (c *Client) ListEach(ctx context.Context, take func(Message) error) error {
	return c.listing(ctx, "LIST", take, func(m *Message, value []byte) error {
		size, ok := parseNumber(value)
		if m.Size = size; !ok {
			return ErrMalformed
		}
		return nil
	})
}

// longUID is how long unique ids may be on the average of MaxMessages, in octets: RFC 1939 §7 has 70, and a line has room for
// thousands.
const longUID = 128

// UIDL gives the unique id of every message.
func (c *Client) UIDL(ctx context.Context) ([]Message, error) { return collect(ctx, c.UIDLEach) }

// UIDLEach is UIDL as ListEach is List.
func (c *Client) UIDLEach(ctx context.Context, take func(Message) error) error {
	octets := 0
	return c.listing(ctx, "UIDL", take, func(m *Message, value []byte) error {
		if octets += len(value); octets > c.maxMessages*longUID {
			return ErrTooMany
		}
		if m.UID = string(value); m.UID == "" {
			return ErrMalformed
		}
		return nil
	})
}

// Size gives the size of one message.
func (c *Client) Size(ctx context.Context, number int) (int64, error) {
	value, err := c.one(ctx, "LIST", number)
	if err != nil {
		return 0, err
	}
	n, ok := parseNumber([]byte(value))
	if !ok {
		return 0, c.fail(fmt.Errorf("%w: LIST: %q", ErrMalformed, value))
	}
	return n, nil
}

// UID gives the unique id of one message.
func (c *Client) UID(ctx context.Context, number int) (string, error) {
	return c.one(ctx, "UIDL", number)
}

// collect makes a slice of what each gives.
func collect(ctx context.Context, each func(context.Context, func(Message) error) error) (all []Message, err error) {
	err = each(ctx, func(m Message) error {
		all = append(all, m)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

func (c *Client) listing(ctx context.Context, verb string, take func(Message) error, fill func(m *Message, value []byte) error) error {
	return c.call(ctx, func() error {
		if _, err := c.exchange(verb, verb); err != nil {
			return err
		}
		return c.lines(c.maxMessages, func(line []byte) error {
			number, rest := textual.Command(line)
			value, _ := textual.Command(rest)
			n, ok := parseNumber(number)
			m := Message{Number: int(n)}
			err := ErrMalformed
			if ok && n >= 1 && n <= 1<<31-1 {
				err = fill(&m, value)
			}
			if err == ErrMalformed {
				return fmt.Errorf("%w: %s: %q", err, verb, line[:min(len(line), 80)])
			} else if err != nil {
				return err
			}
			return take(m)
		})
	})
}

// one asks about one message, and gives what follows its number.
func (c *Client) one(ctx context.Context, verb string, number int) (value string, err error) {
	if number < 1 {
		return "", ErrBadArgument
	}
	err = c.call(ctx, func() error {
		n := strconv.Itoa(number)
		text, err := c.exchange(verb, verb+" "+n)
		if err != nil {
			return err
		}
		words := strings.Fields(text)
		if len(words) < 2 || words[0] != n {
			return fmt.Errorf("%w: %s: %q", ErrMalformed, verb, text)
		}
		value = words[1]
		return nil
	})
	return value, err
}

// Dele marks a message; Quit removes it.
func (c *Client) Dele(ctx context.Context, number int) error {
	if number < 1 {
		return ErrBadArgument
	}
	_, err := c.command(ctx, "DELE", strconv.Itoa(number))
	return err
}

// Rset takes all marks away.
func (c *Client) Rset(ctx context.Context) error {
	_, err := c.command(ctx, "RSET")
	return err
}

// Noop does nothing, but it keeps the connection alive.
func (c *Client) Noop(ctx context.Context) error {
	_, err := c.command(ctx, "NOOP")
	return err
}

// UTF8 asks for messages with UTF-8 in their headers as they are (RFC 6856
// §2.1). It goes before the login.
func (c *Client) UTF8(ctx context.Context) error {
	_, err := c.command(ctx, "UTF8")
	return err
}

// Command sends a command line of the caller's own and returns the text behind
// +OK; -ERR is an *Error. It is for commands with one line of response that
// change nothing the Client keeps track of.
func (c *Client) Command(ctx context.Context, line string) (string, error) {
	verb, _, _ := strings.Cut(line, " ")
	var text string
	err := c.call(ctx, func() (err error) {
		text, err = c.exchange(verb, line)
		return err
	})
	return text, err
}
