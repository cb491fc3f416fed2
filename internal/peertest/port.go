package peertest

import (
	dice "math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

const (
	// Ports that are given. They are not of those that the system gives to connections (by default from 32768 on): another test's
	// could be there before the server is.
	firstPort, lastPort = 10000, 29999
	// blockSize is how many of them a program takes at a time. It listens at the first one of a block for as long as it lives, which
	// is how others, whoever runs them, know that the block is taken; the system ends that with the program.
	blockSize = 50
)

// own is the ports that this program may give.
var own struct {
	mu         sync.Mutex
	next, last int
	guards     []net.Listener // kept, so that nobody closes them
}

// FreePort is a port of the loopback interface that nobody listens at. No other test gets it, of this program or of another that
// runs beside it: both would find it free, and one of them be told that it is not.
func FreePort(t testing.TB) int {
	t.Helper()
	own.mu.Lock()
	defer own.mu.Unlock()
	for range 1000 {
		if own.next == own.last && !takeBlock() {
			continue
		}
		port := own.next
		own.next++
		if isFree(port) {
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// takeBlock takes some block that no program has, and reports whether it has got it. own.mu is held.
func takeBlock() bool {
	guard := firstPort + dice.IntN((lastPort-firstPort)/blockSize)*blockSize
	l, err := net.Listen("tcp", loopback(guard))
	if err != nil {
		return false
	}
	own.guards = append(own.guards, l)
	own.next, own.last = guard+1, guard+blockSize
	return true
}

// isFree reports whether nobody, of whatever kind, listens at a port.
func isFree(port int) bool {
	l, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return false
	}
	u, err := net.ListenPacket("udp", loopback(port))
	l.Close()
	if err == nil {
		u.Close()
	}
	return err == nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
