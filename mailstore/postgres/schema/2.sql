-- A server that has the store open, so that they know of each other. What is in it is no promise, and nothing depends on it.
create table {{schema}}.node (
	id       text primary key,
	host     text not null,
	name     text not null,
	version  text not null,
	settings jsonb not null,                     -- a hash by section
	since    timestamptz not null,
	seen     timestamptz not null
) with (fillfactor = 50);
