package milter

import (
	"bufio"
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
)

// script is a connection whose other side says what was written down before.
type script struct {
	net.Conn
	r *bytes.Reader
}

func (s script) Read(p []byte) (int, error) { return s.r.Read(p) }
func (script) Write(p []byte) (int, error)  { return len(p), nil }
func (script) SetDeadline(time.Time) error  { return nil }
func (script) Close() error                 { return nil }

// FuzzAnswer: whatever a milter says, it ends, and what is believed of it keeps the rules.
func FuzzAnswer(f *testing.F) {
	p := mailtest.MilterPacket
	for _, seed := range [][]byte{p('c', ""), p('y', "550-5.7.1 a\r\n550 5.7.1 b\x00"), append(p('h', "X-A\x00b\x00"), p('a', "")...), append(p('i', "\x00\x00\x00\x01A\x00b\x00"), p('r', "")...),
		append(p('b', "x"), p('t', "")...), append(p('q', "x\x00"), p('d', "")...), {0, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff, 'b'}} {
		f.Add(uint32(0), seed)
	}
	f.Fuzz(func(t *testing.T, wants uint32, said []byte) {
		c := &Client{wire: wire{conn: script{r: bytes.NewReader(said)}, wait: time.Minute, left: time.Hour}, version: newest, wants: wants & offered, forget: func() bool { return true }}
		c.r = bufio.NewReader(c.conn)
		for _, command := range order {
			a, err := steps(c)[byte(command)]()
			if err != nil {
				return
			}
			if refuses := a.Verdict == Refuse; refuses != (a.Code >= 400 && a.Code <= 599) || a.Enhanced != "" && !isEnhanced(a.Enhanced, a.Code) || bytes.ContainsAny([]byte(a.Text), "\r\x00") {
				t.Fatalf("%+v", a)
			}
		}
	})
}
