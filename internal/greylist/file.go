package greylist

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/postrider-mail/postrider/mailstore/durable"
)

// The file begins with magic. Each record is a number (8 octets), a time in seconds of Unix time (4), what it is, 'k' for
// a sender who is known or 'w' for an attempt that waits, and three octets of a checksum. The last one for a number counts.
// A record that a crash has left torn is passed over.
const (
	magic      = "postrider-grey1\n"
	recordSize = 16
	// spare is how many records may be there that do not count, before the file is written anew: as many as do, and these.
	spare = 10_000
)

// Open takes up what was known when the file was written last. One that is not there is made; the disk is that of its folder.
func Open(disk *durable.Disk, name string, log *slog.Logger) (*Table, error) {
	t := &Table{disk: disk, name: name, log: log, most: MostKeys, known: make(map[uint64]uint32), waiting: make(map[uint64]uint32)}
	text, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("greylist: %w", err)
	}
	if len(text) >= len(magic) && string(text[:len(magic)]) == magic {
		t.read(text[len(magic):])
	}
	return t, t.rewrite()
}

// read takes records.
func (t *Table) read(text []byte) {
	for ; len(text) >= recordSize; text = text[recordSize:] {
		key, at, kind, ok := parse(text[:recordSize])
		switch {
		case !ok || len(t.known)+len(t.waiting) >= t.most:
		case kind == 'k':
			t.known[key] = at
		case kind == 'w':
			t.waiting[key] = at
		}
	}
}

func format(kind byte, key uint64, at uint32) (r [recordSize]byte) {
	binary.BigEndian.PutUint64(r[:], key)
	binary.BigEndian.PutUint32(r[8:], at)
	r[12] = kind
	sum := crc32.ChecksumIEEE(r[:13])
	r[13], r[14], r[15] = byte(sum>>16), byte(sum>>8), byte(sum)
	return r
}

func parse(r []byte) (key uint64, at uint32, kind byte, ok bool) {
	key, at, kind = binary.BigEndian.Uint64(r), binary.BigEndian.Uint32(r[8:]), r[12]
	return key, at, kind, format(kind, key, at) == [recordSize]byte(r)
}

// append writes one record. What cannot be written is remembered all the same.
func (t *Table) append(kind byte, key uint64, at uint32) {
	switch {
	case t.closed:
	case t.file == nil && time.Now().Before(t.retry):
	case t.file == nil || t.records > 2*(len(t.known)+len(t.waiting))+spare:
		t.complain(t.rewrite())
	default:
		r := format(kind, key, at)
		_, err := t.file.Write(r[:])
		t.complain(err)
		t.records++
	}
}

// again is how long it takes to try again where nothing can be written.
const again = 10 * time.Minute

// complain says that nothing is written down for a while, unless err is nil.
func (t *Table) complain(err error) {
	if err == nil {
		t.retry = time.Time{}
		return
	}
	if t.file != nil {
		t.file.Close()
		t.file = nil
	}
	if t.retry.IsZero() {
		t.log.Warn("the greylist cannot be written down", "err", err)
	}
	t.retry = time.Now().Add(again)
}

// rewrite writes all that counts into a new file, in place of the old one.
func (t *Table) rewrite() error {
	text := make([]byte, 0, len(magic)+recordSize*(len(t.known)+len(t.waiting)))
	text = append(text, magic...)
	for kind, in := range map[byte]map[uint64]uint32{'k': t.known, 'w': t.waiting} {
		for key, at := range in {
			r := format(kind, key, at)
			text = append(text, r[:]...)
		}
	}
	if t.file != nil {
		t.file.Close()
		t.file = nil
	}
	if err := t.disk.ReplaceFile(context.Background(), t.name, text); err != nil {
		return fmt.Errorf("greylist: %w", err)
	}
	file, err := os.OpenFile(t.name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("greylist: %w", err)
	}
	t.file, t.records = file, len(t.known)+len(t.waiting)
	return nil
}

// Close ends it. What was known stays in the file.
func (t *Table) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.file == nil {
		return nil
	}
	err := t.file.Close()
	t.file = nil
	return err
}
