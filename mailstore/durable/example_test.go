package durable_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/smtp/queue/spool"
)

// A file written under a name that nobody reads becomes one that survives a
// crash: its contents first, then its name.
func Example() {
	dir, err := os.MkdirTemp("", "durable")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	disk, err := durable.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	defer disk.Close()
	ctx := context.Background()
	if err := disk.MkdirAll(ctx, dir, filepath.Join(dir, "tmp"), filepath.Join(dir, "new")); err != nil {
		log.Fatal(err)
	}

	f, err := disk.FS().Create(filepath.Join(dir, "tmp", "letter"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintln(f, "Dear Bob")
	err = disk.Commit(ctx, &durable.Tx{
		Files: []durable.File{f}, // Commit closes it
		Steps: []durable.Step{durable.Publish(f.Name(), filepath.Join(dir, "new", "letter"))},
	})
	if err != nil {
		log.Fatal(err) // there is no new/letter, now or after a crash
	}

	text, err := os.ReadFile(filepath.Join(dir, "new", "letter"))
	fmt.Printf("%s%v\n", text, err)
	// Output:
	// Dear Bob
	// <nil>
}

// A mail store and a queue on one file system share their syncs.
func ExampleOpen() {
	disk, err := durable.Open("/var/lib/postrider")
	if err != nil {
		log.Fatal(err)
	}
	defer disk.Close()
	mail, err := maildir.Open("/var/lib/postrider/mail", maildir.WithDisk(disk))
	if err != nil {
		log.Fatal(err)
	}
	defer mail.Close()
	waiting, err := spool.Open(context.Background(), "/var/lib/postrider/queue", spool.WithDisk(disk))
	if err != nil {
		log.Fatal(err)
	}
	defer waiting.Close()
}

// A small file that changes is replaced as a whole.
func ExampleDisk_ReplaceFile() {
	dir, err := os.MkdirTemp("", "durable")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	disk, err := durable.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	defer disk.Close()
	name := filepath.Join(dir, "state")
	for _, state := range []string{"tried once", "tried twice"} {
		if err := disk.ReplaceFile(context.Background(), name, []byte(state)); err != nil {
			log.Fatal(err)
		}
	}
	text, err := os.ReadFile(name)
	fmt.Printf("%s %v\n", text, err)
	// Output: tried twice <nil>
}
