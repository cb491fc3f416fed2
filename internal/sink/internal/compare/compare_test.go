// Package compare_test asks a sink by a client that another program has generated from its description.
package compare_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	_ "github.com/oapi-codegen/runtime" // what is generated imports it

	"github.com/postrider-mail/postrider/internal/sink"
	"github.com/postrider-mail/postrider/internal/sink/web"
)

// TestGeneratedClient: oapi-codegen makes a client of the description, which compiles, and finds in each answer what the
// description says.
func TestGeneratedClient(t *testing.T) {
	s := &web.Server{Box: sink.NewBox(sink.Limits{}, sink.Sorting{}), Sessions: &sink.Sessions{}, Faults: &sink.Faults{}, Hostname: "sink.test", Log: slog.New(slog.DiscardHandler)}
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	dir := t.TempDir()
	description, made, overlay := filepath.Join(dir, "openapi.json"), filepath.Join(dir, "client.go"), filepath.Join(dir, "overlay.json")
	resp, err := http.Get(server.URL + "/api/v1/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	write(t, description, text)
	run(t, "go", "tool", "oapi-codegen", "-generate", "types,client", "-package", "generated", "-o", made, description)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	files, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(here, "generated", "client.go"): made}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, overlay, files)
	run(t, "go", "run", "-overlay", overlay, "use/main.go", server.URL)
}

func write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}
