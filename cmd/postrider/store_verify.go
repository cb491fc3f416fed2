package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/daemon"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/mailstore/postgres"
)

func storeVerifyCommand() *cobra.Command {
	var f storeFlags
	var fix, asJSON bool
	c := &cobra.Command{
		Use:   "verify [-c DIR] [--fix] [--json]",
		Short: "Compare every stored message with what its name says of it",
		Long: `Read every message of every mailbox and its folders and compare it with its file
name. Found are damaged, unreadable and misplaced files, wrong sizes, unique ids that
occur twice, what belongs to another user than the store, and folders that are no
mailbox. Each problem is one line: where, what, and what --fix would do about it or
has done.

Of sealed mailboxes it is found without their keys which messages are of another length
than a sealed one has, or are sealed to a key that the mailbox does not have.

With --fix, files get true and unique names and their right place; a mailbox is locked
meanwhile. Nothing is deleted and no message is changed. What a message has lost
only a backup can bring back ("postrider restore").

Of mail in a database that has its large messages in a bucket (Store.S3), these are read
and compared with what was stored, and objects are found that no message needs; --fix has
the servers remove those, after the time of Store.S3.keep. Servers may run meanwhile. The
rest of a database is PostgreSQL's own business.

The exit code is 1 while a problem is left. With --json, each problem is a line of
JSON (mailbox, path, problem, repair, fixed), and so is the sum at the end.`,
		Example: "  postrider store verify -c /etc/postrider\n  postrider store verify -c /etc/postrider --fix",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if bucket, err := f.bucket(cmd.Context()); bucket != nil || err != nil {
				return verifyBucket(cmd, bucket, err, fix, asJSON)
			}
			if fix {
				return f.asOwner(cmd, false, func(s *maildir.Store) error { return verify(cmd, s, true, asJSON) })
			}
			s, err := f.read()
			if err != nil {
				return err
			}
			defer s.Close()
			return verify(cmd, s, false, asJSON)
		},
	}
	f.add(c)
	c.Flags().BoolVar(&fix, "fix", false, "repair what can be repaired")
	c.Flags().BoolVar(&asJSON, "json", false, "one line of JSON for each problem and for the sum")
	return c
}

// bucket is the store of a database that has large messages in a bucket; nil where there is none.
func (f *storeFlags) bucket(ctx context.Context) (*postgres.Store, error) {
	if f.mail != "" {
		return nil, nil
	}
	s, err := conf.Load(confPath(f.conf))
	if err != nil || s.Store.Postgres == "" || s.Store.S3.Endpoint == "" {
		return nil, err
	}
	return daemon.OpenDatabase(ctx, s)
}

// verifyBucket is verify for what a database has outside of itself.
func verifyBucket(cmd *cobra.Command, s *postgres.Store, err error, fix, asJSON bool) error {
	if err != nil {
		return err
	}
	defer s.Close()
	ctx, stop := interruptible(cmd)
	defer stop()
	out := cmd.OutOrStdout()
	v, err := s.VerifyObjects(ctx, fix, func(p postgres.Problem) {
		repair := ""
		if len(p.Mailboxes) == 0 {
			repair = "have it removed"
		}
		names := strings.Join(p.Mailboxes, ", ")
		is := maildir.Problem{User: names, Path: p.Object, What: p.What, Repair: repair, Fixed: p.Fixed}
		switch {
		case asJSON:
			writeProblem(out, is)
		case names != "":
			fmt.Fprintf(out, "%s: %v\n", names, is)
		default:
			fmt.Fprintln(out, is)
		}
	})
	if asJSON {
		writeJSON(out, struct {
			Messages int64 `json:"messages"`
			Octets   int64 `json:"octets"`
			Problems int64 `json:"problems"`
			Fixed    int64 `json:"fixed"`
		}{v.Messages, v.Octets, v.Problems, v.Fixed})
	} else {
		fmt.Fprintf(out, "%s with %s in the bucket: %s, %d repaired\n", count(v.Messages, "message"), size(v.Octets), count(v.Problems, "problem"), v.Fixed)
	}
	if err == nil && v.Problems > v.Fixed {
		err = errSaid
	}
	return err
}

func verify(cmd *cobra.Command, s *maildir.Store, fix, asJSON bool) error {
	ctx, stop := interruptible(cmd)
	defer stop()
	out := cmd.OutOrStdout()
	report := func(p maildir.Problem) { fmt.Fprintln(out, p) }
	if asJSON {
		report = func(p maildir.Problem) { writeProblem(out, p) }
	}
	v, err := s.Verify(ctx, fix, report)
	if err == nil {
		err = verifySealed(ctx, s, func(p maildir.Problem) {
			v.Problems++
			report(p)
		})
	}
	if asJSON {
		writeJSON(out, struct {
			Mailboxes int64 `json:"mailboxes"`
			Messages  int64 `json:"messages"`
			Octets    int64 `json:"octets"`
			Problems  int64 `json:"problems"`
			Fixed     int64 `json:"fixed"`
		}{v.Mailboxes, v.Messages, v.Octets, v.Problems, v.Fixed})
	} else {
		fmt.Fprintf(out, "%s, %s, %s: %s, %d repaired\n",
			count(v.Mailboxes, "mailbox"), count(v.Messages, "message"), size(v.Octets), count(v.Problems, "problem"), v.Fixed)
	}
	if err == nil && v.Problems > v.Fixed {
		err = errSaid
	}
	return err
}

// writeProblem writes a problem as a line of JSON. Octets of a path that are no
// UTF-8 come out as U+FFFD.
func writeProblem(w io.Writer, p maildir.Problem) {
	writeJSON(w, struct {
		Mailbox string `json:"mailbox,omitempty"`
		Path    string `json:"path"`
		Problem string `json:"problem"`
		Repair  string `json:"repair,omitempty"`
		Fixed   bool   `json:"fixed"`
	}{p.User, p.Path, p.What, p.Repair, p.Fixed})
}

func writeJSON(w io.Writer, v any) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}
