package maildir

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/postrider-mail/postrider/internal/dirents"
)

// entry is one message of a listing. The fields above the gap are fixed, so that
// sessions share entries with the cache.
type entry struct {
	name  string // file name in sub
	uid   string
	sec   int64
	sub   string // "new" or "cur"
	exact bool
	seal  string // the mark of a sealed message, empty for others

	size  atomic.Int64 // wire octets; corrected if the name turns out to lie
	disk  atomic.Int64 // octets of the file
	heard atomic.Bool  // size is another's word or a guess, to be checked when read
	guess bool         // the file could not be read; under box.mu
	gen   uint64       // of the reading that saw it last; under box.mu
	pos   int          // in listing.order; under box.mu
}

// base is the name up to its fields and flags.
func base(name string) string {
	if i := strings.IndexAny(name, ",:"); i >= 0 {
		return name[:i]
	}
	return name
}

func byAge(a, b *entry) int {
	if c := cmp.Compare(a.sec, b.sec); c != 0 {
		return c
	}
	return cmp.Compare(a.name, b.name)
}

// stamp identifies a state of the two directories.
type stamp struct {
	newTime, curTime time.Time
	newID, curID     uint64
}

// listing is the content of a mailbox at one moment, oldest first. The
// entries never change once made; the rest belongs to the box.
type listing struct {
	entries []*entry
	byBase  map[string]*entry
	order   []*entry // as the directories gave them
	octets  int64
	guesses bool // at least one entry has a guess for its size
	at      stamp
	quiet   bool // the stamp will change if the directories do
}

// quietAfter is how much older than the reading a directory's time must be
// before it can be relied on: a change after the reading might else fall into
// the same tick and leave the time as it is. File systems with nanoseconds
// take them from a clock that ticks every 1 to 10 ms; others count in
// seconds, FAT in two.
func quietAfter(t time.Time) time.Duration {
	if t.Nanosecond()%1_000_000 != 0 {
		return 50 * time.Millisecond
	}
	return 2100 * time.Millisecond
}

func quiet(at stamp, read time.Time) bool {
	old := func(t time.Time) bool { return read.Sub(t) > quietAfter(t) }
	return old(at.newTime) && old(at.curTime)
}

func (b *box) stamp() (stamp, error) { return stampOf(b.dir) }

// stampOf is the stamp of the Maildir dir.
func stampOf(dir string) (st stamp, err error) {
	if st.newTime, st.newID, err = dirTime(filepath.Join(dir, "new")); err != nil {
		return st, err
	}
	st.curTime, st.curID, err = dirTime(filepath.Join(dir, "cur"))
	return st, err
}

// dirTime gives a directory's time and number; zero if it is not there.
func dirTime(dir string) (time.Time, uint64, error) {
	info, err := os.Stat(dir)
	if os.IsNotExist(err) {
		return time.Time{}, 0, nil
	}
	if err != nil {
		return time.Time{}, 0, err
	}
	return info.ModTime(), inode(info), nil
}

// current returns the mailbox's listing, from memory if the directories have
// not changed since it was read. box.mu must be held.
func (b *box) current() (*listing, error) {
	var lost []*entry
	for try := 0; ; try++ {
		read := time.Now()
		at, err := b.stamp()
		if err != nil {
			return nil, wrap("maildir: stat mailbox", err)
		}
		if b.list != nil && b.list.quiet && b.list.at == at {
			b.s.cache.touch(b)
			return b.list, nil
		}
		before := b.list
		list, err := b.read()
		if err != nil {
			return nil, wrap("maildir: list mailbox", err)
		}
		if try > 0 {
			lost = append(lost, b.dropped(before)...)
		}
		list.at, list.quiet = at, quiet(at, read) && !list.guesses
		after, err := b.stamp()
		if err != nil {
			return nil, wrap("maildir: stat mailbox", err)
		}
		b.list = list
		// What was renamed during a reading may have been missed; the times tell.
		// A mailbox that never rests gets what three readings have seen.
		if done := after == at; done || try == 2 {
			if !done {
				list.bringBack(lost, b.gen)
			}
			b.s.cache.put(b, len(list.entries))
			b.setUse(int64(len(list.entries)), list.octets)
			return list, nil
		}
	}
}

