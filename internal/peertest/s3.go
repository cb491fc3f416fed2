package peertest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Storage is S3-compatible storage of a test's own, with one bucket.
type Storage struct {
	Endpoint, Bucket, AccessKey, SecretKey string

	dir     string
	program string
	port    int
	proc    *process
}

// S3 starts versitygw over an empty folder, not as root.
func S3(t testing.TB) *Storage {
	t.Helper()
	program, err := exec.LookPath("versitygw")
	if err != nil {
		out, _ := exec.Command("go", "env", "GOPATH").Output()
		program = filepath.Join(strings.TrimSpace(string(out)), "bin", "versitygw")
		if _, err := os.Stat(program); err != nil {
			missing(t, "versitygw; go install github.com/versity/versitygw/cmd/versitygw@v1.8.0")
		}
	}
	base := openDir(t)
	s := &Storage{Bucket: "mail", AccessKey: "test", SecretKey: "a secret of the test", dir: filepath.Join(base, "s3"), port: FreePort(t)}
	s.Endpoint = fmt.Sprintf("http://127.0.0.1:%d", s.port)
	s.program = filepath.Join(base, "versitygw") // where its user can get at it
	if err := os.Link(program, s.program); err != nil {
		text, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.program, text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{s.dir, s.Folder()} {
		mkdir(t, dir, 0o700, owner())
	}
	s.Start(t)
	return s
}

// Folder is where the objects of the bucket are files.
func (s *Storage) Folder() string { return filepath.Join(s.dir, s.Bucket) }

// Start starts what was stopped.
func (s *Storage) Start(t testing.TB) {
	t.Helper()
	d := &Database{dir: s.dir}
	cmd := d.as(exec.Command(s.program, "--port", fmt.Sprintf("127.0.0.1:%d", s.port), "--access", s.AccessKey, "--secret", s.SecretKey, "--quiet", "--keep-alive", "posix", "--nometa", s.dir))
	cmd.Env = []string{"HOME=" + s.dir}
	s.proc = begin(t, cmd, (*process).killAlone)
	s.proc.awaitPort(t, fmt.Sprintf("127.0.0.1:%d", s.port))
}

// Kill ends it at once; Start brings it back.
func (s *Storage) Kill() { s.proc.killAlone() }
