package zone

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/miekg/dns"
)

// WriteFile writes the records in the form of a zone file (RFC 1035 §5), to be
// put or included into the zone of apex or of a domain above it. SOA and NS are
// the zone's own. Records of other zones stand there as comments.
func WriteFile(w io.Writer, apex string, records []Record) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "; mail records of %s\n", apex)
	var before string
	for _, r := range records {
		if r.Purpose != before {
			fmt.Fprintf(b, "\n; %s: %s\n", r.Need, r.Purpose)
			before = r.Purpose
		}
		if r.Provider || !dns.IsSubDomain(dns.Fqdn(apex), r.RR.Header().Name) {
			fmt.Fprintf(b, "; in another zone: ")
		}
		fmt.Fprintln(b, Line(r.RR))
	}
	return b.Flush()
}

// Line is a record as a zone file has it, on one line, with texts in strings of
// at most 255 octets.
func Line(rr dns.RR) string { return strings.ReplaceAll(rr.String(), "\t", " ") }
