package config_test

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/parsers/config"
)

type Settings struct {
	ServerName string                 `json:"server_name"`
	Timeout    time.Duration          `json:"timeout"`
	MaxSize    config.Size            `json:"max_size"`
	RelayFrom  []netip.Prefix         `json:"relay_from"`
	Accounts   map[string]string      // user: hash
	Limits     struct{ Sessions int } // untagged names may be written in any case
}

func ExampleParse() {
	text := `
# The name in greetings.
{
    "server_name": "mail.example.com", // a # in a string is just a character
    "timeout": "5m",
    "max_size": "50MiB",
    "relay_from": ["10.0.0.0/8", "192.0.2.7"],
}`
	var s Settings
	if err := config.Parse(text, &s); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.ServerName, s.Timeout, s.MaxSize, s.RelayFrom)
	// Output: mail.example.com 5m0s 50MiB [10.0.0.0/8 192.0.2.7/32]
}

// Every problem is reported, with its place.
func ExampleDecoder_Decode() {
	text := `{
    "server_nmae": "mail.example.com",
    "timeout": 300,
    "relay_from": ["10.1.2.3/8"]
}`
	d := config.Decoder{Name: "mail.conf"}
	var s Settings
	fmt.Println(d.Decode(strings.NewReader(text), &s))
	// Output:
	// mail.conf:2:5: server_nmae: unknown key; did you mean "server_name"?
	//         "server_nmae": "mail.example.com",
	//         ^
	// mail.conf:3:16: timeout: found the number 300 where a duration in quotes, like "30s", "5m" or "5d", should stand
	//         "timeout": 300,
	//                    ^
	// mail.conf:4:20: relay_from[0]: "10.1.2.3/8" is an address within a network; write "10.0.0.0/8" for the network or "10.1.2.3" for the address
	//         "relay_from": ["10.1.2.3/8"]
	//                        ^
}

func ExampleStandardize() {
	plain, err := config.Standardize([]byte(`{"a": "x#y",} # z`))
	fmt.Printf("%q %v\n", plain, err)
	// Output: "{\"a\": \"x#y\" }    " <nil>
}

// Several files become one; each value keeps its place.
func ExampleMerge() {
	base := config.Decoder{Name: "10-base.conf"}
	local := config.Decoder{Name: "20-local.conf"}
	a, _ := base.Read(strings.NewReader(`{"server_name": "localhost", "timeout": "1m"}`))
	b, _ := local.Read(strings.NewReader(`{"server_name": "mail.example.com"}`))
	merged := config.Merge(a, b)

	var s Settings
	var d config.Decoder
	if err := d.DecodeSource(merged, &s); err != nil {
		fmt.Println(err)
		return
	}
	from := merged.Origins()
	fmt.Println(s.ServerName, "from", from["server_name"])
	fmt.Println(s.Timeout, "from", from["timeout"])
	fmt.Println(merged.Errorf([]any{"timeout"}, "too short").Brief())
	// Output:
	// mail.example.com from 20-local.conf:1:2
	// 1m0s from 10-base.conf:1:30
	// 10-base.conf:1:41: too short
}

// One value is added and one changed; comments and layout stay.
func ExampleSet() {
	text := []byte(`{
    // Who may log in.
    "Accounts": {
        "alice": "old", // since 2019
    },
}
`)
	text, _ = config.Set(text, "new", "Accounts", "alice")
	text, _ = config.Set(text, "secret", "Accounts", "bob")
	fmt.Print(string(text))
	// Output:
	// {
	//     // Who may log in.
	//     "Accounts": {
	//         "alice": "new", // since 2019
	//         "bob": "secret",
	//     },
	// }
}

func ExampleRemove() {
	text := []byte(`{"alice": "x", /* gone soon */ "bob": "y"}`)
	text, _ = config.Remove(text, "bob")
	fmt.Println(string(text))
	// Output: {"alice": "x" /* gone soon */ }
}

func ExampleParseSize() {
	n, err := config.ParseSize("1.5 GiB")
	fmt.Println(int64(n), n, err)
	// Output: 1610612736 1536MiB <nil>
}

func ExamplePath() {
	fmt.Println(config.Path("Accounts", "alice@example.com", "addresses", 0))
	// Output: Accounts."alice@example.com".addresses[0]
}
