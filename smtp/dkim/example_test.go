package dkim_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/postrider-mail/postrider/smtp/dkim"
)

// records is a DNS for examples.
type records map[string]string

func (r records) LookupTXT(_ context.Context, name string) ([]string, error) {
	return []string{r[name]}, nil
}

const (
	exampleHeader = "From: Alice <alice@example.com>\r\nTo: bob@example.net\r\nSubject: Hello\r\n"
	exampleBody   = "Hello Bob.\r\n"
)

// A message is signed while its body passes.
func ExampleSigner() {
	key, err := dkim.GenerateKey("ed25519")
	if err != nil {
		log.Fatal(err)
	}
	s := &dkim.Signer{Domain: "example.com", Keys: []dkim.SigningKey{{Selector: "2026a", Key: key}}}
	signing, err := s.Sign(exampleHeader)
	if err != nil {
		log.Fatal(err)
	}
	io.Copy(signing, strings.NewReader(exampleBody))
	fields, err := signing.Finish()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(strings.Split(fields[0], ";")[0])
	// Output: DKIM-Signature: v=1
}

// Before the body comes, it is known whether any signature can pass.
func ExampleVerification_Promising() {
	key, err := dkim.GenerateKey("ed25519")
	if err != nil {
		log.Fatal(err)
	}
	record, err := dkim.Record(key.Public())
	if err != nil {
		log.Fatal(err)
	}
	s := &dkim.Signer{Domain: "example.com", Keys: []dkim.SigningKey{{Selector: "2026a", Key: key}}}
	signing, err := s.Sign(exampleHeader)
	if err != nil {
		log.Fatal(err)
	}
	io.WriteString(signing, exampleBody)
	fields, err := signing.Finish()
	if err != nil {
		log.Fatal(err)
	}

	v := &dkim.Verifier{Resolver: records{dkim.RecordName("2026a", "example.com"): record}}
	check := v.Verify(context.Background(), fields[0]+exampleHeader)
	fmt.Println(len(check.Promising()), "can pass")
	io.WriteString(check, strings.Replace(exampleBody, "Bob", "Eve", 1))
	r := check.Results()[0]
	fmt.Println(r.Status, r.Domain, r.Reason)

	check = v.Verify(context.Background(), fields[0]+strings.Replace(exampleHeader, "alice", "eve", 1))
	fmt.Println(len(check.Promising()), "can pass")
	// Output:
	// 1 can pass
	// fail example.com body hash differs
	// 0 can pass
}

// What a form on the net made of a key record is said in words.
func ExampleCheckRecords() {
	for _, f := range dkim.CheckRecords([]string{`"v=DKIM1\; k=ed25519\; p=U1DhO6dAgCbguMIjnZOVkBb/YWgEfTN0cOQ+ASB37uQ="`}, nil) {
		fmt.Println(f.At, f.Text)
	}
	// Output:
	// 0 quotes are part of the record; the form wants the text without them
	// 8 a backslash stands before ";"; only in some zone files it belongs there
}
