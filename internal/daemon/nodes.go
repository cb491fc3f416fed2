package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/mailstore/database"
	"github.com/postrider-mail/postrider/mailstore/postgres"
)

const announceEvery = 10 * time.Second // postgres.SilentAfter is when three of them did not come

// Node is a server that shares the database, as "status --all" shows it.
type Node struct {
	Host    string    `json:"host"`
	Name    string    `json:"name"`
	DataDir string    `json:"data_dir"`
	Version string    `json:"version,omitempty"`
	Since   time.Time `json:"since"`
	Seen    time.Time `json:"seen"`             // by the database's clock
	Silent  bool      `json:"silent,omitempty"` // it is not heard of any more
	This    bool      `json:"this,omitempty"`   // the one that was asked
	// Differs are the sections of the settings that it has other values in than the one that was asked.
	Differs []string `json:"differs,omitempty"`
}

// nodes tells the servers on one database of each other.
type nodes struct {
	id string // of this server, of before it serves

	mu       sync.Mutex
	of       *conf.Settings // those that hashes was made of
	hashes   map[string]string
	problems []string       // what others have other settings in
	alike    *conf.Settings // those that all servers have, this one with them; nil: they differ, or it is not known
	before   time.Time      // when the process was heard of first that has this one's identity
	twin     string         // it lives, and where; "" if not
}

// ownSettings are those that each server has for itself.
var ownSettings = map[string]bool{
	"server_name": true, "data_dir": true, "mail_dir": true, "queue_dir": true, "secret_key_file": true, "Listeners": true, "TLS": true, "DNS": true, "Web": true, "Log": true,
	"Admin": true, "Store.postgres": true, "Store.keep_free": true,
}

// settingsBySection hashes the settings that servers on one database should share. Passwords are in it as the hashes that stand in the
// settings, and all of a section is one number: nothing is to be learnt from it.
func settingsBySection(s *conf.Settings) map[string]string {
	values, sums := s.Values(), make(map[string]hash.Hash)
	for _, path := range slices.Sorted(maps.Keys(values)) {
		section := path
		if i := strings.IndexAny(path, ".["); i >= 0 {
			section = path[:i]
		}
		if ownSettings[section] || ownSettings[path] {
			continue
		}
		if sums[section] == nil {
			sums[section] = sha256.New()
		}
		fmt.Fprintf(sums[section], "%q %q\n", path, values[path])
	}
	all := make(map[string]string)
	for section, sum := range sums {
		all[section] = hex.EncodeToString(sum.Sum(nil)[:4])
	}
	return all
}

// differing are the sections that are not alike.
func differing(a, b map[string]string) (sections []string) {
	both := maps.Clone(a)
	maps.Copy(both, b)
	for _, section := range slices.Sorted(maps.Keys(both)) {
		if a[section] != b[section] {
			sections = append(sections, section)
		}
	}
	return sections
}

// place is where a server is, for people: its host and its data directory.
func place(s *conf.Settings) string {
	host, _ := os.Hostname()
	dir, err := filepath.Abs(s.DataDir)
	if err != nil {
		dir = s.DataDir
	}
	return host + ":" + dir
}

// idFile has what tells a server from others, whatever becomes of its machine's name.
func idFile(s *conf.Settings) string { return filepath.Join(s.DataDir, "node.id") }

// ensureID reads the identity of a server, and makes it when it first starts.
func ensureID(s *conf.Settings) (string, error) {
	text, err := os.ReadFile(idFile(s))
	if errors.Is(err, fs.ErrNotExist) {
		id := database.NewID().String()
		return id, writeDurably(s.DataDir, idFile(s), id+"\n")
	}
	id := strings.TrimSpace(string(text))
	if sum, bad := hex.DecodeString(id); err == nil && (bad != nil || len(sum) != len(database.ID{})) {
		err = fmt.Errorf("%s is damaged: remove it, and a new identity is made", idFile(s))
	}
	return id, err
}

// beOne gives this server its identity, and refuses it where a server elsewhere has that and lives: one is a copy of the other, and they
// could not be told apart. One in the same place may be the process before, that was killed; announce tells them apart. One elsewhere may be that as well, where
// each process has a host's name of its own, as containers have: it is forgotten soon.
func (d *Daemon) beOne(ctx context.Context, s *conf.Settings) (err error) {
	if d.nodes.id, err = ensureID(s); err != nil {
		return fmt.Errorf("identity of this server: %w", err)
	}
	all, err := d.database.Nodes(ctx)
	for _, n := range all {
		if n.ID == d.nodes.id && n.Host != place(s) && n.Silent < postgres.SilentAfter {
			return fmt.Errorf("the server at %s has the identity of this one, and was heard of %s ago: if this is a copy of it, remove %s here, and start again; if it was this one, which was killed and has another name or folder now, start again in half a minute",
				n.Host, n.Silent.Round(time.Second), idFile(s))
		}
	}
	return err
}

