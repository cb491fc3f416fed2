package textual_test

import (
	"fmt"
	"io"
	"strings"

	"github.com/postrider-mail/postrider/parsers/textual"
)

// A session of a line protocol: commands, a dot-stuffed text, replies.
func Example() {
	client := strings.NewReader("mail FROM:<a@b> SIZE=10\r\nDATA\r\n..hi\r\n.\r\nQUIT\r\n")
	var server strings.Builder
	r, w := textual.NewReader(client), textual.NewWriter(&server)
	for {
		line, err := r.ReadLine(510)
		if err == textual.ErrLineTooLong {
			w.WriteReply(500, "5.5.2", "line too long")
			continue
		}
		if err != nil {
			break
		}
		verb, args := textual.Command(line)
		switch {
		case textual.Is(verb, "MAIL"):
			from, params := textual.NextArg(args)
			w.WriteReply(250, "2.1.0", fmt.Sprintf("%s with %s", from, params))
		case textual.Is(verb, "DATA"):
			text, err := io.ReadAll(r.Dot(textual.Reject))
			w.WriteReply(250, "2.0.0", fmt.Sprintf("%q %v", text, err))
		case textual.Is(verb, "QUIT"):
			w.WriteReply(221, "2.0.0", "bye")
		}
		if r.Buffered() == 0 { // the client waits: answer all it has asked
			w.Flush()
		}
	}
	fmt.Print(strings.ReplaceAll(server.String(), "\r\n", "\n"))
	// Output:
	// 250 2.1.0 FROM:<a@b> with SIZE=10
	// 250 2.0.0 ".hi\r\n" <nil>
	// 221 2.0.0 bye
}

func ExampleDotReader() {
	// What LF "." LF and the like are to other programs does not matter here:
	// only CRLF "." CRLF ends the text.
	r := textual.NewReader(strings.NewReader("one\n.\ntwo\r\n.\r\nNOOP\r\n"))
	text, err := io.ReadAll(r.Dot(textual.Normalise))
	fmt.Printf("%q %v\n", text, err)
	line, _ := r.ReadLine(510)
	fmt.Printf("%s\n", line)
	// Output:
	// "one\r\n.\r\ntwo\r\n" <nil>
	// NOOP
}

func ExampleDotReader_reject() {
	r := textual.NewReader(strings.NewReader("one\n.\ntwo\r\n.\r\nNOOP\r\n"))
	_, err := io.ReadAll(r.Dot(textual.Reject))
	fmt.Println(err)
	line, _ := r.ReadLine(510) // still in step
	fmt.Printf("%s\n", line)
	// Output:
	// textual: bare LF
	// NOOP
}

func ExampleDotWriter() {
	var wire strings.Builder
	w := textual.NewDotWriter(&wire)
	io.WriteString(w, "one\r\n.two\n")
	if err := w.Close(); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("%q\n", wire.String())
	// Output:
	// "one\r\n..two\r\n.\r\n"
}

func ExampleReader_ReadReply() {
	r := textual.NewReader(strings.NewReader("250-mx.example\r\n250 SIZE 1000\r\n"))
	reply, err := r.ReadReply(510, 100)
	fmt.Println(reply.Code, reply.Lines, err)
	// Output:
	// 250 [mx.example SIZE 1000] <nil>
}

func ExampleAppendReply() {
	fmt.Printf("%q\n", textual.AppendReply(nil, 550, "5.1.1", "No such user\nAsk the postmaster"))
	// Output:
	// "550-5.1.1 No such user\r\n550 5.1.1 Ask the postmaster\r\n"
}

func ExampleParser() {
	p := textual.Parser{
		Brackets:           []byte("<>"),
		OpenBrackets:       true,
		ArgumentSeparators: []byte(" :"),
	}
	st := p.Parse("MAIL FROM:<a b@c> SIZE=10")
	fmt.Printf("%s %q\n", st.Name, st.Arguments)
	// Output:
	// MAIL ["MAIL" "FROM" "a b@c" "SIZE=10"]
}

func ExampleParser_ParseStrict() {
	_, err := textual.SMTP.ParseStrict("RCPT TO:<a@b")
	fmt.Println(err)
	// Output:
	// textual: unbalanced bracket
}

func ExampleCut() {
	verb, password := textual.Cut([]byte("PASS  with spaces "))
	fmt.Printf("%s %q\n", verb, password)
	// Output:
	// PASS " with spaces "
}

func ExampleLineWriter() {
	var out strings.Builder
	w := textual.NewLineWriter(&out)
	io.WriteString(w, "one\n.\rtwo")
	w.Close()
	fmt.Printf("%q\n", out.String())
	// Output:
	// "one\r\n.\r\ntwo"
}
