package cipher

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// A stored string, whatever is in it, is either refused with one of three
// errors or can be checked within the limits.
func FuzzStored(f *testing.F) {
	for _, s := range []string{
		"$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$J8ZvcjZl3VfZK466kWr3paiZu8nRvLJh9rxXtAo4xog",
		"{ARGON2I}$argon2i$v=19$m=16,t=2,p=2$c2FsdHNhbHQ$J8ZvcjZl3VfZK466kWr3paiZu8nRvLJh9rxXtAo4xog",
		"$2y$04$CiM5w2.imUceVAotz3Wv..yK1IaFHOzpcBJszd02iFzkW4IPmC/rq",
		"$5$rounds=1000$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
		"$6$salt$0zkF784EbsSAak9nKN4tWfvC5TiqwV9OK5SgedNJVe1RDI3bEodWr4wtKv7sgsQh11STANfmiEVwdXkKw.5ke1",
		"{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP", "{SSHA.HEX}2ef23e3d8b041beff0e7a9e95a09c1b546c27ba0559f0aef",
		"{CRAM-MD5}e02d374fde0dc75a17a557039a3a5338c7743304777dccd376f332bee68d2cf6",
		"{PBKDF2}$1$OXPmMuI0apMzaMlw$5000$e9859f6e1d0484a4623a0d80119ecf95c1c3580e",
		"$pbkdf2-sha256$1000$c2FsdA$J8ZvcjZl3VfZK466kWr3paiZu8nRvLJh9rxXtAo4xog",
		"{SCRAM-SHA-1}4096,DalgKoOMSQYt7eNMl0T8Kw==,hVhfooVg6qTfA2PcnkkDJ0+8QUs=,5wkslhD58myuFpF4hleRgTglIAY=",
		"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
		"{PLAIN}x", "{", "$", "$argon2id$", "$5$", "$2b$", "{.}", "",
	} {
		f.Add(s, "test")
	}
	f.Fuzz(func(t *testing.T, stored, password string) {
		form, err := parseStored(stored, false)
		if err != nil {
			if !errors.Is(err, ErrForm) && !errors.Is(err, ErrRefused) && !errors.Is(err, ErrCost) {
				t.Fatalf("%v is none of the three", err)
			}
			return
		}
		if form.memory > maxArgonMemory || len(stored) > maxStored {
			t.Fatalf("%q takes %d KiB", stored, form.memory)
		}
		if form.matches(nil) {
			t.Fatalf("%q takes an empty password", stored)
		}
		if form.cheap && form.memory < 1<<10 && len(password) < 100 { // the others are bounded, but slow
			form.matches([]byte(password))
		}
		if h, err := ParseScram(stored); err == nil && stored[0] == 'S' && len(stored) < 200 {
			if again, err := ParseScram(h.String()); err != nil || again.String() != h.String() {
				t.Fatalf("%q came back as %v, %v", stored, again, err)
			}
		}
	})
}

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
