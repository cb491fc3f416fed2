package storetest

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing/iotest"

	"github.com/postrider-mail/postrider/mailstore"
)

const plainMsg = "Subject: x\r\n\r\nhello\r\n"

// Messages whose octets a store is tempted to change.
var samples = []string{
	plainMsg,
	"",
	"\r\n",
	"no line end",
	"ends in CR\r",
	"a\r\nends in CR\r",
	"\r",
	"\n",
	"bare\nLF\n",
	"bare\rCR\r\n",
	"CR CR LF\r\r\n",
	"\r\r\n",
	"\r\r\r\n\r\n",
	"a\r\n\nb\r\n",
	"first line fine\r\nthen bare\nthen fine\r\n",
	".\r\n..\r\n.dots\r\n",
	"From here\r\n>From there\r\n",
	"trailing space \r\n\t\r\n",
	"\x00\x01\xff\xfe\r\n\x1a\r\n",
	"long " + strings.Repeat("x", 5000) + "\r\n",
	strings.Repeat("line\r\n", 20000),
	strings.Repeat("line\r\n", 20000) + "and now\nbare\r\n",
	strings.Repeat("\r", 70000),
	strings.Repeat("\n", 70000),
	strings.Repeat("\r\n", 70000) + "\r",
}

func octets(s *suite) {
	for _, exact := range []bool{false, true} {
		for _, msg := range samples {
			s.deliverMeta(mailstore.Meta{Exact: exact}, msg, alice)
		}
	}
	s.want(alice, append(slices.Clone(samples), samples...)...)
	s.reopen()
	s.want(alice, append(slices.Clone(samples), samples...)...)
}

// octetsInPieces writes and reads in pieces of every awkward size.
func octetsInPieces(s *suite) {
	var want []string
	for _, msg := range samples {
		if len(msg) > 1000 {
			continue
		}
		for _, n := range []int{1, 2, 3, 7} {
			d, err := s.store.Create(s.ctx, mailstore.Meta{}, bob)
			if err != nil {
				s.Fatal(err)
			}
			for p := []byte(msg); len(p) > 0; {
				piece := p[:min(n, len(p))]
				if _, err := d.Write(piece); err != nil {
					s.Fatal(err)
				}
				p = p[len(piece):]
			}
			if err := d.Commit(s.ctx, nil); err != nil {
				s.Fatal(err)
			}
			want = append(want, msg)
		}
	}
	s.want(bob, want...)
	m := s.drop(bob)
	for i := range m.Len() {
		r, err := m.Open(s.ctx, i)
		if err != nil {
			s.Fatal(err)
		}
		b, err := io.ReadAll(iotest.OneByteReader(r))
		r.Close()
		if err != nil || !slices.Contains(want, string(b)) {
			s.Errorf("read octet by octet: %q, %v", b, err)
		}
	}
}

// large checks a message of many buffers, with line ends on every border.
func large(s *suite) {
	d, err := s.store.Create(s.ctx, mailstore.Meta{}, alice)
	if err != nil {
		s.Fatal(err)
	}
	var sent bytes.Buffer
	for i := range 40000 {
		line := fmt.Sprintf("%d %s\r\n", i, strings.Repeat("y", i%101))
		sent.WriteString(line)
		if _, err := io.WriteString(d, line); err != nil {
			s.Fatal(err)
		}
	}
	if err := d.Commit(s.ctx, nil); err != nil {
		s.Fatal(err)
	}
	s.want(alice, sent.String())
}

func recipients(s *suite) {
	s.deliver(plainMsg, alice, bob, carol, alice)
	for _, u := range []string{alice, bob, carol} {
		s.want(u, plainMsg)
	}
	// The copies are independent.
	m := s.drop(bob)
	if err := m.Remove(s.ctx, []int{0}); err != nil {
		s.Fatal(err)
	}
	m.Close()
	s.want(bob)
	s.want(alice, plainMsg)
	s.want(carol, plainMsg)
}

func nothingBeforeCommit(s *suite) {
	d, err := s.store.Create(s.ctx, mailstore.Meta{}, alice, bob)
	if err != nil {
		s.Fatal(err)
	}
	if _, err := io.WriteString(d, strings.Repeat("x\r\n", 100000)); err != nil {
		s.Fatal(err)
	}
	s.want(alice)
	if err := d.Abort(); err != nil {
		s.Errorf("Abort: %v", err)
	}
	if err := d.Abort(); err != nil {
		s.Errorf("second Abort: %v", err)
	}
	if err := d.Commit(s.ctx, nil); err == nil {
		s.Error("Commit after Abort succeeded")
	}
	s.want(alice)
	s.want(bob)
	// One that is never finished leaves nothing behind either.
	if d, err = s.store.Create(s.ctx, mailstore.Meta{}, alice); err != nil {
		s.Fatal(err)
	}
	if _, err := io.WriteString(d, strings.Repeat("x\r\n", 100000)); err != nil {
		s.Fatal(err)
	}
	s.reopen()
	s.want(alice)
}
