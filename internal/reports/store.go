package reports

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/mailstore/durable"
)

// Store keeps reports in a directory, one file each. Its methods may be called
// concurrently; two Stores for one directory may not write to it.
type Store struct {
	dir  string
	disk *durable.Disk

	mu      sync.Mutex
	files   map[string]file // by key
	version int64
}

// file is a report on disk. Its name tells when it came, of which class it is, and its
// key: "20261129T101112Z-t-0123456789abcdef.json".
type file struct {
	name  string
	class string
	size  int64
}

// bound is how many files and octets of a class are kept. Each has its own, so that what
// a stranger sends cannot push out what is known to be right.
func bound(class string) (files int, octets int64) {
	switch class {
	case "t": // trusted
		return 20000, 200 << 20
	case "c": // nobody has checked
		return 10000, 100 << 20
	case "u": // not trusted
		return 1000, 10 << 20
	case "b": // unreadable; their mail is in the mailbox (see Reader.discard)
		return 5000, 10 << 20
	}
	return 0, 0
}

const stampForm = "20060102T150405Z"

// Dir is where reports are kept below the directory that holds all state.
func Dir(data string) string { return filepath.Join(data, "reports") }

// OpenStore opens the reports in dir, which is made if it is not there.
func OpenStore(ctx context.Context, dir string, disk *durable.Disk) (*Store, error) {
	if err := disk.MkdirAll(ctx, filepath.Dir(dir), dir); err != nil {
		return nil, fmt.Errorf("open reports: %w", err)
	}
	files, err := list(dir)
	if err != nil {
		return nil, fmt.Errorf("open reports: %w", err)
	}
	return &Store{dir: dir, disk: disk, files: files}, nil
}

// list finds the files of reports. What is none of ours is left alone.
func list(dir string) (map[string]file, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files := make(map[string]file)
	for _, e := range entries {
		stamp, class, key, ok := parseName(e.Name())
		info, err := e.Info()
		if !ok || err != nil || stamp.IsZero() {
			continue
		}
		files[key] = file{e.Name(), class, info.Size()}
	}
	return files, nil
}

func parseName(name string) (stamp time.Time, class, key string, ok bool) {
	base, ours := strings.CutSuffix(name, ".json")
	parts := strings.Split(base, "-")
	if !ours || len(parts) != 3 || len(parts[2]) != keyLength {
		return time.Time{}, "", "", false
	}
	if most, _ := bound(parts[1]); most == 0 {
		return time.Time{}, "", "", false
	}
	stamp, err := time.Parse(stampForm, parts[0])
	return stamp, parts[1], parts[2], err == nil
}

func (f file) stamp() time.Time {
	stamp, _, _, _ := parseName(f.name)
	return stamp
}

const keyLength = 32

// key is what a report is known by: that of the same sender about the same days is the
// same one. The trust belongs to it, or a stranger could send a forged report first.
func (r *Report) key() string {
	if r.Kind == Unreadable {
		return keyOf(string(r.Kind), r.Mail)
	}
	_, from, _ := strings.Cut(r.Sender, "@")
	return keyOf(string(r.Kind), string(r.Trust), from, strings.ToLower(r.Org), r.ID, r.Domain, r.Begin.Format(stampForm), r.End.Format(stampForm))
}

func keyOf(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n"))) // of which no part has one
	return hex.EncodeToString(sum[:])[:keyLength]
}

func (r *Report) class() string {
	switch {
	case r.Kind == Unreadable:
		return "b"
	case r.Trust == Trusted:
		return "t"
	case r.Trust == Unchecked:
		return "c"
	}
	return "u"
}

// Keep puts a report on stable storage. It reports whether it was not there yet.
func (s *Store) Keep(ctx context.Context, r *Report) (fresh bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := r.key()
	if _, there := s.files[key]; there {
		return false, nil
	}
	data, err := json.Marshal(r)
	if err != nil {
		return false, err
	}
	f := file{fmt.Sprintf("%s-%s-%s.json", r.Received.UTC().Format(stampForm), r.class(), key), r.class(), int64(len(data))}
	if err := s.disk.ReplaceFile(ctx, filepath.Join(s.dir, f.name), data); err != nil {
		return false, fmt.Errorf("keep report: %w", err)
	}
	s.files[key] = f
	s.version++
	return true, nil
}

// Version changes when a report comes or goes.
func (s *Store) Version() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

// unreadable tells since when it is known of a message that it cannot be read.
func (s *Store) unreadable(mail string) (since time.Time, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, known := s.files[keyOf(string(Unreadable), mail)]
	return f.stamp(), known
}

// Prune removes the reports that came before a time, and the oldest of each class that
// is too large.
func (s *Store) Prune(ctx context.Context, before time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	byAge := slices.SortedFunc(maps.Keys(s.files), func(a, b string) int { return strings.Compare(s.files[b].name, s.files[a].name) })
	count, octets := make(map[string]int), make(map[string]int64)
	var old []string
	var steps []durable.Step
	for _, key := range byAge { // the newest first
		f := s.files[key]
		count[f.class]++
		octets[f.class] += f.size
		if files, most := bound(f.class); f.stamp().Before(before) || count[f.class] > files || octets[f.class] > most {
			old = append(old, key)
			steps = append(steps, durable.Remove(filepath.Join(s.dir, f.name)))
		}
	}
	if len(old) == 0 {
		return nil
	}
	if err := s.disk.Commit(ctx, &durable.Tx{Steps: steps}); err != nil {
		return fmt.Errorf("remove old reports: %w", err)
	}
	for _, key := range old {
		delete(s.files, key)
	}
	s.version++
	return nil
}

// ReadAll reads the reports in dir that came since a time, the oldest first. What cannot
// be read is left out, and is in the error beside the others. It may be called
// while another process writes there.
func ReadAll(dir string, since time.Time) ([]*Report, error) {
	files, err := list(dir)
	if err != nil {
		return nil, err
	}
	var all []*Report
	var errs []error
	for _, f := range slices.SortedFunc(maps.Values(files), func(a, b file) int { return strings.Compare(a.name, b.name) }) {
		if f.stamp().Before(since.Truncate(time.Second)) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, f.name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // pruned just now
		}
		r := &Report{}
		if err == nil {
			err = json.Unmarshal(data, r)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.name, err))
			continue
		}
		all = append(all, r)
	}
	return all, errors.Join(errs...)
}
