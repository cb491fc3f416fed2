package post

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/postrider-mail/postrider/smtp/queue/relay"
)

// policyClient fetches MTA-STS policies and posts TLS reports. It asks the same DNS and believes the
// same authorities as the relay does: what the operator has set for mail holds
// for what decides about mail.
// Networks that are not public are dialled only where the settings say so.
func policyClient(dns relay.Resolver, roots *x509.CertPool, private relay.Networks) *http.Client {
	return &http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return dialResolved(ctx, dns, private, network, address)
			},
			TLSClientConfig:       &tls.Config{RootCAs: roots},
			ForceAttemptHTTP2:     true,
			DisableKeepAlives:     true, // one file of one host, once a day
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: 10 * time.Second,
		},
	}
}

// dialResolved dials the addresses that dns has for a host, one after the
// other.
func dialResolved(ctx context.Context, dns relay.Resolver, private relay.Networks, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	found, err := dns.Addr(ctx, host)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: 10 * time.Second}
	err = errors.New("no address for " + host)
	for _, addr := range found.Records {
		if !private.MayDial(addr) {
			err = fmt.Errorf("%w: %s has %v", relay.ErrPrivate, host, addr)
			continue
		}
		var conn net.Conn
		if conn, err = dialer.DialContext(ctx, network, net.JoinHostPort(addr.String(), port)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}
