//go:build ignore

// Use asks a sink, whose URL is its argument, by the client that was generated from its description.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	client "github.com/postrider-mail/postrider/internal/sink/internal/compare/generated"
)

func main() {
	if err := use(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func use(ctx context.Context, url string) error {
	c, err := client.NewClientWithResponses(url)
	if err != nil {
		return err
	}
	name := "team"
	made, err := c.PostInboxesWithResponse(ctx, client.InboxNaming{Name: &name})
	if err != nil || made.JSON201 == nil || *made.JSON201.Address != "team@sink.test" {
		return fmt.Errorf("make an inbox: %v %s", err, made.Body)
	}
	subject, text, from := "Welcome", "Your code is 482913.", "shop@example.com"
	sent, err := c.PostApiV1SendWithResponse(ctx, client.Outgoing{From: &client.Mailbox{Email: &from}, To: &[]client.Mailbox{{Email: made.JSON201.Address}}, Subject: &subject, Text: &text})
	if err != nil || sent.JSON200 == nil {
		return fmt.Errorf("send: %v %s", err, sent.Body)
	}
	wait, query := "10s", "subject:welcome"
	came, err := c.GetInboxesInboxWaitWithResponse(ctx, name, &client.GetInboxesInboxWaitParams{Timeout: &wait, Query: &query})
	if err != nil || came.JSON200 == nil || came.JSON200.Messages[0].Codes[0] != "482913" || came.JSON200.Messages[0].ID != sent.JSON200.ID {
		return fmt.Errorf("wait: %v %s", err, came.Body)
	}
	list, err := c.GetApiV1MessagesWithResponse(ctx, nil)
	if err != nil || list.JSON200 == nil || list.JSON200.Total != 1 || list.JSON200.Messages[0].Subject != subject {
		return fmt.Errorf("list: %v %s", err, list.Body)
	}
	message, err := c.GetApiV1MessageIdWithResponse(ctx, sent.JSON200.ID, nil)
	if err != nil || message.JSON200 == nil || !strings.Contains(message.JSON200.Text, text) {
		return fmt.Errorf("message: %v %s", err, message.Body)
	}
	sender, err := c.GetInboxesInboxMessagesIdSenderWithResponse(ctx, "-", sent.JSON200.ID, nil)
	if err != nil || sender.JSON200 == nil || sender.JSON200.DMARC.Domain != "example.com" {
		return fmt.Errorf("sender: %v %s", err, sender.Body)
	}
	rules := "@to reject all"
	set, err := c.PutInboxesInboxRulesWithResponse(ctx, name, client.Ruling{Rules: &rules})
	if err != nil || set.JSON200 == nil || set.JSON200.Rules != rules {
		return fmt.Errorf("rules: %v %s", err, set.Body)
	}
	gone, err := c.DeleteInboxesInboxWithResponse(ctx, name)
	if err != nil || gone.StatusCode() != 204 {
		return fmt.Errorf("throw away: %v %s", err, gone.Body)
	}
	return nil
}
