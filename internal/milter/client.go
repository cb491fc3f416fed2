package milter

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// What a milter may ask for when a connection begins: that a step is left out, or that it need not answer it.
const (
	noConnect, noHelo, noMail, noRcpt, noBody, noHeader, noEnd, noData = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5, 1 << 6, 1 << 9

	quietHeader, quietConnect, quietHelo, quietMail, quietRcpt, quietData, quietEnd, quietBody = 1 << 7, 1 << 12, 1 << 13, 1 << 14, 1 << 15, 1 << 16, 1 << 18, 1 << 19

	noUnknown, quietUnknown = 1 << 8, 1 << 17 // commands that there are not, which it is never told of
	maySkip                 = 1 << 10         // it may say that it knows enough of recipients, fields or the body
	leadingSpace            = 1 << 20         // values of fields begin behind the colon, not behind its blank

	offered = noConnect | noHelo | noMail | noRcpt | noBody | noHeader | noEnd | noData | quietHeader | quietConnect | quietHelo | quietMail | quietRcpt |
		quietData | quietEnd | quietBody | noUnknown | quietUnknown | maySkip | leadingSpace

	// actions are all that there are. A milter that needs one which is not offered does not work at all; so it is offered them, and
	// who asks for what is not done hears nothing of it, as the protocol has no answer to that.
	actions = 0x1ff

	newest, oldest = 6, 2
)

// A step is one thing that a milter is told.
type step struct {
	command        byte
	without, quiet uint32
	since          uint32 // the version
}

func (c *Client) step(command byte) step {
	switch command {
	case 'C':
		return step{command, noConnect, quietConnect, oldest}
	case 'H':
		return step{command, noHelo, quietHelo, oldest}
	case 'M':
		return step{command, noMail, quietMail, oldest}
	case 'R':
		return step{command, noRcpt, quietRcpt, oldest}
	case 'T':
		return step{command, noData, quietData, 4}
	case 'L':
		return step{command, noHeader, quietHeader, oldest}
	case 'N':
		return step{command, noEnd, quietEnd, oldest}
	case 'B':
		return step{command, noBody, quietBody, oldest}
	}
	return step{command: command} // the end of the message, which is always told
}

// Client is a connection to a milter for one message. Its methods are called in the order in which they stand here, by one
// goroutine at a time. After an error it is of no more use than to be closed.
type Client struct {
	wire
	forget  func() bool // the context it was dialled with
	version uint32
	wants   uint32 // of what may be asked for
	skip    byte   // the step of which it wants no more
	over    bool   // it has accepted the message, whatever may follow
}

// Patience is how many times Wait a milter may take for all of a message.
const Patience = 2

// Dial connects to a milter. network is "unix" or "tcp"; wait is how long one answer may take, and the connection.
// When ctx ends, the connection does.
func Dial(ctx context.Context, network, address string, wait time.Duration) (*Client, error) {
	d := net.Dialer{Timeout: wait}
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, explain(network, address, err)
	}
	c := &Client{wire: wire{conn: conn, r: bufio.NewReaderSize(conn, 512), wait: wait, left: Patience * wait}}
	c.forget = context.AfterFunc(ctx, func() { conn.Close() })
	if err := c.negotiate(); err != nil {
		c.forget()
		conn.Close()
		return nil, err
	}
	return c, nil
}

// negotiate tells what there is, and hears what the milter wants of it.
func (c *Client) negotiate() error {
	return c.within(func() error {
		var offer []byte
		for _, n := range []uint32{newest, actions, offered} {
			offer = binary.BigEndian.AppendUint32(offer, n)
		}
		if err := c.send('O', offer); err != nil {
			return err
		}
		code, size, err := c.head()
		if err != nil {
			return err
		}
		data, err := c.data(code, size)
		switch {
		case err != nil:
			return err
		case code != 'O' || len(data) < 12:
			return fmt.Errorf("%w: %q where the protocol begins", ErrGarbage, code)
		}
		c.version, c.wants = binary.BigEndian.Uint32(data), binary.BigEndian.Uint32(data[8:])
		switch {
		case c.version < oldest || c.version > newest:
			return fmt.Errorf("%w: it speaks version %d of the protocol", ErrGarbage, c.version)
		case c.wants&^offered != 0:
			return fmt.Errorf("%w: it wants what was not offered (%#x)", ErrGarbage, c.wants&^offered)
		}
		return nil // the macros that it asks for follow; it gets those that there are
	})
}

