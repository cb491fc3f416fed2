package desk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/postrider-mail/postrider/internal/control"
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

// queueCommands adds what can be asked about mail on its way out. Each action
// takes a QueueRequest and answers with what the queue's method of that name
// returns.
func (d *Desk) queueCommands(mux *http.ServeMux) {
	actions := map[string]func(context.Context, *queue.Queue, QueueRequest) (any, error){
		"list":    func(ctx context.Context, q *queue.Queue, r QueueRequest) (any, error) { return q.List(ctx, r.Filter) },
		"show":    func(ctx context.Context, q *queue.Queue, r QueueRequest) (any, error) { return q.Show(ctx, r.ID) },
		"explain": func(ctx context.Context, q *queue.Queue, r QueueRequest) (any, error) { return q.Explain(ctx, r.ID) },
		"flush":   func(ctx context.Context, q *queue.Queue, r QueueRequest) (any, error) { return q.Flush(ctx, r.Domain) },
		"route": func(ctx context.Context, q *queue.Queue, r QueueRequest) (any, error) {
			if err := d.Post.Outbound.KnowsRoute(r.Route); err != nil {
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
			if err := control.Read(w, req, &r); err != nil {
				control.Answer(w, nil, err)
				return
			}
			if d.Post.Outbound == nil {
				control.Answer(w, nil, errNoQueue)
				return
			}
			q := d.Post.Outbound.Queue()
			var out any
			var err error
			if r.ID, err = entryNamed(req.Context(), q, r.ID); err == nil {
				out, err = act(req.Context(), q, r)
			}
			if _, entry := entryActions[name]; err == nil && (entry || name == "flush" || name == "route") { // that somebody looked is not told
				d.Log.Info("queue command", "action", name, "queue", r.ID, "domain", r.Domain, "route", r.Route)
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
