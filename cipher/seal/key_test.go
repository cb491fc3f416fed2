package seal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/postrider-mail/postrider/cipher/seal"
)

func TestSeal(t *testing.T) {
	k := seal.GenerateKey()
	context := []byte("apop:alice@example.com")
	for _, text := range []string{"", "x", strings.Repeat("secret ", 1000)} {
		box, err := k.Seal([]byte(text), context)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := k.Seal([]byte(text), context)
		if bytes.Equal(box, again) {
			t.Error("two boxes of one text are the same")
		}
		if len(box) != len(text)+seal.Overhead {
			t.Errorf("box of %d bytes for %d", len(box), len(text))
		}
		got, err := k.Open(box, context)
		if err != nil || string(got) != text {
			t.Errorf("opened %q, %v", got, err)
		}
		for i := range box { // every byte counts
			if i > 60 {
				break
			}
			box[i] ^= 1
			if got, err := k.Open(box, context); !errors.Is(err, seal.ErrOpen) || got != nil {
				t.Errorf("byte %d changed: %q, %v", i, got, err)
			}
			box[i] ^= 1
		}
		if _, err := k.Open(box, []byte("apop:mallory@example.com")); !errors.Is(err, seal.ErrOpen) {
			t.Errorf("opened in another context: %v", err)
		}
		if _, err := seal.GenerateKey().Open(box, context); !errors.Is(err, seal.ErrOpen) {
			t.Errorf("opened with another key: %v", err)
		}
		if _, err := k.Open(box[:len(box)-1], context); !errors.Is(err, seal.ErrOpen) {
			t.Errorf("opened though cut short: %v", err)
		}
	}
	if _, err := k.Open(nil, nil); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("opened nothing: %v", err)
	}
}

func TestSealText(t *testing.T) {
	k := seal.GenerateKey()
	text, err := k.SealText([]byte("secret"), []byte("c"))
	if err != nil || !seal.IsSealed(text) || seal.IsSealed("secret") {
		t.Fatalf("%q, %v", text, err)
	}
	got, err := k.OpenText(text, []byte("c"))
	if err != nil || string(got) != "secret" {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", "secret", "sealed:", "sealed:####", text + "A", text[:len(text)-4]} {
		if got, err := k.OpenText(bad, []byte("c")); !errors.Is(err, seal.ErrOpen) {
			t.Errorf("OpenText(%q) = %q, %v", bad, got, err)
		}
	}
}

func TestZeroKey(t *testing.T) {
	var k seal.Key
	_, err1 := k.Seal(nil, nil)
	_, err2 := k.Open(make([]byte, 100), nil)
	_, err3 := k.SealText(nil, nil)
	_, err4 := k.EncryptWriter(io.Discard, nil)
	_, err5 := k.Derive("x")
	_, err6 := seal.NewKey(make([]byte, 31))
	_, err7 := seal.DeriveKey([]byte("x"), []byte("short"))
	for i, err := range []error{err1, err2, err3, err4, err5, err6, err7} {
		if !errors.Is(err, seal.ErrKey) {
			t.Errorf("%d: %v, want ErrKey", i+1, err)
		}
	}
	if k.Equal(seal.GenerateKey()) || !k.Equal(seal.Key{}) {
		t.Error("Equal of the zero Key")
	}
}

// TestKeyInJSON: a key that somebody stores with other settings is an error, not an
// empty object.
func TestKeyInJSON(t *testing.T) {
	key, err := seal.NewKey(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := json.Marshal(struct{ Key seal.Key }{key}); err == nil {
		t.Errorf("written as %s", text)
	}
	var b strings.Builder
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "key", key)
	if !strings.Contains(b.String(), "seal.Key(hidden)") {
		t.Errorf("logged as %s", b.String())
	}
}

