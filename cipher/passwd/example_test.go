package passwd_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/postrider-mail/postrider/cipher/passwd"
)

func ExampleHash() {
	stored, err := passwd.Hash([]byte("correct horse"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(stored[:len("$argon2id$v=19$m=19456,t=2,p=1$")])
	fmt.Println(passwd.Verify(stored, []byte("correct horse")))
	fmt.Println(passwd.Verify(stored, []byte("battery staple")))
	// Output:
	// $argon2id$v=19$m=19456,t=2,p=1$
	// <nil>
	// passwd: password does not match
}

// User files of other systems can be taken over as they are.
func ExampleVerify() {
	const fromDovecot = "{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP"
	if passwd.Verify(fromDovecot, []byte("test")) == nil && passwd.NeedsRehash(fromDovecot) {
		fmt.Println("right; store passwd.Hash's string from now on")
	}
	// Output: right; store passwd.Hash's string from now on
}

// A configuration check says what is wrong without doing the work.
func ExampleCheckForm() {
	for _, stored := range []string{
		"$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
		"{PLAIN}secret",
		"$argon2id$v=19$m=4194304,t=3,p=1$c2FsdHNhbHQ$J8ZvcjZl3VfZK466kWr3paiZu8nRvLJh9rxXtAo4xog",
	} {
		fmt.Println(passwd.CheckForm(stored))
	}
	// Output:
	// <nil>
	// passwd: refused: {PLAIN} keeps the password in clear
	// stored password asks for too much work: argon2 with m=4194304,t=3
}

func ExampleVerifier() {
	var v passwd.Verifier // one for the whole server
	stored := map[string]string{"alice": "{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP"}

	login := func(ctx context.Context, user, password string) error {
		s, ok := stored[user]
		if !ok {
			return v.Dummy(ctx, []byte(password)) // as slow as if there were one
		}
		return v.Verify(ctx, user, s, []byte(password))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	fmt.Println(login(ctx, "alice", "test"))
	fmt.Println(login(ctx, "alice", "guess"))
	fmt.Println(login(ctx, "nobody", "guess"))
	// Output:
	// <nil>
	// passwd: password does not match
	// passwd: password does not match
}
