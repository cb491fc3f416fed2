package rules_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/postrider-mail/postrider/parsers/rules"
)

// Rules are made once, and asked at each phase of a session.
func ExampleSet_Eval() {
	set, err := rules.Parse("mail.rules", `
accept ip 10.0.0.0/8
reject from @spam.example with message "No, thank you"
tag "X-Suspicious: yes" dns nodns
`)
	if err != nil {
		fmt.Println(err)
		return
	}
	message := &rules.Case{
		Addrs: map[rules.Fact]netip.Addr{rules.IP: netip.MustParseAddr("192.0.2.7")},
		Text:  map[rules.Fact][]string{rules.From: {"ann@spam.example"}},
		Said:  map[rules.Fact]string{rules.Host: "nodns"},
	}
	d := set.Eval(rules.AtFrom, message)
	fmt.Println(d.Action, "by", d.Rule)
	fmt.Println(d.Reply.Code, d.Reply.Enhanced, d.Reply.Text)
	// Output:
	// reject by mail.rules:3:1
	// 550 5.7.1 No, thank you
}

// All that is wrong is told at once.
func ExampleParse() {
	_, err := rules.Parse("mail.rules", "rejct from a@b.example\nreject ip [::1]/128\n")
	fmt.Println(err)
	// Output:
	// mail.rules:1:1: "rejct" is no action; did you mean "reject"?
	//     rejct from a@b.example
	//     ^
	// mail.rules:2:11: "[::1]/128": addresses stand without brackets; did you mean "::1/128"?
	//     reject ip [::1]/128
	//               ^
}

// Why a rule decides, or does not.
func ExampleSet_Explain() {
	set, _ := rules.Parse("mail.rules", "stall from @.example spf fail\nreject from ann@ not user @")
	message := &rules.Case{Text: map[rules.Fact][]string{rules.From: {"ann@news.example"}, rules.User: {}}}
	_, steps := set.Explain(rules.AtTo, message)
	for _, s := range steps {
		fmt.Println(s.Rule.Line, s.Action, s.Holds, s.Terms)
	}
	// Output:
	// 1 stall false [{from @.example yes} {spf fail unknown}]
	// 2 reject true [{from ann@ yes} {not user @ yes}]
}

// What is hardly meant is no error.
func ExampleSet_Warnings() {
	set, _ := rules.Parse("mail.rules", "reject ip 10.0.0.0/8\naccept ip 10.1.0.0/16")
	for _, w := range set.Warnings() {
		fmt.Println(w)
	}
	// Output:
	// mail.rules:2:1: this is never looked at: the rule at mail.rules:1:1 decides wherever it would
}

func ExampleFormat() {
	text, _ := rules.Format("mail.rules", "reject   from <> ;from a@b.example\n\n\n\n# all others\n accept all")
	fmt.Print(text)
	// Output:
	// reject from <>; from a@b.example
	//
	// # all others
	// accept all
}

// Faults on purpose: a test sees how its program takes them.
func ExampleCase() {
	set, _ := rules.Parse("faults.rules", `@to stall first 2
@message delay 3s every 2`)
	for range 3 {
		to, message := set.Eval(rules.AtTo, &rules.Case{}), set.Eval(rules.AtMessage, &rules.Case{})
		fmt.Println(to.Action, message.Delay == 3*time.Second)
	}
	// Output:
	// stall false
	// stall true
	// none false
}
