package conf

// database checks what cannot be with mail in a database, and asks it, if somebody can.
func (c *checker) database() {
	steps := at("Store", "postgres")
	switch {
	case c.Store.Postgres == "":
		if c.Store.Replicas > 0 {
			c.fail(at("Store", "replicas"), "there is no database (Store.postgres) that could have them")
		}
		return
	case c.Store.QuotaFolders:
		c.fail(at("Store", "quota_folders"), "what a database keeps in folders is not counted")
	case c.probes.Database != nil:
		if err := c.probes.Database(c.Settings); err != nil {
			c.failSecret(steps, "%w", err)
		}
	}
}
