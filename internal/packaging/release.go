package packaging

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Target is a system that the program is built for.
type Target struct{ OS, Arch string }

// Targets are those of a release.
func Targets() []Target {
	return []Target{{"linux", "amd64"}, {"linux", "arm64"}, {"freebsd", "amd64"}, {"freebsd", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}}
}

// Options say what is made, and where.
type Options struct {
	// Source is the checkout whose commit it is made of.
	Source string
	// Out is where it is put; a folder that is there has to be empty.
	Out string
	// Version is what packages are called; empty means what the go command makes of
	// the tag or the commit.
	Version string
	// Targets are built; of those of Linux, packages and images are made as well.
	Targets []Target
	// Log is told what is being done; nil tells nobody.
	Log io.Writer
}

// release is one in the making.
type release struct {
	Options
	source     string    // a clone of it, without what nobody has committed
	when       time.Time // of the commit
	commit     string
	man        map[string][]byte // by their files below a folder of man pages
	completion map[string][]byte // by shell
	made       map[string][]byte // the files of the release
}

// Make makes a release: all of it, or what failed is told and nothing is written.
func Make(ctx context.Context, o Options) error {
	r := &release{Options: o, made: make(map[string][]byte)}
	work, err := os.MkdirTemp("", "postrider-release")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := r.fresh(); err != nil {
		return err
	}
	if err := r.clone(ctx, filepath.Join(work, "source")); err != nil {
		return err
	}
	programs := make(map[Target][]byte)
	for _, t := range o.Targets {
		r.say("build for %s/%s", t.OS, t.Arch)
		file := filepath.Join(work, t.OS+"-"+t.Arch)
		if err := r.build(ctx, t, file); err != nil {
			return err
		}
		if programs[t], err = os.ReadFile(file); err != nil {
			return err
		}
		if err := r.identify(file, t, programs[t]); err != nil {
			return err
		}
	}
	if err := r.manual(ctx, work, programs); err != nil {
		return err
	}
	if err := r.pack(programs); err != nil {
		return err
	}
	return r.write()
}

func (r *release) say(format string, args ...any) {
	if r.Log != nil {
		fmt.Fprintf(r.Log, format+"\n", args...)
	}
}

// fresh refuses to mix a release with what is there.
func (r *release) fresh() error {
	entries, err := os.ReadDir(r.Out)
	if err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty", r.Out)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// clone takes the commit alone: what lies about in the checkout is in no release.
func (r *release) clone(ctx context.Context, dir string) error {
	source, err := filepath.Abs(r.Source)
	if err != nil {
		return err
	}
	r.source = dir
	return told(exec.CommandContext(ctx, "git", "-c", "safe.directory=*", "-c", "advice.detachedHead=false", "clone", "--quiet", "--shared", source, dir))
}

// build builds the program so that nothing of this machine is in it. Time zones
// are compiled in: an image has no other.
func (r *release) build(ctx context.Context, t Target, file string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=true", "-tags", "timetzdata", "-ldflags", "-s -w", "-o", file, "./cmd/postrider")
	cmd.Dir = r.source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOOS="+t.OS, "GOARCH="+t.Arch, "GOAMD64=v1", "GOARM64=v8.0")
	return told(cmd)
}

// told runs a command, whose words are the error's.
func told(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args[:2], " "), err, out)
	}
	return nil
}

// identify reads in the program what it was built from.
func (r *release) identify(file string, t Target, program []byte) error {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return err
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.time":
			if r.when, err = time.Parse(time.RFC3339, s.Value); err != nil {
				return err
			}
		case "vcs.revision":
			r.commit = s.Value
		}
	}
	if r.when.IsZero() {
		return errors.New("the go command does not say what it built: it has found no git")
	}
	if r.Version == "" {
		r.Version = info.Main.Version
	}
	name := r.name(t)
	list, err := sbom(info, name, program, r.when)
	if err != nil {
		return err
	}
	r.made[name+".cdx.json"] = list
	return nil
}

