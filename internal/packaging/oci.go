package packaging

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// Where things are in the image.
const (
	imageProgram = "usr/bin/postrider"
	imageVolume  = "var/lib/postrider"
	imageRoots   = "etc/ssl/certs/ca-certificates.crt"
	imageUser    = 65532 // as images without a system have it
)

// imageTree is the whole file system of the image: the program, who it runs as,
// whom it believes, and the one folder that it writes to.
func imageTree(program []byte) (tree, error) {
	roots, err := caRoots()
	if err != nil {
		return nil, err
	}
	var t tree
	t.add(imageProgram, 0o755, program)
	t.link("usr/sbin/sendmail", "../bin/postrider")
	t.add(imageRoots, 0o644, roots)
	t.add("etc/passwd", 0o644, fmt.Appendf(nil, "root:x:0:0:root:/:/nonexistent\npostrider:x:%d:%[1]d:postrider:/%s:/nonexistent\n", imageUser, imageVolume))
	t.add("etc/group", 0o644, fmt.Appendf(nil, "root:x:0:\npostrider:x:%d:\n", imageUser))
	t.add("etc/nsswitch.conf", 0o644, []byte("hosts: files dns\n"))
	// Whoever is told to run it may be any user: a volume takes over this mode.
	t = append(t, file{name: imageVolume, mode: fs.ModeDir | fs.ModeSticky | 0o777, uid: imageUser})
	return t, nil
}

// caRoots are the certificates of Mozilla's list, as Go's own fallback has them.
// Those that are believed under conditions only are left out: a file of
// certificates cannot say such conditions, and would be believed without.
func caRoots() ([]byte, error) {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		c, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "# %s\n", c.Subject)
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

// descriptor names a blob (OCI image-spec, descriptor.md).
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

// layout is an OCI image layout (OCI image-spec, image-layout.md).
type layout struct {
	tree
	images []descriptor
	loads  []loadable
}

// loadable is an image as "docker load" has found them since before there were
// layouts.
type loadable struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// blob puts a blob into the layout, named by what it holds.
func (l *layout) blob(mediaType string, data []byte) descriptor {
	digest := fmt.Sprintf("%x", sha256.Sum256(data))
	if name := "blobs/sha256/" + digest; !l.has(name) {
		l.add(name, 0o644, data)
	}
	return descriptor{MediaType: mediaType, Digest: "sha256:" + digest, Size: len(data)}
}

func (l *layout) json(mediaType string, v any) (descriptor, error) {
	text, err := json.Marshal(v)
	return l.blob(mediaType, text), err
}

// imageConfig is how the image is started (OCI image-spec, config.md).
// Healthcheck is Docker's own field, which others pass over.
type imageConfig struct {
	User         string
	ExposedPorts map[string]struct{}
	Env          []string
	Entrypoint   []string
	Cmd          []string
	Volumes      map[string]struct{}
	WorkingDir   string
	Labels       map[string]string
	StopSignal   string
	Healthcheck  healthcheck
}

type healthcheck struct {
	Test                           []string
	Interval, Timeout, StartPeriod time.Duration
	Retries                        int
}

func (r *release) imageConfig() imageConfig {
	ports := make(map[string]struct{})
	for _, port := range []string{"2525/tcp", "2587/tcp", "2465/tcp", "2110/tcp", "2995/tcp"} {
		ports[port] = struct{}{}
	}
	return imageConfig{
		User:         fmt.Sprintf("%d:%[1]d", imageUser),
		ExposedPorts: ports,
		Env:          []string{"PATH=/usr/bin", "POSTRIDER_CONF=/" + imageVolume + "/conf", "HOME=/" + imageVolume},
		Entrypoint:   []string{"/" + imageProgram},
		Cmd:          []string{"serve"},
		Volumes:      map[string]struct{}{"/" + imageVolume: {}},
		WorkingDir:   "/" + imageVolume,
		Labels: map[string]string{
			"org.opencontainers.image.title":    "Postrider",
			"org.opencontainers.image.version":  r.Version,
			"org.opencontainers.image.revision": r.commit,
			"org.opencontainers.image.source":   "https://github.com/postrider-mail/postrider",
			"org.opencontainers.image.licenses": "MIT",
		},
		StopSignal:  "SIGTERM",
		Healthcheck: healthcheck{Test: []string{"CMD", "/" + imageProgram, "status"}, Interval: time.Minute, Timeout: 10 * time.Second, StartPeriod: 30 * time.Second, Retries: 2},
	}
}

// image adds the image of one architecture to the layout.
func (r *release) image(l *layout, arch string, program []byte) error {
	files, err := imageTree(program)
	if err != nil {
		return err
	}
	var plain, packed bytes.Buffer
	if err := files.tar(&plain, "", r.when); err != nil {
		return err
	}
	if err := gzipped(&packed, func(w io.Writer) error { _, err := w.Write(plain.Bytes()); return err }); err != nil {
		return err
	}
	layer := l.blob("application/vnd.oci.image.layer.v1.tar+gzip", packed.Bytes())
	config, err := l.json("application/vnd.oci.image.config.v1+json", map[string]any{
		"architecture": arch, "os": "linux", "created": r.when.UTC().Format(time.RFC3339), "author": "The Postrider authors",
		"config":  r.imageConfig(),
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(plain.Bytes()))}},
		"history": []map[string]any{{"created": r.when.UTC().Format(time.RFC3339), "created_by": "internal/packaging"}},
	})
	if err != nil {
		return err
	}
	manifest, err := l.json("application/vnd.oci.image.manifest.v1+json", map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": []descriptor{layer},
	})
	if err != nil {
		return err
	}
	manifest.Platform = &platform{arch, "linux"}
	l.images = append(l.images, manifest)
	blob := func(d descriptor) string { return "blobs/sha256/" + d.Digest[len("sha256:"):] }
	l.loads = append(l.loads, loadable{blob(config), []string{"postrider:" + imageTag(r.Version) + "-" + arch}, []string{blob(layer)}})
	return nil
}

// imageTag is a version as a tag may be written.
func imageTag(version string) string {
	tag := []byte(version)
	for i, c := range tag {
		if c == '+' || c == '~' {
			tag[i] = '-'
		}
	}
	return string(tag)
}

// finish writes down what the layout has: one name for all architectures.
func (l *layout) finish(version string) error {
	const index = "application/vnd.oci.image.index.v1+json"
	all, err := l.json(index, map[string]any{"schemaVersion": 2, "mediaType": index, "manifests": l.images})
	if err != nil {
		return err
	}
	all.Annotations = map[string]string{"org.opencontainers.image.ref.name": imageTag(version)}
	top, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": index, "manifests": []descriptor{all}})
	if err != nil {
		return err
	}
	loads, err := json.Marshal(l.loads)
	if err != nil {
		return err
	}
	l.add("index.json", 0o644, top)
	l.add("manifest.json", 0o644, loads)
	l.add("oci-layout", 0o644, []byte(`{"imageLayoutVersion":"1.0.0"}`))
	return nil
}
