-- Mail that waits for other hosts. "due" is when somebody may claim an entry: while it is claimed, when the claim ends; infinity
-- while it is held. Times are the database's.
create table {{schema}}.queue (
	id       text collate "C" primary key,
	queued   bigint not null,                    -- nanoseconds since 1970
	size     bigint not null,
	held     boolean not null,
	corrupt  boolean not null default false,     -- could not be read; it is left for an operator
	login    text not null default '',           -- who was logged in
	session  text not null default '',
	node     uuid,                               -- who has claimed it
	claim    bigint not null,                    -- grows with every claim
	due      timestamptz not null,
	fresh    boolean not null default false,     -- the first attempt was written down and not made
	orders   jsonb,                              -- for who has it or gets it
	body     uuid not null,
	chunks   int not null,
	top      bytea not null,                     -- stands above the body
	envelope bytea not null,
	state    bytea not null
) with (fillfactor = 70);
create index queue_due on {{schema}}.queue (due);
create index queue_age on {{schema}}.queue (queued, id);
create index queue_orders on {{schema}}.queue (node) where orders is not null;

-- The text of a message, in pieces.
create table {{schema}}.queue_body (
	body uuid not null,
	n    int not null,
	made timestamptz not null default now(),
	data bytea not null,
	primary key (body, n)
);
alter table {{schema}}.queue_body alter column data set storage external;

-- Large messages whose entries are gone: somebody may still be reading them.
create table {{schema}}.queue_gone (
	body uuid primary key,
	at   timestamptz not null default now()
);

create table {{schema}}.queue_node (
	id      uuid primary key,
	name    text not null,
	until   timestamptz not null,
	barrier bigint not null default 0            -- written to prove that a commit holds
) with (fillfactor = 50);
