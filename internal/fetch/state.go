package fetch

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/postrider-mail/postrider/internal/sys"
	"github.com/postrider-mail/postrider/pop3"
)

// sum tells ids, and messages, apart: the beginning of a SHA-256.
type sum [16]byte

func sumOf(text string) (s sum) {
	all := sha256.Sum256([]byte(text))
	copy(s[:], all[:])
	return s
}

// state is what has come from one maildrop. Its file holds a line for each event:
//
//   - SUM TIME UID    a message has come: SUM is of its size and beginning, TIME when
//     it was received (Unix seconds), UID its id there, "" if it has none
//   - SUM TIME UID    it is gone there
//
// A last line without an end is what a crash left, and does not count.
type state struct {
	mu   sync.Mutex
	file *os.File
	w    *bufio.Writer
	byID map[sum]known // what has come, by the sum of its id
	noID map[sum]int   // how many have come that had no id of their own
}

// known is a message that has come.
type known struct {
	sum    sum
	micros int64 // when it was received
}

// errRunning: another run holds the state.
var errRunning = errors.New("another run is fetching this maildrop")

const stateHead = "postrider fetch 1\n"

// openState opens, makes and locks the state of a maildrop in a folder. The lock goes with the
// process.
func openState(dir string, a *Account) (*state, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	name := stateFile(dir, a)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	s := &state{file: f, byID: make(map[sum]known), noID: make(map[sum]int)}
	if err = sys.Lock(f); err == nil {
		err = s.load()
	}
	if err == nil {
		err = sys.SyncFolder(dir)
	}
	if errors.Is(err, sys.ErrHeld) {
		err = errRunning
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// stateFile names the file of a maildrop.
func stateFile(dir string, a *Account) string {
	return filepath.Join(dir, pop3.SafeName(a.Address+" "+a.Login+" "+a.Server))
}

// read takes all whole lines, and returns how many octets they are.
func (s *state) read(f io.Reader) (whole int64, err error) {
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			return whole, nil
		}
		if err != nil {
			return whole, err
		}
		if whole == 0 && string(line) != stateHead {
			return whole, errors.New("is no list of what was fetched")
		}
		if whole > 0 {
			if err := s.take(string(bytes.TrimSuffix(line, []byte("\n")))); err != nil {
				return whole, err
			}
		}
		whole += int64(len(line))
	}
}

// load reads the file, cuts off what a crash has left of a line, and stays at the end.
func (s *state) load() error {
	whole, err := s.read(s.file)
	if err != nil {
		return err
	}
	if err := s.file.Truncate(whole); err != nil {
		return err
	}
	if _, err := s.file.Seek(whole, io.SeekStart); err != nil {
		return err
	}
	s.w = bufio.NewWriter(s.file)
	if whole == 0 {
		s.w.WriteString(stateHead)
		return s.sync()
	}
	return nil
}

// take reads a line.
func (s *state) take(line string) error {
	f := strings.SplitN(line, " ", 4)
	var message sum
	if len(f) != 4 {
		return fmt.Errorf("makes no sense: %q", line)
	}
	n, err := hex.Decode(message[:], []byte(f[1][:min(len(f[1]), 2*len(message))]))
	micros, terr := strconv.ParseInt(f[2], 10, 64)
	if err != nil || terr != nil || n != len(message) {
		return fmt.Errorf("makes no sense: %q", line)
	}
	switch f[0] {
	case "+":
		s.count(known{message, micros}, f[3], 1)
	case "-":
		s.count(known{message, micros}, f[3], -1)
	default:
		return fmt.Errorf("makes no sense: %q", line)
	}
	return nil
}

func (s *state) count(message known, uid string, by int) {
	switch {
	case uid == "":
		s.noID[message.sum] = max(s.noID[message.sum]+by, 0)
	case by > 0:
		s.byID[sumOf(uid)] = message
	default:
		delete(s.byID, sumOf(uid))
	}
}

// came writes down that a message has come; gone, that it is no longer there. Neither is
// on stable storage before sync.
func (s *state) came(r record) error { return s.write("+", r, 1) }
func (s *state) gone(r record) error { return s.write("-", r, -1) }

func (s *state) write(what string, r record, by int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count(known{r.sum, r.received.UnixMicro()}, r.uid, by)
	_, err := fmt.Fprintf(s.w, "%s %x %d %s\n", what, r.sum[:], r.received.UnixMicro(), r.uid)
	if err == nil {
		// To the system at once: a process that is killed loses nothing.
		err = s.w.Flush()
	}
	return err
}

func (s *state) sync() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.w.Flush(); err != nil {
		return err
	}
	return s.file.Sync()
}

func (s *state) close() error { return errors.Join(s.sync(), s.file.Close()) }

// pool is how many messages have come, by their sums, whose ids are not among those of
// a session: they had none, or the server has given them others.
func (s *state) pool(listed map[sum]bool) map[sum]int {
	left := make(map[sum]int, len(s.noID))
	for message, n := range s.noID {
		left[message] = n
	}
	for id, message := range s.byID {
		if !listed[id] {
			left[message.sum]++
		}
	}
	return left
}
