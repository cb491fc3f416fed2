package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/internal/pages"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// QueueRequest is what a queue command asks for through the control socket.
type QueueRequest struct {
	ID     string       `json:"id,omitempty"`
	Domain string       `json:"domain,omitempty"`
	Route  string       `json:"route,omitempty"`
	Filter queue.Filter `json:"filter"`
}

var errNoQueue = errors.New(`this server keeps no queue ("Queue": {"deliver": false})`)

// maxRequest bounds a request's body, in octets.
const maxRequest = 1 << 20

// queueCommands adds what can be asked about mail on its way out. Each action
// takes a QueueRequest and answers with what the queue's method of that name
// returns.
func (d *Daemon) queueCommands(mux *http.ServeMux) {
	actions := map[string]func(context.Context, *queue.Queue, QueueRequest) (any, error){
		"list":    func(ctx context.Context, q *queue.Queue, r QueueRequest) (any, error) { return q.List(ctx, r.Filter) },
		"show":    func(ctx context.Context, q *queue.Queue, r QueueRequest) (any, error) { return q.Show(ctx, r.ID) },
		"explain": func(ctx context.Context, q *queue.Queue, r QueueRequest) (any, error) { return q.Explain(ctx, r.ID) },
		"flush":   func(ctx context.Context, q *queue.Queue, r QueueRequest) (any, error) { return q.Flush(ctx, r.Domain) },
		"route": func(ctx context.Context, q *queue.Queue, r QueueRequest) (any, error) {
			if err := d.post.Outbound.KnowsRoute(r.Route); err != nil {
				return nil, err
			}
			return struct{}{}, q.Route(ctx, r.ID, r.Route)
		},
		"counters": func(_ context.Context, q *queue.Queue, _ QueueRequest) (any, error) { return q.Counters(), nil },
	}
	for name, change := range entryActions {
		actions[name] = func(ctx context.Context, q *queue.Queue, r QueueRequest) (any, error) {
			return struct{}{}, change(q, ctx, r.ID)
		}
	}
	for name, act := range actions {
		mux.HandleFunc("POST /queue/"+name, func(w http.ResponseWriter, req *http.Request) {
			var r QueueRequest
			if err := json.NewDecoder(http.MaxBytesReader(w, req.Body, maxRequest)).Decode(&r); err != nil {
				control.Answer(w, nil, err)
				return
			}
			if d.post.Outbound == nil {
				control.Answer(w, nil, errNoQueue)
				return
			}
			q := d.post.Outbound.Queue()
			var out any
			var err error
			if r.ID, err = entryNamed(req.Context(), q, r.ID); err == nil {
				out, err = act(req.Context(), q, r)
			}
			if _, entry := entryActions[name]; err == nil && (entry || name == "flush" || name == "route") { // that somebody looked is not told
				d.log.Info("queue command", "action", name, "queue", r.ID, "domain", r.Domain, "route", r.Route)
			}
			control.Answer(w, out, err)
		})
	}
}

// entryNamed is the entry that an id stands for: its own, or what the client was
// told of its message.
func entryNamed(ctx context.Context, q *queue.Queue, id string) (string, error) {
	if id == "" {
		return "", nil
	}
	found, err := q.Find(ctx, id)
	switch {
	case err != nil:
		return "", err
	case len(found) > 1:
		return "", fmt.Errorf("%s stands for several entries, name one: %s", id, strings.Join(found, " "))
	case len(found) == 1:
		return found[0], nil
	}
	return id, nil // which says that it is not there
}

// entryActions change one entry, and have nothing to tell.
var entryActions = map[string]func(*queue.Queue, context.Context, string) error{
	"hold":    (*queue.Queue).Hold,
	"release": (*queue.Queue).Release,
	"retry":   (*queue.Queue).Retry,
	"remove":  (*queue.Queue).Remove,
	"expire":  (*queue.Queue).Expire,
}

// queuePages is what the pages see and steer of the queue.
type queuePages struct{ d *Daemon }

// queue is nil with an error where none is kept.
func (p queuePages) queue() (*queue.Queue, error) {
	if p.d.post.Outbound == nil {
		return nil, errNoQueue
	}
	return p.d.post.Outbound.Queue(), nil
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
	if err := p.d.post.Outbound.KnowsRoute(route); err != nil {
		return err
	}
	return notFound(q.Route(ctx, id, route))
}

// Routes implements admin.Queue.
func (p queuePages) Routes() (all []string) {
	for i := range p.d.state().settings.Queue.Routes {
		all = append(all, p.d.state().settings.Queue.Routes[i].Label(i))
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
