package zone

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/miekg/dns"
)

// programs looks at what mail programs get that ask for the settings: a web site that a wildcard leads them to, or what the former provider has left
// there, answers them as well, and with something else.
func (k *checking) programs() {
	if !k.plan.Autoconfig || k.bogus {
		return
	}
	name := "autoconfig." + k.plan.Domain
	v, ok := k.see(name, dns.TypeA)
	if !ok || len(v.records) == 0 {
		return // it may be left out, and what is wrong with it has been said
	}
	url := "https://" + name + "/mail/config-v1.1.xml"
	got, err := k.settingsAt(url)
	switch why := ""; {
	case err != nil:
		k.say(name, dns.TypeA, Note, "mail programs that ask for the settings at %s get none: %s", url, whyNoHTTPS(err))
	case got != "":
		if v.wild {
			why = "; a wildcard leads there, and the name itself is not in the DNS"
		}
		k.say(name, dns.TypeA, Differs, "mail programs that ask for the settings at %s get something else than is told here: %s%s", url, got, why)
	}
}

// settingsAt fetches what is to be the settings for mail programs, in Mozilla's format, and says what else it is; "" if it is that.
func (k *checking) settingsAt(url string) (other string, err error) {
	ctx, cancel := context.WithTimeout(k.ctx, 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := k.web().Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return resp.Status, nil
	}
	const most = 64 << 10
	body, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil {
		return "", err
	}
	if !bytes.Contains(body, []byte("<clientConfig")) {
		kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
		return fmt.Sprintf("a web site's page, of the type %q", kind), nil
	}
	told := false
	for _, s := range k.plan.Services {
		if s.Port == 0 {
			continue
		}
		if told = true; bytes.Contains(body, []byte("<hostname>"+cmp.Or(s.Host, k.plan.Host)+"</hostname>")) {
			return "", nil
		}
	}
	if !told { // nothing is here that could be named
		return "", nil
	}
	return "settings that name other hosts", nil
}