// dropped are the entries of the listing before that the last reading has not met.
func (b *box) dropped(before *listing) (out []*entry) {
	for _, e := range before.entries {
		if e.gen != b.gen {
			out = append(out, e)
		}
	}
	return out
}

// bringBack adds entries that were met a moment ago and not again: a rename can
// hide a message from one reading. Should one have been removed instead, it is
// one more message that goes during a session.
func (l *listing) bringBack(lost []*entry, gen uint64) {
	var back []*entry
	for _, e := range lost {
		k := base(e.name)
		if l.byBase[k] != nil {
			continue
		}
		e.gen, e.pos = gen, len(l.order)
		l.byBase[k] = e
		l.order, back = append(l.order, e), append(back, e)
		l.octets += e.size.Load()
	}
	slices.SortFunc(back, byAge)
	l.entries = mergeSorted(l.entries, back) // a new slice: sessions hold the old
}

// reading is one pass over the directories.
type reading struct {
	b     *box
	gen   uint64
	seen  int
	fresh []*entry
	order []*entry
	next  int // where in the old order the next name is expected
}

// read goes through new, then cur (a message on its way between them is then
// seen at least once) and builds on the last listing. Directories tend to give
// their names in the same order each time, so most known names are found where
// they are expected, the others by a look into a map; only fresh ones are
// parsed and sorted. One whose size had to be guessed counts as fresh.
func (b *box) read() (*listing, error) {
	old := b.list
	if old == nil {
		old = &listing{byBase: make(map[string]*entry)}
	}
	b.gen++
	r := &reading{b: b, gen: b.gen, order: make([]*entry, 0, len(old.order)+16)}
	for _, sub := range []string{"new", "cur"} {
		err := dirents.Read(b.sub(sub, ""), func(e *dirents.Entry) {
			if len(e.Name) > 0 && e.Name[0] != '.' && e.Regular() {
				r.name(old, sub, e.Name)
			}
		})
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
	}
	if r.seen == len(old.entries) && len(r.fresh) == 0 {
		same := *old
		same.order, same.guesses = r.order, false
		return &same, nil
	}
	return r.merge(old), nil
}

func (r *reading) name(old *listing, sub string, name []byte) {
	if r.next < len(old.order) {
		if e := old.order[r.next]; e.name == string(name) && e.sub == sub && !e.guess {
			r.saw(e)
			return
		}
	}
	key := name
	for i, c := range name {
		if c == ',' || c == colon[0] {
			key = name[:i]
			break
		}
	}
	if e := old.byBase[string(key)]; e != nil && e.name == string(name) && e.sub == sub && !e.guess {
		r.saw(e)
		return
	}
	f := parseName(string(name))
	e := &entry{name: string(name), uid: f.uid, sec: f.sec, sub: sub, exact: f.exact, seal: f.seal, gen: r.gen}
	if r.b.measure(e, f) {
		e.pos = len(r.order)
		r.order = append(r.order, e)
		r.fresh = append(r.fresh, e)
	}
}

// saw notes an entry of the old listing that is still there.
func (r *reading) saw(e *entry) {
	r.next = e.pos + 1
	e.gen, e.pos = r.gen, len(r.order)
	r.order = append(r.order, e)
	r.seen++
}

// merge makes the new listing from what is still there of the old one and the
// fresh entries.
func (r *reading) merge(old *listing) *listing {
	slices.SortFunc(r.fresh, byAge)
	keep := make([]*entry, 0, r.seen+len(r.fresh))
	for _, e := range old.entries {
		if e.gen == r.gen {
			keep = append(keep, e)
		} else if k := base(e.name); old.byBase[k] == e {
			delete(old.byBase, k)
		}
	}
	r.dedup(old.byBase)
	out := &listing{byBase: old.byBase, order: r.order, entries: mergeSorted(keep, r.fresh)}
	// Entries dedup has found out as gone.
	gone := func(e *entry) bool { return e.gen != r.gen }
	out.entries = slices.DeleteFunc(out.entries, gone)
	out.order = slices.DeleteFunc(out.order, gone)
	uniqueImported(out.entries)
	for _, e := range out.entries {
		out.octets += e.size.Load()
		out.guesses = out.guesses || e.guess
	}
	return out
}

