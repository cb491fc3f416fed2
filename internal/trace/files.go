package trace

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Files is the log in a file and those rotated next to it, "NAME.1", "NAME.2.gz", "NAME-20261129" and
// their like.
type Files string

// chunk is how much of a file is read at once, in octets.
const chunk = 256 << 10

// Lines implements Log.
func (f Files) Lines(ctx context.Context, hint Hint, do func(Line) bool) error {
	infos, err := f.list()
	if err != nil {
		return err
	}
	r := newReading(ctx, hint, do)
	for _, info := range slices.Backward(infos) {
		err := r.file(filepath.Join(filepath.Dir(string(f)), info.Name()))
		switch {
		case r.done:
			return nil
		case ctx.Err() != nil:
			return r.late()
		case errors.Is(err, fs.ErrNotExist): // it was rotated away just now
		case err != nil && !r.any && len(infos) == 1:
			return err
		case err != nil:
			if !errors.As(err, new(*fs.PathError)) { // which names the file
				err = fmt.Errorf("%s: %w", info.Name(), err)
			}
			r.skipped = append(r.skipped, err.Error())
		}
	}
	if len(r.skipped) > 0 {
		return &Left{Why: strings.Join(r.skipped, "; ")}
	}
	return nil
}

// list are the files that there are, the oldest first.
func (f Files) list() (infos []fs.FileInfo, err error) {
	entries, err := os.ReadDir(filepath.Dir(string(f)))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), filepath.Base(string(f)))
		if !ours || rest != "" && rest[0] != '.' && rest[0] != '-' || !e.Type().IsRegular() {
			continue
		}
		if info, err := e.Info(); err == nil { // else it is rotated away just now
			infos = append(infos, info)
		}
	}
	if len(infos) == 0 {
		return nil, &fs.PathError{Op: "open", Path: string(f), Err: fs.ErrNotExist}
	}
	slices.SortStableFunc(infos, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	return infos, nil
}

// Text is a log that is at hand as a whole.
type Text struct {
	io.ReaderAt
	Size int64
}

// Lines implements Log.
func (t Text) Lines(ctx context.Context, hint Hint, do func(Line) bool) error {
	r := newReading(ctx, hint, do)
	if err := r.text(t.ReaderAt, t.Size); err != nil {
		return err
	}
	if ctx.Err() != nil && !r.done {
		return r.late()
	}
	return nil
}

// reading is files that are being read.
type reading struct {
	ctx  context.Context
	now  time.Time
	do   func(Line) bool
	done bool // nobody wants more
	sieve
	n       int64     // of lines so far
	number  int64     // of the line that comes; 0: it is by the end of the log
	oldest  time.Time // of these
	any     bool
	skipped []string // why files were not read
}

func newReading(ctx context.Context, hint Hint, do func(Line) bool) *reading {
	return &reading{ctx: ctx, now: time.Now(), do: do, sieve: sieve{Hint: hint}}
}

// late is what is left where somebody does not want to wait longer.
func (r *reading) late() error { return &Left{r.oldest, "it would have taken too long", true} }

// file reads one file.
func (r *reading) file(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	if strings.HasSuffix(name, ".gz") {
		return r.packed(file)
	}
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	return r.text(file, size)
}

// packed reads a file that can be read from its beginning only: what may be of interest goes
// into another one.
func (r *reading) packed(file io.Reader) error {
	z, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	to, err := os.CreateTemp("", "postrider-trace-")
	if err != nil {
		return err
	}
	defer func() { to.Close(); os.Remove(to.Name()) }()
	w := bufio.NewWriterSize(to, chunk)
	in := bufio.NewReaderSize(z, maxLine)
	for tooLong := false; r.ctx.Err() == nil; {
		line, err := in.ReadSlice('\n')
		full := errors.Is(err, bufio.ErrBufferFull)
		if !full && !tooLong && r.passes(line) {
			w.Write(line)
			if err == io.EOF {
				w.WriteByte('\n')
			}
		}
		tooLong = full
		switch {
		case err == io.EOF:
			if err := w.Flush(); err != nil {
				return err
			}
			size, err := to.Seek(0, io.SeekEnd)
			if err != nil {
				return err
			}
			return r.text(to, size)
		case err != nil && !full:
			return err
		}
	}
	return nil
}

// text reads a text from its end. A line that is too long is passed over.
func (r *reading) text(from io.ReaderAt, size int64) error {
	var rest []byte // of the chunk before: the line that it began within, to its end
	buf, within := make([]byte, chunk), false
	for size > 0 && !r.done && r.ctx.Err() == nil {
		n := min(size, chunk)
		size -= n
		if _, err := from.ReadAt(buf[:n], size); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		text := buf[:n]
		if within { // a line that is too long, which ends in the chunk before
			text = text[:bytes.LastIndexByte(text, '\n')+1]
			within = len(text) == 0
		}
		text = slices.Concat(text, rest)
		begin := 0
		if size > 0 {
			if begin = bytes.IndexByte(text, '\n') + 1; begin == 0 {
				begin = len(text)
			}
		}
		if begin < len(text) {
			backward(text[begin:], r.line)
		}
		if rest = text[:begin]; len(rest) > maxLine {
			rest, within = nil, true
		}
	}
	return nil
}

// line takes a line, and reports whether the one before is wanted.
func (r *reading) line(text []byte) bool {
	if r.n++; r.n%256 == 0 && r.ctx.Err() != nil {
		return false
	}
	passes := len(text) <= maxLine && r.passes(text)
	if !passes && (len(text) > maxLine || r.n%256 != 0) {
		return true
	}
	l, ok := Parse(string(text), r.now)
	if !ok {
		return true
	}
	if r.any = true; !passes {
		l = Line{Time: l.Time}
	}
	if !l.Time.IsZero() {
		r.oldest = l.Time
	}
	if l.at = r.number; l.at == 0 {
		l.at = -r.n
	}
	r.done = !r.do(l)
	return !r.done
}
