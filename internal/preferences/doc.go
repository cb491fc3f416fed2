// Package preferences keeps what users decide about their own accounts: a password that takes the place of
// the one in the settings, passwords of single devices, where mail is forwarded to, and the answer that is
// sent while they are away; and who has had that answer.
//
// There is one small file for each account, written durably and readable for the server's user only, and a
// second one for who was answered. The settings are an administrator's; these files are the server's, and
// no page ever writes into a .conf file.
//
//	kept, err := preferences.Open(ctx, preferences.Dir(dataDir), disk)
//	p, err := kept.Of("alice@example.com") // nil: nothing was decided
//	err = kept.Change(ctx, "alice@example.com", func(p *preferences.Preferences) error {
//		p.Forward = &preferences.Forward{To: "alice@example.org", Keep: true}
//		return nil
//	})
//
// A file is looked at whenever it is asked for, and read again when it is another one than before: what a command
// has changed beside a running server counts at once, without telling it.
//
// Servers that have documents together (Share) have these in them, and the files are copies.
package preferences