// dedup enters the fresh entries into the map and gives those whose id is
// taken another one.
func (r *reading) dedup(m map[string]*entry) {
	for _, e := range r.fresh {
		k := base(e.name)
		other := m[k]
		if other == nil {
			m[k] = e
			continue
		}
		// Seen, renamed, and seen again: one message. The last look is for a
		// rename between the two before.
		switch {
		case !r.exists(other), r.exists(e) && !r.exists(other):
			other.gen = 0
			m[k] = e
			continue
		case !r.exists(e):
			e.gen = 0
			continue
		}
		// One message in both forms: it is being sealed or unsealed, or a crash came
		// between the first name and the removal of the other (replace.go).
		if (e.seal == "") != (other.seal == "") {
			if other.seal != "" {
				e, other = other, e
			}
			other.gen, e.gen, m[k] = 0, r.gen, e
			continue
		}
		// A name that was repeated. Which of them is "the" one must not
		// depend on the order of reading: the first in age keeps the id.
		e.uid = hashUID(parseName(e.name).stable, e.sub+flagsOf(e.name))
	}
}

func (r *reading) exists(e *entry) bool {
	_, err := os.Lstat(r.b.sub(e.sub, e.name))
	return !os.IsNotExist(err)
}

func flagsOf(name string) string {
	_, info, _ := strings.Cut(name, colon)
	return info
}

// uniqueImported looks after ids that came with a message (",U="), which the
// names alone do not keep apart.
func uniqueImported(entries []*entry) {
	imported := func(e *entry) bool { return strings.Contains(e.name, ",U=") }
	if !slices.ContainsFunc(entries, imported) {
		return
	}
	seen := make(map[string]bool, len(entries))
	for _, e := range entries {
		// Not by its place in the list, which changes with what stands before.
		for n := 0; seen[e.uid]; n++ {
			e.uid = hashUID(parseName(e.name).stable, strconv.Itoa(n))
		}
		seen[e.uid] = true
	}
}

func mergeSorted(a, b []*entry) []*entry {
	if len(b) == 0 {
		return a
	}
	out := make([]*entry, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if byAge(a[0], b[0]) <= 0 {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// measure finds an entry's sizes: from its name if we wrote that, else by
// asking the file, else by reading it. It is false if the file is gone.
func (b *box) measure(e *entry, f fields) bool {
	e.size.Store(f.wire)
	e.disk.Store(f.disk)
	if f.wire >= 0 && f.disk >= 0 {
		if isOurs(e.name) && f.possible() {
			return true
		}
		info, err := os.Stat(b.sub(e.sub, e.name))
		if err == nil && info.Size() == f.disk && f.possible() {
			e.heard.Store(true)
			return true
		}
		if os.IsNotExist(err) {
			return false
		}
		b.s.log.Warn("file name does not tell its size", "mailbox", b.user, "file", e.name)
	}
	return b.scan(e)
}

// scan reads the file to learn its sizes. An unreadable one stays in the list,
// so that somebody hears of it, with the size the directory knows for a guess:
// it is measured when it is opened, or listed anew.
func (b *box) scan(e *entry) bool {
	path := b.sub(e.sub, e.name)
	disk, wire, err := sizesOf(path)
	if err != nil {
		info, serr := os.Stat(path)
		if serr != nil {
			return false
		}
		b.s.log.Warn("message cannot be read", "mailbox", b.user, "file", e.name, "err", err)
		disk, wire = info.Size(), info.Size()
		e.guess = true
		e.heard.Store(true)
	}
	if e.exact {
		wire = disk
	}
	if e.seal != "" { // nobody learns it from the file
		wire = max(parseName(e.name).wire, 0)
	}
	e.size.Store(wire)
	e.disk.Store(disk)
	return true
}

func sizesOf(path string) (disk, wire int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer file.Close()
	return wireSize(file)
}

// possible reports whether a file of S octets can have W on the wire: each may be
// a line end, which gets one more.
func (f fields) possible() bool {
	if f.seal != "" {
		return f.wire < f.disk
	}
	if f.exact {
		return f.wire == f.disk
	}
	return f.disk <= f.wire && f.wire-f.disk <= f.disk
}

// isOurs knows names made by namer: <digits>.M<6 digits>P<12 hex>Q...
func isOurs(name string) bool {
	_, rest, ok := strings.Cut(name, ".")
	return ok && len(rest) > 22 && rest[0] == 'M' && rest[7] == 'P' && rest[20] == 'Q'
}
