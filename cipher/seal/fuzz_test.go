package seal

import (
	"bytes"
	"io"
	"testing"
)

// A sealed stream gives back what was written, however it was written; and if
// anything in it is changed, an error and nothing but a prefix.
func FuzzStream(f *testing.F) {
	f.Add(uint32(0), 0, uint8(0))
	f.Add(uint32(5), 38, uint8(1))
	f.Add(uint32(chunkSize), chunkSize+37, uint8(255))
	f.Add(uint32(chunkSize+1), 70000, uint8(128))
	k := GenerateKey()
	text := bytes.Repeat([]byte("0123456789abcdefg"), 3*chunkSize/17)
	f.Fuzz(func(t *testing.T, size uint32, at int, flip uint8) {
		plain := text[:int(size)%len(text)]
		var sealed bytes.Buffer
		w, err := k.EncryptWriter(&sealed, nil)
		if err != nil {
			t.Fatal(err)
		}
		cut := min(max(at, 0), len(plain))
		w.Write(plain[:cut])
		w.Write(plain[cut:])
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if int64(sealed.Len()) != StreamSize(int64(len(plain))) {
			t.Fatalf("%d bytes sealed as %d", len(plain), sealed.Len())
		}
		box := sealed.Bytes()
		if flip != 0 {
			box[uint(at)%uint(len(box))] ^= flip
		}
		r, err := k.DecryptReader(bytes.NewReader(box), nil)
		var got []byte
		if err == nil {
			got, err = io.ReadAll(r)
		}
		switch {
		case flip == 0 && (err != nil || !bytes.Equal(got, plain)):
			t.Fatalf("came back as %d bytes, %v", len(got), err)
		case flip != 0 && err == nil:
			t.Fatal("a change was not noticed")
		case !bytes.HasPrefix(plain, got):
			t.Fatal("gave what was not written")
		}
	})
}

// No stream or box that was not sealed opens, whatever it looks like.
func FuzzOpen(f *testing.F) {
	k, other := GenerateKey(), GenerateKey()
	box, _ := other.Seal([]byte("x"), nil)
	text, _ := other.SealText([]byte("x"), nil)
	f.Add(box)
	f.Add([]byte(text))
	f.Add([]byte(streamMagic + "0123456789abcdef0123456789abcdef0123456789abcdef"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, err := k.Open(data, nil); err == nil || got != nil {
			t.Fatalf("opened %x", data)
		}
		if _, err := k.OpenText(string(data), nil); err == nil {
			t.Fatalf("opened %q", data)
		}
		if r, err := k.DecryptReader(bytes.NewReader(data), nil); err == nil {
			if got, err := io.ReadAll(r); err == nil || len(got) != 0 {
				t.Fatalf("opened a stream: %x", got)
			}
		}
	})
}

// A key file holds one key or is refused.
func FuzzKeyFile(f *testing.F) {
	f.Add([]byte(keyFileHead + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"))
	f.Add([]byte("#\n\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		k, err := parseKeyFile(content)
		if (err == nil) != (k.secret != nil) {
			t.Fatalf("key %v with error %v", k, err)
		}
	})
}
