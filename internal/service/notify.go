package service

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// barrierTime is how long the manager may take to have done what it was told.
const barrierTime = 5 * time.Second

// Ready says that everything is served: after the start, and after each
// Reloading, whatever came of it. status is a line for people.
func (m *Manager) Ready(status string) error { return m.tell("READY=1", "STATUS="+line(status)) }

// Reloading says that the settings are being read again; Ready must follow.
func (m *Manager) Reloading() error {
	if m == nil || m.conn == nil {
		return nil
	}
	now, err := monotonic()
	if err != nil {
		return err
	}
	return m.tell("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Microseconds()))
}

// Stopping says that the process is about to end.
func (m *Manager) Stopping(status string) error { return m.tell("STOPPING=1", "STATUS="+line(status)) }

// Alive has to be said more often than every m.Watchdog.
func (m *Manager) Alive() error { return m.tell("WATCHDOG=1") }

// Keep has the manager hold a listening socket open for the next process of
// this service, which finds it in Sockets under the same name. Connections that
// nobody has accepted wait there meanwhile. A manager that keeps none
// (FileDescriptorStoreMax=0) says nothing of it.
func (m *Manager) Keep(name string, l net.Listener) error {
	raw, ok := l.(interface{ File() (*os.File, error) })
	if m == nil || m.conn == nil || !ok {
		return nil
	}
	f, err := raw.File()
	if err != nil {
		return fmt.Errorf("keep a socket: %w", err)
	}
	defer f.Close()
	return m.send(f, "FDSTORE=1", "FDNAME="+keptPrefix+escape(name))
}

// Forget undoes Keep, and returns when the manager has closed the socket.
func (m *Manager) Forget(name string) error {
	if m == nil || m.conn == nil {
		return nil
	}
	if err := m.tell("FDSTOREREMOVE=1", "FDNAME="+keptPrefix+escape(name)); err != nil {
		return err
	}
	return m.barrier()
}

// barrier returns when the manager has read everything said so far: it closes
// the descriptor that comes with the word (sd_notify_barrier(3)).
func (m *Manager) barrier() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	err = m.send(w, "BARRIER=1")
	w.Close()
	if err != nil {
		return err
	}
	r.SetReadDeadline(time.Now().Add(barrierTime))
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the service manager does not answer: %w", err)
	}
	return nil
}

func (m *Manager) tell(words ...string) error { return m.send(nil, words...) }

// send says something to the manager, with a descriptor if f is not nil.
func (m *Manager) send(f *os.File, words ...string) error {
	if m == nil || m.conn == nil {
		return nil
	}
	return send(m.conn, f, strings.Join(words, "\n"))
}

// line makes one line of a text, whose others would be taken for words of ours.
func line(text string) string { return strings.Join(strings.Fields(text), " ") }
