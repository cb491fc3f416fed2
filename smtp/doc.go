// Package smtp speaks SMTP and LMTP. It knows no storage: a Handler takes
// responsibility for each message.
//
//	srv := &smtp.Server{
//		Addr:      ":2525",
//		CheckRcpt: func(ctx context.Context, s *smtp.Session, to *smtp.Recipient) error { return nil },
//		Handler: smtp.HandlerFunc(func(ctx context.Context, e *smtp.Envelope) error {
//			_, err := io.Copy(os.Stdout, e.Data)
//			return err
//		}),
//	}
//	log.Fatal(srv.ListenAndServe())
package smtp
