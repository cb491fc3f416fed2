package sealed

import (
	"bytes"
	"context"

	"github.com/postrider-mail/postrider/smtp/queue"
)

// Shared is a Spool around one that several processes have open. All of them must have one key: where the spool inside is a Passer, entries whose
// messages are sealed with a key that this process does not have are left to others.
type Shared struct {
	*Spool
	beyond
}

// beyond is what a queue.Shared has beyond a Spool, whose own methods stand less deep.
type beyond struct{ inside }
type inside struct{ queue.Shared }

var (
	_ queue.Shared   = (*Shared)(nil)
	_ queue.Wrapper  = (*Shared)(nil)
	_ queue.Together = (*Shared)(nil)
)

// NewShared is New for a spool that others have open, too.
func NewShared(inner queue.Shared) *Shared { return &Shared{New(inner), beyond{inside{inner}}} }

// Claim implements queue.Shared.
func (s *Shared) Claim(ctx context.Context, n int) ([]queue.Claimed, error) {
	got, err := s.Shared.Claim(ctx, n)
	for i := range got {
		setSizes(&got[i])
	}
	return got, err
}

// Take implements queue.Shared.
func (s *Shared) Take(ctx context.Context, id string) (*queue.Claimed, error) {
	c, err := s.Shared.Take(ctx, id)
	if err == nil {
		setSizes(c)
	}
	return c, err
}

// setSizes sets those of the message inside. One whose beginning cannot be read keeps what it has: when it is opened the error says so.
func setSizes(c *queue.Claimed) { _ = trueSizes(c.Entry, c.State, bytes.NewReader(c.Entry.Head)) }
