package crashtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// node is a file or a directory: as running programs see it, and as much of it
// as is on the disk for certain.
type node struct {
	live map[string]*node // of a directory: its entries now
	disk map[string]*node // of a directory: its durable entries
	todo []*change        // of a directory: changes not yet durable, in order

	isDir  bool
	data   []byte
	writes []span // of a file: not yet durable
	synced int    // of a file: durable octets
	over   []over // of a file: what was written over and is not yet durable
}

// over is what stood where the event at index at wrote.
type over struct {
	at, off int
	old     []byte
}

// span says that the event at index at made the file end octets long.
type span struct{ at, end int }

// change is one alteration of a directory that may be lost.
type change struct {
	at    int
	drop  string // entry that goes, "" if none
	add   string // entry that comes, "" if none
	node  *node
	after *change // this one cannot have happened without that one
	did   bool
}

func newDir() *node {
	return &node{isDir: true, live: make(map[string]*node), disk: make(map[string]*node)}
}

// model replays a record.
type model struct {
	root   string
	top    *node
	byPath map[string]*node // by the name they were last created under, or called
	files  []*node
}

// replay applies the first n events.
func replay(root string, events []event, n int) (*model, error) {
	m := &model{root: filepath.Clean(root), top: newDir(), byPath: make(map[string]*node)}
	for i, e := range events[:n] {
		if err := m.apply(i, e); err != nil {
			return nil, fmt.Errorf("crashtest: event %d: %w", i, err)
		}
	}
	return m, nil
}

func (m *model) dir(path string) (*node, error) {
	path = filepath.Clean(path)
	if path == m.root {
		return m.top, nil
	}
	up := filepath.Dir(path)
	if up == path {
		return nil, fmt.Errorf("outside of %s", m.root)
	}
	parent, err := m.dir(up)
	if err != nil {
		return nil, err
	}
	d := parent.live[filepath.Base(path)]
	if d == nil || !d.isDir {
		return nil, fmt.Errorf("no directory %s", path)
	}
	return d, nil
}

// at returns the directory of a path and the last component.
func (m *model) at(path string) (*node, string, error) {
	d, err := m.dir(filepath.Dir(path))
	return d, filepath.Base(path), err
}

func (m *model) apply(i int, e event) error {
	switch e.kind {
	case mark, syncStart:
		return nil
	case write:
		f := m.byPath[e.name]
		f.data = append(f.data, e.data...)
		f.writes = append(f.writes, span{i, len(f.data)})
		return nil
	case writeAt:
		return m.byPath[e.name].overwrite(i, e)
	case syncDone:
		return m.sync(e)
	case unnamed:
		n := &node{}
		m.files = append(m.files, n)
		m.byPath[e.name] = n
		return nil
	case linkFile:
		to, base, err := m.at(e.to)
		if err == nil {
			to.change(&change{at: i, add: base, node: m.byPath[e.name]})
		}
		return err
	}
	d, base, err := m.at(e.name)
	if err != nil {
		return err
	}
	switch e.kind {
	case create, mkdir:
		n := &node{}
		if e.kind == mkdir {
			n = newDir()
		} else {
			m.files = append(m.files, n)
		}
		m.byPath[e.name] = n
		d.change(&change{at: i, add: base, node: n})
	case remove:
		d.change(&change{at: i, drop: base})
	case link, rename:
		to, toBase, err := m.at(e.to)
		if err != nil {
			return err
		}
		n := d.live[base]
		switch {
		case e.kind == link:
			to.change(&change{at: i, add: toBase, node: n})
		case to == d:
			d.change(&change{at: i, drop: base, add: toBase, node: n})
		default:
			come := &change{at: i, add: toBase, node: n}
			to.change(come)
			d.change(&change{at: i, drop: base, after: come})
		}
	}
	return nil
}

// overwrite writes within a file; what is behind its end must have been written
// before.
func (n *node) overwrite(i int, e event) error {
	end := e.off + len(e.data)
	if end > len(n.data) {
		return fmt.Errorf("write at %d to %d of a file of %d octets", e.off, end, len(n.data))
	}
	n.over = append(n.over, over{i, e.off, append([]byte(nil), n.data[e.off:end]...)})
	copy(n.data[e.off:end], e.data)
	return nil
}

func (n *node) change(c *change) {
	c.apply(n.live)
	n.todo = append(n.todo, c)
}

func (c *change) apply(entries map[string]*node) {
	if c.drop != "" {
		delete(entries, c.drop)
	}
	if c.add != "" {
		entries[c.add] = c.node
	}
}

func (m *model) sync(e event) error {
	if e.name == "" {
		var all []*node
		m.top.collect(&all, make(map[*node]bool))
		for range 2 { // some changes wait for one in another directory
			for _, d := range all {
				d.syncEntries(e.start)
			}
		}
		for _, f := range m.files {
			f.syncData(e.start)
		}
		return nil
	}
	// A file is known by the name it was created under; a directory may have
	// been removed meanwhile, and then nothing is lost.
	if f := m.byPath[e.name]; f != nil && !f.isDir {
		f.syncData(e.start)
		return nil
	}
	d, err := m.dir(e.name)
	if err == nil {
		d.syncEntries(e.start)
		return nil
	}
	// The parent of the root, for instance: outside of what is modelled.
	return nil
}

