package web

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/postrider-mail/postrider/internal/sink"
)

// frame is one event on the wire.
type frame struct {
	Type string
	Data any
}

// How often a watcher is told how many messages there are, at most, and how often it is
// asked whether it is still there.
const (
	statsEvery = 250 * time.Millisecond
	pingEvery  = 54 * time.Second
)

// events sends what happens over a websocket. Where the page that asks comes from has
// been looked at before.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	// Whoever is told that he is connected is to hear of all that comes from then on.
	happened, stop := s.Box.Watch()
	defer stop()
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // it has answered
	}
	defer c.CloseNow()
	// Nothing is read but what ends it.
	ctx := c.CloseRead(r.Context())
	e := &eventStream{server: s, conn: c, inbox: inbox(r)}
	e.serve(ctx, happened)
}

type eventStream struct {
	server *Server
	conn   *websocket.Conn
	inbox  string
}

func (e *eventStream) serve(ctx context.Context, happened <-chan sink.Event) {
	ping, stats := time.NewTicker(pingEvery), time.NewTicker(statsEvery)
	defer ping.Stop()
	defer stats.Stop()
	if !e.stats(ctx) {
		return
	}
	stale := false
	for {
		alive := true
		select {
		case <-ctx.Done():
			return
		case <-ping.C:
			bound, end := context.WithTimeout(ctx, pingEvery)
			alive = e.conn.Ping(bound) == nil
			end()
		case <-stats.C:
			if stale {
				alive, stale = e.stats(ctx), false
			}
		case event := <-happened:
			if event.Kind != sink.Failed && event.In(e.inbox) {
				stale = true
			}
			if event.In(e.inbox) || event.Kind == sink.Failed && e.inbox == "" {
				alive = e.send(ctx, frameOf(&event))
			}
		}
		if !alive {
			return
		}
	}
}

func (e *eventStream) stats(ctx context.Context) bool {
	total, unread := e.server.Box.Totals(e.inbox)
	return e.send(ctx, frame{"stats", struct {
		Total, Unread int
		Version       string
	}{total, unread, e.server.Version}})
}

func (e *eventStream) send(ctx context.Context, f frame) bool {
	text, err := json.Marshal(f)
	if err != nil {
		return false
	}
	ctx, end := context.WithTimeout(ctx, pingEvery)
	defer end()
	return e.conn.Write(ctx, websocket.MessageText, text) == nil
}

func frameOf(e *sink.Event) frame {
	switch e.Kind {
	case sink.Arrived:
		return frame{"new", summaryOf(e.Message)}
	case sink.Changed:
		return frame{"update", struct {
			ID   string
			Read bool
			Tags []string
		}{e.ID, e.Message.Read, append([]string{}, e.Message.Tags...)}}
	case sink.Removed:
		return frame{"delete", struct{ ID string }{e.ID}}
	case sink.Emptied:
		return frame{"truncate", nil}
	case sink.Failed:
		return frame{"error", struct{ Level, Type, IP, Message string }{"error", e.Failure.Service, e.Failure.Client, e.Failure.Text}}
	}
	return frame{"prune", nil}
}
