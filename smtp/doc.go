// Package smtp speaks SMTP and LMTP, as a server and as a client. It knows no
// storage: a Handler takes responsibility for each message, and 250 is said
// when it has returned nil.
//
// # A server
//
//	srv := &smtp.Server{
//		Addr:      ":2525",
//		CheckRcpt: func(ctx context.Context, s *smtp.Session, to *smtp.Recipient) error { return nil },
//		Handler: smtp.HandlerFunc(func(ctx context.Context, e *smtp.Envelope) error {
//			_, err := io.Copy(os.Stdout, e.Data)
//			return err
//		}),
//	}
//	log.Fatal(srv.ListenAndServe())
//
// The zero Server works and refuses every recipient. There is one callback for
// each phase (CheckConn, CheckHelo, CheckSender, CheckRcpt, CheckData); it
// accepts with nil, chooses the answer with a *Reply, and any other error is
// 451 for the client and itself for the log. A ServeMux routes by address, at
// RCPT. Conn.Events is the same engine as a loop over events.
//
// # What the engine promises
//
//   - A message streams from the network through Envelope.Data into the
//     Handler, through constant memory and no goroutine of its own. Whatever
//     the Handler leaves is skipped; the next command is the next command.
//   - Only CRLF "." CRLF ends DATA. A message with a CR or LF of its own is
//     refused, or, where Server.Newlines or NormaliseFrom say so, stored with
//     CRLF in their place; none is ever stored or relayed as it came.
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
//	RFC 5321  SMTP                 commands.go (§4.1, the table), session.go (§3, §4.3), path_parse.go (§4.1.2), clock.go, limits.go (§4.5.3), data.go (§4.1.1.4, §4.5.2)
//	RFC 2033  LMTP                 data.go (one reply per recipient)
//	RFC 1870  SIZE                 mail.go, data.go
//	RFC 2034  ENHANCEDSTATUSCODES  replies.go, reply.go; codes of RFC 3463, RFC 5248, RFC 7372
//	RFC 2852  DELIVERBY            params_parse.go (Extensions.DeliverBy)
//	RFC 2920  PIPELINING           clock.go (when replies leave)
//	RFC 3030  CHUNKING, BINARYMIME bdat.go (Extensions.BinaryMIME)
//	RFC 3207  STARTTLS             hello.go
//	RFC 3461  DSN                  params_parse.go, xtext.go (Extensions.DSN)
//	RFC 3848  "with" keywords      envelope.go (Envelope.Protocol)
//	RFC 4865  FUTURERELEASE        params_parse.go (Extensions.FutureRelease)
//	RFC 4954  AUTH                 auth.go; mechanisms in cipher/sasl
//	RFC 6152  8BITMIME             params_parse.go
//	RFC 6531  SMTPUTF8             mail.go, path_parse.go, commands.go (VRFY); RFC 6533 in xtext.go
//	RFC 6710  MT-PRIORITY          params_parse.go (Extensions.Priority)
//	RFC 7293  RRVS                 params_parse.go (Extensions.RRVS)
//	RFC 8314  TLS, first octet on  hello.go (ImplicitTLS)
//	RFC 8689  REQUIRETLS           params_parse.go (Extensions.RequireTLSExt)
//	RFC 9422  LIMITS               hello.go, limits.go
//
// XCLIENT and XFORWARD are those of Postfix (xclient.go). The PROXY protocol
// is a listener around the listener, see the example of Server.Serve.
package smtp
