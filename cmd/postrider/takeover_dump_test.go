package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/domains"
)

const dumpedHash = "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"

// As mysqldump writes PostfixAdmin's database: no columns in INSERT, many rows to one, backslashes that escape.
const dumpOfPostfixAdmin = "-- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)\n--\n-- Host: localhost    Database: postfix\n" +
	"/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;\n\nDROP TABLE IF EXISTS `alias`;\n/*!40101 SET character_set_client = utf8 */;\n" +
	"CREATE TABLE `alias` (\n  `address` varchar(255) NOT NULL,\n  `goto` text NOT NULL,\n  `domain` varchar(255) NOT NULL,\n" +
	"  `created` datetime NOT NULL DEFAULT '2000-01-01 00:00:00',\n  `active` tinyint(1) NOT NULL DEFAULT '1',\n  PRIMARY KEY (`address`),\n  KEY `domain` (`domain`)\n" +
	") ENGINE=InnoDB DEFAULT CHARSET=latin1 COMMENT='Postfix Admin - it''s; virtual';\n\nLOCK TABLES `alias` WRITE;\n" +
	"INSERT INTO `alias` VALUES ('alice@mail.test','alice@mail.test','mail.test','2020-01-01 00:00:00',1),('sales@mail.test','alice@mail.test,far@elsewhere.test','mail.test','2020-01-01 00:00:00',1)," +
	"('@mail.test','boss@mail.test','mail.test','2020-01-01 00:00:00',1),('off@mail.test','alice@mail.test','mail.test','2020-01-01 00:00:00',0);\nUNLOCK TABLES;\n" +
	"CREATE TABLE `alias_domain` (\n  `alias_domain` varchar(255) NOT NULL,\n  `target_domain` varchar(255) NOT NULL,\n  PRIMARY KEY (`alias_domain`)\n);\n" +
	"INSERT INTO `alias_domain` VALUES ('other.test','mail.test');\n" +
	"CREATE TABLE `mailbox` (\n  `username` varchar(255) NOT NULL,\n  `password` varchar(255) NOT NULL,\n  `name` varchar(255) NOT NULL,\n  `quota` bigint(20) NOT NULL DEFAULT '0',\n" +
	"  `active` tinyint(1) NOT NULL DEFAULT '1',\n  `note` text,\n  PRIMARY KEY (`username`)\n);\n" +
	"INSERT INTO `mailbox` VALUES ('alice@mail.test','{SHA512-CRYPT}" + dumpedHash + "','O\\'Hara, \\\"Al\\\" (x); it''s',1073741824,1,NULL)," +
	"('bob@mail.test','" + dumpedHash + "','b',0,0,''),('weak@mail.test','$1$abcdefgh$0123456789012345678901','w',0,1,NULL);\n-- Dump completed\n"

// As pg_dump writes a guide's database: COPY with tabs, a function whose body means nothing here.
const dumpOfGuide = "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\nSET statement_timeout = 0;\nSELECT pg_catalog.set_config('search_path', '', false);\n\n" +
	"CREATE FUNCTION public.noise() RETURNS trigger\n    LANGUAGE plpgsql\n    AS $$ BEGIN INSERT INTO virtual_users VALUES (1, 'it'); RETURN NEW; END; $$;\n\n" +
	"CREATE TABLE public.virtual_users (\n    id integer NOT NULL,\n    domain_id integer NOT NULL,\n    email character varying(100) NOT NULL,\n    password character varying(150) NOT NULL\n);\n\n" +
	"ALTER TABLE public.virtual_users OWNER TO mail;\n\nCOPY public.virtual_aliases (id, domain_id, source, destination) FROM stdin;\n" +
	"1\t1\tsales@mail.test\talice@mail.test\n2\t1\tsales@mail.test\tfar@elsewhere.test\n3\t1\t@mail.test\tboss@mail.test\n\\.\n\n\n" +
	"COPY public.virtual_users (id, domain_id, email, password) FROM stdin;\n1\t1\talice@mail.test\t" + dumpedHash + "\n2\t1\tplain@mail.test\tin clear\\tword\n\\.\n"

// As pg_dump --inserts writes it: strings in which a backslash is one.
const dumpOfInserts = "--\n-- PostgreSQL database dump\n--\n\nINSERT INTO public.users (userid, domain, password, home, active) VALUES ('alice', 'mail.test', '" + dumpedHash +
	"', '\\', 'Y');\nINSERT INTO public.users (userid, domain, password, home, active) VALUES ('carl', 'mail.test', E'" + dumpedHash + "', 'it''s', 'N');\nINSERT INTO public.users VALUES ('nobody');\n"

