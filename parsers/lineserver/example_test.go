package lineserver_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// A server that answers each line with the same in capitals, to two clients from
// one address at most, and that can be stopped without cutting anybody off.
func Example() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	g := &lineserver.Group{MaxPerBlock: 2}
	stopped := make(chan error)
	go func() { stopped <- g.Serve(l, shout) }()

	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	r := bufio.NewReader(client)
	io.WriteString(client, "hello\n")
	line, _ := r.ReadString('\n')
	fmt.Print(line)

	fmt.Println(g.Shutdown(context.Background()), <-stopped == lineserver.ErrClosed)
	line, _ = r.ReadString('\n')
	fmt.Print(line)
	// Output:
	// HELLO
	// <nil> true
	// goodbye
}

func shout(c *lineserver.Conn) {
	if c.Refused != lineserver.Welcome {
		io.WriteString(c, "another time\n")
		return
	}
	r := bufio.NewReader(c)
	for {
		c.AwaitUntil(time.Now().Add(5 * time.Minute)) // Shutdown ends this wait
		line, err := r.ReadString('\n')
		if err != nil {
			if c.Stopping() {
				io.WriteString(c, "goodbye\n")
			}
			return
		}
		c.BusyUntil(time.Time{}) // and not this work
		io.WriteString(c, strings.ToUpper(line))
	}
}
