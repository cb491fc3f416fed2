package dkim

import (
	"context"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net"
	"time"
)

// Resolver asks the DNS for TXT records, each with its strings joined. *net.Resolver is one. Names
// end with a dot. An error that is a *net.DNSError with IsNotFound says that there
// is no such record; any other error, that nothing is known now.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// Rememberer is a Resolver that can say at once what it knows of a name, with the results of LookupTXT. For a key
// that is known nobody has to wait.
type Rememberer interface {
	RememberedTXT(name string) (texts []string, err error, known bool)
}

// Verifier verifies signatures. The zero value is ready to use. It keeps the public keys
// that it has read, up to a bound, and is safe for concurrent use; its fields must not
// be changed then.
type Verifier struct {
	// Resolver finds the keys, first in memory where it is a Rememberer; nil: net.DefaultResolver.
	Resolver Resolver
	// Timeout bounds the time for all keys of a message together; 0 or less: 5 seconds.
	Timeout time.Duration
	// MaxSignatures is how many signatures of a message are looked at, from above;
	// 0 or less: 8. Others have no Result.
	MaxSignatures int
	// Now tells the time, for signatures that expire; nil: time.Now.
	Now func() time.Time

	keys keyCache
}

// Verification is what becomes of one message's signatures. The body is written to
// it, in pieces of any size; then Results has the results. It keeps the header's text, and of the body a
// few kilobytes. It is not safe for concurrent use.
type Verification struct {
	verifier *Verifier
	checks   []check
	bodies   [2]*body // simple, relaxed
	header   *header
	skipped  int

	ctx     context.Context
	cancel  context.CancelFunc
	known   []answer    // that were remembered
	answers chan answer // nil as soon as all have come
	waiting int

	results []Result
}

// check is one signature on its way.
type check struct {
	Result
	sig  signature
	body *bodySum
	key  int // the number of its question
	good bool
}

// answer is what the DNS said to a question.
type answer struct {
	question int
	texts    []string
	err      error
}

// Verify begins with a message whose header is known: all of its octets in front of the
// empty line, which may stand at the end. Lookups of keys begin at once, and Verify does not wait
// for them. They end with ctx, which must last until Results has been called, or is cancelled if the
// message is given up.
func (v *Verifier) Verify(ctx context.Context, header string) *Verification {
	r := &Verification{verifier: v}
	fields := r.find(header)
	if len(r.checks) == 0 {
		return r
	}
	now := time.Now
	if v.Now != nil {
		now = v.Now
	}
	t := now()
	open := false
	for i := range r.checks {
		c := &r.checks[i]
		c.decide(c.sig.parse(t))
		c.describe()
		open = open || c.Status == ""
		if c.Status == "" {
			c.body = r.sum(c.sig.relaxedBody, c.sig.length)
		}
	}
	if open {
		r.header = newHeader(header, fields)
		r.ask(ctx)
	}
	return r
}

// find finds the signatures, and counts the fields.
func (r *Verification) find(text string) (fields int) {
	most := r.verifier.MaxSignatures
	if most <= 0 {
		most = 8
	}
	for at := 0; at < len(text); fields++ {
		f, ok := next(text, at)
		if !ok {
			break
		}
		at = int(f.end)
		if !isSignatureField(text, f) {
			continue
		}
		if len(r.checks) == most {
			r.skipped++
			continue
		}
		r.checks = append(r.checks, check{sig: signature{text: text[f.start:f.end], name: int(f.name - f.start), start: f.start}})
	}
	return fields
}

// sum finds or begins a hash of the body: one for all signatures that want the same.
func (r *Verification) sum(relaxed bool, length int64) *bodySum {
	i := 0
	if relaxed {
		i = 1
	}
	for j := range r.checks {
		c := &r.checks[j]
		if c.body != nil && c.sig.relaxedBody == relaxed && c.sig.length == length {
			return c.body
		}
	}
	if r.bodies[i] == nil {
		r.bodies[i] = newBody(relaxed)
	}
	return r.bodies[i].sum(length)
}