// Macros are facts by the names that sendmail has for them, such as "i" for the message's id, each name with its value behind it.
type Macros []string

// Connect tells who has connected. name is what the address is called, or empty. An address that is none is a program of this host.
func (c *Client) Connect(name string, client netip.AddrPort, m Macros) (Answer, error) {
	if name == "" {
		name = "[" + client.Addr().Unmap().String() + "]"
	}
	data := text(nil, name)
	switch a := client.Addr().Unmap(); {
	case a.Is4():
		data = append(data, '4')
	case a.Is6():
		data = append(data, '6')
	default:
		return c.tell('C', append(text(nil, "localhost"), 'U'), m)
	}
	data = binary.BigEndian.AppendUint16(data, client.Port())
	return c.tell('C', text(data, client.Addr().Unmap().WithZone("").String()), m)
}

// Helo tells what the client calls itself.
func (c *Client) Helo(name string, m Macros) (Answer, error) { return c.tell('H', text(nil, name), m) }

// Mail tells who sends, without brackets.
func (c *Client) Mail(from string, m Macros) (Answer, error) { return c.tell('M', path(from), m) }

// Rcpt tells of one recipient, without brackets. A refusal is about that one alone.
func (c *Client) Rcpt(to string, m Macros) (Answer, error) { return c.tell('R', path(to), m) }

// Data tells that the message begins.
func (c *Client) Data() (Answer, error) { return c.tell('T', nil, nil) }

// Header tells of one field. body is what stands behind the colon, without the line's end; lines within end in LF, as libmilter's
// programs know them.
func (c *Client) Header(name, body string) (Answer, error) {
	if c.wants&leadingSpace == 0 && body != "" && (body[0] == ' ' || body[0] == '\t') {
		body = body[1:]
	}
	return c.tell('L', text(text(nil, name), strings.ReplaceAll(body, "\r\n", "\n")), nil)
}

// EndHeader tells that there are no more fields.
func (c *Client) EndHeader() (Answer, error) { return c.tell('N', nil, nil) }

// Body tells of a piece of the body, octet for octet.
func (c *Client) Body(p []byte) (a Answer, err error) {
	for err == nil && a.Verdict == Continue && len(p) > 0 {
		n := min(len(p), mostChunk)
		a, err = c.tell('B', p[:n], nil)
		p = p[n:]
	}
	return a, err
}

// End tells that the message is there, and hears what the milter wants to have changed, and what becomes of the message.
func (c *Client) End(m Macros, change func(Change)) (a Answer, err error) {
	if c.over {
		return a, nil
	}
	err = c.within(func() error {
		if err := c.macros('E', m); err != nil {
			return err
		}
		if err := c.send('E', nil); err != nil {
			return err
		}
		a, err = c.answer('E', change)
		return err
	})
	return a, err
}

// Close takes leave of the milter and ends the connection.
func (c *Client) Close() error {
	c.forget()
	c.conn.SetDeadline(time.Now().Add(goodbye))
	c.send('Q', nil)
	return c.conn.Close()
}

// goodbye is how long a connection's end may take: five octets always fit, unless the other side has stopped reading.
const goodbye = 100 * time.Millisecond

// Accepted reports whether the milter has accepted the message before its end, so that it is told no more of it.
func (c *Client) Accepted() bool { return c.over }

// Took is how long the milter has had the message wait so far, in all.
func (c *Client) Took() time.Duration { return Patience*c.wait - c.left }

// tell takes one step, unless the milter has no use for it.
func (c *Client) tell(command byte, data []byte, m Macros) (a Answer, err error) {
	s := c.step(command)
	if c.over || c.wants&s.without != 0 || c.version < s.since || c.skip == command {
		return Answer{}, nil
	}
	err = c.within(func() error {
		if err := c.macros(command, m); err != nil {
			return err
		}
		if err := c.send(command, data); err != nil || c.wants&s.quiet != 0 {
			return err
		}
		a, err = c.answer(command, nil)
		return err
	})
	return a, err
}

// macros goes before the step that it is for.
func (c *Client) macros(command byte, m Macros) error {
	if len(m) == 0 {
		return nil
	}
	data := []byte{command}
	for _, s := range m {
		data = text(data, s)
	}
	return c.send('D', data)
}

// text appends a string as the protocol has it. A NUL within would end it, and begin another one.
func text(data []byte, s string) []byte {
	return append(append(data, strings.ReplaceAll(s, "\x00", "?")...), 0)
}

func path(address string) []byte { return text(nil, "<"+address+">") }