const dumpOfMailcow = "/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19-11.4\nINSERT INTO `mailbox` (`username`, `password`, `quota`, `kind`, `active`) VALUES\n" +
	"('alice@mail.test','{SHA512-CRYPT}" + dumpedHash + "',3221225472,'',1),\n('bob@mail.test','{SHA512-CRYPT}" + dumpedHash + "',0,'',2),\n('room@mail.test','{SSHA256}x',0,'location',1);\n" +
	"INSERT INTO `alias` (`address`,`goto`,`active`) VALUES ('sales@mail.test','alice@mail.test',1),('spam@mail.test','spam@localhost',1),('quiet@mail.test','null@localhost',1);\n"

const filesOfDockerMailserver = "# comment\nalice@mail.test|{SHA512-CRYPT}" + dumpedHash + "\nbob@mail.test|{SHA512-CRYPT}" + dumpedHash + "|userdb_nologin=y\nempty@mail.test|\n"

func TestDumps(t *testing.T) {
	quotas := filepath.Join(t.TempDir(), "dovecot-quotas.cf")
	if err := os.WriteFile(quotas, []byte("alice@mail.test:5G\nnobody@mail.test:1M\nbob@mail.test:much\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, text, quotas string
		users, aliases     []string
		refused            []string // accounts
		unled              []string // aliases
	}{
		{"PostfixAdmin, mysqldump", dumpOfPostfixAdmin, "", []string{"alice@mail.test 1GiB false", "bob@mail.test 0 true"}, []string{"*@mail.test boss@mail.test", "sales@mail.test alice@mail.test far@elsewhere.test"},
			[]string{"weak@mail.test: "}, []string{"off@mail.test is switched off", "other.test stands for mail.test"}},
		{"guide, pg_dump", dumpOfGuide, "", []string{"alice@mail.test 0 false"}, []string{"sales@mail.test alice@mail.test far@elsewhere.test", "*@mail.test boss@mail.test"},
			[]string{"plain@mail.test: its password is in clear"}, nil},
		{"Dovecot's, pg_dump --inserts", dumpOfInserts, "", []string{"alice@mail.test 0 false", "carl@mail.test 0 true"}, nil, []string{"has 1 values, and the table 0 columns"}, nil},
		{"mailcow, mariadb-dump", dumpOfMailcow, "", []string{"alice@mail.test 3GiB false", "bob@mail.test 0 true"}, []string{"sales@mail.test alice@mail.test"},
			[]string{"room@mail.test is a calendar's resource"}, []string{"spam@mail.test: spam@localhost is a word of mailcow's", "quiet@mail.test: null@localhost"}},
		{"docker-mailserver", filesOfDockerMailserver, quotas, []string{"alice@mail.test 5GiB false", "bob@mail.test 0 true"}, nil,
			[]string{"empty@mail.test has no password", "the quota of nobody@mail.test", "line 3: no address and quota"}, nil},
		{"cut off", dumpOfPostfixAdmin[:len(dumpOfPostfixAdmin)-60], "", []string{"alice@mail.test 1GiB false", "bob@mail.test 0 true"}, nil, []string{"unexpected EOF"}, nil},
	} {
		users, bad := readAccounts(strings.NewReader(c.text), &takeoverFlags{quotas: c.quotas}, "mail.test")
		var got []string
		for _, u := range users {
			if !strings.HasSuffix(u.Password, dumpedHash) {
				t.Errorf("%s: %s has the password %q", c.name, u.Address, u.Password)
			}
			quota := u.Quota
			if quota == "" {
				quota = "0"
			}
			got = append(got, fmt.Sprint(u.Address, " ", quota, " ", u.Disabled))
		}
		if strings.Join(got, "\n") != strings.Join(c.users, "\n") {
			t.Errorf("%s: accounts %q, want %q", c.name, got, c.users)
		}
		named(t, c.name, bad, c.refused)
		if c.aliases == nil {
			continue
		}
		got = nil
		aliases, bad := readAliases(strings.NewReader(c.text), &takeoverFlags{}, "mail.test")
		for _, a := range aliases {
			got = append(got, a.Address.String()+" "+strings.Join(a.Targets, " "))
		}
		for _, want := range c.aliases {
			if !strings.Contains("\n"+strings.Join(got, "\n")+"\n", "\n"+want+"\n") {
				t.Errorf("%s: aliases %q, without %q", c.name, got, want)
			}
		}
		if len(got) != len(c.aliases) {
			t.Errorf("%s: aliases %q", c.name, got)
		}
		named(t, c.name, bad, c.unled)
	}
}

// named fails unless these words, and no more, stand in what could not be taken.
func named(t *testing.T, name string, bad []error, want []string) {
	t.Helper()
	said := fmt.Sprint(bad)
	for _, w := range want {
		if !strings.Contains(said, w) {
			t.Errorf("%s: %q is not named in %s", name, w, said)
		}
	}
	if len(bad) != len(want) {
		t.Errorf("%s: named are %s", name, said)
	}
	if strings.Contains(said, "in clear\tword") || strings.Contains(said, dumpedHash) {
		t.Errorf("%s: a password is shown: %s", name, said)
	}
}

// TestDumpImport: a dump is known by its beginning, and what it leaves out makes the command fail.
func TestDumpImport(t *testing.T) {
	dir := confDir(t, `{"server_name": "mail.test", "data_dir": "data", "Listeners": [{"address": "127.0.0.1:0", "protocol": "smtp"}], "Accounts": {"boss@mail.test": {}}}`)
	file := filepath.Join(t.TempDir(), "postfix.sql")
	if err := os.WriteFile(file, []byte(dumpOfPostfixAdmin), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := fails(t, "", "user", "import", "-c", dir, file); !strings.Contains(said, "weak@mail.test") || !strings.Contains(said, "2 accounts of ") {
		t.Error(said)
	}
	if said := fails(t, "", "alias", "import", "-c", dir, file); !strings.Contains(said, "off@mail.test is switched off") {
		t.Error(said)
	}
	must(t, "", "check", "-c", dir)
}

// TestDumpDomains: of a dump come the accounts of domains that it says are the old server's, that are here, or that are named. All
// others are named: an account would make its domain one of this server's, and mail for it would leave no more.
func TestDumpDomains(t *testing.T) {
	rows := func(table, columns string, values ...string) string {
		return "INSERT INTO `" + table + "` (" + columns + ") VALUES ('" + strings.Join(values, "'),('") + "');\n"
	}
	users := func(table string, names ...string) string {
		for i := range names {
			names[i] += "','" + dumpedHash
		}
		return rows(table, "`email`, `password`", names...)
	}
	const start = "-- MySQL dump 10.13\n"
	for _, c := range []struct {
		name, text, flag string
		local            bool // old.test is here already
		users, refused   []string
	}{
		{"a web site's users", start + users("users", "me@web.test", "you@home.test", "they@old.test"), "home.test", false, []string{"you@home.test"}, []string{"me@web.test", "they@old.test"}},
		{"named", start + users("users", "me@web.test", "you@home.test", "they@old.test"), "home.test,OLD.test", false, []string{"you@home.test", "they@old.test"}, []string{"me@web.test"}},
		{"here", start + users("users", "me@web.test", "they@old.test"), "home.test", true, []string{"they@old.test"}, []string{"me@web.test"}},
		{"PostfixAdmin, its domains behind", start + users("mailbox", "a@old.test", "b@off.test", "c@mx.test", "d@web.test") +
			rows("domain", "`domain`, `backupmx`, `active`", "ALL','0','1", "old.test','0','1", "off.test','0','0", "mx.test','1','1"), "home.test", false, []string{"a@old.test"}, []string{"b@off.test", "c@mx.test", "d@web.test"}},
		{"ISPConfig", start + rows("mail_domain", "`domain`, `active`", "old.test','y", "off.test','n") + users("mail_user", "a@old.test", "b@off.test"), "home.test", false, []string{"a@old.test"}, []string{"b@off.test"}},
		{"guide", "--\n-- PostgreSQL database dump\n--\nCOPY public.virtual_domains (id, name) FROM stdin;\n1\told.test\n\\.\n" +
			"COPY public.virtual_users (id, domain_id, email, password) FROM stdin;\n1\t1\ta@old.test\t" + dumpedHash + "\n2\t2\tb@web.test\t" + dumpedHash + "\n\\.\n", "home.test", false, []string{"a@old.test"}, []string{"b@web.test"}},
	} {
		domain := ""
		if c.local {
			domain = `, "Domains": {"old.test": {}}`
		}
		dir := confDir(t, `{"server_name": "mail.test", "data_dir": "data"`+domain+`, "Accounts": {"boss@mail.test": {}}}`)
		said := fails(t, "", "user", "import", "-c", dir, "--domain", c.flag, put(t, c.text, t.TempDir(), "dump"))
		for _, w := range c.refused {
			if _, domain, _ := strings.Cut(w, "@"); !strings.Contains(said, w+": the dump does not say that mail for "+domain) {
				t.Errorf("%s: %s is not named in %s", c.name, w, said)
			}
		}
		if n := strings.Count(said, "not taken over"); n != len(c.refused) {
			t.Errorf("%s: %d are named: %s", c.name, n, said)
		}
		s, err := conf.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range c.users {
			if s.Book().Accounts[domains.Address(w)] == nil {
				t.Errorf("%s: %s did not come: %s", c.name, w, said)
			}
		}
		if n := len(s.Book().Accounts); n != len(c.users)+1 {
			t.Errorf("%s: %d accounts", c.name, n)
		}
	}
}
