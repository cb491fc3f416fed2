package web

import (
	"errors"
	"net/http"

	"github.com/postrider-mail/postrider/internal/sink"
)

// What changes ask for.
type (
	marking struct {
		Read   bool
		IDs    []string
		Search string
	}
	removal struct{ IDs []string }
	tagging struct{ IDs, Tags []string }
	naming  struct{ Name string }
)

func (s *Server) mark(w http.ResponseWriter, r *http.Request) {
	var in marking
	if err := read(w, r, &in, mostBody); err != nil {
		bad(w, err)
		return
	}
	var found *sink.Search
	if in.Search != "" {
		if len(in.IDs) > 0 {
			bad(w, errors.New("IDs and Search cannot both be given"))
			return
		}
		var err error
		if found, err = exact(in.Search, zone(r)); err != nil {
			bad(w, err)
			return
		}
	}
	if err := s.Box.Mark(inbox(r), in.Read, found, in.IDs...); err != nil {
		wrong(w, err)
		return
	}
	ok(w)
}

func (s *Server) remove(w http.ResponseWriter, r *http.Request) {
	var in removal
	if err := read(w, r, &in, mostBody); err != nil {
		bad(w, err)
		return
	}
	var err error
	if len(in.IDs) == 0 {
		err = s.Box.DeleteAll(inbox(r), nil)
	} else {
		err = s.Box.Delete(inbox(r), in.IDs...)
	}
	if err != nil {
		wrong(w, err)
		return
	}
	// "Delete all" is the same request in both APIs, but MailHog answers nothing, and its
	// client for Node takes "ok" for broken JSON. It alone says nothing of itself.
	if r.Header.Get("Accept") == "" && r.Header.Get("User-Agent") == "" {
		w.WriteHeader(http.StatusOK)
		return
	}
	ok(w)
}

func (s *Server) removeFound(w http.ResponseWriter, r *http.Request) {
	found, err := exact(r.URL.Query().Get("query"), zone(r))
	if err != nil {
		bad(w, err)
		return
	}
	if err := s.Box.DeleteAll(inbox(r), found); err != nil {
		wrong(w, err)
		return
	}
	ok(w)
}

func (s *Server) tags(w http.ResponseWriter, r *http.Request) {
	answer(w, s.Box.Find(sink.Query{Inbox: inbox(r)}).Tags)
}

func (s *Server) tag(w http.ResponseWriter, r *http.Request) {
	var in tagging
	if err := read(w, r, &in, mostBody); err != nil {
		bad(w, err)
		return
	}
	if err := s.Box.Tag(inbox(r), in.Tags, in.IDs...); err != nil {
		wrong(w, err)
		return
	}
	ok(w)
}

func (s *Server) renameTag(w http.ResponseWriter, r *http.Request) {
	var in naming
	err := read(w, r, &in, mostBody)
	if err == nil && sink.CleanTag(in.Name) == "" {
		err = errors.New("the Name is no tag")
	}
	if err != nil {
		bad(w, err)
		return
	}
	s.retag(w, r, in.Name)
}

func (s *Server) removeTag(w http.ResponseWriter, r *http.Request) { s.retag(w, r, "") }

func (s *Server) retag(w http.ResponseWriter, r *http.Request, to string) {
	switch err := s.Box.Retag(inbox(r), r.PathValue("tag"), to); {
	case errors.Is(err, sink.ErrNotFound):
		bad(w, errors.New("no message has this tag"))
	case err != nil:
		wrong(w, err)
	default:
		ok(w)
	}
}

// triggers are those of Chaos in answers.
type triggers struct{ Sender, Recipient, Authentication trigger }

type trigger struct{ ErrorCode, Probability int }

var errChaosOff = errors.New("chaos is not enabled")

func (s *Server) chaos(w http.ResponseWriter, _ *http.Request) {
	if s.Chaos == nil {
		bad(w, errChaosOff)
		return
	}
	t := s.Chaos.Get()
	one := func(p sink.Point) trigger { return trigger{t[p].Code, t[p].Probability} }
	answer(w, triggers{one(sink.AtSender), one(sink.AtRecipient), one(sink.AtLogin)})
}

// setChaos replaces all triggers: one that is left out refuses nothing.
func (s *Server) setChaos(w http.ResponseWriter, r *http.Request) {
	if s.Chaos == nil {
		bad(w, errChaosOff)
		return
	}
	d := sink.DefaultTriggers()
	var in struct{ Sender, Recipient, Authentication *trigger }
	if err := read(w, r, &in, mostBody); err != nil {
		bad(w, err)
		return
	}
	for p, t := range map[sink.Point]*trigger{sink.AtSender: in.Sender, sink.AtRecipient: in.Recipient, sink.AtLogin: in.Authentication} {
		if t != nil {
			d[p] = sink.Trigger{Code: t.ErrorCode, Probability: t.Probability}
		}
	}
	if err := s.Chaos.Set(d); err != nil {
		bad(w, err)
		return
	}
	s.chaos(w, r)
}
