-- Sessions that the server makes, for visits whose client made none; where visits come from; addresses, where they are
-- kept.

-- 1 where the server made the session: it may yet become part of an earlier one. Else null.
alter table event add column server_session integer;
-- Only where the project's owner keeps addresses.
alter table event add column address text;

-- The events of a session that becomes part of another. Events of clients' sessions are not in it.
create index event_server_session on event (project_id, session_id) where server_session;

alter table session add column country text;
alter table session add column region text;
alter table session add column city text;

-- What visitors did on one UTC day outside of any client's session: the first and the last event of each visit, in
-- milliseconds of the day, as in `32400000-33000000,61200000`. Of no use once no event of the day can come any more.
create table visitor_day (
    project_id integer not null,
    day text not null,
    visitor_id blob not null,
    visits text not null,
    primary key (project_id, day, visitor_id)
) without rowid;

-- With the address, where there is one.
drop view event_text;
create view event_text as
select
    project_id,
    day,
    lower(hex(id)) as id,
    strftime('%Y-%m-%dT%H:%M:%fZ', occurred_at / 1000.0, 'unixepoch') as occurred_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', received_at / 1000.0, 'unixepoch') as received_at,
    name,
    lower(hex(visitor_id)) as visitor_id,
    user_id,
    lower(hex(session_id)) as session_id,
    url,
    hostname,
    path,
    title,
    referrer,
    category,
    event_source,
    engaged_ms,
    address,
    props
from event;
