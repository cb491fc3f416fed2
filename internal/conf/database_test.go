package conf

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// TestDatabase: what cannot be with mail in a database is an error, and the database is asked where somebody can.
func TestDatabase(t *testing.T) {
	const dsn = "postgres://mail:hunter2@db/mail"
	for text, want := range map[string]string{
		`"Store": {"postgres": "` + dsn + `"}`:                        "Store.postgres: no such host",
		`"Store": {"replicas": 1}`:                                    "Store.replicas: there is no database",
		`"Store": {"postgres": "` + dsn + `", "quota_folders": true}`: "Store.quota_folders: what a database keeps in folders is not counted",
		`"Store": {"quota": "1GB"}`:                                   "",
		`"Store": {"S3": {"endpoint": "https://s3.example"}}`:         "Store.S3: there is no database",
		`"Store": {"postgres": "good", "S3": {"bucket": "mail"}}`:     "Store.S3.endpoint: missing",
		`"Store": {"postgres": "good", "S3": {"endpoint": "https://s3.example", "bucket": "mail", "access_key": "a"}}`:                          "Store.S3.secret_key: missing",
		`"Store": {"postgres": "good", "S3": {"endpoint": "https://s3.example", "bucket": "mail", "access_key": "a", "secret_key": "hunter2"}}`: "Store.S3: no such bucket",
		`"Store": {"postgres": "good", "S3": {"above": "2MiB"}}`:                                                                                "Store.S3.above: ",
		`"Store": {"postgres": "good", "S3": {"keep": "10m"}}`:                                                                                  "Store.S3.keep: ",
	} {
		dir := folder(t, "a.conf", `{"server_name": "mail.example.com", "data_dir": "data", `+text+`}`)
		asked := ""
		_, problems := Verify(dir, Probes{Database: func(s *Settings) error {
			if s.Store.Postgres == "good" {
				return nil
			}
			asked = fmt.Sprint(string(s.Store.Postgres), s.Store.Replicas)
			return errors.New("no such host")
		}, Bucket: func(s *Settings) error {
			return errors.New("no such bucket")
		}})
		got := fmt.Sprint(problems)
		if len(problems) == 0 && want != "" || !strings.Contains(got, want) || want == "" && (len(problems) > 0 || asked != "") {
			t.Errorf("%s: %s", text, got)
		}
		if strings.Contains(got, "hunter2") {
			t.Errorf("the password is shown: %s", got)
		}
		if strings.HasPrefix(want, "Store.postgres") && asked != dsn+"0" {
			t.Errorf("asked: %q", asked)
		}
	}
}

// TestSecretKeys: what stands under the key of a secret is never shown, whatever it looks like.
func TestSecretKeys(t *testing.T) {
	plain, secret := make(map[string]bool), make(map[string]bool)
	addKeys(reflect.TypeFor[Settings](), plain, secret)
	if len(secret) < 5 {
		t.Errorf("only %v", secret)
	}
	for key := range secret {
		if !looksSecret()(key, "word") {
			t.Errorf("%s is shown", key)
		}
	}
}
