package main

import (
	"io"
	"net"
	"time"
)

// stdio is standard input and output as a connection. Deadlines do nothing: who
// started the program can end it.
type stdio struct {
	io.Reader
	io.Writer
}

func newStdio(r io.Reader, w io.Writer) net.Conn { return stdio{r, w} }

// stdioAddr is the address of both ends.
type stdioAddr struct{}

// Network is that of no network.
func (stdioAddr) Network() string { return "stdio" }

func (stdioAddr) String() string { return "stdio" }

// Close implements net.Conn.
func (stdio) Close() error { return nil }

// LocalAddr implements net.Conn.
func (stdio) LocalAddr() net.Addr { return stdioAddr{} }

// RemoteAddr implements net.Conn.
func (stdio) RemoteAddr() net.Addr { return stdioAddr{} }

// SetDeadline implements net.Conn.
func (stdio) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (stdio) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (stdio) SetWriteDeadline(time.Time) error { return nil }
