package sasl_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sasl"
)

func TestPasswordFunc(t *testing.T) {
	own := errors.New("account is closed")
	var from string
	check := sasl.PasswordFunc(func(user, password, remoteAddr string) error {
		from = remoteAddr
		switch {
		case user == "closed":
			return own
		case user == "hasty":
			return sasl.ErrThrottled
		case password != "sesame":
			return sasl.ErrDenied
		}
		return nil
	})
	ctx := sasl.WithPeer(context.Background(), &sasl.Peer{RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5}})
	for _, tt := range []struct {
		authzid, user, password, account string
		want                             error
	}{
		{"", "alice", "sesame", "alice", nil},
		{"alice", "alice", "sesame", "alice", nil},
		{"bob", "alice", "sesame", "", sasl.ErrDenied},
		{"", "alice", "", "", sasl.ErrDenied},
		{"", "closed", "sesame", "", own},
		{"", "hasty", "sesame", "", sasl.ErrThrottled},
	} {
		account, err := check.Verify(ctx, tt.authzid, tt.user, []byte(tt.password))
		if account != tt.account || !errors.Is(err, tt.want) || tt.want == own && errors.Is(err, sasl.ErrDenied) {
			t.Errorf("%+v: %q, %v", tt, account, err)
		}
	}
	if from != "192.0.2.1:5" {
		t.Errorf("remote address %q", from)
	}
	if _, err := check.Verify(context.Background(), "", "alice", []byte("sesame")); err != nil || from != "" {
		t.Errorf("without a peer: %v, %q", err, from)
	}
	if _, _, err := check.Secret(ctx, sasl.CRAMMD5, "alice"); !errors.Is(err, sasl.ErrDenied) {
		t.Errorf("Secret: %v", err)
	}
	for kind := sasl.Password; kind <= sasl.APOP; kind++ {
		if check.Offers(kind) != (kind == sasl.Password) {
			t.Errorf("Offers(%d)", kind)
		}
	}
}
