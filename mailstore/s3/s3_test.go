package s3_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/mailstore/s3"
)

func options(of *peertest.Storage) s3.Options {
	return s3.Options{Endpoint: of.Endpoint, Bucket: of.Bucket, Prefix: "post/", AccessKey: of.AccessKey, SecretKey: of.SecretKey}
}

func bucket(t *testing.T, o s3.Options) *s3.Bucket {
	t.Helper()
	b, err := s3.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBucket: what is put is what is got, also all octets and a mebibyte of them; what is not there is fs.ErrNotExist; one more than asked for is an
// error.
func TestBucket(t *testing.T) {
	t.Parallel()
	storage := peertest.S3(t)
	b := bucket(t, options(storage))
	text := bytes.Repeat([]byte("\x00\r\n.\xff\x1a"), 1<<20/6)
	for key, data := range map[string][]byte{"a/0": text, "a/1": []byte("."), "b/0": []byte("other")} {
		if err := b.Put(t.Context(), key, data); err != nil {
			t.Fatal(err)
		}
		if got, err := b.Get(t.Context(), key, len(data)); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d octets, %v", key, len(got), err)
		}
		if _, err := b.Get(t.Context(), key, len(data)-1); err == nil {
			t.Errorf("%s: more than was asked for", key)
		}
	}
	if got, err := os.ReadFile(filepath.Join(storage.Folder(), "post", "a", "0")); err != nil || !bytes.Equal(got, text) {
		t.Errorf("in the folder: %d octets, %v", len(got), err)
	}
	list := func(prefix string) (keys []string) {
		for key, err := range b.List(t.Context(), prefix) {
			if err != nil {
				t.Error(err)
			}
			keys = append(keys, key)
		}
		slices.Sort(keys)
		return keys
	}
	if got := list("a/"); !slices.Equal(got, []string{"a/0", "a/1"}) {
		t.Errorf("%q", got)
	}
	if _, err := b.Get(t.Context(), "c/0", 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
	for range 2 {
		if err := b.Delete(t.Context(), "a/0"); err != nil {
			t.Error(err)
		}
	}
	if got := list(""); !slices.Equal(got, []string{"a/1", "b/0"}) {
		t.Errorf("%q", got)
	}
	if err := b.Try(t.Context()); err != nil {
		t.Error(err)
	}
	if got := list(""); len(got) != 2 {
		t.Errorf("a check leaves %q", got)
	}
}

// TestWrong: what is wrong is said by the name of its setting, without a word of the secret.
func TestWrong(t *testing.T) {
	t.Parallel()
	storage := peertest.S3(t)
	dead := peertest.FreePort(t)
	for want, change := range map[s3.Culprit]func(o *s3.Options){
		s3.Endpoint:   func(o *s3.Options) { o.Endpoint = fmt.Sprint("http://127.0.0.1:", dead) },
		s3.BucketName: func(o *s3.Options) { o.Bucket = "elsewhere" },
		s3.Keys:       func(o *s3.Options) { o.SecretKey = "hunter2" },
		s3.Keys + " ": func(o *s3.Options) { o.AccessKey = "nobody" },
	} {
		o := options(storage)
		change(&o)
		err := bucket(t, o).Try(t.Context())
		var of *s3.Error
		if !errors.As(err, &of) || string(of.Of) != strings.TrimSpace(string(want)) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), storage.SecretKey) {
			t.Errorf("%s: %v", want, err)
		}
	}
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	o := options(storage)
	o.Endpoint = web.URL
	if err := bucket(t, o).Try(t.Context()); err == nil || !strings.Contains(err.Error(), "no S3-compatible storage") {
		t.Errorf("a web server: %v", err)
	}
	yes := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer yes.Close()
	o.Endpoint = yes.URL
	if err := bucket(t, o).Put(t.Context(), "a", []byte("text")); err == nil || !strings.Contains(err.Error(), "no S3-compatible storage") {
		t.Errorf("a web server that says yes to everything has stored a piece: %v", err)
	}
	for _, url := range []string{"", "s3.example.net", "ftp://s3.example.net", "https://", "https://s3.example.net/mail", "https://user:hunter2@s3.example.net", "https://s3.example.net?x=y", "https://s3\x7f"} {
		if _, err := s3.New(s3.Options{Endpoint: url, Bucket: "mail"}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", url, err)
		}
	}
	if _, err := s3.New(s3.Options{Endpoint: "https://s3.example.net"}); err == nil {
		t.Error("a bucket without a name")
	}
}

// TestLengthUntold: an answer that does not say how long it is, as one that passed a proxy may, is read like others, and no further than was asked for.
func TestLengthUntold(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		w.Write([]byte("te"))
		w.(http.Flusher).Flush()
		w.Write([]byte("xt"))
	}))
	defer web.Close()
	b := bucket(t, s3.Options{Endpoint: web.URL, Bucket: "mail", AccessKey: "a", SecretKey: "b"})
	if got, err := b.Get(t.Context(), "a", 4); err != nil || string(got) != "text" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := b.Get(t.Context(), "a", 3); err == nil {
		t.Errorf("more than was asked for: %q", got)
	}
}

// TestBrokenOff: an answer that ends before it should is an error, and no short object.
func TestBrokenOff(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		w.Header().Set("Content-Length", "5")
		w.Write([]byte("text"))
	}))
	defer web.Close()
	b := bucket(t, s3.Options{Endpoint: web.URL, Bucket: "mail", AccessKey: "a", SecretKey: "b"})
	if got, err := b.Get(t.Context(), "a", 5); err == nil {
		t.Errorf("%q", got)
	}
}

// TestAway: storage that is away is trouble for now.
func TestAway(t *testing.T) {
	t.Parallel()
	storage := peertest.S3(t)
	b := bucket(t, options(storage))
	if err := b.Put(t.Context(), "a", []byte("text")); err != nil {
		t.Fatal(err)
	}
	storage.Kill()
	_, get := b.Get(t.Context(), "a", 10)
	for what, err := range map[string]error{"put": b.Put(t.Context(), "b", []byte("text")), "get": get, "delete": b.Delete(t.Context(), "a")} {
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, err := range b.List(t.Context(), "") {
		if err == nil {
			t.Error("a list of what is away")
		}
	}
	storage.Start(t)
	if got, err := b.Get(t.Context(), "a", 10); err != nil || string(got) != "text" {
		t.Errorf("%q, %v", got, err)
	}
}
