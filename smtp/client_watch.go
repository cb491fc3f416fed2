package smtp

import (
	"errors"
	"io"
	"time"

	"github.com/postrider-mail/postrider/parsers/textual"
)

// watcher reads the reply to a message while the message is still being sent.
// A server that has heard enough may say so at any time (552, 421) and hang up;
// who reads only at the end finds the connection reset, and the reason gone
// with it. It is started by the first piece that is not the last, so that short
// messages do without.
type watcher struct {
	c    *Client
	done chan struct{} // nil until it is started
	got  textual.Reply // what was said, and
	err  error         // why nothing was; to be looked at behind done

	// Guarded by c.mu.
	sending bool // the last piece is not under way yet
	early   bool // and something was said, or the connection ended
}

// errEarly stops the sending of a message that was answered before its end.
var errEarly = errors.New("smtp: answered before the end of the message")

// Write sends a piece of the message.
func (w *watcher) Write(p []byte) (int, error) {
	c := w.c
	if w.done == nil && w.sending {
		w.start()
	}
	c.mu.Lock()
	if w.sending && w.early {
		c.mu.Unlock()
		return 0, errEarly
	}
	if !c.cut {
		c.conn.SetWriteDeadline(time.Now().Add(c.times.DataBlock))
	}
	c.mu.Unlock()
	return c.conn.Write(p)
}

// start begins to read. While we send there is no hurry: it is the sending that
// is bounded.
func (w *watcher) start() {
	c := w.c
	w.done = make(chan struct{})
	c.mu.Lock()
	if !c.cut {
		c.conn.SetReadDeadline(time.Time{})
	}
	c.mu.Unlock()
	go w.run()
}

func (w *watcher) run() {
	c := w.c
	w.got, w.err = c.r.ReadReply(maxReplyLine, maxReplyLines)
	c.mu.Lock()
	if w.sending {
		w.early = true
		// A piece may be under way that the server no longer takes.
		c.conn.SetWriteDeadline(time.Unix(1, 0))
	}
	c.mu.Unlock()
	close(w.done)
}

// last says that what is written from now on ends the message, so that what is
// said behind it is the answer. It is false if the answer is there already.
func (w *watcher) last() bool {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	w.sending = false
	return !w.early
}

// reply waits up to d for what the server says. Without a watcher running it
// reads by itself.
func (w *watcher) reply(op string, d time.Duration) (*Response, error) {
	if w.done == nil {
		return w.c.reply(op, d)
	}
	w.c.await(d)
	<-w.done
	return w.c.said(op, w.got, w.err)
}

// lastWords is for when sending has failed: the server may have said why before
// it hung up. what did not work is cause.
func (w *watcher) lastWords(cause error) (*Response, error) {
	c := w.c
	if w.done == nil {
		w.start()
	}
	c.await(lastWordsWait)
	<-w.done
	switch {
	case w.err == nil && w.got.Code >= 400:
		r := newReply(w.got, "message")
		c.showReply("message", r)
		return r, nil
	case w.err == nil:
		// 2yz or 3yz: an answer to what it has not heard.
		e := c.broken("message", ErrProtocol)
		e.Reply = newReply(w.got, "message")
		return nil, e
	case errors.Is(cause, errEarly):
		cause = w.err // it was reading that failed
		if errors.Is(cause, io.EOF) {
			cause = io.ErrUnexpectedEOF
		}
	}
	return nil, c.broken("message", cause)
}

// stop closes the connection and waits until nobody reads from it.
func (w *watcher) stop() {
	w.c.Close()
	if w.done != nil {
		<-w.done
	}
}
