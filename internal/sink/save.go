package sink

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/smtp"
)

// HashOf is what the name of a file with a message is made of.
type HashOf string

// What a name can be made of.
const (
	HashAll     HashOf = "all"  // message, envelope, and when and how it came: each has a file
	HashFull    HashOf = "full" // message and envelope: what is sent again in the same way is there once
	HashMessage HashOf = "msg"  // the message alone
)

// ParseHashOf reads one; empty is HashAll.
func ParseHashOf(text string) (HashOf, error) {
	switch h := HashOf(cmp.Or(text, string(HashAll))); h {
	case HashAll, HashFull, HashMessage:
		return h, nil
	}
	return "", fmt.Errorf("%q is none of msg, full and all", text)
}

// Saver writes every message that comes in whole, also such that are refused then, into a file of its own: NAME.eml
// has its octets, NAME.json what is known of it (Taken). Both are durable before its client hears an answer. The zero value writes only where rules
// name a folder (savedir). Its fields must not be changed while it works; its methods may be called concurrently.
type Saver struct {
	Dir  string    // where; "" is nowhere, unless a rule says where
	Hash HashOf    // "" is HashAll
	Log  io.Writer // gets a line of JSON for each message, which is Taken; may be nil

	mu    sync.Mutex // held while files are written: two of one name are one
	disks map[string]*durable.Disk
}

// Taken is what is known of a message that came in.
type Taken struct {
	ID       string    `json:"id"`
	Received time.Time `json:"received"`
	Session  string    `json:"session"`
	Client   string    `json:"client"`
	Helo     string    `json:"helo"`
	User     string    `json:"user,omitempty"`
	TLS      bool      `json:"tls"`
	Protocol string    `json:"protocol"`
	From     string    `json:"from"`
	To       []string  `json:"to"`
	Size     int       `json:"size"`
	Hash     string    `json:"sha256"`      // of the message
	BodyHash string    `json:"body_sha256"` // of what follows its header
	Answer   string    `json:"answer"`      // what the rules have its client told
	Note     string    `json:"note,omitempty"`
	File     string    `json:"file,omitempty"` // without ".eml" or ".json"
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// takenOf is what is known of a message of an envelope.
func takenOf(e *smtp.Envelope, id string, raw []byte, now time.Time) *Taken {
	s := e.Session
	t := &Taken{ID: id, Received: now.UTC(), Session: s.ID, Client: s.RemoteAddr.String(), Helo: s.Helo, User: s.User, TLS: s.TLS != nil,
		Protocol: e.Protocol(), From: e.From.String(), To: []string{}, Size: len(raw), Hash: hexSum(raw), BodyHash: hexSum(bodyOf(raw))}
	for i := range e.To {
		t.To = append(t.To, e.To[i].Path.String())
	}
	return t
}

// bodyOf is what follows the header.
func bodyOf(raw []byte) []byte {
	if i := bytes.Index(raw, []byte("\r\n\r\n")); i >= 0 {
		return raw[i+4:]
	}
	return nil
}

// name is that of a message's files.
func (s *Saver) name(t *Taken) string {
	of := *t
	of.File = ""
	switch s.Hash {
	case HashMessage:
		return t.Hash
	case HashFull:
		host, _, _ := strings.Cut(of.Client, "%")
		if i := strings.LastIndexByte(host, ':'); i >= 0 {
			host = host[:i] // its port is another each time
		}
		of = Taken{Client: host, Helo: t.Helo, User: t.User, From: t.From, To: t.To, Hash: t.Hash}
	}
	text, err := json.Marshal(of)
	if err != nil { // it is made of strings
		return t.ID
	}
	return hexSum(text)
}

// save writes a message; dir is where a rule says, "" is where it is usual.
func (s *Saver) save(ctx context.Context, dir string, t *Taken, raw []byte) error {
	if dir = cmp.Or(dir, s.Dir); dir != "" {
		t.File = filepath.Join(dir, s.name(t))
	}
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if dir != "" {
		if err := s.write(ctx, dir, t.File, raw, text); err != nil {
			return err
		}
	}
	if s.Log == nil {
		return nil
	}
	_, err = s.Log.Write(append(text, '\n'))
	return err
}

// write makes both files, the message last: who sees that finds the other one.
func (s *Saver) write(ctx context.Context, dir, name string, raw, about []byte) error {
	disk, err := s.disk(dir)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(name + ".eml"); !errors.Is(err, fs.ErrNotExist) {
		return err // it is there, or cannot be
	}
	if err := disk.ReplaceFile(ctx, name+".json", about); err != nil {
		return err
	}
	return disk.ReplaceFile(ctx, name+".eml", raw)
}

// mostSaveDirs is how many folders rules can name.
const mostSaveDirs = 100

func (s *Saver) disk(dir string) (*durable.Disk, error) {
	if d := s.disks[dir]; d != nil {
		return d, nil
	}
	if len(s.disks) >= mostSaveDirs {
		return nil, fmt.Errorf("messages are saved in %d folders already", mostSaveDirs)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	d, err := durable.Open(dir)
	if err != nil {
		return nil, err
	}
	if s.disks == nil {
		s.disks = make(map[string]*durable.Disk)
	}
	s.disks[dir] = d
	return d, nil
}

// Close gives back what it holds.
func (s *Saver) Close() (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.disks {
		err = errors.Join(err, d.Close())
	}
	s.disks = nil
	return err
}
