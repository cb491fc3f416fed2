// Package web is what Postrider serves over HTTP: how it is, for those who watch over it
// (/metrics, /healthz, /readyz), and what other hosts and mail programs look up about its
// domains (MTA-STS policies, the settings for accounts).
//
//	m := web.NewMetrics(moment)
//	h := &web.Handler{Site: site, Healthy: store.Err, Metrics: m, Log: log}
//	s := &web.Server{Handler: h, MaxConns: 1000, Log: log}
//	go s.Serve(listener)
//	smtpServer.Done = m.SMTPDone("smtp")
//
// Whoever asks is a stranger, whatever he asks for: nothing here reads a password, tells whether
// an account exists, or takes its own name from what a client says. The pages for administrators (/admin/)
// and for users (/account/) are handlers of internal/pages; here it is decided only who gets to see them, by
// which names, and who it is that asks.
package web
