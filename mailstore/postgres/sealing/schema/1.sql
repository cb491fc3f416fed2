-- Sealed messages beside others. What a program of before does not know of: it stores and removes messages as it did, and gives out none that is sealed.
alter table {{schema}}.msg add column mark text;      -- names key and message; null: it is not sealed
alter table {{schema}}.body add column octets bigint; -- how many were written of a sealed message; null: it is none

-- The keys of a mailbox whose messages are sealed: a text in which nothing is in clear. It goes where the mailbox goes.
create table {{schema}}.keys (
	box     bigint primary key references {{schema}}.box on delete cascade,
	text    bytea not null,
	version uuid not null default gen_random_uuid() -- another with each change
);