// ask asks for the keys, each name once, all at the same time.
func (r *Verification) ask(ctx context.Context) {
	var resolver Resolver = net.DefaultResolver
	if r.verifier.Resolver != nil {
		resolver = r.verifier.Resolver
	}
	memory, _ := resolver.(Rememberer)
	for i := range r.checks {
		c := &r.checks[i]
		if c.Status != "" {
			continue
		}
		c.key = r.question(i)
		if c.key != i {
			continue
		}
		name := RecordName(c.sig.selector, c.sig.domain)
		if memory != nil {
			if texts, err, known := memory.RememberedTXT(name); known {
				r.known = append(r.known, answer{i, texts, err})
				continue
			}
		}
		r.begin(ctx)
		r.waiting++
		go func(ctx context.Context, answers chan<- answer) {
			texts, err := resolver.LookupTXT(ctx, name)
			answers <- answer{i, texts, err}
		}(r.ctx, r.answers)
	}
}

// begin sets the time for all keys that have to be waited for.
func (r *Verification) begin(ctx context.Context) {
	if r.answers != nil {
		return
	}
	timeout := r.verifier.Timeout
	if timeout <= 0 {
		timeout = 5 * time.Second
	}
	r.ctx, r.cancel = context.WithTimeout(ctx, timeout)
	r.answers = make(chan answer, len(r.checks))
}

// question is the first signature with the same key as the one at i.
func (r *Verification) question(i int) int {
	for j := range r.checks[:i] {
		a, b := &r.checks[j], &r.checks[i]
		if a.Status == "" && a.sig.domain == b.sig.domain && a.sig.selector == b.sig.selector {
			return j
		}
	}
	return i
}

// Write takes the next piece of the body, which is all that follows the empty line. It never fails.
func (r *Verification) Write(p []byte) (int, error) {
	for _, b := range r.bodies {
		if b != nil {
			b.Write(p)
		}
	}
	return len(p), nil
}

// Signatures is how many signatures are looked at: each will have a Result.
func (r *Verification) Signatures() int { return len(r.checks) }

// Skipped is how many signatures nobody looked at, as there were too many.
func (r *Verification) Skipped() int { return r.skipped }

// Promising waits for the keys and returns the signatures that will pass if the body is
// the one that was signed. Their Status is still empty. Who would refuse the message
// without any of them can do so before its body has come.
func (r *Verification) Promising() []Result {
	r.checkHeader()
	var open []Result
	for i := range r.checks {
		if c := &r.checks[i]; c.good && c.Status == "" {
			open = append(open, c.Result)
		}
	}
	return open
}

// Results waits for the keys, unless Promising has done so, and returns one Result
// for each signature, the topmost first. The body must have been written; what is written later does
// not count. No Results: the message is not signed.
func (r *Verification) Results() []Result {
	if r.results != nil || len(r.checks) == 0 {
		return r.results
	}
	r.checkHeader()
	for _, b := range r.bodies {
		if b != nil {
			b.end()
		}
	}
	r.results = make([]Result, len(r.checks))
	for i := range r.checks {
		c := &r.checks[i]
		c.Body = c.body != nil && c.body.is(c.sig.bodyHash)
		if c.Status == "" {
			c.decide(c.checkBody(r.bodies))
		}
		r.results[i] = c.Result
	}
	for _, b := range r.bodies {
		if b != nil {
			b.free()
		}
	}
	r.header.free()
	r.bodies, r.header = [2]*body{}, nil
	return r.results
}

// checkHeader waits for the keys and checks the signatures over the header. For
// lack of an answer in time, a signature has a temporary error.
func (r *Verification) checkHeader() {
	for _, a := range r.known {
		r.answered(a)
	}
	r.known = nil
	if r.answers == nil {
		return
	}
	defer r.cancel()
	for range r.waiting {
		select {
		case a := <-r.answers:
			r.answered(a)
			continue
		case <-r.ctx.Done():
		}
		select { // both may be so
		case a := <-r.answers:
			r.answered(a)
		default:
			r.late()
		}
	}
	r.answers = nil
}

