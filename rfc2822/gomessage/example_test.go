package gomessage_test

import (
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/emersion/go-message"
	"github.com/emersion/go-message/mail"

	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/rfc2822/gomessage"
)

// The type has blanks around its slash, and the last boundary line is missing.
const damaged = "From: =?utf-8?q?J=C3=BCrgen?= <j@example.com>\r\n" +
	"Subject: rates\r\n" +
	"Content-Type: multipart / mixed; charset=utf-8 boundary=b\r\n" +
	"\r\n" +
	"--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\nGr\xfc\xdfe\r\n" +
	"--b\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=rates.csv\r\nContent-Transfer-Encoding: base64\r\n\r\nYTti!\r\n"

func ExampleRead() {
	m, _ := rfc2822.ReadString(damaged)
	entity, err := gomessage.Read(m, rfc2822.Limits{}, 0)
	if err != nil {
		log.Fatal(err)
	}
	r := mail.NewReader(entity)
	from, _ := r.Header.AddressList("From")
	fmt.Println(from[0].Name)
	for {
		part, err := r.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		body, _ := io.ReadAll(part.Body)
		switch h := part.Header.(type) {
		case *mail.AttachmentHeader:
			name, _ := h.Filename()
			fmt.Println(name, string(body))
		default:
			fmt.Println(string(body))
		}
	}
	// Output:
	// Jürgen
	// Grüße
	// rates.csv a;b
}

// A part is streamed into what wants an entity.
func ExampleEntity() {
	m, _ := rfc2822.ReadString(damaged)
	err := m.Walk(rfc2822.Limits{}, func(_ []int, p *rfc2822.Part) error {
		if p.IsMultipart() {
			return nil
		}
		e := gomessage.Entity(p)
		kind, params, _ := e.Header.ContentType()
		n, err := io.Copy(io.Discard, e.Body)
		fmt.Println(kind, params["charset"], n)
		return err
	})
	fmt.Println(err)
	// Output:
	// text/plain utf-8 7
	// text/csv  3
	// <nil>
}

func ExampleMessage() {
	var h message.Header
	h.SetContentType("text/plain", map[string]string{"charset": "utf-8"})
	h.SetText("Subject", "Grüße")
	e, err := message.New(h, strings.NewReader("Hello"))
	if err != nil {
		log.Fatal(err)
	}
	m, err := gomessage.Message(e, 1<<20)
	if err != nil {
		log.Fatal(err)
	}
	content, _ := m.Content(rfc2822.Limits{}, 0)
	fmt.Println(m.Header.Text("Subject"), content.Text)
	// Output:
	// Grüße Hello
}
