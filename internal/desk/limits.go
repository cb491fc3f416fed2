package desk

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// LimitRequest asks for something about what an account may send, through the control
// socket.
type LimitRequest struct {
	Account string    `json:"account"`
	Until   time.Time `json:"until,omitzero"` // of lift
}

// LimitAnswer says how many messages were released or thrown away.
type LimitAnswer struct {
	Messages int `json:"messages"`
}

// limitCommands adds what can be asked about what accounts send: show answers with a
// post.Use, the others with a LimitAnswer.
func (d *Desk) limitCommands(mux *http.ServeMux) {
	for name, act := range map[string]func(context.Context, domains.Address, LimitRequest) (any, error){
		"show": func(ctx context.Context, a domains.Address, _ LimitRequest) (any, error) { return d.Post.Use(ctx, a) },
		"lift": func(ctx context.Context, a domains.Address, r LimitRequest) (any, error) {
			n, err := d.Post.Lift(ctx, a, r.Until)
			return LimitAnswer{n}, err
		},
		"restore": func(_ context.Context, a domains.Address, _ LimitRequest) (any, error) {
			d.Post.Restore(a)
			return LimitAnswer{}, nil
		},
		"discard": func(ctx context.Context, a domains.Address, _ LimitRequest) (any, error) {
			n, err := d.Post.Discard(ctx, a)
			return LimitAnswer{n}, err
		},
	} {
		mux.HandleFunc("POST /limits/"+name, func(w http.ResponseWriter, req *http.Request) {
			var r LimitRequest
			err := control.Read(w, req, &r)
			if err == nil && r.Account == "" {
				err = errors.New("whose limits?")
			}
			if err != nil {
				control.Answer(w, nil, err)
				return
			}
			// What was begun is done, also if nobody waits for it any more.
			out, err := act(context.WithoutCancel(req.Context()), domains.CanonicalAddress(r.Account), r)
			control.Answer(w, out, err)
		})
	}
}
