// Package zone knows what a mail domain should publish in the DNS: it makes the
// records from what the server is, shows them, and puts them there.
//
//	plan := &zone.Plan{Domain: "example.com", Host: "mail.example.com", Addresses: addrs}
//	for _, r := range plan.Records() {
//		fmt.Println(r.Need, r.RR, r.Purpose)
//	}
//	err := zone.WriteFile(os.Stdout, "example.com", plan.Records())
//
// A Plan is a plain value. Who has settings and keys makes one of them; nothing
// here reads a configuration, and the records are the same for the same Plan.
package zone