func TestKeyDerivations(t *testing.T) {
	a, err := seal.DeriveKey([]byte("passphrase"), []byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := seal.DeriveKey([]byte("passphrase"), []byte("0123456789abcdeF"))
	if a.Equal(b) || !a.Equal(a) {
		t.Error("the salt does not matter")
	}
	x, _ := a.Derive("x")
	y, _ := a.Derive("y")
	again, _ := a.Derive("x")
	if len(x) != seal.KeySize || bytes.Equal(x, y) || !bytes.Equal(x, again) {
		t.Errorf("Derive: %x %x %x", x, y, again)
	}
	// Neither printing shows it.
	k, _ := seal.NewKey([]byte("0123456789abcdefghijklmnopqrstuv"))
	for _, s := range []string{fmt.Sprint(k), fmt.Sprintf("%+v %#v %x", k, k, k), k.LogValue().String()} {
		if strings.Contains(s, "0123") || strings.Contains(s, "3031") {
			t.Errorf("printed: %s", s)
		}
	}
}

func TestKeyFile(t *testing.T) {
	folder := t.TempDir()
	name := filepath.Join(folder, "sub", "server.key")
	if _, err := seal.LoadKey(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LoadKey without a file: %v", err)
	}
	k, created, err := seal.EnsureKey(name)
	if err != nil || !created {
		t.Fatalf("EnsureKey: %v, created %v", err, created)
	}
	again, created, err := seal.EnsureKey(name)
	if err != nil || created || !again.Equal(k) {
		t.Errorf("EnsureKey again: %v, created %v", err, created)
	}
	if _, err := seal.CreateKey(name); !errors.Is(err, fs.ErrExist) {
		t.Errorf("CreateKey overwrote: %v", err)
	}
	if info, _ := os.Stat(name); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if left, _ := os.ReadDir(filepath.Dir(name)); len(left) != 1 {
		t.Errorf("files left over: %v", left)
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o601} {
		os.Chmod(name, mode)
		if _, _, err := seal.EnsureKey(name); !errors.Is(err, seal.ErrKeyFile) {
			t.Errorf("mode %v: %v, want ErrKeyFile", mode, err)
		}
	}
	for _, content := range []string{"", "# nothing\n", "short\n", "AAAA\n",
		strings.Repeat("A", 43) + "=\n" + strings.Repeat("B", 43) + "=\n"} {
		bad := filepath.Join(folder, "bad")
		os.WriteFile(bad, []byte(content), 0o600)
		if _, err := seal.LoadKey(bad); !errors.Is(err, seal.ErrKeyFile) {
			t.Errorf("%q: %v, want ErrKeyFile", content, err)
		}
	}
	remarked := filepath.Join(folder, "remarked")
	if err := os.WriteFile(remarked, []byte("# a remark\n\n \t\n  "+strings.Repeat("A", 43)+"= \n\n# another\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if zero, err := seal.NewKey(make([]byte, seal.KeySize)); err != nil {
		t.Error(err)
	} else if k, err := seal.LoadKey(remarked); err != nil || !k.Equal(zero) {
		t.Errorf("with remarks and empty lines: %v", err)
	}
	if err := os.Mkdir(filepath.Join(folder, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.LoadKey(filepath.Join(folder, "d")); !errors.Is(err, seal.ErrKeyFile) {
		t.Errorf("a folder: %v, want ErrKeyFile", err)
	}
}

func TestEnsureKeyTogether(t *testing.T) {
	name := filepath.Join(t.TempDir(), "server.key")
	keys := make([]seal.Key, 16)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], _, err = seal.EnsureKey(name); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, k := range keys {
		if !k.Equal(keys[0]) {
			t.Fatal("two processes got different keys")
		}
	}
}

const chunk = 64 << 10

func sealed(t testing.TB, k seal.Key, plain, context []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := k.EncryptWriter(&out, context)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func unseal(k seal.Key, r io.Reader, context []byte) ([]byte, error) {
	d, err := k.DecryptReader(r, context)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(d)
}

var streamSizes = []int{0, 1, 100, chunk - 1, chunk, chunk + 1, 2 * chunk, 3*chunk + 7}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}

func TestStream(t *testing.T) {
	k, context := seal.GenerateKey(), []byte("c")
	for _, n := range streamSizes {
		plain := pattern(n)
		sealed := sealed(t, k, plain, context)
		if int64(len(sealed)) != seal.StreamSize(int64(n)) {
			t.Errorf("%d bytes: sealed %d, StreamSize %d", n, len(sealed), seal.StreamSize(int64(n)))
		}
		for _, r := range []io.Reader{bytes.NewReader(sealed), iotest.HalfReader(bytes.NewReader(sealed)),
			iotest.DataErrReader(bytes.NewReader(sealed)), iotest.OneByteReader(bytes.NewReader(sealed))} {
			got, err := unseal(k, r, context)
			if err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%d bytes: opened %d, %v", n, len(got), err)
			}
		}
		if _, err := unseal(k, bytes.NewReader(sealed), []byte("other")); err == nil {
			t.Error("opened in another context")
		}
		if _, err := unseal(seal.GenerateKey(), bytes.NewReader(sealed), context); err == nil {
			t.Error("opened with another key")
		}
		if _, err := unseal(k, bytes.NewReader(append(sealed, 0)), context); err == nil {
			t.Error("opened with a byte behind the end")
		}
	}
}

// Wherever the stream is cut, what comes out is a prefix and an error, never an
// end.
func TestStreamCut(t *testing.T) {
	k := seal.GenerateKey()
	plain := pattern(2*chunk + 5)
	sealed := sealed(t, k, plain, nil)
	for cut := range len(sealed) {
		if cut > 100 && cut%977 != 0 && (cut-37)%(chunk+16) > 2 && len(sealed)-cut > 40 {
			continue
		}
		got, err := unseal(k, bytes.NewReader(sealed[:cut]), nil)
		if !errors.Is(err, seal.ErrTruncated) {
			t.Fatalf("cut at %d: %v, want ErrTruncated", cut, err)
		}
		if !bytes.HasPrefix(plain, got) {
			t.Fatalf("cut at %d: gave bytes that were not sealed", cut)
		}
	}
}

// Chunks exchanged, repeated or left out are noticed.
func TestStreamOrder(t *testing.T) {
	k := seal.GenerateKey()
	sealed := sealed(t, k, pattern(3*chunk+5), nil)
	const head, size = 37, chunk + 16
	part := func(i int) []byte { return sealed[head+i*size : min(len(sealed), head+(i+1)*size)] }
	for name, order := range map[string][]int{"exchanged": {1, 0, 2, 3}, "left out": {0, 2, 3}, "repeated": {0, 0, 1, 2, 3}, "first last": {3}} {
		changed := bytes.Clone(sealed[:head])
		for _, i := range order {
			changed = append(changed, part(i)...)
		}
		if _, err := unseal(k, bytes.NewReader(changed), nil); err == nil {
			t.Errorf("chunks %s: not noticed", name)
		}
	}
	sealed[0] ^= 1
	if _, err := unseal(k, bytes.NewReader(sealed), nil); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("wrong magic: %v", err)
	}
}

// failing takes n bytes and then fails.
type failing struct{ n int }

func (f *failing) Write(p []byte) (int, error) {
	if f.n -= len(p); f.n < 0 {
		return 0, errors.New("disk full")
	}
	return len(p), nil
}

func TestStreamErrors(t *testing.T) {
	k := seal.GenerateKey()
	if _, err := k.EncryptWriter(&failing{10}, nil); err == nil {
		t.Error("no error from the head")
	}
	w, _ := k.EncryptWriter(&failing{100}, nil)
	if _, err := w.Write(pattern(2 * chunk)); err == nil {
		t.Error("no error from a chunk")
	}
	if err := w.Close(); err == nil {
		t.Error("no error from Close")
	}
	w, _ = k.EncryptWriter(&failing{50}, nil)
	if err := w.Close(); err == nil {
		t.Error("no error from the last chunk")
	}
	w, _ = k.EncryptWriter(io.Discard, nil)
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Errorf("Close twice: %v", err)
	}
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("wrote after Close")
	}
	sealed := sealed(t, k, pattern(chunk+1), nil)
	broken := errors.New("broken")
	for _, n := range []int{10, 100, 37 + chunk + 16} {
		r := io.MultiReader(bytes.NewReader(sealed[:n]), iotest.ErrReader(broken))
		if _, err := unseal(k, r, nil); !errors.Is(err, broken) {
			t.Errorf("reader failing after %d bytes: %v", n, err)
		}
	}
}

func BenchmarkEncryptWriter(b *testing.B) {
	k, plain := seal.GenerateKey(), pattern(1<<20)
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for b.Loop() {
		w, _ := k.EncryptWriter(io.Discard, nil)
		w.Write(plain)
		w.Close()
	}
}

func BenchmarkDecryptReader(b *testing.B) {
	k := seal.GenerateKey()
	sealed := sealed(b, k, pattern(1<<20), nil)
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		r, _ := k.DecryptReader(bytes.NewReader(sealed), nil)
		io.Copy(io.Discard, r)
	}
}

func BenchmarkSealText(b *testing.B) {
	k := seal.GenerateKey()
	b.ReportAllocs()
	for b.Loop() {
		k.SealText([]byte("tanstaaf"), []byte("apop:alice@example.com"))
	}
}
