package web

import (
	"net/http"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// clients finds what tells mail programs the settings for accounts of a domain. At the server's own
// name (chosen) the domain is that of the address that is asked about.
func (site *Site) clients(r *http.Request, d domains.Name, chosen bool) http.HandlerFunc {
	return nil
}
