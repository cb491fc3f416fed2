package admin

// DNS is a stand-in.
type DNS interface{}
