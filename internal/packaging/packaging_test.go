package packaging

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

var when = time.Date(2026, 1, 2, 3, 4, 5, 600, time.FixedZone("", 3600))

func sample() *release {
	return &release{
		Options: Options{Version: "v1.2.3"}, source: filepath.Join("..", ".."), when: when, commit: "abc", made: map[string][]byte{},
		man:        map[string][]byte{"man1/postrider.1": []byte(".TH POSTRIDER 1\n")},
		completion: map[string][]byte{"bash": []byte("b\n"), "zsh": []byte("z\n"), "fish": []byte("f\n")},
	}
}

// members reads an archive of ar(5) to its end.
func members(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	rest, ok := bytes.CutPrefix(archive, []byte("!<arch>\n"))
	if !ok {
		t.Fatal("no archive")
	}
	all := make(map[string][]byte)
	for len(rest) > 0 {
		var size int
		head := string(rest[:60])
		if _, err := fmt.Sscan(head[48:58], &size); err != nil || head[58:] != "`\n" {
			t.Fatalf("%q: %v", head, err)
		}
		all[strings.TrimSpace(head[:16])] = rest[60 : 60+size]
		rest = rest[60+size+size%2:]
	}
	return all
}

// unpacked reads a tar.
func unpacked(t *testing.T, r io.Reader) map[string]*tar.Header {
	t.Helper()
	all := make(map[string]*tar.Header)
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(when.Truncate(time.Second)) {
			t.Errorf("%s is of %v", h.Name, h.ModTime)
		}
		all[h.Name] = h
	}
}

