package sasl

import (
	"context"
	"crypto/hmac"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/postrider-mail/postrider/cipher/certs"
)

// ErrServer: the server did not prove that it knows the account, or broke the
// mechanism's rules.
var ErrServer = errors.New("sasl: server is not genuine")

// maxClientIterations bounds what a server can make the client compute: a few
// seconds.
const maxClientIterations = 2_000_000

// ScramClient answers the SCRAM mechanism of that name. authzid is usually
// empty. cs is the connection's TLS state: a -PLUS mechanism is bound to it.
// For the others give it only where the server did not announce the -PLUS
// variant; the server is then told that binding would have been possible, and
// can tell if somebody hid it (RFC 5802 §6). Choose does all that.
func ScramClient(name, authzid, user, password string, cs *tls.ConnectionState) (Client, error) {
	f, ok := scramNamed(name)
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrUnknownMechanism, name)
	}
	user, err := prepareName(user)
	if err != nil || user == "" {
		return nil, fmt.Errorf("%w: user name", ErrMalformed)
	}
	if authzid, err = prepareName(authzid); err != nil {
		return nil, fmt.Errorf("%w: authorization identity", ErrMalformed)
	}
	c := &scramClient{f: f, password: []byte(password), nonce: newNonce()}
	flag, data := "n", []byte(nil)
	binding, data2, err := clientBinding(cs)
	switch {
	case f.plus && err != nil:
		return nil, err
	case f.plus:
		flag, data = "p="+binding, data2
	case err == nil:
		flag = "y"
	}
	c.header = flag + "," + authzidField(authzid) + ","
	c.bound = base64.StdEncoding.EncodeToString(append([]byte(c.header), data...))
	c.bare = "n=" + escapeName(user) + ",r="
	return c, nil
}

// clientBinding gives the best binding the connection has. Under TLS 1.2 that is
// tls-unique: servers from before RFC 9266 know no other, and later ones know it.
func clientBinding(cs *tls.ConnectionState) (name string, data []byte, err error) {
	if data, err = certs.UniqueBinding(cs); err == nil {
		return "tls-unique", data, nil
	}
	if data, err = certs.ExporterBinding(cs); err == nil {
		return "tls-exporter", data, nil
	}
	if cs != nil && len(cs.PeerCertificates) > 0 {
		data, err = certs.EndPointBinding(cs.PeerCertificates[0])
		return "tls-server-end-point", data, err
	}
	return "", nil, err
}

type scramClient struct {
	f        scramFlavour
	password []byte
	header   string // gs2-header
	bound    string // c=
	bare     string // client-first-message-bare up to the nonce
	nonce    string
	expect   []byte // the server's signature, once it is known
	step     int    // 1 started, 2 final message sent, 3 server proved itself
}

func (c *scramClient) Start(context.Context) (string, []byte, error) {
	c.step = 1
	return c.f.name(), []byte(c.header + c.bare + c.nonce), nil
}

func (c *scramClient) Next(_ context.Context, challenge []byte) ([]byte, error) {
	switch c.step {
	case 1:
		return c.answer(string(challenge))
	case 2:
		return c.check(string(challenge))
	}
	return nil, fmt.Errorf("%w: SCRAM challenge out of turn", ErrMalformed)
}

// answer turns the server-first-message into the client-final-message.
func (c *scramClient) answer(challenge string) ([]byte, error) {
	v, err := attributes(challenge, "rsi")
	if err != nil || len(challenge) > maxResponse {
		return nil, fmt.Errorf("%w: SCRAM challenge", ErrMalformed)
	}
	salt, err := base64.StdEncoding.DecodeString(v[1])
	iterations, err2 := strconv.Atoi(v[2])
	if err != nil || err2 != nil || len(salt) == 0 {
		return nil, fmt.Errorf("%w: SCRAM challenge", ErrMalformed)
	}
	switch {
	case !strings.HasPrefix(v[0], c.nonce) || v[0] == c.nonce || !printable(v[0]):
		return nil, fmt.Errorf("%w: nonce is not a continuation of ours", ErrServer)
	case iterations < minIterations:
		return nil, fmt.Errorf("%w: %d iterations are too few", ErrServer, iterations)
	case iterations > maxClientIterations:
		return nil, fmt.Errorf("%w: %d iterations are too many", ErrServer, iterations)
	}
	salted, clientKey, serverKey, err := c.keys(salt, iterations)
	if err != nil {
		return nil, err
	}
	final := "c=" + c.bound + ",r=" + v[0]
	auth := c.bare + c.nonce + "," + challenge + "," + final
	proof := xor(clientKey, c.f.mac(salted, auth))
	c.expect = c.f.mac(serverKey, auth)
	c.step = 2
	return []byte(final + ",p=" + base64.StdEncoding.EncodeToString(proof)), nil
}

// keys derives StoredKey, ClientKey and ServerKey.
func (c *scramClient) keys(salt []byte, iterations int) (stored, client, server []byte, err error) {
	salted, err := saltedPassword(c.f.hash, c.password, salt, iterations)
	if err != nil {
		return nil, nil, nil, err
	}
	client = c.f.mac(salted, "Client Key")
	return c.f.sum(client), client, c.f.mac(salted, "Server Key"), nil
}

// check reads the server-final-message: "v=" signature or "e=" error.
func (c *scramClient) check(final string) ([]byte, error) {
	if reason, ok := strings.CutPrefix(final, "e="); ok {
		return nil, fmt.Errorf("%w: server says %q", ErrDenied, reason[:min(len(reason), 64)])
	}
	v, err := attributes(final, "v")
	if err != nil {
		return nil, fmt.Errorf("%w: SCRAM verifier", ErrMalformed)
	}
	signature, err := base64.StdEncoding.DecodeString(v[0])
	if err != nil || !hmac.Equal(signature, c.expect) {
		return nil, fmt.Errorf("%w: wrong signature", ErrServer)
	}
	c.step = 3
	return []byte{}, nil
}

func (c *scramClient) finish() error {
	if c.step != 3 {
		return fmt.Errorf("%w: success without a signature", ErrServer)
	}
	return nil
}

// Finish is to be called when the server said that authentication succeeded:
// under a mechanism in which the server must prove itself (SCRAM) it returns
// ErrServer if the server has not.
func Finish(c Client) error {
	if m, ok := c.(interface{ finish() error }); ok {
		return m.finish()
	}
	return nil
}