func (r *release) name(t Target) string {
	return fmt.Sprintf("postrider_%s_%s_%s", strings.TrimPrefix(r.Version, "v"), t.OS, t.Arch)
}

// manual has the program write its man pages and completions.
func (r *release) manual(ctx context.Context, work string, programs map[Target][]byte) error {
	r.say("write the manual")
	here := Target{runtime.GOOS, runtime.GOARCH}
	program := filepath.Join(work, here.OS+"-"+here.Arch)
	if programs[here] == nil {
		if err := r.build(ctx, here, program); err != nil {
			return err
		}
	}
	pages := filepath.Join(work, "man")
	docs := func(name string) string { return filepath.Join(r.source, "docs", name) }
	cmd := exec.CommandContext(ctx, program, "doc", "man", pages, docs("rules.md"), docs("log.md"))
	cmd.Env = append(os.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.when.Unix()))
	if err := told(cmd); err != nil {
		return err
	}
	r.man, r.completion = make(map[string][]byte), make(map[string][]byte)
	for _, shell := range []string{"bash", "zsh", "fish"} {
		script, err := exec.CommandContext(ctx, program, "completion", shell).Output()
		if err != nil {
			return fmt.Errorf("completion %s: %w", shell, err)
		}
		r.completion[shell] = script
	}
	return fs.WalkDir(os.DirFS(pages), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		r.man[name], err = os.ReadFile(filepath.Join(pages, filepath.FromSlash(name)))
		return err
	})
}

// pack makes archives, packages and the image of the programs.
func (r *release) pack(programs map[Target][]byte) error {
	images := &layout{}
	for _, t := range r.Targets {
		r.say("pack for %s/%s", t.OS, t.Arch)
		packed, err := r.archive(t, programs[t])
		if err != nil {
			return err
		}
		r.made[r.name(t)+".tar.gz"] = packed
		if t.OS != "linux" {
			continue
		}
		d, err := r.debian(t.Arch, programs[t])
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := d.write(&b, r.when); err != nil {
			return err
		}
		r.made[fmt.Sprintf("postrider_%s_%s.deb", r.debVersion(), t.Arch)] = b.Bytes()
		if err := r.image(images, t.Arch, programs[t]); err != nil {
			return err
		}
	}
	if len(images.images) == 0 {
		return nil
	}
	if err := images.finish(r.Version); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := images.tar(&b, "", r.when); err != nil {
		return err
	}
	r.made[fmt.Sprintf("postrider_%s_oci.tar", strings.TrimPrefix(r.Version, "v"))] = b.Bytes()
	return nil
}

// archive is for systems without a package: the program with its manual.
func (r *release) archive(t Target, program []byte) ([]byte, error) {
	var all tree
	all.add("postrider/bin/postrider", 0o755, program)
	for name, text := range r.man {
		all.add("postrider/share/man/"+name, 0o644, text)
	}
	for shell, script := range r.completion {
		all.add("postrider/share/completion/postrider."+shell, 0o644, script)
	}
	names := []string{"README.md", "LICENSE", "CHANGELOG.md"}
	if t.OS == "linux" {
		names = append(names, "docs/postrider.service", "docs/postrider.socket")
	}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(r.source, name))
		if err != nil {
			return nil, err
		}
		all.add("postrider/"+name, 0o644, text)
	}
	var b bytes.Buffer
	err := gzipped(&b, func(w io.Writer) error { return all.tar(w, "", r.when) })
	return b.Bytes(), err
}

// write puts all of it in place, with the checksums that sha256sum -c reads.
func (r *release) write() error {
	var sums strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.made)) {
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(r.made[name]), name)
	}
	r.made["SHA256SUMS"] = []byte(sums.String())
	if err := os.MkdirAll(r.Out, 0o755); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(r.made)) {
		if err := os.WriteFile(filepath.Join(r.Out, name), r.made[name], 0o644); err != nil {
			return err
		}
		r.say("%9d %s", len(r.made[name]), name)
	}
	return nil
}
