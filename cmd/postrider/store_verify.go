package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/mailstore/maildir"
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

The exit code is 1 while a problem is left. With --json, each problem is a line of
JSON (mailbox, path, problem, repair, fixed), and so is the sum at the end.`,
		Example: "  postrider store verify -c /etc/postrider\n  postrider store verify -c /etc/postrider --fix",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
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
