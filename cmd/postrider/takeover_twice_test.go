package main

import (
	"strings"
	"testing"
)

const otherHash = "$6$saltstring$aaaaaaaVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"

// TestAccountsTwice: where a file has two passwords for one address, as a dump of several databases may, in which users of a
// web site choose what they call themselves, nobody gets the one or the other.
func TestAccountsTwice(t *testing.T) {
	site := "CREATE TABLE `users` (`id` int, `email` varchar(99), `password` varchar(99));\n" +
		"INSERT INTO `users` VALUES (1,'Alice@mail.test','" + otherHash + "'),(2,'carl@mail.test','" + dumpedHash + "'),(3,'carl@mail.test','" + dumpedHash + "');\n"
	for name, text := range map[string]string{
		"site first":  "-- MySQL dump\n" + site + dumpOfPostfixAdmin,
		"site last":   dumpOfPostfixAdmin + site,
		"passwd-file": "alice@mail.test:" + dumpedHash + "\nbob@mail.test:" + dumpedHash + "\nalice@mail.test:" + otherHash + "\ncarl@mail.test:" + dumpedHash + "\n",
	} {
		users, bad := readAccounts(strings.NewReader(text), &takeoverFlags{}, "mail.test")
		var got []string
		for _, u := range users {
			got = append(got, u.Address.String())
		}
		if said := strings.Join(got, " "); said != "bob@mail.test carl@mail.test" && said != "carl@mail.test bob@mail.test" {
			t.Errorf("%s: taken over are %s", name, said)
		}
		named := 0
		for _, err := range bad {
			if strings.Contains(err.Error(), "alice@mail.test stands there more than once") {
				named++
			}
		}
		if named != 1 {
			t.Errorf("%s: alice is named %d times in %v", name, named, bad)
		}
	}
}

// TestEscapesWithoutBackticks: MySQL's dumps escape in strings also where they put no name in backticks, and what a user
// calls himself is no row of its own.
func TestEscapesWithoutBackticks(t *testing.T) {
	name := `x\',1),(boss@mail.test,` + dumpedHash + `,y,1),(\'z`
	text := "-- MariaDB dump 10.19\n\nCREATE TABLE mailbox (\n  username varchar(255) NOT NULL,\n  password varchar(255) NOT NULL,\n  name varchar(255) NOT NULL,\n  active tinyint(1)\n);\n" +
		"INSERT INTO mailbox VALUES ('alice@mail.test','" + dumpedHash + "','" + name + "',1),\n('bob@mail.test','" + dumpedHash + "','O\\'Hara',1);\n"
	ansi := strings.NewReplacer("mailbox", `"mailbox"`, "  username", `  "username"`, "  password", `  "password"`, "  name", `  "name"`, "  active", `  "active"`).Replace(text)
	for _, text := range []string{text, ansi} {
		users, bad := readAccounts(strings.NewReader(text), &takeoverFlags{}, "mail.test")
		if len(users) != 2 || users[0].Address != "alice@mail.test" || users[1].Address != "bob@mail.test" || len(bad) != 0 {
			t.Errorf("%v, %v", users, bad)
		}
	}
}

// TestSwitchedOffInISPConfig: whom it lets neither fetch mail nor read it is not let in here.
func TestSwitchedOffInISPConfig(t *testing.T) {
	text := "-- MySQL dump\nINSERT INTO `mail_user` (`email`,`password`,`disableimap`,`disablepop3`,`postfix`) VALUES ('a@mail.test','" + dumpedHash + "','n','n','y')," +
		"('b@mail.test','" + dumpedHash + "','y','y','n'),('c@mail.test','" + dumpedHash + "','y','n','y');\n"
	users, bad := readAccounts(strings.NewReader(text), &takeoverFlags{}, "mail.test")
	if len(users) != 3 || len(bad) != 0 || users[0].Disabled || !users[1].Disabled || users[2].Disabled {
		t.Errorf("%v, %v", users, bad)
	}
}
