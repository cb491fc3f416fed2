package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/postrider-mail/postrider/mailstore"
)

// Usage implements mailstore.Store.
func (s *Store) Usage(ctx context.Context, user string) (mailstore.Usage, error) {
	name, _, err := canonical(user)
	if err != nil {
		return mailstore.Usage{}, err
	}
	var u mailstore.Usage
	err = s.reading(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, s.in(`select messages, octets from $.box where name = $1`), name).Scan(&u.Messages, &u.Octets)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return u, unavailable("count", err)
}

// Room implements mailstore.Store. It is exact for mailboxes; between its answer and a commit others may take the room.
func (s *Store) Room(ctx context.Context, user string, size int64) error {
	name, domain, err := canonical(user)
	if err != nil {
		return err
	}
	if s.closed.Load() {
		return mailstore.ErrClosed
	}
	if q := s.quotaOf(name); q != (mailstore.Quota{}) {
		u, err := s.Usage(ctx, name)
		if err != nil {
			return err
		}
		if err := q.Refuse(u, size); err != nil {
			return err
		}
	}
	q := s.domainQuotaOf(domain)
	if q == (mailstore.Quota{}) {
		return nil
	}
	var u mailstore.Usage
	err = s.reading(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, s.in(domainUse)+` where domain = $1`, domain).Scan(&u.Messages, &u.Octets)
	})
	if err != nil {
		return unavailable("count", err)
	}
	return q.Refuse(u, size)
}

const domainUse = `select coalesce(sum(messages), 0)::bigint, coalesce(sum(octets), 0)::bigint from $.box`

func (s *Store) quotaOf(name string) mailstore.Quota {
	if s.boxQuota == nil {
		return mailstore.Quota{}
	}
	return s.boxQuota(name)
}

func (s *Store) domainQuotaOf(domain string) mailstore.Quota {
	if s.domainQuota == nil {
		return mailstore.Quota{}
	}
	return s.domainQuota(domain)
}

// full says which mailboxes of a message have no room for it, nor their domains.
func (s *Store) full(c *commit, boxes map[string]*boxRow) map[string]error {
	full := make(map[string]error)
	var counted []*mailstore.Usage // of domains, with this message
	for _, name := range c.names {
		if err := s.quotaOf(name).Refuse(boxes[name].use, c.size()); err != nil {
			full[name] = err
			continue
		}
		_, domain, _ := canonical(name)
		if u, asked := c.domains[domain]; asked {
			if err := s.domainQuotaOf(domain).Refuse(*u, c.size()); err != nil {
				full[name] = err
				continue
			}
			u.Messages++
			u.Octets += c.size()
			counted = append(counted, u)
		}
	}
	if len(full) > 0 { // nobody gets it, and others have their room
		for _, u := range counted {
			u.Messages--
			u.Octets -= c.size()
		}
	}
	return full
}

// askDomains finds out what the domains hold that have a quota, once for a group.
func (s *Store) askDomains(ctx context.Context, conn *pgxpool.Conn, group []*commit) error {
	use := make(map[string]*mailstore.Usage)
	for _, c := range group {
		c.domains = use
		for _, name := range c.names {
			_, domain, _ := canonical(name)
			if use[domain] != nil || s.domainQuotaOf(domain) == (mailstore.Quota{}) {
				continue
			}
			u := new(mailstore.Usage)
			if err := conn.QueryRow(ctx, s.in(domainUse)+` where domain = $1`, domain).Scan(&u.Messages, &u.Octets); err != nil {
				return err
			}
			use[domain] = u
		}
	}
	return nil
}
