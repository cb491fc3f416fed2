package database

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// ID names a text, or a server: a UUID (RFC 9562 §5.7). Later ones sort after earlier ones, so that new rows stand side by side.
type ID [16]byte

// NewID is one that nobody has had.
func NewID() (id ID) {
	rand.Read(id[:]) // never fails
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(time.Now().UnixMilli()))
	copy(id[:6], ms[2:])
	id[6], id[8] = id[6]&0x0f|0x70, id[8]&0x3f|0x80
	return id
}

// String is 32 hexadecimal digits, which PostgreSQL takes for a uuid as well.
func (id ID) String() string { return hex.EncodeToString(id[:]) }
