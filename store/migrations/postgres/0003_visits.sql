-- Sessions that the server makes, for visits whose client made none; where visits come from; addresses, where they are
-- kept. Of the new columns an ordinary event's are null, which takes no room in its row.

alter table event
    -- True where the server made the session: it may yet become part of an earlier one. Else null.
    add column server_session boolean,
    -- Only where the project's owner keeps addresses.
    add column address inet;

-- The events of a session that becomes part of another. Events of clients' sessions are not in it.
create index event_server_session on event (project_id, session_id) where server_session;

alter table session
    add column country text,
    add column region text,
    add column city text;

-- What visitors did on one UTC day outside of any client's session: the first and the last event of each visit, in
-- milliseconds of the day, as in `32400000-33000000,61200000`. Who adds to a visitor's day holds its row. Of no use
-- once no event of the day can come any more.
create table visitor_day (
    project_id integer not null,
    day date not null,
    visitor_id uuid not null,
    visits text not null,
    primary key (project_id, day, visitor_id)
) with (fillfactor = 70); -- room for the updates of a day's life on its own page
