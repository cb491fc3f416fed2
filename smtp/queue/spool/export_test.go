package spool

import (
	"context"

	"github.com/postrider-mail/postrider/internal/durable"
)

// OpenSmall opens a spool with two shards, so that thousands of copies of it
// are made quickly.
func OpenSmall(ctx context.Context, dir string, c *durable.Committer) (*Spool, error) {
	return open(ctx, dir, c, 2)
}
