package packaging

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// file is one entry of a tree that is packed.
type file struct {
	name string      // slash-separated, without a leading slash
	mode fs.FileMode // its type is ModeDir, ModeSymlink or none; ModeSticky may be set
	data []byte
	link string // where a symbolic link leads
	uid  int    // owner and group
}

// tree is what a package or an image holds, in any order.
type tree []file

// add puts a file into the tree that root owns.
func (t *tree) add(name string, mode fs.FileMode, data []byte) {
	*t = append(*t, file{name: name, mode: mode, data: data})
}

func (t *tree) link(name, to string) {
	*t = append(*t, file{name: name, mode: fs.ModeSymlink | 0o777, link: to})
}

func (t *tree) dir(name string, mode fs.FileMode, uid int) {
	*t = append(*t, file{name: name, mode: fs.ModeDir | mode, uid: uid})
}

// whole is the tree with the folders above each file, by name.
func (t tree) whole() tree {
	all := make(map[string]file)
	for _, f := range t {
		for dir := path.Dir(f.name); dir != "."; dir = path.Dir(dir) {
			if _, ok := all[dir]; !ok {
				all[dir] = file{name: dir, mode: fs.ModeDir | 0o755}
			}
		}
		all[f.name] = f
	}
	var sorted tree
	for _, f := range all {
		sorted = append(sorted, f)
	}
	slices.SortFunc(sorted, func(a, b file) int { return cmp.Compare(a.name, b.name) })
	return sorted
}

// kib is how much room it takes once unpacked.
func (t tree) kib() int {
	n := 0
	for _, f := range t.whole() {
		n += max(1, (len(f.data)+1023)/1024)
	}
	return n
}

// tar writes the tree with each name below prefix ("./" or ""). Nothing in it
// depends on who calls this, where and when.
func (t tree) tar(w io.Writer, prefix string, when time.Time) error {
	tw := tar.NewWriter(w)
	all := t.whole()
	if prefix != "" {
		all = append(tree{{mode: fs.ModeDir | 0o755}}, all...)
	}
	for _, f := range all {
		h := &tar.Header{Name: prefix + f.name, Mode: int64(f.mode.Perm()), ModTime: when.UTC().Truncate(time.Second), Uid: f.uid, Gid: f.uid}
		if f.mode&fs.ModeSticky != 0 {
			h.Mode |= 0o1000
		}
		switch f.mode.Type() {
		case fs.ModeDir:
			h.Typeflag = tar.TypeDir
			h.Name = strings.TrimSuffix(h.Name, "/") + "/"
		case fs.ModeSymlink:
			h.Typeflag, h.Linkname = tar.TypeSymlink, f.link
		default:
			h.Typeflag, h.Size = tar.TypeReg, int64(len(f.data))
		}
		if f.uid == 0 {
			h.Uname, h.Gname = "root", "root"
		}
		if err := tw.WriteHeader(h); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		if _, err := tw.Write(f.data); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return tw.Close()
}

// gzipped packs what write writes, as small as gzip can and without a name or
// time of its own.
func gzipped(w io.Writer, write func(io.Writer) error) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	if err := write(z); err != nil {
		return err
	}
	return z.Close()
}
