//go:build linux

package storetest_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// A record of the prototype: a header of fixed size, a head that says whose the
// message is (or which are removed), and the body, octet for octet.
//
//	0  magic   4
//	4  kind    1, and 3 of padding
//	8  crc32c  4  of everything that follows, and of where the record stands:
//	               one left over from another place is not taken for this one
//	12 head    4  its length
//	16 body    8  its length
//	24 number  8  of the message
const (
	recordMagic  = 0x314c5250 // "PRL1"
	recordHeader = 32
	checksummed  = 12
	kindMessage  = 1
	kindRemoval  = 2
)

var (
	errTorn    = errors.New("record is not whole")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// place adds to a record's checksum where it stands.
func place(sum uint32, seg int, off int64) uint32 {
	var at [12]byte
	binary.LittleEndian.PutUint32(at[:], uint32(seg))
	binary.LittleEndian.PutUint64(at[4:], uint64(off))
	return crc32.Update(sum, castagnoli, at[:])
}

// seal fills in the header of a record that is otherwise written.
func seal(r []byte, kind byte, head int, seq uint64) {
	binary.LittleEndian.PutUint32(r, recordMagic)
	r[4] = kind
	binary.LittleEndian.PutUint32(r[12:], uint32(head))
	binary.LittleEndian.PutUint64(r[16:], uint64(len(r)-recordHeader-head))
	binary.LittleEndian.PutUint64(r[24:], seq)
	binary.LittleEndian.PutUint32(r[8:], crc32.Checksum(r[checksummed:], castagnoli))
}

func appendString(r []byte, s string) []byte {
	return append(binary.AppendUvarint(r, uint64(len(s))), s...)
}

// headReader takes a head apart. One that was checked and still makes no sense
// is our own mistake, and an error.
type headReader struct {
	p   []byte
	bad bool
}

func (h *headReader) number() uint64 {
	v, n := binary.Uvarint(h.p)
	if n <= 0 {
		h.bad, h.p = true, nil
		return 0
	}
	h.p = h.p[n:]
	return v
}

func (h *headReader) string() string {
	n := h.number()
	if n > uint64(len(h.p)) {
		h.bad, h.p = true, nil
		return ""
	}
	s := string(h.p[:n])
	h.p = h.p[n:]
	return s
}

// scan opens the segments there are and rebuilds the index.
func (l *logStore) scan() error {
	names, err := filepath.Glob(filepath.Join(l.dir, "*.seg"))
	if err != nil {
		return err
	}
	for i, name := range names { // sorted
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		l.segs = append(l.segs, f)
		l.end, err = l.scanSegment(f, i)
		if errors.Is(err, errTorn) && i == len(names)-1 {
			if err = f.Truncate(l.end); err == nil {
				err = f.Sync()
			}
		}
		if err != nil {
			return fmt.Errorf("%s at %d: %w", name, l.end, err)
		}
	}
	if len(l.segs) == 0 {
		return l.add()
	}
	return nil
}

// scanSegment reads records to the end or to the first that is not whole, and
// returns where that is.
func (l *logStore) scanSegment(f *os.File, seg int) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	r := bufio.NewReaderSize(f, 1<<20)
	var off int64
	var record []byte
	for off < info.Size() {
		head, err := r.Peek(recordHeader)
		if err != nil {
			return off, tornAt(err)
		}
		nhead := int64(binary.LittleEndian.Uint32(head[12:]))
		nbody := binary.LittleEndian.Uint64(head[16:])
		left := info.Size() - off - recordHeader
		if binary.LittleEndian.Uint32(head) != recordMagic || nhead > left || nbody > uint64(left-nhead) {
			return off, errTorn
		}
		size := recordHeader + nhead + int64(nbody)
		if int64(cap(record)) < size {
			record = make([]byte, size*3/2)
		}
		record = record[:size]
		if _, err := io.ReadFull(r, record); err != nil {
			return off, tornAt(err)
		}
		if place(crc32.Checksum(record[checksummed:], castagnoli), seg, off) != binary.LittleEndian.Uint32(record[8:]) {
			return off, errTorn
		}
		if err := l.replay(record, int(nhead), seg, off); err != nil {
			return off, err
		}
		off += size
	}
	return off, nil
}

func tornAt(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errTorn
	}
	return err
}

// replay enters one record into the index.
func (l *logStore) replay(record []byte, nhead, seg int, off int64) error {
	seq := binary.LittleEndian.Uint64(record[24:])
	h := headReader{p: record[recordHeader : recordHeader+nhead]}
	l.seq.Store(max(l.seq.Load(), seq))
	switch record[4] {
	case kindMessage:
		e := logEntry{seq, off + recordHeader + int64(nhead), uint32(len(record) - recordHeader - nhead), uint32(seg)}
		for n := h.number(); n > 0 && !h.bad; n-- {
			b := l.box(h.string())
			b.put(e, h.string())
		}
	case kindRemoval:
		b := l.box(h.string())
		gone := make(map[uint64]bool)
		for n := h.number(); n > 0 && !h.bad; n-- {
			gone[h.number()] = true
		}
		b.drop(gone)
	default:
		h.bad = true
	}
	if h.bad {
		return fmt.Errorf("record of kind %d makes no sense", record[4])
	}
	return nil
}

// put enters a message; uid is the one it came with, if any.
func (b *logBox) put(e logEntry, uid string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries = append(b.entries, e)
	b.octets += int64(e.size)
	if uid != "" {
		if b.uids == nil {
			b.uids = make(map[uint64]string)
		}
		b.uids[e.seq] = strings.Clone(uid)
	}
}

// drop takes messages out, leaving the old list to the sessions that have it.
func (b *logBox) drop(gone map[uint64]bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var rest []logEntry
	for _, e := range b.entries {
		if !gone[e.seq] {
			rest = append(rest, e)
			continue
		}
		b.octets -= int64(e.size)
		delete(b.uids, e.seq)
	}
	b.entries = rest
}

// bodyAt reads a message's octets from where they are.
func (l *logStore) bodyAt(e logEntry) io.ReadCloser {
	if e.size == 0 {
		return io.NopCloser(bytes.NewReader(nil))
	}
	l.mu.Lock()
	f := l.segs[e.seg]
	l.mu.Unlock()
	return io.NopCloser(io.NewSectionReader(f, e.off, int64(e.size)))
}
