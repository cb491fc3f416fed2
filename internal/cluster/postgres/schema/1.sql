-- What belongs to all servers together. A document is sealed: what is here is of no use to whoever reads the database alone.
create table {{schema}}.document (
	name    text primary key,
	version bigint not null,
	text    bytea not null
);
create index document_version on {{schema}}.document (version); -- each server asks once a second what is new

-- Numbers that servers count together. None of it is a promise.
create table {{schema}}.number (
	kind  text not null,
	key   bytea not null,
	level double precision not null,             -- at the time of at; what it falls by in a second is known to whoever counts
	at    timestamptz not null,
	until timestamptz not null,                  -- nobody needs it any more
	tx    bigint not null,                       -- which transaction wrote it last: who has heard of all before needs only those after
	primary key (kind, key)
) with (fillfactor = 70);
create index number_tx on {{schema}}.number (tx);