func (n *node) syncData(start int) {
	for len(n.writes) > 0 && n.writes[0].at < start {
		n.synced = n.writes[0].end
		n.writes = n.writes[1:]
	}
	for len(n.over) > 0 && n.over[0].at < start {
		n.over = n.over[1:]
	}
}

func (n *node) syncEntries(start int) {
	rest := n.todo[:0:0]
	for _, c := range n.todo {
		if c.at < start && (c.after == nil || c.after.did) {
			c.did = true
			c.apply(n.disk)
		} else {
			rest = append(rest, c)
		}
	}
	n.todo = rest
}

// Outcome is one way a crash can go.
type Outcome struct {
	Name string
	// names decides whether an unsynced change of names happened.
	names func() bool
	// data decides how much of a file of full octets is there, of which synced
	// octets are certain, and how many of those behind them read as zeros.
	data func(synced, full int) (n, zeros int)
}

// Outcomes lists the extremes and some chances in between.
func Outcomes(seed uint64) []Outcome {
	yes := func() bool { return true }
	least := func(synced, _ int) (int, int) { return synced, 0 }
	out := []Outcome{
		{"only what was synced", func() bool { return false }, least},
		{"everything", yes, func(_, full int) (int, int) { return full, 0 }},
		{"names without contents", yes, least},
		{"names with half the contents", yes, func(synced, full int) (int, int) { return (synced + full) / 2, 0 }},
		{"names with zeros", yes, func(synced, full int) (int, int) { return full, full - synced }},
		{"names with a hole", yes, func(synced, full int) (int, int) { return full, (full - synced) / 2 }},
	}
	for i := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, i))
		out = append(out, Outcome{
			Name:  fmt.Sprintf("chance %d/%d", seed, i),
			names: func() bool { return r.IntN(2) == 0 },
			data: func(synced, full int) (int, int) {
				n := synced + r.IntN(full-synced+1)
				if r.IntN(4) > 0 {
					return n, 0
				}
				return n, r.IntN(n - synced + 1)
			},
		})
	}
	return out
}

// Crash makes dir, which must be empty, look like the recorded directory after
// a crash right after the first n events.
func (r *Recorder) Crash(root string, n int, how Outcome, dir string) error {
	r.mu.Lock()
	events := r.events[:n:n]
	r.mu.Unlock()
	m, err := replay(root, events, n)
	if err != nil {
		return err
	}
	m.top.decide(how, make(map[*node]bool))
	return m.top.write(dir, how, make(map[*node]string))
}

// decide decides about every change that was not durable: first those nothing
// waits for, so that the others know.
func (n *node) decide(how Outcome, seen map[*node]bool) {
	var all []*node
	n.collect(&all, seen)
	for _, waiting := range []bool{false, true} {
		for _, d := range all {
			for _, c := range d.todo {
				if (c.after != nil) == waiting {
					c.did = how.names() && (c.after == nil || c.after.did)
				}
			}
		}
	}
	for _, d := range all {
		for _, c := range d.todo {
			if c.did {
				c.apply(d.disk)
			}
		}
	}
}

// collect finds every directory that is or may be on the disk.
func (n *node) collect(all *[]*node, seen map[*node]bool) {
	if !n.isDir || seen[n] {
		return
	}
	seen[n] = true
	*all = append(*all, n)
	for _, c := range n.disk {
		c.collect(all, seen)
	}
	for _, c := range n.todo {
		if c.node != nil {
			c.node.collect(all, seen)
		}
	}
}

func (n *node) write(path string, how Outcome, links map[*node]string) error {
	if n.isDir {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return err
		}
		for name, c := range n.disk {
			if err := c.write(filepath.Join(path, name), how, links); err != nil {
				return err
			}
		}
		return nil
	}
	if first, ok := links[n]; ok {
		return os.Link(first, path)
	}
	links[n] = path
	size, zeros := how.data(n.synced, len(n.data))
	data := n.crashed(how)[:size]
	start := min(n.synced, size)
	clear(data[start:min(start+zeros, size)])
	return os.WriteFile(path, data, 0o600)
}

// crashed is a file's contents where some of what was written over something may
// not have got there: a part of it is new, with zeros in it perhaps, the rest old.
func (n *node) crashed(how Outcome) []byte {
	data := append([]byte(nil), n.data...)
	for i := len(n.over) - 1; i >= 0; i-- {
		o := n.over[i]
		here := data[o.off : o.off+len(o.old)]
		kept, zeros := how.data(0, len(here))
		clear(here[:min(zeros, kept)])
		copy(here[kept:], o.old[kept:])
	}
	return data
}