func gunzip(t *testing.T, packed []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func TestDeb(t *testing.T) {
	d, err := sample().debian("arm64", []byte("program"))
	if err != nil {
		t.Fatal(err)
	}
	var once, again bytes.Buffer
	if err := d.write(&once, when); err != nil {
		t.Fatal(err)
	}
	if err := d.write(&again, when); err != nil || !bytes.Equal(once.Bytes(), again.Bytes()) {
		t.Errorf("written twice, it differs: %v", err)
	}
	all := members(t, once.Bytes())
	if string(all["debian-binary"]) != "2.0\n" {
		t.Errorf("%q", all["debian-binary"])
	}
	files := unpacked(t, bytes.NewReader(gunzip(t, all["data.tar.gz"])))
	for name, link := range map[string]string{
		"./usr/bin/postrider": "", "./usr/sbin/sendmail": "../bin/postrider", "./usr/bin/mailq": "postrider", "./etc/apparmor.d/postrider": "",
		"./usr/lib/systemd/system/postrider.service": "", "./usr/lib/systemd/system/postrider.socket": "", "./usr/share/man/man1/postrider.1.gz": "",
	} {
		if h := files[name]; h == nil || h.Linkname != link || h.Uname != "root" {
			t.Errorf("%s: %+v", name, h)
		}
	}
	for name, h := range files {
		if h.Mode&0o7022 != 0 && h.Typeflag != tar.TypeSymlink {
			t.Errorf("%s has mode %o", name, h.Mode)
		}
		if strings.HasPrefix(name, "./etc/postrider") {
			t.Errorf("%s is shipped: an upgrade would ask about what commands have changed", name)
		}
	}
	control := unpacked(t, bytes.NewReader(gunzip(t, all["control.tar.gz"])))
	for _, name := range []string{"./control", "./md5sums", "./conffiles", "./postinst", "./prerm", "./postrm"} {
		if control[name] == nil {
			t.Errorf("no %s", name)
		}
	}
}

// TestDpkg has dpkg read what is written.
func TestDpkg(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("dpkg-deb is not installed")
	}
	d, err := sample().debian("amd64", []byte("program"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "x.deb")
	var b bytes.Buffer
	if err := d.write(&b, when); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("dpkg-deb", "-f", file, "Package", "Version", "Architecture", "Provides", "Conflicts").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Version: 1.2.3-1\nArchitecture: amd64\n") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := exec.Command("dpkg-deb", "-x", file, t.TempDir()).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	// As Debian orders them.
	versions := []string{"v0.0.0-20250102030405-0123456789ab", "v0.9.0-0.20260102030405-0123456789ab", "v0.9.0-rc.1", "v0.9.0", "v0.10.0", "v1.0.0"}
	for i := range versions[1:] {
		a, b := &release{Options: Options{Version: versions[i]}}, &release{Options: Options{Version: versions[i+1]}}
		if exec.Command("dpkg", "--compare-versions", a.debVersion(), "lt", b.debVersion()).Run() != nil {
			t.Errorf("%s is not before %s", a.debVersion(), b.debVersion())
		}
	}
}

// TestImage: whatever the index names is there, is what its name says, and leads
// to a file system with the program, whom it believes, and one folder to write to.
func TestImage(t *testing.T) {
	l, r := &layout{}, sample()
	for _, arch := range []string{"amd64", "arm64"} {
		if err := r.image(l, arch, []byte("program of "+arch)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.finish(r.Version); err != nil {
		t.Fatal(err)
	}
	find := func(name string) []byte {
		for _, f := range l.tree {
			if f.name == name {
				return f.data
			}
		}
		t.Fatalf("no %s", name)
		return nil
	}
	blob := func(d descriptor) []byte {
		data := find("blobs/sha256/" + strings.TrimPrefix(d.Digest, "sha256:"))
		if fmt.Sprintf("sha256:%x", sha256.Sum256(data)) != d.Digest || len(data) != d.Size {
			t.Errorf("%+v is %d octets of something else", d, len(data))
		}
		return data
	}
	decode := func(data []byte, v any) {
		t.Helper()
		if err := json.Unmarshal(data, v); err != nil {
			t.Fatal(err)
		}
	}
	type index struct{ Manifests []descriptor }
	var top, all index
	decode(find("index.json"), &top)
	if top.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != "v1.2.3" {
		t.Errorf("%+v", top)
	}
	decode(blob(top.Manifests[0]), &all)
	if len(all.Manifests) != 2 || all.Manifests[1].Platform.Architecture != "arm64" {
		t.Fatalf("%+v", all)
	}
	for _, m := range all.Manifests {
		var manifest struct {
			Config descriptor
			Layers []descriptor
		}
		decode(blob(m), &manifest)
		var config struct {
			Architecture string
			Config       imageConfig
			RootFS       struct {
				DiffIDs []string `json:"diff_ids"`
			}
		}
		decode(blob(manifest.Config), &config)
		plain := gunzip(t, blob(manifest.Layers[0]))
		if config.RootFS.DiffIDs[0] != fmt.Sprintf("sha256:%x", sha256.Sum256(plain)) {
			t.Error("the layer is not the one that its configuration names")
		}
		if c := config.Config; c.User != "65532:65532" || len(c.Volumes) != 1 || c.Healthcheck.Test[2] != "status" {
			t.Errorf("%+v", c)
		}
		for _, variable := range config.Config.Env {
			if strings.Contains(strings.ToUpper(variable), "PASS") {
				t.Errorf("a secret in the environment: %s", variable)
			}
		}
		files := unpacked(t, bytes.NewReader(plain))
		if h := files["var/lib/postrider/"]; h == nil || h.Mode != 0o1777 || h.Uid != imageUser {
			t.Errorf("the volume: %+v", h)
		}
		if h := files["usr/bin/postrider"]; h == nil || h.Mode != 0o755 {
			t.Errorf("the program: %+v", h)
		}
	}
	var loads []loadable
	decode(find("manifest.json"), &loads)
	for _, load := range loads {
		find(load.Config)
		find(load.Layers[0])
	}
}

func TestRoots(t *testing.T) {
	roots, err := caRoots()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for block, rest := pem.Decode(roots); block != nil; block, rest = pem.Decode(rest) {
		n++
	}
	if n < 100 {
		t.Errorf("%d roots", n)
	}
}

func TestSBOM(t *testing.T) {
	info := &debug.BuildInfo{GoVersion: "go1.26.1", Main: debug.Module{Path: "a.test/x", Version: "v1.0.0"},
		Deps:     []*debug.Module{{Path: "b.test/y", Version: "v2.0.0", Sum: "h1:x="}, {Path: "c.test/z", Version: "v1.0.0", Replace: &debug.Module{Path: "d.test/z", Version: "v3.0.0"}}},
		Settings: []debug.BuildSetting{{Key: "-trimpath", Value: "true"}}}
	text, err := sbom(info, "x_linux", []byte("program"), when)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := sbom(info, "x_linux", []byte("program"), when)
	var list struct {
		BomFormat, SerialNumber string
		Metadata                struct {
			Timestamp string
			Component struct{ PURL string }
		}
		Components []struct{ PURL string }
	}
	if err := json.Unmarshal(text, &list); err != nil || !bytes.Equal(text, again) {
		t.Fatal(err)
	}
	var got []string
	for _, c := range list.Components {
		got = append(got, c.PURL)
	}
	if want := "pkg:golang/std@1.26.1 pkg:golang/b.test/y@v2.0.0 pkg:golang/d.test/z@v3.0.0"; strings.Join(got, " ") != want {
		t.Errorf("%s, want %s", got, want)
	}
	if list.BomFormat != "CycloneDX" || list.Metadata.Component.PURL != "pkg:golang/a.test/x@v1.0.0" || list.Metadata.Timestamp != "2026-01-02T02:04:05Z" ||
		!strings.HasPrefix(list.SerialNumber, "urn:uuid:") || len(list.SerialNumber) != 45 || list.SerialNumber[23] != '8' {
		t.Errorf("%+v", list)
	}
}

// TestTree: folders above come first, with rights for all to see.
func TestTree(t *testing.T) {
	var x tree
	x.add("b/c", 0o600, []byte("x"))
	x.dir("a", 0o700, 7)
	var names []string
	for _, f := range x.whole() {
		names = append(names, fmt.Sprintf("%s %v", f.name, f.mode))
	}
	if got := strings.Join(names, ", "); got != "a drwx------, b drwxr-xr-x, b/c -rw-------" {
		t.Error(got)
	}
	if !x.has("b/c") || x.has("a") || x.has("b") {
		t.Error("has")
	}
}

// TestMakeRefuses: nothing is mixed with what is there.
func TestMakeRefuses(t *testing.T) {
	out := t.TempDir()
	if err := os.WriteFile(filepath.Join(out, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Make(t.Context(), Options{Source: ".", Out: out}); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Error(err)
	}
}
