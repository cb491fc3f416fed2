// Package published is what a set of settings has the world told: the records of its domains
// in the DNS, with their keys and MTA-STS policies, and what HTTP serves to mail programs and
// other servers. It asks nobody, and changes nothing but, with OpenKeys, the folder of the keys
// that sign.
package published
