package mailtest

import (
	"fmt"
	"io"
	"net"
	"net/textproto"
	"testing"
	"time"
)

// Talk says lines, each after the answer to the one before, and returns the answers' codes with their texts.
func Talk(t testing.TB, addr string, lines ...string) (answers []string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	c := textproto.NewConn(conn)
	for _, l := range append([]string{""}, lines...) {
		if l != "" {
			if _, err := io.WriteString(conn, l+"\r\n"); err != nil {
				return append(answers, "gone")
			}
		}
		code, text, err := c.ReadResponse(0)
		if code == 0 && err != nil {
			return append(answers, "gone")
		}
		answers = append(answers, fmt.Sprint(code, " ", text))
	}
	return answers
}
