package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/zone"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// dnsShow are the flags of "dns show".
type dnsShow struct {
	dnsFlags
	zone, json, policy bool
	delegate           string
}

func dnsShowCommand() *cobra.Command {
	var f dnsShow
	c := &cobra.Command{
		Use:   "show [-c DIR] [DOMAIN]",
		Short: "Print the records that a domain needs",
		Long: `Print the records that DOMAIN, or every domain whose mail is kept here, needs in the
DNS, each with what it is for and whether it must, should or may be there. The DNS is not
asked; a domain's first DKIM key is made where there is none yet. Records too long for one
string are printed in three ways more, since the forms of providers want them differently.

--zone prints a zone file, to be included into the zone: SOA and NS are the zone's own. Where
the owner of a domain keeps its zone, --delegate ZONE prints the CNAMEs to be put there once, and
what they lead to in ZONE, which is ours. --policy prints the domain's MTA-STS policy, for the web
server at mta-sts.DOMAIN.`,
		Example: `  postrider dns show -c /etc/postrider example.com
  postrider dns show -c /etc/postrider --zone example.com >example.com.mail
  postrider dns show -c /etc/postrider --delegate mail-dns.example.net example.com`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.add(c)
	c.Flags().BoolVar(&f.zone, "zone", false, "print a zone file")
	jsonFlag(c, &f.json)
	c.Flags().BoolVar(&f.policy, "policy", false, "print the MTA-STS policy of DOMAIN")
	c.Flags().StringVar(&f.delegate, "delegate", "", "`ZONE` of ours that the names which change are led to")
	c.MarkFlagsMutuallyExclusive("zone", "json", "policy")
	return c
}

func (f *dnsShow) run(cmd *cobra.Command, args []string) error {
	_, plans, err := f.load(cmd, args)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	switch {
	case f.policy:
		return printPolicy(cmd, plans)
	case f.delegate != "":
		return f.showDelegated(cmd, plans)
	case f.json:
		return printJSON(cmd, recordViews(records(plans)))
	case f.zone:
		return writeZones(out, plans)
	}
	if err := printRecords(out, records(plans)); err != nil {
		return err
	}
	for _, note := range notes(plans) {
		fmt.Fprintf(cmd.ErrOrStderr(), "note: %s\n", note)
	}
	return nil
}

func printPolicy(cmd *cobra.Command, plans []*zone.Plan) error {
	if len(plans) != 1 {
		return usage(cmd, errors.New("name one domain"))
	}
	policy := plans[0].Policy()
	if policy == "" {
		return errors.New(`there is no MTA-STS policy: "DNS": {"mta_sts": "testing"} makes one`)
	}
	_, err := io.WriteString(cmd.OutOrStdout(), policy)
	return err
}

func writeZones(out io.Writer, plans []*zone.Plan) error {
	for i, p := range plans {
		if i > 0 {
			fmt.Fprintln(out)
		}
		if err := zone.WriteFile(out, p.Domain, p.Records()); err != nil {
			return err
		}
	}
	return nil
}

// delegatedView is a domain whose owner keeps its zone, as "dns show --json"
// shows it.
type delegatedView struct {
	Domain string       `json:"domain"`
	Theirs []recordView `json:"theirs"`
	Ours   []recordView `json:"ours"`
}

func (f *dnsShow) showDelegated(cmd *cobra.Command, plans []*zone.Plan) error {
	ours := domains.Canonical(f.delegate).String()
	out := cmd.OutOrStdout()
	views := []delegatedView{}
	for _, p := range plans {
		if domains.Within(ours, p.Domain) {
			return fmt.Errorf("%s is in the zone of %s, whose names it is to take over; name a zone of yours", ours, p.Domain)
		}
		theirs, target := p.Delegate(ours)
		if f.json {
			views = append(views, delegatedView{p.Domain, recordViews(theirs), recordViews(target)})
			continue
		}
		write := printRecords
		if f.zone {
			write = func(w io.Writer, records []zone.Record) error { return zone.WriteFile(w, "", records) }
		}
		for _, part := range []struct {
			title   string
			records []zone.Record
		}{{"; for the owner of " + p.Domain + ", once", theirs}, {"; for " + ours + " and other zones of yours", target}} {
			fmt.Fprintln(out, part.title)
			if err := write(out, part.records); err != nil {
				return err
			}
			fmt.Fprintln(out)
		}
	}
	if f.json {
		return printJSON(cmd, views)
	}
	return nil
}

// recordView is a record as "dns show --json" shows it.
type recordView struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	TTL      uint32   `json:"ttl"`
	Value    string   `json:"value"`   // without quotes, in one piece
	Line     string   `json:"line"`    // as a zone file has it
	Need     string   `json:"need"`    // must, should, may
	Purpose  string   `json:"purpose"` // in a sentence
	Set      string   `json:"set_by"`  // you, or the provider of the address
	OnlyIfIs []string `json:"only_if"` // "signed": the zone has DNSSEC
}

func recordViews(records []zone.Record) []recordView {
	views := []recordView{}
	for _, r := range records {
		v := recordView{Name: zone.Name(r.RR), Type: zone.Type(r.RR), TTL: r.RR.Header().Ttl, Value: zone.Value(r.RR), Line: zone.Line(r.RR),
			Need: string(r.Need), Purpose: r.Purpose, Set: "you"}
		if r.Provider {
			v.Set = "provider"
		}
		if r.SignedOnly {
			v.OnlyIfIs = []string{"signed"}
		}
		views = append(views, v)
	}
	return views
}

// printRecords prints a table, and below it those values once more that forms are
// known to spoil.
func printRecords(out io.Writer, records []zone.Record) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NEED\tNAME\tTYPE\tVALUE")
	for _, r := range records {
		if r.Provider {
			continue
		}
		value := zone.Value(r.RR)
		if zone.Long(r.RR) {
			value = value[:60] + "… (below)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Need, zone.Name(r.RR), zone.Type(r.RR), value)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, r := range records {
		if zone.Long(r.RR) {
			fmt.Fprintf(out, `
%[1]s TXT
  in a zone file, in strings of at most 255 octets:
    %[2]s
  name and value on one line, without quotes:
    %[1]s TXT %[3]s
  the value alone:
    %[3]s
`, zone.Name(r.RR), zone.Line(r.RR), zone.Value(r.RR))
		}
	}
	fmt.Fprintln(out)
	var said []string
	for _, r := range records {
		if r.Provider {
			fmt.Fprintf(out, "%s, for whoever gave you the address: %s\n", r.Need, zone.Line(r.RR))
			continue
		}
		if line := fmt.Sprintf("%s %s: %s", zone.Name(r.RR), zone.Type(r.RR), r.Purpose); !slices.Contains(said, line) {
			said = append(said, line)
			fmt.Fprintln(out, line)
		}
	}
	return nil
}
