package sink

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"
)

// Webhook is told of every message that comes, one after another. What fails is tried again,
// and what is lost is counted.
type Webhook struct {
	URL   string
	Label string // for a field of the request's header
	Log   *slog.Logger
	// Summary is what is posted about a message.
	Summary func(*Message) ([]byte, error)
	// Transport carries the requests; nil: http.DefaultTransport.
	Transport http.RoundTripper

	lost atomic.Uint64
}

// How a message is told: how often it is tried, how long one try and the first pause may take,
// and how many messages may wait.
const (
	hookTries = 5
	hookWait  = 5 * time.Second
	hookPause = time.Second
	hookQueue = 10_000
)

// Lost is how many messages it was not told of. A nil Webhook has lost none.
func (h *Webhook) Lost() uint64 {
	if h == nil {
		return 0
	}
	return h.lost.Load()
}

// Serve tells of what comes into the Box until ctx ends.
func (h *Webhook) Serve(ctx context.Context, b *Box) {
	happened, stop := b.Watch()
	defer stop()
	queue := make(chan *Message, hookQueue)
	go h.post(ctx, queue)
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-happened:
			switch {
			case e.Kind == Pruned:
				h.lost.Add(1) // at least: the watcher was too far behind
			case e.Kind == Arrived:
				select {
				case queue <- e.Message:
				default:
					h.lost.Add(1)
				}
			}
		}
	}
}

func (h *Webhook) post(ctx context.Context, queue <-chan *Message) {
	// Who is told is who was named, and not whom that host names.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client := &http.Client{Timeout: hookWait, Transport: h.Transport, CheckRedirect: stay}
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-queue:
			if err := h.tell(ctx, client, m); err != nil && ctx.Err() == nil {
				h.lost.Add(1)
				h.Log.Warn("webhook was not told of a message", "message", m.ID, "error", err)
			}
		}
	}
}

func (h *Webhook) tell(ctx context.Context, client *http.Client, m *Message) (err error) {
	body, err := h.Summary(m)
	if err != nil {
		return err
	}
	for try, pause := 1, hookPause; ; try, pause = try+1, pause*2 {
		if err = h.once(ctx, client, body); err == nil || try == hookTries {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func (h *Webhook) once(ctx context.Context, client *http.Client, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Postrider")
	if h.Label != "" {
		req.Header.Set("Postrider-Label", h.Label)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("it answered %s", resp.Status)
	}
	return nil
}
