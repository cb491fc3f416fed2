package packaging

import (
	"bytes"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

//go:embed debian
var debianFiles embed.FS

// profile is the name of the AppArmor profile.
const profile = "etc/apparmor.d/postrider"

// debian makes the package of one architecture.
func (r *release) debian(arch string, program []byte) (*deb, error) {
	d := &deb{scripts: make(map[string][]byte), conffiles: []string{profile}}
	own := func(name string) []byte {
		text, err := debianFiles.ReadFile("debian/" + name)
		if err != nil {
			panic(err) // it is embedded
		}
		return text
	}
	d.control = []byte(strings.NewReplacer("%VERSION%", r.debVersion(), "%ARCH%", arch).Replace(string(own("control"))))
	for _, script := range []string{"postinst", "prerm", "postrm"} {
		d.scripts[script] = own(script)
	}
	d.add("usr/bin/postrider", 0o755, program)
	d.link("usr/sbin/sendmail", "../bin/postrider")
	d.link("usr/lib/sendmail", "../sbin/sendmail") // where programs older than /usr/sbin look
	d.link("usr/bin/mailq", "postrider")
	d.link("usr/bin/newaliases", "postrider")
	d.add(profile, 0o644, own("apparmor"))
	if err := d.units(r.source); err != nil {
		return nil, err
	}
	for name, text := range r.man {
		packed, err := pack(text)
		if err != nil {
			return nil, err
		}
		d.add(path.Join("usr/share/man", name+".gz"), 0o644, packed)
	}
	d.add("usr/share/bash-completion/completions/postrider", 0o644, r.completion["bash"])
	d.add("usr/share/zsh/vendor-completions/_postrider", 0o644, r.completion["zsh"])
	d.add("usr/share/fish/vendor_completions.d/postrider.fish", 0o644, r.completion["fish"])
	d.add("usr/share/lintian/overrides/postrider", 0o644, own("lintian-overrides"))
	if err := d.docs(r, own("copyright")); err != nil {
		return nil, err
	}
	return d, nil
}

// units are those of docs/, with the place that the package has the program in.
func (d *deb) units(source string) error {
	for _, name := range []string{"postrider.service", "postrider.socket"} {
		text, err := os.ReadFile(filepath.Join(source, "docs", name))
		if err != nil {
			return err
		}
		made := strings.ReplaceAll(string(text), "/usr/local/bin/", "/usr/bin/")
		made = strings.ReplaceAll(made, "Documentation=https", "Documentation=man:postrider(1) https")
		d.add("usr/lib/systemd/system/"+name, 0o644, []byte(made))
	}
	return nil
}

// docs are the pages, the licence, and what changed.
func (d *deb) docs(r *release, copyright []byte) error {
	const doc = "usr/share/doc/postrider/"
	licence, err := os.ReadFile(filepath.Join(r.source, "LICENSE"))
	if err != nil {
		return err
	}
	_, terms, ok := bytes.Cut(licence, []byte("authors\n\n"))
	if !ok {
		return fmt.Errorf("LICENSE is not the one that debian/copyright names")
	}
	for line := range strings.Lines(string(terms)) {
		if line == "\n" {
			line = ".\n"
		}
		copyright = append(copyright, " "+line...)
	}
	d.add(doc+"copyright", 0o644, copyright)
	changes, err := os.ReadFile(filepath.Join(r.source, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	debianChanges := fmt.Sprintf("postrider (%s) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- The Postrider authors <postrider@users.noreply.github.com>  %s\n",
		r.debVersion(), r.when.UTC().Format(time.RFC1123Z))
	for name, text := range map[string][]byte{"changelog.gz": changes, "changelog.Debian.gz": []byte(debianChanges)} {
		packed, err := pack(text)
		if err != nil {
			return err
		}
		d.add(doc+name, 0o644, packed)
	}
	pages, err := fs.Glob(os.DirFS(filepath.Join(r.source, "docs")), "*.md")
	if err != nil {
		return err
	}
	for _, name := range append(pages, "dashboard.json", "alerts.yml", "compose.yaml") {
		text, err := os.ReadFile(filepath.Join(r.source, "docs", name))
		if err != nil {
			return err
		}
		d.add(doc+name, 0o644, text)
	}
	return nil
}

// debVersion is the release as Debian orders versions: what a commit's is made of
// sorts before the release that follows it.
func (r *release) debVersion() string {
	v, changed := strings.CutSuffix(strings.TrimPrefix(r.Version, "v"), "+dirty")
	number, rest, pre := strings.Cut(v, "-")
	if pre {
		number += "~" + strings.ReplaceAll(rest, "-", ".")
	}
	if changed {
		number += "+changed"
	}
	return number + "-1"
}

// pack is text as gzip has it.
func pack(text []byte) ([]byte, error) {
	var b bytes.Buffer
	err := gzipped(&b, func(w io.Writer) error { _, err := w.Write(text); return err })
	return b.Bytes(), err
}
