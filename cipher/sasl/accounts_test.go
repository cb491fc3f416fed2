package sasl_test

import (
	"context"
	"errors"
	"testing"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/sasl"
)

func storedFor(t *testing.T, password string) *sasl.Stored {
	t.Helper()
	hash, err := passwd.Hash([]byte(password))
	if err != nil {
		t.Fatal(err)
	}
	one, err1 := sasl.MakeScram(sasl.ScramSHA1, []byte(password), 4096)
	two, err2 := sasl.MakeScram(sasl.ScramSHA256, []byte(password), 4096)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return &sasl.Stored{Password: hash, ScramSHA1: one, ScramSHA256: two, CRAM: sasl.MakeCRAM([]byte(password)), APOP: []byte(password)}
}

// TestAccounts: every mechanism logs in with what is stored, and none without.
func TestAccounts(t *testing.T) {
	var verifier passwd.Verifier
	for name, check := range map[string]func(context.Context, string, string, []byte) error{"hashes": verifier.Login, "keys alone": nil} {
		a := sasl.MapAccounts(map[string]*sasl.Stored{"Tim": storedFor(t, "tanstaaf")})
		a.Check = check
		for _, tt := range []struct {
			user, password, account string
		}{{"tim", "tanstaaf", "Tim"}, {"Tim", "tanstaaf", "Tim"}, {"tim", "wrong", ""}, {"nobody", "tanstaaf", ""}} {
			for _, mechanism := range []string{"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"} {
				m, err := sasl.Find(sasl.Mechanisms(), mechanism)
				if err != nil || !m.Usable(a) {
					t.Fatalf("%s: %v", mechanism, err)
				}
				client, err := sasl.Choose([]string{mechanism}, tt.user, tt.password, nil)
				switch mechanism {
				case "PLAIN":
					client, err = sasl.PlainClient("", tt.user, tt.password), nil
				case "LOGIN":
					client, err = sasl.LoginClient(tt.user, tt.password), nil
				}
				if err != nil {
					t.Fatal(err)
				}
				account, err := between(t, m.New(a), client)
				if account != tt.account || (err == nil) != (tt.account != "") || err != nil && !errors.Is(err, sasl.ErrDenied) {
					t.Errorf("%s, %s as %s with %s: %q, %v", name, mechanism, tt.user, tt.password, account, err)
				}
			}
			const ts = "<1896.697170952@dbc.mtview.ca.us>"
			account, err := sasl.VerifyAPOP(t.Context(), a, ts, tt.user, sasl.APOPDigest(ts, []byte(tt.password)))
			if account != tt.account || (err == nil) != (tt.account != "") {
				t.Errorf("%s, APOP as %s with %s: %q, %v", name, tt.user, tt.password, account, err)
			}
		}
		if _, err := a.Verify(t.Context(), "root", "tim", []byte("tanstaaf")); !errors.Is(err, sasl.ErrDenied) {
			t.Errorf("tim may be root: %v", err)
		}
	}
}

// between plays an exchange to its end.
func between(t *testing.T, server sasl.Server, client sasl.Client) (string, error) {
	t.Helper()
	_, response, err := client.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for {
		challenge, account, done, err := server.Next(t.Context(), response)
		if err != nil || done && challenge == nil {
			return account, err
		}
		if response, err = client.Next(t.Context(), challenge); err != nil {
			return "", err
		}
		if done {
			return account, sasl.Finish(client)
		}
	}
}

// TestAccountsOffer: a mechanism is offered only if it serves everybody.
func TestAccountsOffer(t *testing.T) {
	full := storedFor(t, "x")
	bare := &sasl.Stored{Password: full.Password}
	offers := func(a *sasl.Accounts) (kinds []sasl.Kind) {
		for kind := sasl.Password; kind <= sasl.APOP; kind++ {
			if a.Offers(kind) {
				kinds = append(kinds, kind)
			}
		}
		return kinds
	}
	if got := offers(sasl.MapAccounts(map[string]*sasl.Stored{"a": full})); len(got) != 5 {
		t.Errorf("one account with everything: %v", got)
	}
	if got := offers(sasl.MapAccounts(map[string]*sasl.Stored{"a": full, "b": bare})); len(got) != 2 || got[0] != sasl.Password || got[1] != sasl.APOP {
		t.Errorf("one account with a hash alone: %v", got)
	}
	if got := offers(sasl.MapAccounts(nil)); got != nil {
		t.Errorf("nobody: %v", got)
	}
}

// TestAccountsOutOfOrder: a lookup that fails is no denial, and a Check that
// accepts everything does not let in whom there is not.
func TestAccountsOutOfOrder(t *testing.T) {
	down := errors.New("database is down")
	a := &sasl.Accounts{Lookup: func(context.Context, string) (*sasl.Stored, error) { return nil, down }}
	if _, err := a.Verify(t.Context(), "", "tim", []byte("x")); !errors.Is(err, down) || errors.Is(err, sasl.ErrDenied) {
		t.Error(err)
	}
	if _, _, err := a.Secret(t.Context(), sasl.ScramSHA256, "tim"); !errors.Is(err, down) {
		t.Error(err)
	}
	nobody := sasl.Accounts{Lookup: func(context.Context, string) (*sasl.Stored, error) { return nil, nil },
		Check: func(context.Context, string, string, []byte) error { return nil }}
	if _, err := nobody.Verify(t.Context(), "", "tim", []byte("x")); !errors.Is(err, sasl.ErrDenied) {
		t.Error(err)
	}
	if s, account, err := nobody.Secret(t.Context(), sasl.ScramSHA256, "tim"); err != nil || account != "tim" || s.SCRAM == nil {
		t.Error(s, account, err)
	}
}

func ExampleMapAccounts() {
	hash, _ := passwd.Hash([]byte("sesame"))
	keys, _ := sasl.MakeScram(sasl.ScramSHA256, []byte("sesame"), 0)

	var verifier passwd.Verifier
	accounts := sasl.MapAccounts(map[string]*sasl.Stored{"ann": {Password: hash, ScramSHA256: keys}})
	accounts.Check = verifier.Login

	_ = accounts // smtp.Server{Credentials: accounts}, pop3.Server{Credentials: accounts}
}
