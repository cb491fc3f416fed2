package post

import (
	"context"
	"errors"
	"slices"

	"github.com/postrider-mail/postrider/smtp/queue/relay"
)

// common is what is known of other hosts, where some of it is known to several servers: their policies, and who has shown verified TLS, so that
// nobody in the middle can begin anew with another server. The rest, and a copy of that, is this server's own.
type common struct {
	own relay.Cache
	all relay.Cache // the one that all servers have
}

// commonKinds are the kinds of what is known to all.
var commonKinds = []string{"sts", "seen"}

// Get implements relay.Cache. While nobody else can be asked, what this server knows has to do.
func (c *common) Get(kind, domain string) ([]byte, bool) {
	if slices.Contains(commonKinds, kind) {
		if data, ok := c.all.Get(kind, domain); ok {
			return data, true
		}
	}
	return c.own.Get(kind, domain)
}

// Put implements relay.Cache.
func (c *common) Put(ctx context.Context, kind, domain string, data []byte) error {
	err := c.own.Put(ctx, kind, domain, data)
	if slices.Contains(commonKinds, kind) {
		err = errors.Join(err, c.all.Put(ctx, kind, domain, data))
	}
	return err
}

// Delete implements relay.Cache.
func (c *common) Delete(ctx context.Context, kind, domain string) error {
	err := c.own.Delete(ctx, kind, domain)
	if slices.Contains(commonKinds, kind) {
		err = errors.Join(err, c.all.Delete(ctx, kind, domain))
	}
	return err
}
