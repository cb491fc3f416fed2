package archive_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/postrider-mail/postrider/mailstore/archive"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

func ExampleImport() {
	dir, err := os.MkdirTemp("", "mail")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := maildir.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	mbox := "From bob@example.org Thu Jan  1 00:00:00 1970\nSubject: old mail\n\n>From me to you\n\n"
	for range 2 { // the second time there is nothing left to do
		stats, err := archive.Import(context.Background(), store, "alice@example.org",
			archive.FromMbox(strings.NewReader(mbox), archive.MboxRD, ""), archive.Options{})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(stats.Done, "imported,", stats.Skipped, "there already")
	}
	// Output:
	// 1 imported, 0 there already
	// 0 imported, 1 there already
}
