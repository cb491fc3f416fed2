package spool

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/postrider-mail/postrider/smtp/queue"
)

// The last line of an entry's file is of constant length: this, and in eight
// hexadecimal digits each the octets of the envelope and of the state before
// it, and the checksum of both.
const (
	lastLine = "postrider-entry 1"
	tailLen  = len(lastLine) + 3*len(" 00000000") + len("\n")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// formatTail is all that follows the message in an entry's file.
func formatTail(e *queue.Entry, st *queue.State, p proof) []byte {
	envelope, state := formatEnvelope(e, p), formatState(st)
	tail := append(envelope, state...)
	return fmt.Appendf(tail, "%s %08x %08x %08x\n", lastLine, len(envelope), len(state), crc32.Checksum(tail, castagnoli))
}

func parseLastLine(line string) (envelope, state int64, sum uint32, err error) {
	fields, ok := strings.CutPrefix(line, lastLine)
	if !ok || len(line) != tailLen || line[tailLen-1] != '\n' {
		return 0, 0, 0, fmt.Errorf("%w: does not end with %q", errTorn, lastLine)
	}
	var n [3]uint64
	for i := range n {
		if n[i], err = strconv.ParseUint(fields[9*i+1:9*i+9], 16, 32); err != nil || fields[9*i] != ' ' {
			return 0, 0, 0, fmt.Errorf("%w: last line %q", errFormat, line)
		}
	}
	return int64(n[0]), int64(n[1]), uint32(n[2]), nil
}

// entryFile is an entry's file, open for reading.
type entryFile struct {
	*os.File
	body            int64 // octets before the envelope
	envelope, state []byte
}

// guess is what is read from the end of a file at first: the tail of an entry
// with some ten recipients.
const guess = 4 << 10

// openEntry opens an entry's file and reads what follows the message.
func openEntry(name string) (*entryFile, error) {
	f, err := os.OpenFile(name, openFlags, 0)
	if err != nil {
		return nil, err
	}
	e := &entryFile{File: f}
	if err := e.readTail(); err != nil {
		f.Close()
		return nil, err
	}
	return e, nil
}

func (e *entryFile) readTail() error {
	fi, err := e.Stat()
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() {
		return fmt.Errorf("%w: no file", errFormat)
	}
	tail, err := e.last(fi.Size(), guess)
	if err != nil {
		return err
	}
	if len(tail) < tailLen {
		return fmt.Errorf("%w: %d octets", errTorn, len(tail))
	}
	nEnvelope, nState, sum, err := parseLastLine(string(tail[len(tail)-tailLen:]))
	if err != nil {
		return err
	}
	whole := nEnvelope + nState + int64(tailLen)
	if e.body = fi.Size() - whole; e.body < 0 || whole > maxFile {
		return fmt.Errorf("%w: tail of %d octets in a file of %d", errFormat, whole, fi.Size())
	}
	if whole > int64(len(tail)) {
		if tail, err = e.last(fi.Size(), whole); err != nil {
			return err
		}
	}
	tail = tail[int64(len(tail))-whole : len(tail)-tailLen]
	if crc32.Checksum(tail, castagnoli) != sum {
		return fmt.Errorf("%w: wrong checksum of envelope and state", errFormat)
	}
	e.envelope, e.state = tail[:nEnvelope], tail[nEnvelope:]
	return nil
}

// last reads the last n octets of a file, or all of a smaller one.
func (e *entryFile) last(size, n int64) ([]byte, error) {
	b := make([]byte, min(n, size))
	read, err := e.ReadAt(b, size-int64(len(b)))
	if read < len(b) {
		return nil, err
	}
	return b, nil
}

// message is the body of an entry. At its end it is compared with the
// checksum: a damaged one ends with an error and not with io.EOF.
type message struct {
	*io.SectionReader
	file *entryFile
	size int64 // octets of it
	want uint32
	sum  uint32
	at   int64 // octets summed up; -1: it was read from elsewhere
	// damaged is called with what is wrong.
	damaged func(error)
}

func newMessage(f *entryFile, p proof, damaged func(error)) *message {
	size := f.body - p.skip
	return &message{SectionReader: io.NewSectionReader(f, p.skip, size), file: f, size: size, want: p.sum, damaged: damaged}
}

// Read implements io.Reader.
func (m *message) Read(p []byte) (int, error) {
	n, err := m.SectionReader.Read(p)
	if m.at < 0 {
		return n, err
	}
	m.sum = crc32.Update(m.sum, castagnoli, p[:n])
	m.at += int64(n)
	if m.at == m.size && m.sum != m.want {
		err = fmt.Errorf("%w: message has checksum %08x, not %08x", queue.ErrCorrupt, m.sum, m.want)
		m.damaged(err)
		return 0, err
	}
	return n, err
}

// Seek implements io.Seeker. Only what is read from the beginning is checked.
func (m *message) Seek(offset int64, whence int) (int64, error) {
	at, err := m.SectionReader.Seek(offset, whence)
	m.sum, m.at = 0, -1
	if at == 0 && err == nil {
		m.at = 0
	}
	return at, err
}

// Close implements io.Closer.
func (m *message) Close() error { return m.file.Close() }

// stateOf returns the state of the entry with the file name: the last one
// saved or, where there is none, the one it was committed with.
func stateOf(name string, first []byte) (*queue.State, error) {
	data, err := readFile(name + stateExt)
	if err == nil {
		return parseState(data)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	// A replacement that failed half way may have left only the one that was
	// about to come. One that is torn was never said to be saved.
	if data, err := readFile(name + stateExt + tmpExt); err == nil {
		if st, err := parseState(data); err == nil {
			return st, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return parseState(first)
}
