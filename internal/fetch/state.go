package fetch

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
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
	noID map[sum]int // how many have come that had no id of their own
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
	s := &state{file: f, noID: make(map[sum]int)}
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

// event is a line of the file.
type event struct {
	known
	uid string
	by  int   // 1: it has come, -1: it is gone there
	end int64 // where in the file it ends
}

// events are all whole lines of a state, from the first on.
func events(f io.ReaderAt) iter.Seq2[event, error] {
	return func(yield func(event, error) bool) {
		r := bufio.NewReader(io.NewSectionReader(f, 0, 1<<62))
		for end := int64(0); ; {
			line, err := r.ReadBytes('\n')
			if err == io.EOF {
				return
			}
			end += int64(len(line))
			e := event{end: end}
			switch {
			case err != nil:
			case end == int64(len(line)):
				if string(line) != stateHead {
					err = errors.New("is no list of what was fetched")
				}
			default:
				err = e.take(string(bytes.TrimSuffix(line, []byte("\n"))))
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// load reads the file, cuts off what a crash has left of a line, and stays at the end.
func (s *state) load() error {
	whole := int64(0)
	for e, err := range events(s.file) {
		if err != nil {
			return err
		}
		whole = e.end
		s.count(e.known, e.uid, e.by)
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
func (e *event) take(line string) error {
	f := strings.SplitN(line, " ", 4)
	if len(f) != 4 || f[0] != "+" && f[0] != "-" {
		return fmt.Errorf("makes no sense: %q", line)
	}
	n, err := hex.Decode(e.sum[:], []byte(f[1][:min(len(f[1]), 2*len(e.sum))]))
	micros, terr := strconv.ParseInt(f[2], 10, 64)
	if err != nil || terr != nil || n != len(e.sum) {
		return fmt.Errorf("makes no sense: %q", line)
	}
	e.micros, e.uid, e.by = micros, f[3], 1
	if f[0] == "-" {
		e.by = -1
	}
	return nil
}

// count keeps in mind how many have come that have no id; what has one stands in the file.
func (s *state) count(message known, uid string, by int) {
	if uid == "" && by != 0 {
		s.noID[message.sum] = max(s.noID[message.sum]+by, 0)
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

// compare marks in a list what has come. pool is how many messages have come, by their sums, whose ids are not among those of
// the list: they had none, or the server has given them others.
func (s *state) compare(l *listing, portion int) (pool map[sum]int, err error) {
	info, err := s.file.Stat()
	if err != nil {
		return nil, permanent{err}
	}
	if pool, err = l.compare(events(s.file), info.Size(), portion); err != nil {
		return nil, err
	}
	for message, n := range s.noID {
		pool[message] += n
	}
	return pool, nil
}
