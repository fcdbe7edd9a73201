-- The whole path of an event: projects and their keys, receipts, events, sessions, ledger, identities,
-- deltas and rollups. Every key starts with project_id, so that the schema can be distributed by it.

-- Which store this is: one row, made with it. What others keep of a store (a registry's snapshot) names it.
create table installation (
    id blob not null
);
insert into installation (id) values (randomblob(16));

create table project (
    id integer primary key autoincrement,
    name text not null,
    -- IANA name; what hours and days are counted in.
    time_zone text not null default 'UTC',
    -- Events of earlier days are refused: their rows were removed.
    horizon text,
    -- Key of the visitors' hashes in sketches.
    sketch_key blob not null,
    -- Goes up with every change of the project or its keys; who publishes settings watches it.
    version integer not null default 1,
    created_at integer not null,
    constraint project_sketch_key_bytes check (length(sketch_key) = 16)
);

create table write_key (
    key text primary key,
    project_id integer not null references project (id),
    created_at integer not null
);

create table api_token (
    id blob primary key,
    -- Null: every project.
    project_id integer references project (id),
    name text not null,
    -- SHA-256 of the token; the token itself is shown once and kept nowhere.
    hash blob not null constraint api_token_hash_unique unique,
    created_at integer not null,
    revoked_at integer
);

-- Which envelopes were counted: a redelivered one falls out whole. Removed once no queue can hold it.
create table envelope_receipt (
    project_id integer not null,
    envelope_id blob not null,
    received integer not null,
    received_hour integer not null,
    primary key (project_id, envelope_id)
) without rowid;

-- One tree, clustered by the key: ids are in the order of time. Ids are 16-byte blobs, times Unix milliseconds.
create table event (
    project_id integer not null,
    -- UTC day of the event's key, the same on every retry; not always the day of occurred_at.
    day text not null,
    id blob not null,
    visitor_id blob,
    session_id blob,
    occurred_at integer not null,
    received_at integer not null,
    engaged_ms integer,
    name text not null,
    user_id text,
    url text,
    hostname text,
    path text,
    title text,
    referrer text,
    category text,
    event_source text,
    props text,
    constraint event_key primary key (project_id, day, id)
) without rowid;

-- Reads of raw events by time.
create index event_occurred on event (project_id, occurred_at);

-- Not partitioned: a session's start moves when an earlier event comes late.
create table session (
    project_id integer not null,
    pageviews integer not null,
    session_id blob not null,
    visitor_id blob not null,
    entry_id blob not null,
    exit_id blob not null,
    started_at integer not null,
    ended_at integer not null,
    entry_at integer not null,
    exit_at integer not null,
    -- The buckets in which the session is counted.
    hour_bucket integer not null,
    day_bucket integer not null,
    engaged_ms integer not null,
    events integer not null,
    interactions integer not null,
    entry_page text,
    exit_page text,
    hostname text,
    referrer text,
    source text,
    browser text,
    os text,
    device text,
    constraint session_key primary key (project_id, session_id)
); -- with rowids: ids are random, rows stay in the order of their making

-- Reads of sessions by time, and the sessions of a bucket when its visitors are counted again.
create index session_started on session (project_id, started_at);

-- Which numbers of a tab's events were seen, refused ones too.
create table tab_ledger (
    project_id integer not null,
    tab_id blob not null,
    first_at integer not null,
    last_at integer not null,
    seen text not null,
    primary key (project_id, tab_id)
);

-- Which person a visitor belongs to: the one of its earliest identification.
create table person_alias (
    project_id integer not null,
    visitor_id blob not null,
    event_id blob not null,
    occurred_at integer not null,
    user_id text not null,
    primary key (project_id, visitor_id)
) without rowid;

-- What commits add to the rollups: only ever appended and taken, never updated. One row a commit and
-- project, so that a reader's long snapshot leaves few dead ones behind.
create table rollup_delta (
    project_id integer not null,
    payload blob not null
);

create table rollup_hour (
    project_id integer not null,
    dimension integer not null,
    bucket integer not null,
    value text not null,
    pageviews integer not null,
    events integer not null,
    sessions integer not null,
    bounces integer not null,
    duration_ms integer not null,
    engaged_ms integer not null,
    -- The sketch's estimate.
    visitors integer not null,
    sketch blob,
    primary key (project_id, dimension, bucket, value)
) without rowid;

create table rollup_day (
    project_id integer not null,
    dimension integer not null,
    bucket integer not null,
    value text not null,
    pageviews integer not null,
    events integer not null,
    sessions integer not null,
    bounces integer not null,
    duration_ms integer not null,
    engaged_ms integer not null,
    -- The sketch's estimate.
    visitors integer not null,
    sketch blob,
    primary key (project_id, dimension, bucket, value)
) without rowid;

create table outcome_hour (
    project_id integer not null,
    received_hour integer not null,
    outcome text not null,
    events integer not null,
    primary key (project_id, received_hour, outcome)
) without rowid;

-- Events as people read them.
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
    props
from event;
