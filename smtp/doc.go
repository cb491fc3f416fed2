// Package smtp speaks SMTP and LMTP, as a server and as a client. It knows no
// storage: a Handler takes responsibility for each message, and 250 is said
// when it has returned nil.
//
//	func main() {
//		smtp.HandleFunc("*@example.com", func(ctx context.Context, e *smtp.Envelope) error {
//			_, err := io.Copy(os.Stdout, e.Data)
//			return err
//		})
//		log.Fatal(smtp.ListenAndServe(":2525", nil))
//	}
//
// # A server
//
//	srv := &smtp.Server{
//		Addr:      ":2525",
//		CheckRcpt: func(ctx context.Context, s *smtp.Session, to *smtp.Recipient) error { return nil },
//		Handler:   handler,
//	}
//	log.Fatal(srv.ListenAndServe())
//
// The zero Server works and refuses every recipient. There is one callback for
// each phase (CheckConn, CheckHelo, CheckSender, CheckRcpt, CheckData); it
// accepts with nil, chooses the answer with a *Reply or one of the constants
// (ErrNoSuchUser and so on), and any other error is 451 for the client and
// itself for the log. A ServeMux routes by address, at RCPT. Conn.Events is the
// same engine as a loop over events. A server on which nobody could ever do
// anything does not start, and says why.
//
// # A client
//
//	err := smtp.SendMail(ctx, "mx.example.net:25", "ann@example.com", []string{"bob@example.net"}, message)
//
// A Dialer has the settings (TLS, AUTH, timeouts) and makes Clients, which carry
// any number of messages: Client.Send sends one at once, with as few round trips
// as the server lets it, Client.Begin step by step. What the server said is a
// *Response in the error. Package smtptest has servers to test such programs
// with.
//
// # What the engine promises
//
//   - A message streams from the network through Envelope.Data into the
//     Handler, through constant memory and no goroutine of its own. Whatever
//     the Handler leaves is skipped; the next command is the next command. Only
//     a message to several Handlers of a ServeMux is held, in bounded memory
//     and then in a file.
//   - Only CRLF "." CRLF ends DATA, except for clients one names that speak LF
//     from their first line on (TolerateLF). A message with a CR or LF of its own
//     is refused, or, where Server.Tolerate says so, stored with CRLF in their
//     place; none is ever stored or relayed as it came. NUL is for BINARYMIME.
//   - Time, memory and guesses are bounded (Limits): the wait for a command, the
//     whole session, the rate of a message, lines, recipients, errors, failed
//     AUTH, connections in all and from one address block.
//   - What a callback panics with costs its session and no other.
//   - Credentials are in no log and no trace.
//   - Replies leave together when the client waits, and an idle session holds
//     about six kilobytes, its goroutine included.
//
// # Where the RFCs are
//
// What a server offers, and the parameters of MAIL and RCPT on both sides, is one
// table: extensions.go.
//
//	RFC 5321  SMTP                 commands.go (§4.1, the table), session.go (§3, §4.3), path_parse.go (§4.1.2), clock.go, limits.go (§4.5.3), data.go (§4.1.1.4, §4.5.2)
//	RFC 2033  LMTP                 data.go (one reply per recipient)
//	RFC 1870  SIZE                 mail.go, data.go
//	RFC 2034  ENHANCEDSTATUSCODES  replies.go, standard.go, reply.go; codes of RFC 3463, RFC 5248, RFC 7372
//	RFC 2852  DELIVERBY            params_parse.go, client_params.go (Extensions.DeliverBy)
//	RFC 2920  PIPELINING           clock.go (when replies leave)
//	RFC 3030  CHUNKING, BINARYMIME bdat.go (Extensions.BinaryMIME)
//	RFC 3207  STARTTLS             hello.go
//	RFC 3461  DSN                  params_parse.go, client_params.go, xtext.go (Extensions.DSN)
//	RFC 3848  "with" keywords      envelope.go (Envelope.Protocol)
//	RFC 4865  FUTURERELEASE        params_parse.go, client_params.go (Extensions.FutureRelease)
//	RFC 4954  AUTH                 auth.go; mechanisms in cipher/sasl
//	RFC 6152  8BITMIME             params_parse.go, client_params.go
//	RFC 6531  SMTPUTF8             mail.go, path_parse.go, commands.go (VRFY); RFC 6533 in xtext.go
//	RFC 6710  MT-PRIORITY          params_parse.go, client_params.go (Extensions.Priority)
//	RFC 7293  RRVS                 params_parse.go, client_params.go (Extensions.RRVS)
//	RFC 8314  TLS, first octet on  hello.go (ImplicitTLS)
//	RFC 8689  REQUIRETLS           extensions.go (Extensions.RequireTLS)
//	RFC 9422  LIMITS               extensions.go, limits.go
//
// XCLIENT and XFORWARD are those of Postfix (xclient.go). The PROXY protocol
// is a listener around the listener, see the example of Server.Serve.
package smtp
