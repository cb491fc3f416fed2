package peertest

import (
	"net/textproto"
	"testing"
)

// TestServers: each starts, greets, and is gone when the test is over.
func TestServers(t *testing.T) {
	cert := NewAuthority(t).Issue(t, "127.0.0.1")
	for name, start := range Servers() {
		t.Run(name, func(t *testing.T) {
			m := start(t, Options{Cert: cert})
			c, err := textproto.Dial("tcp", m.Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, greeting, err := c.ReadResponse(220); err != nil {
				t.Error(err)
			} else {
				t.Log(greeting)
			}
			c.PrintfLine("EHLO me.test")
			_, ehlo, err := c.ReadResponse(250)
			if err != nil {
				t.Error(err)
			}
			t.Log(ehlo)
		})
	}
}
