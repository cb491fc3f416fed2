package conf

// database checks what cannot be with mail in a database, and asks it, if somebody can.
func (c *checker) database() {
	steps := at("Store", "postgres")
	switch {
	case c.Store.Postgres == "":
		if c.Store.Replicas > 0 {
			c.fail(at("Store", "replicas"), "there is no database (Store.postgres) that could have them")
		}
		if c.Store.S3.Endpoint != "" {
			c.fail(at("Store", "S3"), "there is no database (Store.postgres) whose large messages it could keep")
		}
		return
	case c.Store.QuotaFolders:
		c.fail(at("Store", "quota_folders"), "what a database keeps in folders is not counted")
	case c.probes.Database != nil:
		if err := c.probes.Database(c.Settings); err != nil {
			c.failSecret(steps, "%w", err)
		}
	}
	c.bucket()
}

// bucket checks what large messages of the database are kept in, and asks it, if somebody can.
func (c *checker) bucket() {
	b, steps := &c.Store.S3, at("Store", "S3")
	if b.Endpoint == "" {
		if b.Bucket != "" || b.AccessKey != "" || b.SecretKey != "" {
			c.failMissing(append(steps, "endpoint"), "missing: where the bucket is")
		}
		return
	}
	for _, needed := range []struct{ key, text string }{{"bucket", b.Bucket}, {"access_key", b.AccessKey}, {"secret_key", string(b.SecretKey)}} {
		if needed.text == "" {
			c.failMissing(append(steps[:len(steps):len(steps)], needed.key), "missing: the storage wants it")
			return
		}
	}
	if c.probes.Bucket != nil {
		if err := c.probes.Bucket(c.Settings); err != nil {
			c.failSecret(steps, "%w", err)
		}
	}
}
