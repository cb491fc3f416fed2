package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

// What "deletion": "trash" has hidden from POP3.

// trashView is a message in the trash.
type trashView struct {
	UID   string    `json:"uid"`
	Size  int64     `json:"size"`
	Since time.Time `json:"since,omitzero"`
}

// trashed lists the trash of a mailbox.
func trashed(ctx context.Context, s *maildir.Store, user string) ([]trashView, error) {
	box, err := s.Open(ctx, user)
	if err != nil {
		return nil, err
	}
	defer box.Close()
	views := []trashView{}
	trash, ok := box.(mailstore.Trash)
	for i := range box.Len() {
		if ok && strings.Contains(trash.Flags(i), "T") {
			views = append(views, trashView{box.UID(i), box.Size(i), trash.Changed(i)})
		}
	}
	return views, nil
}

func storeTrashCommand() *cobra.Command {
	var f storeFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "trash [-c DIR] ADDRESS",
		Short: "List what a user has deleted and is kept for a while",
		Long: `List the messages of a mailbox that "deletion": "trash" has hidden from POP3. They are
removed after "trash_keep"; until then "postrider store undelete" brings them back.`,
		Example: "  postrider store trash -c /etc/postrider alice@example.com",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.reading(cmd, func(ctx context.Context, s *maildir.Store) error {
				if err := known(s, args[0]); err != nil {
					return err
				}
				views, err := trashed(ctx, s, args[0])
				if err != nil {
					return err
				}
				return printTable(cmd, asJSON, "ID\tSIZE\tDELETED", views, func(v trashView) string {
					return fmt.Sprintf("%s\t%s\t%s", v.UID, size(v.Size), v.Since.Local().Format("2006-01-02 15:04:05 MST"))
				})
			})
		},
	}
	f.add(c)
	jsonFlag(c, &asJSON)
	return c
}

func storeUndeleteCommand() *cobra.Command {
	var f storeFlags
	c := &cobra.Command{
		Use:   "undelete [-c DIR] ADDRESS [ID...]",
		Short: "Bring back what a user has deleted",
		Long: `Bring back messages that "deletion": "trash" has hidden from POP3: all of the mailbox, or
those with these ids, as "postrider store trash" lists them. Nobody may be logged in there.`,
		Example: "  postrider store undelete -c /etc/postrider alice@example.com",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.asOwner(cmd, false, func(s *maildir.Store) error {
				n, err := undelete(cmd.Context(), s, args[0], args[1:])
				if err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "%s brought back\n", count(n, "message"))
				}
				return err
			})
		},
	}
	f.add(c)
	return c
}

// undelete brings back the messages with these ids, or all, and counts them.
func undelete(ctx context.Context, s *maildir.Store, user string, ids []string) (int, error) {
	if err := known(s, user); err != nil {
		return 0, err
	}
	box, err := s.Open(ctx, user)
	if err != nil {
		return 0, err
	}
	defer box.Close()
	trash, ok := box.(mailstore.Trash)
	if !ok {
		return 0, errors.New("this store has no trash")
	}
	var back []int
	found := make(map[string]bool)
	for i := range box.Len() {
		if strings.Contains(trash.Flags(i), "T") && (len(ids) == 0 || slices.Contains(ids, box.UID(i))) {
			back = append(back, i)
			found[box.UID(i)] = true
		}
	}
	for _, id := range ids {
		if !found[id] {
			return 0, fmt.Errorf("%s is not in the trash of %s", id, user)
		}
	}
	return len(back), trash.Unflag(ctx, back, "T")
}
