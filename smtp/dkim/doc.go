// Package dkim verifies and makes DKIM signatures (RFC 6376, RFC 8301, RFC 8463, RFC 8616)
// while a message passes.
//
//	v := &dkim.Verifier{} // one for all messages: it keeps the keys it has read
//	check := v.Verify(ctx, header)
//	io.Copy(check, body)
//	for _, r := range check.Results() {
//		fmt.Println(r.Status, r.Domain, r.Reason)
//	}
//
//	s := &dkim.Signer{Domain: "example.com", Keys: []dkim.SigningKey{{Selector: "mail", Key: key}}}
//	signing, err := s.Sign(header)
//	io.Copy(signing, body)
//	fields, err := signing.Finish() // to be put on top
//
// The header is given first, in one piece, the body is written in pieces of any size. It is
// hashed as it comes, once for all signatures that are made in the same way, and never kept. The
// keys are asked for meanwhile; Verification.Promising says before the body has come which
// signatures can still pass.
//
// Octets count as they are. Lines of the body end with CRLF; a bare CR or LF there is
// text, as it is to whoever hashed the same octets.
//
// What a stranger sends is bounded: 8 signatures of a message are looked at, keys
// have 1024 to 4096 bits or nothing is calculated with them, all keys of a message have 5
// seconds. Number and time are fields of Verifier. A pass says who signed, not that From is
// theirs: that is for DMARC to compare.
package dkim
