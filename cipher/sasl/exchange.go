package sasl

import (
	"context"
	"encoding/base64"
)

// Exchange passes challenges and responses until m knows which account the client
// may act for. initial is the client's initial response; nil if it sent none. ask
// sends a challenge, which may be empty, and returns the response, which is wiped
// when m has seen it; its error ends the exchange.
func Exchange(ctx context.Context, m Server, initial []byte, ask func(challenge []byte) ([]byte, error)) (account string, err error) {
	response := initial
	for {
		challenge, account, done, err := m.Next(ctx, response)
		clear(response)
		switch {
		case err != nil:
			return "", err
		case done && challenge == nil:
			return account, nil
		}
		response, err = ask(challenge)
		switch {
		case err != nil:
			return "", err
		case done && len(response) > 0: // to what the server said last there is nothing to say
			return "", ErrMalformed
		case done:
			return account, nil
		}
	}
}

// DecodeResponse undoes the strict base64 of a response, and wipes text. "="
// stands for a response of no octets (RFC 4954 §4, RFC 5034 §4); what it returns
// is never nil. It is ErrMalformed if text is not base64.
func DecodeResponse(text []byte) ([]byte, error) {
	if len(text) == 1 && text[0] == '=' {
		return []byte{}, nil
	}
	b := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(b, text)
	clear(text)
	if err != nil {
		return nil, ErrMalformed
	}
	return b[:n], nil
}
