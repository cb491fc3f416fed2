package maildir_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

func Example() {
	dir, err := os.MkdirTemp("", "mail")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	store, err := maildir.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	d, err := store.Create(ctx, mailstore.Meta{}, "alice@example.org", "bob@example.org")
	if err != nil {
		log.Fatal(err)
	}
	io.WriteString(d, "Subject: hello\r\n\r\nWorld\r\n")
	if err := d.Commit(ctx, nil); err != nil {
		log.Fatal(err) // neither has it
	}

	drop, err := store.Open(ctx, "bob@example.org")
	if err != nil {
		log.Fatal(err)
	}
	defer drop.Close()
	for i := range drop.Len() {
		r, err := drop.Open(context.Background(), i)
		if err != nil {
			log.Fatal(err)
		}
		text, _ := io.ReadAll(r)
		r.Close()
		fmt.Println(drop.Size(i), strings.Fields(string(text)))
	}
	fmt.Println(drop.Remove(ctx, []int{0}))
	// Output:
	// 25 [Subject: hello World]
	// <nil>
}

// A quota per mailbox; the function may look the answer up anywhere.
func ExampleWithQuota() {
	dir, err := os.MkdirTemp("", "mail")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := maildir.Open(dir, maildir.WithQuota(func(user string) maildir.Quota {
		return maildir.Quota{Messages: 1000, Octets: 1 << 20}
	}))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	fmt.Println(store.Room(context.Background(), "alice@example.org", 2<<20))
	// Output: mailstore: mailbox is full: the message is larger than the whole quota: 2097152 octets, the quota is 1048576
}
