package packaging

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"
)

// deb is a binary package of Debian (deb(5)).
type deb struct {
	control   []byte            // its fields (deb-control(5)), without Installed-Size
	scripts   map[string][]byte // of the maintainer: "postinst"
	conffiles []string          // names in the tree that belong to the administrator
	tree
}

// write writes the package. Its members are packed with gzip, which every dpkg
// reads.
func (d *deb) write(w io.Writer, when time.Time) error {
	var control, data bytes.Buffer
	if err := gzipped(&data, func(w io.Writer) error { return d.tar(w, "./", when) }); err != nil {
		return err
	}
	if err := gzipped(&control, func(w io.Writer) error { return d.meta().tar(w, "./", when) }); err != nil {
		return err
	}
	if _, err := io.WriteString(w, "!<arch>\n"); err != nil {
		return err
	}
	for _, m := range []struct {
		name string
		data []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar.gz", control.Bytes()}, {"data.tar.gz", data.Bytes()}} {
		if err := arMember(w, m.name, m.data, when); err != nil {
			return err
		}
	}
	return nil
}

// meta is what dpkg keeps of the package itself.
func (d *deb) meta() tree {
	var t tree
	t.add("control", 0o644, fmt.Appendf(bytes.Clone(d.control), "Installed-Size: %d\n", d.kib()))
	var sums, conffiles strings.Builder
	for _, f := range d.whole() {
		if f.mode.Type() == 0 {
			fmt.Fprintf(&sums, "%x  %s\n", md5.Sum(f.data), f.name)
		}
	}
	t.add("md5sums", 0o644, []byte(sums.String()))
	for _, name := range d.conffiles {
		conffiles.WriteString("/" + name + "\n")
	}
	if len(d.conffiles) > 0 {
		t.add("conffiles", 0o644, []byte(conffiles.String()))
	}
	for name, text := range d.scripts {
		t.add(name, 0o755, text)
	}
	return t
}

// arMember writes one member of an archive as ar(5) has them.
func arMember(w io.Writer, name string, data []byte, when time.Time) error {
	_, err := fmt.Fprintf(w, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", name, when.Unix(), 0, 0, 0o100644, len(data))
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil && len(data)%2 == 1 {
		_, err = w.Write([]byte{'\n'})
	}
	return err
}

// has reports whether the tree has a file of that name.
func (t tree) has(name string) bool {
	for _, f := range t {
		if f.name == name && f.mode.Type() != fs.ModeDir {
			return true
		}
	}
	return false
}
