-- What the whole store knows of itself: one row.
create table {{schema}}.store (
	only_one   boolean primary key default true check (only_one),
	made       timestamptz not null default now(),
	system     bigint not null default 0,        -- pg_control_system().system_identifier, where it may be read
	timeline   bigint not null default 0,        -- the highest seen
	barrier    bigint not null default 0         -- written to prove that a commit holds
);
insert into {{schema}}.store default values;

-- A mailbox. Its row is locked by whoever changes what it holds, always in the order of the names.
create table {{schema}}.box (
	id       bigint generated always as identity primary key,
	name     text not null unique,
	domain   text not null,
	validity bigint not null default extract(epoch from now())::bigint,
	next_uid bigint not null default 1,
	version  bigint not null default 0,          -- grows with every change of what is in it
	messages bigint not null default 0,          -- of the maildrop, not of folders
	octets   bigint not null default 0
) with (fillfactor = 50);
create index box_domain on {{schema}}.box (domain);

-- The text of a message, once for all mailboxes that have it.
create table {{schema}}.body (
	id     uuid primary key,
	refs   int not null,                         -- how many rows of msg name it
	top    bytea not null,
	data   bytea not null,                       -- all of it, or nothing where there are chunks
	chunks int not null
);
alter table {{schema}}.body alter column data set storage external;

create table {{schema}}.chunk (
	body uuid not null,
	n    int not null,
	made timestamptz not null default now(),
	data bytea not null,
	primary key (body, n)
);
alter table {{schema}}.chunk alter column data set storage external;

create table {{schema}}.folder (
	box  bigint not null references {{schema}}.box on delete cascade,
	id   int not null,                           -- 0 is the maildrop, and has no row
	name text not null,
	primary key (box, id),
	unique (box, name)
);

create table {{schema}}.msg (
	box      bigint not null references {{schema}}.box on delete cascade,
	uid      bigint not null,                    -- rising as messages come into a folder
	folder   int not null default 0,
	body     uuid not null,
	size     bigint not null,
	received timestamptz not null,
	changed  timestamptz,                        -- of the flags
	modseq   bigint not null default 0,          -- the box's version of the last change
	flags    text not null default '',
	uidl     text,                               -- null: made of body
	primary key (box, uid)
);
create unique index msg_uidl on {{schema}}.msg (box, uidl) where uidl is not null;

-- Who has a maildrop open, until when. The number grows with every holder.
create table {{schema}}.lease (
	box    bigint primary key references {{schema}}.box on delete cascade,
	epoch  bigint not null,
	until  timestamptz not null
) with (fillfactor = 50);

-- The counts of a box are the database's own business, so that nothing can forget them.
create function {{schema}}.count_added() returns trigger language plpgsql as $$
begin
	update {{schema}}.box b set version = b.version + 1, next_uid = greatest(b.next_uid, a.last + 1),
		messages = b.messages + a.messages, octets = b.octets + a.octets
	from (select box, max(uid) last, count(*) filter (where folder = 0) messages, coalesce(sum(size) filter (where folder = 0), 0) octets from added group by box) a
	where b.id = a.box;
	return null;
end $$;
create function {{schema}}.count_gone() returns trigger language plpgsql as $$
begin
	update {{schema}}.box b set version = b.version + 1, messages = b.messages - g.messages, octets = b.octets - g.octets
	from (select box, count(*) filter (where folder = 0) messages, coalesce(sum(size) filter (where folder = 0), 0) octets from gone group by box) g
	where b.id = g.box;
	return null;
end $$;
create function {{schema}}.count_changed() returns trigger language plpgsql as $$
begin
	update {{schema}}.box b set version = b.version + 1, next_uid = greatest(b.next_uid, c.last + 1),
		messages = b.messages + c.messages, octets = b.octets + c.octets
	from (select box, max(uid) last, sum(n) messages, sum(octets) octets from (
			select box, uid, case when folder = 0 then 1 else 0 end n, case when folder = 0 then size else 0 end octets from added
			union all
			select box, uid, case when folder = 0 then -1 else 0 end, case when folder = 0 then -size else 0 end from gone
		) x group by box) c
	where b.id = c.box;
	return null;
end $$;
create trigger msg_added after insert on {{schema}}.msg referencing new table as added for each statement execute function {{schema}}.count_added();
create trigger msg_gone after delete on {{schema}}.msg referencing old table as gone for each statement execute function {{schema}}.count_gone();
create trigger msg_changed after update on {{schema}}.msg referencing old table as gone new table as added for each statement execute function {{schema}}.count_changed();
