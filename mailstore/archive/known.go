package archive

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Known is the unique ids that the POP3 server before gave to the messages of a Maildir,
// by their file names up to the first ',' or ':'.
type Known struct {
	File string // where they were found, "" if nowhere
	IDs  map[string]string
}

// KnownIDs reads what a Maildir's server has written into it: the dovecot-uidlist of
// Dovecot (versions 1 and 3, in which P is an id that Dovecot took over itself) or the
// courierpop3dsizelist of Courier, whichever was written later; uidl is how ids are made
// of the numbers of the first. With a format that is not the zero UIDL, a Maildir
// without either may have Courier's courierimapuiddb.
//
// What could be read comes back together with an error that names the lines that
// could not.
func KnownIDs(dir string, uidl UIDL) (Known, error) {
	lists := []struct {
		name string
		read func(r io.Reader, uidl UIDL, ids map[string]string) error
	}{{"dovecot-uidlist", readUIDList}, {"courierpop3dsizelist", readSizeList}, {"courierimapuiddb", readUIDList}}
	if uidl == UIDLNone {
		return Known{}, nil
	}
	if uidl == "" {
		lists = lists[:2] // what IMAP alone has used, no POP3 client knows
	}
	found := -1
	var newest fs.FileInfo
	for i, l := range lists {
		info, err := os.Lstat(filepath.Join(dir, l.name))
		if errors.Is(err, fs.ErrNotExist) || i == 2 && found >= 0 {
			continue
		}
		if err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("%s is no regular file", filepath.Join(dir, l.name))
		}
		if err != nil {
			return Known{}, fmt.Errorf("archive: %w", err)
		}
		if newest == nil || info.ModTime().After(newest.ModTime()) {
			found, newest = i, info
		}
	}
	if found < 0 {
		return Known{}, nil
	}
	k := Known{File: filepath.Join(dir, lists[found].name), IDs: make(map[string]string)}
	f, err := os.Open(k.File)
	if err != nil {
		return Known{}, fmt.Errorf("archive: %w", err)
	}
	defer f.Close()
	if err := lists[found].read(f, uidl, k.IDs); err != nil {
		return k, fmt.Errorf("archive: %s: %w", k.File, err)
	}
	return k, nil
}

// ErrUIDList: a list of unique ids has lines that make no sense.
var ErrUIDList = errors.New("no list of unique ids")

// readUIDList reads a list of Dovecot, or the one of Courier's IMAP server, which is its
// version 1: a line "VERSION UIDVALIDITY NEXT", from version 3 on
// "3 V<uidvalidity> N<next> ...", then "UID [K<value>...] :FILE", in version 1
// "UID FILE".
func readUIDList(r io.Reader, uidl UIDL, ids map[string]string) error {
	var version, validity uint64
	return eachLine(r, func(n int, line string) bool {
		f := strings.Fields(line)
		if n == 1 {
			if len(f) < 3 {
				return false
			}
			version, _ = strconv.ParseUint(f[0], 10, 32)
			for _, w := range f[1:] {
				if version == 3 && w[0] == 'V' {
					validity, _ = strconv.ParseUint(w[1:], 10, 32)
				}
			}
			if version == 1 {
				validity, _ = strconv.ParseUint(f[1], 10, 32)
			}
			return validity > 0
		}
		o := origin{validity: validity}
		number, rest, ok := strings.Cut(line, " ")
		o.uid, _ = strconv.ParseUint(number, 10, 32)
		o.name = rest
		var written string
		for version == 3 && ok && !strings.HasPrefix(rest, ":") {
			var field string
			field, rest, ok = strings.Cut(rest, " ")
			switch {
			case strings.HasPrefix(field, "P"):
				written = field[1:]
			case strings.HasPrefix(field, "G"):
				o.guid = field[1:]
			}
		}
		if version == 3 {
			o.name = strings.TrimPrefix(rest, ":")
		}
		if !ok || o.uid == 0 || o.name == "" {
			return false
		}
		o.name, _, _ = strings.Cut(o.name, ":")
		if o.guid == "" {
			o.guid = o.name
		}
		id := written
		if !isUID(id) {
			id = uidl.choose("", o)
		}
		if id != "" {
			ids[baseOf(o.name)] = id
		}
		return true
	})
}

// readSizeList reads the list of Courier's POP3 server: "/VERSION NEXT UIDVALIDITY",
// then "FILE SIZE UID:UIDVALIDITY[:UTF8]". It has one way only to make an id, or
// three: of both numbers, of the one where the other is 0, or of the file name.
func readSizeList(r io.Reader, _ UIDL, ids map[string]string) error {
	return eachLine(r, func(n int, line string) bool {
		if n == 1 {
			return strings.HasPrefix(line, "/2 ") || strings.HasPrefix(line, "/3 ")
		}
		i := strings.LastIndexByte(line, ' ')
		name, _, ok := cutLast(line[:max(i, 0)], ' ')
		numbers := strings.Split(line[i+1:], ":")
		if !ok || name == "" || len(numbers) < 2 {
			return false
		}
		uid, err := strconv.ParseUint(numbers[0], 10, 64)
		validity, verr := strconv.ParseUint(numbers[1], 10, 64)
		if err != nil || verr != nil {
			return false
		}
		name, _, _ = strings.Cut(name, ":")
		id := fmt.Sprintf("UID%d-%d", uid, validity)
		switch {
		case uid == 0:
			id = courierName(name)
		case validity == 0:
			id = fmt.Sprintf("UID%d", uid)
		}
		if isUID(id) {
			ids[baseOf(name)] = id
		}
		return true
	})
}

// courierName is a file name as Courier makes an id of it.
func courierName(name string) string {
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; c < 0x21 || c > 0x7e || strings.IndexByte(`'"+`, c) >= 0 {
			fmt.Fprintf(&b, "+%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// baseOf is the part of a file name that no server changes.
func baseOf(name string) string {
	if i := strings.IndexAny(name, ",:"); i >= 0 {
		return name[:i]
	}
	return name
}

// eachLine gives every line to read, and returns an error that names the first ten for
// which it was false. Without the first there is no telling what the others mean.
func eachLine(r io.Reader, read func(n int, line string) bool) error {
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLine)
	var bad []string
	n := 1
	for ; s.Scan(); n++ {
		if read(n, s.Text()) {
			continue
		}
		if n == 1 {
			return fmt.Errorf("%w: its first line", ErrUIDList)
		}
		if len(bad) < 10 {
			bad = append(bad, strconv.Itoa(n))
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("%w: line %d: %w", ErrUIDList, n, err)
	}
	if len(bad) > 0 {
		return fmt.Errorf("%w: line %s", ErrUIDList, strings.Join(bad, ", "))
	}
	return nil
}

// WithIDs gives the messages of a Maildir's maildrop, as FromMaildrop yields them, the
// ids by which they are known. One that the server before has not seen keeps its own.
func WithIDs(src Source, ids map[string]string) Source { return &renamed{src, ids} }

type renamed struct {
	Source
	ids map[string]string
}

func (r *renamed) Next() (*Message, error) {
	m, err := r.Source.Next()
	if err != nil {
		return nil, err
	}
	if id, ok := r.ids[m.UID]; ok {
		m.UID = id
	}
	return m, nil
}
