// Package selfservice is what users see and decide about their own accounts: password, devices,
// forwarding, absence, mail that was put aside. It stands behind the pages of
// internal/pages/user, and knows the rooms that it asks, and not the server.
package selfservice
