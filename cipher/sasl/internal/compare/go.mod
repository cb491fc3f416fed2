module github.com/postrider-mail/postrider/cipher/sasl/internal/compare

go 1.26.0

require (
	github.com/emersion/go-sasl v0.0.0-20241020182733-b788ff22d5a6
	github.com/postrider-mail/postrider v0.0.0
)

require (
	github.com/xdg-go/stringprep v1.0.4 // indirect
	golang.org/x/text v0.44.0 // indirect
)

replace github.com/postrider-mail/postrider => ../../../..
