package mailtest

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
)

// Milter is a milter that does what a test wants, right or wrong. Its methods may be called concurrently.
type Milter struct {
	Network, Address string // where it listens
	t                testing.TB
	listener         net.Listener
	answer           func(command byte, data string) []byte

	mu    sync.Mutex
	seen  []string
	conns map[net.Conn]bool
	begun int
}

// NewMilter starts one at a Unix socket, until the test ends. answer returns what is written for a packet, macros aside: packets of
// MilterPacket, or other octets; nil: nothing is. Where it is Hangup, the connection ends.
func NewMilter(t testing.TB, answer func(command byte, data string) []byte) *Milter {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	m := &Milter{Network: "unix", Address: path, t: t, listener: l, answer: answer, conns: make(map[net.Conn]bool)}
	t.Cleanup(m.Close)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			m.mu.Lock()
			m.conns[conn] = true
			m.begun++
			m.mu.Unlock()
			go m.serve(conn)
		}
	}()
	return m
}

// Close ends it, and all of its connections.
func (m *Milter) Close() {
	m.listener.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	for conn := range m.conns {
		conn.Close()
	}
}

// Hangup, as an answer, ends the connection.
var Hangup = []byte("hang up")

func (m *Milter) serve(conn net.Conn) {
	defer func() {
		conn.Close()
		m.mu.Lock()
		delete(m.conns, conn)
		m.mu.Unlock()
	}()
	r := bufio.NewReader(conn)
	for {
		var head [5]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return
		}
		size := int(binary.BigEndian.Uint32(head[:4])) - 1
		data := make([]byte, min(size, mostSeen))
		if _, err := io.ReadFull(r, data); err != nil {
			return
		}
		if _, err := r.Discard(size - len(data)); err != nil {
			return
		}
		m.mu.Lock()
		m.seen = append(m.seen, string(head[4])+" "+string(data))
		m.mu.Unlock()
		if head[4] == 'D' {
			continue
		}
		out := m.answer(head[4], string(data))
		if string(out) == string(Hangup) {
			return
		}
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}

// mostSeen is how many octets of a packet are looked at.
const mostSeen = 1024

// Seen are the packets that have come since it was asked last: the command, a blank, and the data, of which no more than 1024 octets.
func (m *Milter) Seen() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := m.seen
	m.seen = nil
	return seen
}

// Open is how many connections there are, and Begun how many there have been.
func (m *Milter) Open() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.conns)
}

// Begun is how many connections there have been.
func (m *Milter) Begun() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.begun
}

// MilterPacket is a packet of the protocol.
func MilterPacket(command byte, data string) []byte {
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(data)+1)), command), data...)
}

// MilterOptions is the answer to the first packet: the version of the protocol, and what the milter wants of it.
func MilterOptions(version, actions, wants uint32) []byte {
	data := binary.BigEndian.AppendUint32(nil, version)
	data = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(data, actions), wants)
	return MilterPacket('O', string(data))
}

// MilterSays is an answer for NewMilter of a milter that has nothing against anything but what a test says: the answers, by command. It
// speaks version 6, and wants what wants says.
func MilterSays(wants uint32, says map[byte][]byte) func(byte, string) []byte {
	return func(command byte, _ string) []byte {
		switch out, ok := says[command]; {
		case ok:
			return out
		case command == 'O':
			return MilterOptions(6, 0x1ff, wants)
		case command == 'Q':
			return Hangup
		case command == 'A':
			return nil
		}
		return MilterPacket('c', "")
	}
}
