package passwd

import (
	"errors"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sasl"
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
		if kind, h, err := sasl.ParseScram(stored); err == nil && stored[0] == 'S' && len(stored) < 200 {
			text := sasl.FormatScram(kind, h)
			if k, again, err := sasl.ParseScram(text); err != nil || sasl.FormatScram(k, again) != text {
				t.Fatalf("%q came back as %v, %v", stored, again, err)
			}
		}
	})
}