// hearTwin takes note of who has this server's identity beside it, if anybody: the process before is not heard of anew.
func (d *Daemon) hearTwin(holder *postgres.Node) {
	d.nodes.mu.Lock()
	defer d.nodes.mu.Unlock()
	switch {
	case holder == nil:
		d.nodes.before, d.nodes.twin = time.Time{}, ""
	case d.nodes.before.IsZero():
		d.nodes.before = holder.Seen
	case holder.Seen.After(d.nodes.before) && d.nodes.twin == "":
		d.nodes.twin = holder.Host
		d.log.Error("another server lives with the identity of this one: one is a copy of the other", "other", holder.Host, "advice", "stop the copy, remove its "+idFile(d.state().settings)+", and start it again")
	}
}

// self is this server.
func (d *Daemon) self() postgres.Node {
	s := d.state().settings
	d.nodes.mu.Lock()
	defer d.nodes.mu.Unlock()
	if d.nodes.of != s {
		d.nodes.of, d.nodes.hashes = s, settingsBySection(s)
	}
	return postgres.Node{ID: d.nodes.id, Host: place(s), Name: s.ServerName, Version: d.Version, Settings: d.nodes.hashes, Since: d.born}
}

// announce tells of this server while it runs, and warns of those that have other settings.
func (d *Daemon) announce(ctx context.Context) {
	if d.database == nil {
		return
	}
	once := func() {
		ctx, cancel := context.WithTimeout(ctx, announceEvery)
		defer cancel()
		all, holder, err := []Node(nil), (*postgres.Node)(nil), error(nil)
		st := d.state()
		if holder, err = d.database.Announce(ctx, d.self()); err == nil {
			d.hearTwin(holder)
			all, err = d.others(ctx)
		}
		if err != nil {
			d.log.Debug("the servers on this database do not hear of this one", "err", err)
			return
		}
		d.compare(all)
		if d.agree(st.settings, all) {
			d.retirePreferences(st)
		}
	}
	once()
	every(ctx, announceEvery, once)
	last, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := d.database.Withdraw(last, d.self()); err != nil {
		d.log.Debug("the servers on this database do not hear that this one ends", "err", err)
	}
}

// compare warns once of each other server that has other settings.
func (d *Daemon) compare(all []Node) {
	var problems []string
	for _, n := range all {
		if len(n.Differs) > 0 && !n.Silent {
			problems = append(problems, fmt.Sprintf("the server on %s (%s), which shares the database, has other settings: %s", n.Host, n.DataDir, strings.Join(n.Differs, ", ")))
		}
	}
	d.nodes.mu.Lock()
	before := d.nodes.problems
	d.nodes.problems = problems
	d.nodes.mu.Unlock()
	for _, p := range problems {
		if !slices.Contains(before, p) {
			d.log.Warn("servers on one database have different settings", "what", p)
		}
	}
}

// agree notes whether all servers, those as well that are silent, have these settings, and reports whether that was not known before.
func (d *Daemon) agree(s *conf.Settings, all []Node) (news bool) {
	d.nodes.mu.Lock()
	defer d.nodes.mu.Unlock()
	before := d.nodes.alike
	d.nodes.alike = s
	if slices.ContainsFunc(all, func(n Node) bool { return len(n.Differs) > 0 }) {
		d.nodes.alike = nil
	}
	return d.nodes.alike != nil && d.nodes.alike != before
}

// alike reports whether all servers have these settings.
func (d *Daemon) alike(s *conf.Settings) bool {
	d.nodes.mu.Lock()
	defer d.nodes.mu.Unlock()
	return d.nodes.alike == s
}

// nodeProblems are what compare found last.
func (d *Daemon) nodeProblems() []string {
	d.nodes.mu.Lock()
	defer d.nodes.mu.Unlock()
	if d.nodes.twin != "" {
		return append([]string{"another server lives with the identity of this one: " + d.nodes.twin}, d.nodes.problems...)
	}
	return d.nodes.problems
}

// others are all servers on the database, with this one.
func (d *Daemon) others(ctx context.Context) ([]Node, error) {
	if d.database == nil {
		return nil, errors.New("this server shares nothing with others: there is no database (Store.postgres)")
	}
	known, err := d.database.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	self, all := d.self(), []Node{}
	for _, n := range known {
		host, dir, ok := strings.Cut(n.Host, ":")
		if !ok { // of a version that had the place for an identity
			dir = strings.TrimPrefix(n.ID, n.Host+":")
		}
		is := Node{Host: host, Name: n.Name, DataDir: dir, Version: n.Version, Since: n.Since, Seen: n.Seen, Silent: n.Silent > postgres.SilentAfter, This: n.ID == self.ID}
		is.Differs = differing(self.Settings, n.Settings)
		all = append(all, is)
	}
	return all, nil
}
