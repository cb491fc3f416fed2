package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

var nodeModules struct {
	once sync.Once
	err  error
}

// nodeScripts is a folder with the scripts of testdata/node and the clients
// they need. npm installs these once for all tests, beside the binary, whose
// folder goes away at the end.
func nodeScripts(t *testing.T) string {
	t.Helper()
	peer(t, "node")
	npm := peer(t, "npm")
	dir := filepath.Join(filepath.Dir(binary(t)), "node")
	nodeModules.once.Do(func() {
		if nodeModules.err = os.CopyFS(dir, os.DirFS("testdata/node")); nodeModules.err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		// One is a plug-in of a test runner with a browser in it, which is not needed to ask what it asks.
		cmd := exec.CommandContext(ctx, npm, "ci", "--legacy-peer-deps", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			nodeModules.err = fmt.Errorf("npm ci: %w\n%s", err, out)
		}
	})
	if nodeModules.err != nil && os.Getenv("CI") == "true" {
		t.Fatal(nodeModules.err)
	}
	if nodeModules.err != nil {
		t.Skipf("the clients from npm cannot be installed: %v", nodeModules.err)
	}
	return dir
}

// runNode gives a script its job and reads what it prints into answer. The
// clients trust the world's certificate, and no other that is not public.
func runNode(t *testing.T, w *world, script string, job, answer any) error {
	t.Helper()
	dir := nodeScripts(t)
	in, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, peer(t, "node"), "--no-deprecation", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+w.cert)
	cmd.Stdin = bytes.NewReader(in)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w\n%s", err, &said)
	}
	return json.Unmarshal(out.Bytes(), answer)
}

// options are an object of a script's job.
type options map[string]any

// with is o and more; more wins.
func (o options) with(more options) options {
	all := options{}
	for _, m := range []options{o, more} {
		for name, value := range m {
			all[name] = value
		}
	}
	return all
}

func (w *world) nodePort(listener string) int {
	n, _ := strconv.Atoi(w.port(listener))
	return n
}
