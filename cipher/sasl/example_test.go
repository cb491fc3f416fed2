package sasl_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/sasl"
)

// accounts is a Credentials of one account that has keys for SCRAM-SHA-256 and
// an argon2id hash, and no password.
type accounts struct {
	name, hash, keys string
	verifier         passwd.Verifier
	decoy            *sasl.Decoy
}

func newAccounts(name, password string) *accounts {
	hash, err := passwd.Hash([]byte(password))
	if err != nil {
		log.Fatal(err)
	}
	keys, err := sasl.MakeScram(sasl.ScramSHA256, []byte(password), 0)
	if err != nil {
		log.Fatal(err)
	}
	return &accounts{name: name, hash: hash, keys: sasl.FormatScram(sasl.ScramSHA256, keys), decoy: sasl.NewDecoy(nil)}
}

func (a *accounts) Offers(kind sasl.Kind) bool {
	return kind == sasl.Password || kind == sasl.ScramSHA256
}

func (a *accounts) Verify(ctx context.Context, authzid, user string, password []byte) (string, error) {
	err := a.verifier.Dummy // an unknown user takes as long as a known one
	if user == a.name {
		err = func(ctx context.Context, password []byte) error {
			return a.verifier.Verify(ctx, user, a.hash, password)
		}
	}
	if e := err(ctx, password); errors.Is(e, passwd.ErrMismatch) {
		return "", sasl.ErrDenied
	} else if e != nil {
		return "", e // temporary: the server was too busy
	}
	return user, nil
}

func (a *accounts) Secret(_ context.Context, kind sasl.Kind, user string) (sasl.Secret, string, error) {
	if user != a.name || kind != sasl.ScramSHA256 {
		return a.decoy.Secret(kind, user), "", nil
	}
	_, keys, err := sasl.ParseScram(a.keys)
	return sasl.Secret{SCRAM: keys}, user, err
}

// A server announces what fits the connection, finds what the client names, and
// goes on until the exchange has ended.
func Example_server() {
	credentials := newAccounts("alice", "secret")
	peer := &sasl.Peer{Service: "smtp", Hostname: "mail.example.com", TLS: &tls.ConnectionState{}}
	ctx := sasl.WithPeer(context.Background(), peer)

	offered := sasl.Offered(credentials, peer, false)
	fmt.Print("250 AUTH")
	for _, m := range offered {
		fmt.Print(" ", m.Name)
	}
	fmt.Println()

	// C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
	mechanism, err := sasl.Find(offered, "PLAIN")
	if err != nil {
		log.Fatal("504 ", err)
	}
	response, err := base64.StdEncoding.DecodeString("AGFsaWNlAHNlY3JldA==")
	if err != nil {
		log.Fatal("501 ", err)
	}
	challenge, account, done, err := mechanism.New(credentials).Next(ctx, response)
	switch {
	case errors.Is(err, sasl.ErrDenied):
		fmt.Println("535")
	case err != nil:
		fmt.Println("454", err)
	case done:
		fmt.Println("235", account)
	default:
		fmt.Printf("334 %s, and again\n", base64.StdEncoding.EncodeToString(challenge))
	}
	// Output:
	// 250 AUTH SCRAM-SHA-256 PLAIN LOGIN
	// 235 alice
}

// A client takes the strongest mechanism the server offers, and after success
// makes sure that the server was the right one.
func Example_client() {
	mechanism, err := sasl.Find(sasl.Mechanisms(), "SCRAM-SHA-256")
	if err != nil {
		log.Fatal(err)
	}
	server := mechanism.New(newAccounts("alice", "secret"))
	ctx := context.Background()

	client, err := sasl.Choose([]string{"LOGIN", "PLAIN", "SCRAM-SHA-256"}, "alice", "secret", nil)
	if err != nil {
		log.Fatal(err)
	}
	name, response, err := client.Start(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for done := false; !done; {
		var challenge []byte
		if challenge, _, done, err = server.Next(ctx, response); err != nil {
			log.Fatal(err)
		}
		if response, err = client.Next(ctx, challenge); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(name, sasl.Finish(client))
	// Output: SCRAM-SHA-256 <nil>
}

// What to store for each challenge mechanism instead of the password.
func Example_stored() {
	fmt.Println(sasl.FormatCRAM(sasl.MakeCRAM([]byte("test")))) // as Dovecot has it
	keys, err := sasl.MakeScram(sasl.ScramSHA256, []byte("test"), 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(sasl.FormatScram(sasl.ScramSHA256, keys)[:20])
	// Output:
	// {CRAM-MD5}e02d374fde0dc75a17a557039a3a5338c7743304777dccd376f332bee68d2cf6
	// SCRAM-SHA-256$15000:
}

// readable is a Credentials whose account has a password that can be read, as
// APOP needs it.
type readable struct {
	*accounts
	password string
}

func (r readable) Secret(ctx context.Context, kind sasl.Kind, user string) (sasl.Secret, string, error) {
	if kind == sasl.APOP && user == r.name {
		return sasl.Secret{APOP: []byte(r.password)}, user, nil
	}
	return r.accounts.Secret(ctx, kind, user)
}

// POP3's APOP (RFC 1939).
func ExampleVerifyAPOP() {
	credentials := readable{newAccounts("tim", "tanstaaftanstaaf"), "tanstaaftanstaaf"}
	timestamp := sasl.APOPTimestamp("mail.example.com") // "+OK ready " + timestamp
	digest := sasl.APOPDigest(timestamp, []byte("tanstaaftanstaaf"))

	account, err := sasl.VerifyAPOP(context.Background(), credentials, timestamp, "tim", digest)
	fmt.Println(account, err)
	// Output: tim <nil>
}

// A configuration names its mechanisms; a mistake is explained.
func ExampleNamed() {
	mechanisms, err := sasl.Named("scram-sha-256", "plain")
	fmt.Println(len(mechanisms), err)
	_, err = sasl.Named("DIGEST-MD5")
	fmt.Println(err)
	// Output:
	// 2 <nil>
	// mechanism "DIGEST-MD5": sasl: unknown mechanism: DIGEST-MD5 is historic, its security layers are broken (RFC 6331); use SCRAM-SHA-256
}

// Whoever asks for an account that does not exist sees a salt, and the same one
// the next time.
func ExampleDecoy() {
	d := sasl.NewDecoy([]byte("a key that survives restarts"))
	a, b := d.Secret(sasl.ScramSHA256, "nobody"), d.Secret(sasl.ScramSHA256, "Nobody")
	fmt.Println(string(a.SCRAM.Salt) == string(b.SCRAM.Salt), a.SCRAM.Iterations)
	// Output: true 15000
}
