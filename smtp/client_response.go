package smtp

// Response is what a server answered to a Client (RFC 5321 §4.2). It is found
// in the Client's errors by errors.As. It is no *Reply: a handler that returns
// a client's error does not answer its own client in another server's words.
// Reply does that on purpose.
type Response struct {
	Code     int    // 200 to 599; 0 if the reply was not well formed
	Enhanced string // RFC 3463, such as "5.1.1"; empty if there was none
	Text     string // human readable, without control characters; newlines part its lines
}

// Error is the response on one line.
func (r *Response) Error() string {
	if r == nil {
		return "no response"
	}
	return oneLine(r.Code, r.Enhanced, r.Text)
}

// Is reports whether target is a reply with the same code and enhanced code.
func (r *Response) Is(target error) bool {
	return r != nil && sameCodes(r.Code, r.Enhanced, target)
}

// Temporary reports whether the same command may succeed later (4yz).
func (r *Response) Temporary() bool { return r != nil && r.Code/100 == 4 }

// Permanent reports whether the same command would fail again (5yz).
func (r *Response) Permanent() bool { return r != nil && r.Code/100 == 5 }

// Positive reports whether the command did what it should (2yz or 3yz).
func (r *Response) Positive() bool { return r != nil && (r.Code/100 == 2 || r.Code/100 == 3) }

// Reply returns the response as an answer to one's own client, which is how a
// proxy passes on what the server behind it says. nil, and a reply that was not
// well formed, become ErrTryLater.
func (r *Response) Reply() *Reply {
	if r == nil || r.Code < 200 || r.Code > 599 {
		return ErrTryLater.Reply()
	}
	return &Reply{Code: r.Code, Enhanced: r.Enhanced, Text: r.Text}
}
