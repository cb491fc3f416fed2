-- Texts of which all but the beginning is outside of the database, in pieces. A row is there before the first piece is, and goes after
-- the last: what is outside and has no row here is nobody's.
create table {{schema}}.object (
	id     uuid primary key,                     -- the pieces' keys are made of it; it is never used again
	until  timestamptz not null,                 -- while a message is on its way; infinity once one is stored that names it
	dead   timestamptz                           -- since when no message can name it any more
) with (fillfactor = 50);
create index object_open on {{schema}}.object (until) where until < 'infinity' and dead is null;
create index object_dead on {{schema}}.object (dead) where dead is not null;

alter table {{schema}}.body add column object uuid;                             -- data is only the beginning then
alter table {{schema}}.body add column hashes bytea not null default ''; -- SHA-256 of each piece, one behind the other
alter table {{schema}}.store add column objects uuid not null default gen_random_uuid(); -- what all keys begin with

-- Whoever removes the last message that names one, also a server of the version before.
create function {{schema}}.object_left() returns trigger language plpgsql as $$
begin
	update {{schema}}.object o set dead = clock_timestamp() from gone where o.id = gone.object and gone.object is not null;
	return null;
end $$;
create trigger body_gone after delete on {{schema}}.body referencing old table as gone for each statement execute function {{schema}}.object_left();
