package zone

import (
	"io"
	"net"
	"testing"
)

// cut is a way to a server that breaks after so many octets; 0 means never.
type cut struct{ toServer, toClient int64 }

// listen opens the way and returns where it begins.
func (c cut) listen(t *testing.T, server string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go c.carry(client, server)
		}
	}()
	return l.Addr().String()
}

func (c cut) carry(client net.Conn, server string) {
	far, err := net.Dial("tcp", server)
	if err != nil {
		client.Close()
		return
	}
	limit := func(r io.Reader, n int64) io.Reader {
		if n > 0 {
			return io.LimitReader(r, n)
		}
		return r
	}
	done := make(chan struct{}, 2)
	go func() { io.Copy(far, limit(client, c.toServer)); done <- struct{}{} }()
	go func() { io.Copy(client, limit(far, c.toClient)); done <- struct{}{} }()
	<-done
	client.Close()
	far.Close()
}
