package peertest

import (
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// initialize makes an empty database. What initdb makes is always the same and takes most of a short test's time, so it is made once
// for all tests of this user, kept in the cache, and copied.
func (d *Database) initialize(t testing.TB) {
	t.Helper()
	options := []string{"--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"}
	kept := d.kept(options)
	if kept != "" && copyTree(kept, d.dir) == nil {
		return
	}
	d.tool(t, "initdb", append(options, "-D", d.dir)...)
	if kept != "" {
		keep(d.dir, kept)
	}
}

// kept is where the copy of an empty database is or is to be, of this very initdb with these options and for its owner; empty where there is no place.
func (d *Database) kept(options []string) string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	fi, err := os.Stat(d.program("initdb"))
	if err != nil {
		return ""
	}
	version := filepath.Base(filepath.Dir(filepath.Dir(d.program("initdb"))))
	return filepath.Join(cache, "postrider-initdb", fmt.Sprintf("%s-%d-%d-%08x", version, fi.ModTime().Unix(), owner(), crc32.ChecksumIEEE([]byte(strings.Join(options, " ")))))
}

// keep keeps a copy for those to come. It has its name once it is whole: others may be doing the same. What fails is done again the next time.
func keep(dir, kept string) {
	if err := os.MkdirAll(filepath.Dir(kept), 0o700); err != nil {
		return
	}
	being, err := os.MkdirTemp(filepath.Dir(kept), "being-made-")
	if err != nil {
		return
	}
	defer os.RemoveAll(being)
	whole := filepath.Join(being, "data")
	if err := os.Mkdir(whole, 0o700); err != nil || copyTree(dir, whole) != nil {
		return
	}
	exec.Command("sync", "-f", whole).Run() // for a name outlives a loss of power that its files may not
	os.Rename(whole, kept)
}

// copyTree copies what is in a folder into another, which is there, with its owners.
func copyTree(from, to string) error {
	if _, err := os.Stat(filepath.Join(from, "PG_VERSION")); err != nil {
		return err
	}
	return exec.Command("cp", "-a", "--reflink=auto", from+"/.", to).Run()
}
