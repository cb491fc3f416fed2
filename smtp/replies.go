package smtp

// The engine's own replies.
var (
	okSender   = &Reply{Code: 250, Enhanced: "2.1.0", Text: "Sender OK"}
	okRcpt     = &Reply{Code: 250, Enhanced: "2.1.5", Text: "Recipient OK"}
	okNoop     = &Reply{Code: 250, Enhanced: "2.0.0", Text: "OK"}
	okReset    = &Reply{Code: 250, Enhanced: "2.0.0", Text: "Flushed"}
	okTLS      = &Reply{Code: 220, Enhanced: "2.0.0", Text: "Ready to start TLS"}
	okAuth     = &Reply{Code: 235, Enhanced: "2.7.0", Text: "Authentication successful"}
	goAhead    = &Reply{Code: 354, Text: "Send the message, end with <CRLF>.<CRLF>"}
	goodbye    = &Reply{Code: 221, Enhanced: "2.0.0", Text: "Goodbye"}
	cannotVrfy = &Reply{Code: 252, Enhanced: "2.5.1", Text: "Cannot verify, but will take mail and try"}

	errUnknown         = &Reply{Code: 500, Enhanced: "5.5.1", Text: "Unknown command"}
	errNotSMTP         = &Reply{Code: 554, Enhanced: "5.5.1", Text: "This is not an HTTP server"}
	errLineTooLong     = &Reply{Code: 500, Enhanced: "5.5.2", Text: "Line is too long"}
	errBareLine        = &Reply{Code: 500, Enhanced: "5.5.2", Text: "Lines end with CR LF, see RFC 5321 section 2.3.8"}
	errSyntax          = &Reply{Code: 501, Enhanced: "5.5.2", Text: "Malformed command"}
	errNoArgument      = &Reply{Code: 501, Enhanced: "5.5.4", Text: "No argument allowed"}
	errHelloFirst      = &Reply{Code: 503, Enhanced: "5.5.1", Text: "Introduce yourself first"}
	errMailFirst       = &Reply{Code: 503, Enhanced: "5.5.1", Text: "MAIL first"}
	errRcptFirst       = &Reply{Code: 503, Enhanced: "5.5.1", Text: "RCPT first"}
	errNoValidRcpt     = &Reply{Code: 554, Enhanced: "5.5.1", Text: "No valid recipients"}
	errNoValidRcptLMTP = &Reply{Code: 503, Enhanced: "5.5.1", Text: "No valid recipients"} // RFC 2033 §4.2
	errInTransaction   = &Reply{Code: 503, Enhanced: "5.5.1", Text: "Not while a message is being sent"}
	errRefusedGreeting = &Reply{Code: 503, Enhanced: "5.5.1", Text: "No service here, only QUIT"}
	errNotOffered      = &Reply{Code: 502, Enhanced: "5.5.1", Text: "Not offered here"}
	errPipelined       = &Reply{Code: 554, Enhanced: "5.5.0", Text: "Wait for the answer to this command before sending more"}

	errNeedTLS  = &Reply{Code: 530, Enhanced: "5.7.0", Text: "STARTTLS first"}
	errTLSAgain = &Reply{Code: 503, Enhanced: "5.5.1", Text: "TLS is active already"}
	errHelo     = &Reply{Code: 501, Enhanced: "5.5.2", Text: "Not a domain name or address literal"}
	errNeedUTF8 = &Reply{Code: 553, Enhanced: "5.6.7", Text: "Address needs SMTPUTF8"}
	needsUTF8   = &Reply{Code: 252, Enhanced: "2.6.8", Text: "Answer needs SMTPUTF8"}
	errMailMax  = &Reply{Code: 452, Enhanced: "4.5.3", Text: "Too many messages, use another connection"}
	errBadChunk = &Reply{Code: 501, Enhanced: "5.5.4", Text: "Malformed chunk size, closing the connection"}
	errNeedBDAT = &Reply{Code: 503, Enhanced: "5.5.1", Text: "BODY=BINARYMIME needs BDAT"}
	errEndless  = &Reply{Code: 552, Enhanced: "5.3.4", Text: "Message is far too big, closing the connection"}

	errAuthFailed    = &Reply{Code: 535, Enhanced: "5.7.8", Text: "Authentication failed"}
	errAuthLater     = &Reply{Code: 454, Enhanced: "4.7.0", Text: "Cannot authenticate now, try again later"}
	errAuthThrottled = &Reply{Code: 454, Enhanced: "4.7.0", Text: "Too many attempts, try again later"}
	errAuthMalformed = &Reply{Code: 501, Enhanced: "5.5.2", Text: "Malformed authentication exchange"}
	errAuthTooLong   = &Reply{Code: 500, Enhanced: "5.5.6", Text: "Authentication exchange line is too long"}
	errAuthCancelled = &Reply{Code: 501, Enhanced: "5.7.0", Text: "Authentication cancelled"}
	errAuthUnknown   = &Reply{Code: 504, Enhanced: "5.5.4", Text: "Mechanism is not offered"}
	errAuthNeedsTLS  = &Reply{Code: 538, Enhanced: "5.7.11", Text: "Mechanism needs TLS"}
	errAuthAgain     = &Reply{Code: 503, Enhanced: "5.5.1", Text: "Authenticated already"}

	errShutdown       = &Reply{Code: 421, Enhanced: "4.3.2", Text: "Server is shutting down"}
	errTimeout        = &Reply{Code: 421, Enhanced: "4.4.2", Text: "Timeout, closing the connection"}
	errTooManyConns   = &Reply{Code: 421, Enhanced: "4.7.0", Text: "Too many connections, try again later"}
	errMakeRoom       = &Reply{Code: 421, Enhanced: "4.7.0", Text: "Too many connections, somebody else needs this one"}
	errExpelled       = &Reply{Code: 421, Enhanced: "4.7.0", Text: "What this session logged in by opens the account no more"}
	errTooManyErrors  = &Reply{Code: 421, Enhanced: "4.7.0", Text: "Too many errors, closing the connection"}
	errTooManyGuesses = &Reply{Code: 421, Enhanced: "4.7.0", Text: "Too many failed authentications, closing the connection"}
	errTooIdle        = &Reply{Code: 421, Enhanced: "4.7.0", Text: "Too many commands without mail, closing the connection"}
)
