package lineserver_test

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// roomy is a session of one octet that says what the client is.
func roomy(c *lineserver.Conn) {
	if c.Refused != lineserver.Welcome {
		io.WriteString(c, "full")
		return
	}
	kind := make([]byte, 1)
	c.AwaitUntil(time.Time{})
	io.ReadFull(c, kind)
	switch kind[0] {
	case 'u':
		c.Keep()
	case 'b':
		c.BusyUntil(time.Time{})
		io.ReadAll(c)
		return
	}
	c.AwaitUntil(time.Time{})
	c.Read(kind)
	if c.Displaced() {
		io.WriteString(c, "room")
	}
}

type room struct {
	t *testing.T
	g lineserver.Group
	l *pipeListener
}

func inRoom(t *testing.T, test func(r *room)) {
	synctest.Test(t, func(t *testing.T) {
		r := &room{t: t, g: lineserver.Group{MaxConns: 2, Patience: 10 * time.Second}, l: newPipeListener()}
		go r.g.Serve(r.l, roomy)
		test(r)
		r.g.Close()
	})
}

func (r *room) enter(kind string) net.Conn {
	r.t.Helper()
	c := r.l.dial(r.t)
	synctest.Wait()
	go io.WriteString(c, kind)
	synctest.Wait()
	return c
}

func (r *room) hears(c net.Conn, want string) {
	r.t.Helper()
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	got, _ := io.ReadAll(c)
	if string(got) != want {
		r.t.Errorf("the client heard %q, want %q", got, want)
	}
}

// TestMakeRoom: when all places are taken by strangers who have been here for
// a while, the first of them makes room for who comes.
func TestMakeRoom(t *testing.T) {
	inRoom(t, func(r *room) {
		first, second := r.enter("s"), r.enter("s")
		time.Sleep(5 * time.Second)
		r.hears(r.enter("s"), "full")
		time.Sleep(5 * time.Second)
		third := r.enter("s")
		r.hears(first, "room")
		r.hears(second, "")
		r.hears(third, "")
	})
}

// TestKept: who has logged in stays, whoever comes.
func TestKept(t *testing.T) {
	inRoom(t, func(r *room) {
		user := r.enter("u")
		stranger := r.enter("s")
		time.Sleep(time.Minute)
		r.enter("u")
		r.hears(stranger, "room")
		time.Sleep(time.Minute)
		r.hears(r.enter("s"), "full")
		r.hears(user, "")
	})
}

// TestBusyLast: a message in progress is cut off only when nobody waits, and
// only after long.
func TestBusyLast(t *testing.T) {
	inRoom(t, func(r *room) {
		r.enter("b")
		waiting := r.enter("s")
		time.Sleep(time.Minute)
		busy := r.enter("b")
		r.hears(waiting, "room")
		time.Sleep(time.Minute)
		r.hears(r.enter("s"), "full")
		time.Sleep(4 * time.Minute)
		r.hears(r.enter("s"), "")
		time.Sleep(10 * time.Second)
		if n := r.g.Len(); n != 2 {
			t.Errorf("%d connections, want 2", n)
		}
		r.hears(busy, "")
	})
}

// TestDeaf: a client that does not even read why it should go is closed.
func TestDeaf(t *testing.T) {
	inRoom(t, func(r *room) {
		deaf := r.enter("s")
		r.enter("u")
		time.Sleep(10 * time.Second)
		r.enter("s")
		time.Sleep(time.Minute)
		if _, err := deaf.Write([]byte("x")); err == nil {
			t.Error("the connection that had to make room is open")
		}
		if n := r.g.Len(); n != 2 {
			t.Errorf("%d connections, want 2", n)
		}
	})
}

// TestNoPatience: without Patience nobody makes room.
func TestNoPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &room{t: t, g: lineserver.Group{MaxConns: 1}, l: newPipeListener()}
		go r.g.Serve(r.l, roomy)
		r.enter("s")
		time.Sleep(time.Hour)
		r.hears(r.enter("s"), "full")
		r.g.Shutdown(context.Background())
	})
}
