package desk

import (
	"cmp"
	"context"
	"errors"

	"github.com/postrider-mail/postrider/internal/pages"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// queuePages is what the pages see and steer of the queue.
type queuePages struct{ *Desk }

// queue is nil with an error where none is kept.
func (p queuePages) queue() (*queue.Queue, error) {
	if p.Post.Outbound == nil {
		return nil, errNoQueue
	}
	return p.Post.Outbound.Queue(), nil
}

// Piece implements admin.Queue.
func (p queuePages) Piece(ctx context.Context, f queue.Filter) (queue.Piece, error) {
	q, err := p.queue()
	if err != nil {
		return queue.Piece{}, err
	}
	piece, err := q.Piece(ctx, f)
	return piece, notFound(err)
}

// Find implements admin.Queue.
func (p queuePages) Find(ctx context.Context, name string) (string, error) {
	q, err := p.queue()
	if err != nil || name == "" {
		return "", cmp.Or(err, pages.ErrNotFound)
	}
	return entryNamed(ctx, q, name)
}

// Explain implements admin.Queue.
func (p queuePages) Explain(ctx context.Context, id string) (queue.Explanation, error) {
	q, err := p.queue()
	if err != nil {
		return queue.Explanation{}, err
	}
	x, err := q.Explain(ctx, id)
	return x, notFound(err)
}

// Steer implements admin.Queue.
func (p queuePages) Steer(ctx context.Context, action, id string) error {
	q, err := p.queue()
	if err != nil {
		return err
	}
	return notFound(entryActions[action](q, ctx, id))
}

// Route implements admin.Queue.
func (p queuePages) Route(ctx context.Context, id, route string) error {
	q, err := p.queue()
	if err != nil {
		return err
	}
	if err := p.Post.Outbound.KnowsRoute(route); err != nil {
		return err
	}
	return notFound(q.Route(ctx, id, route))
}

// Routes implements admin.Queue.
func (p queuePages) Routes() (all []string) {
	for i := range p.Now().Settings.Queue.Routes {
		all = append(all, p.Now().Settings.Queue.Routes[i].Label(i))
	}
	return all
}

// notFound is the word of the pages for what is not in the queue.
func notFound(err error) error {
	if errors.Is(err, queue.ErrNotFound) {
		return pages.ErrNotFound
	}
	return err
}
