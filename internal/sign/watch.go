package sign

import (
	"context"
	"crypto"
	"fmt"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/smtp/dkim"
)

// Watcher asks the servers of a name's own zone, each for itself and past any cache,
// which TXT records are there; of a name that is a CNAME, those of the zone it leads
// to. An error says that none could be asked.
type Watcher interface {
	Watch(ctx context.Context, name string) ([]Answer, error)
}

// Answer is what one server of a zone shows.
type Answer struct {
	Server  string
	Records []string // each with its strings joined; none: there is none
	Err     error    // it could not be asked
}

// sight is what was seen of a key's record.
type sight struct {
	shown  bool   // a server shows it, and none that answers does not
	hidden bool   // a server that answers does not show it
	taken  bool   // it shows the key of somebody else instead
	whole  bool   // all servers have answered
	why    string // it is not seen, or not everywhere
}

// look asks for a key's record.
func look(ctx context.Context, w Watcher, k *Key) sight {
	answers, err := w.Watch(ctx, k.Name())
	if err != nil {
		return sight{why: "its DNS cannot be asked: " + err.Error()}
	}
	s := sight{whole: true}
	for _, a := range answers {
		switch {
		case a.Err != nil:
			s.whole = false
			s.why = fmt.Sprintf("%s does not answer: %v", a.Server, a.Err)
		case shows(a.Records, k):
			s.shown = true
		default:
			return sight{hidden: true, taken: isKey(a.Records), why: fmt.Sprintf("%s shows %s at %s", a.Server, others(a.Records), k.Name())}
		}
	}
	if len(answers) == 0 {
		s.why = "no server is known for " + k.Name()
	}
	return s
}

// shows reports whether the only record is the key's. What else the record says is
// the operator's choice.
func shows(records []string, k *Key) bool {
	if len(records) != 1 {
		return false
	}
	there, err := dkim.ParseKey(records[0])
	want, err2 := dkim.ParseKey(k.Public)
	if err != nil || err2 != nil || there.Public == nil {
		return false
	}
	same, ok := want.Public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && same.Equal(there.Public)
}

// isKey reports whether there is a key among the records.
func isKey(records []string) bool {
	return slices.ContainsFunc(records, func(r string) bool {
		_, err := dkim.ParseKey(r)
		return err == nil
	})
}

func others(records []string) string {
	switch {
	case len(records) == 0:
		return "no record"
	case len(records) > 1:
		return fmt.Sprintf("%d records", len(records))
	case strings.Contains(records[0], "p="):
		return "another key"
	}
	return "something else"
}