// late gives up the keys that have not come.
func (r *Verification) late() {
	for i := range r.checks {
		if c := &r.checks[i]; c.Status == "" && !c.good {
			c.decide(outcome{TempError, reasonDNSTime})
		}
	}
}

// answered checks the signatures whose key has come.
func (r *Verification) answered(a answer) {
	key, wrong := r.verifier.key(a.texts, a.err)
	for i := range r.checks {
		c := &r.checks[i]
		if c.Status != "" || c.key != a.question {
			continue
		}
		if wrong.reason != "" {
			c.decide(wrong)
			continue
		}
		c.Bits, c.Testing = key.Bits, key.Testing
		if o := key.fits(&c.sig); o.reason != "" {
			c.decide(o)
			continue
		}
		if c.good = r.signed(&c.sig, key); !c.good {
			c.decide(outcome{Fail, reasonSignature})
		}
	}
}

// key reads what the DNS said.
func (v *Verifier) key(texts []string, err error) (*Key, outcome) {
	var dns *net.DNSError
	switch {
	case err == nil:
	case errors.As(err, &dns) && dns.IsNotFound:
		return nil, permanent(reasonNoKey)
	case errors.Is(err, context.DeadlineExceeded) || dns != nil && dns.IsTimeout:
		return nil, outcome{TempError, reasonDNSTime}
	default:
		return nil, outcome{TempError, reasonDNS}
	}
	record, o := chooseRecord(texts)
	if o.reason != "" {
		return nil, o
	}
	return v.keys.parse(record)
}

// signed reports whether a key signed the header, with the hash of the body that is claimed.
func (r *Verification) signed(s *signature, key *Key) bool {
	h := sha256.New()
	r.header.sum(h, s.fields, s.relaxedHeader, s.start)
	r.header.buf = s.appendUnsigned(r.header.buf[:0])
	h.Write(r.header.buf)
	var digest [sha256.Size]byte
	h.Sum(digest[:0])
	switch public := key.Public.(type) {
	case *rsa.PublicKey:
		return key.rsa.verifies(&digest, s.sig)
	case ed25519.PublicKey: // RFC 8463 §3: the hash is what is signed
		return ed25519.Verify(public, digest[:], s.sig)
	}
	return false
}

// checkBody compares the hash of the body, which has passed.
func (c *check) checkBody(bodies [2]*body) outcome {
	total := bodies[0]
	if c.sig.relaxedBody {
		total = bodies[1]
	}
	switch {
	case c.sig.length > total.total:
		return permanent(reasonLengthTooLong)
	case !c.Body:
		return outcome{Fail, reasonBody}
	case c.sig.length >= 0 && c.sig.length < total.total-2: // the last line end carries nothing
		return outcome{Policy, reasonPartOfBody}
	}
	return outcome{status: Pass}
}

// decide writes down what became of the signature, if anything did. Nobody is to
// treat mail differently because a key on trial failed (RFC 6376 §3.6.1).
func (c *check) decide(o outcome) {
	if o.status == Fail && c.Testing {
		o.status = Neutral
	}
	c.Status, c.Reason = o.status, o.reason
}

// describe copies what is known of a signature into its Result.
func (c *check) describe() {
	s := &c.sig
	c.Domain, c.Selector, c.Identity, c.Algorithm = s.domain, s.selector, s.identity, s.algorithm
	if s.time >= 0 {
		c.Time = time.Unix(s.time, 0).UTC()
	}
	if s.expires >= 0 {
		c.Expires = time.Unix(s.expires, 0).UTC()
	}
	if s.sig != nil {
		c.Signature = base64.StdEncoding.EncodeToString(s.sig[:min(9, len(s.sig))])
	}
}
