-- What owners say about their projects: limits, retention, and which traffic is taken.

alter table project
    -- Minutes without activity after which the server begins a new session, where the client made none.
    add column session_timeout_minutes integer not null default 30,
    -- 0: for ever. Raw rows are the events and sessions themselves.
    add column raw_retention_days integer not null default 90,
    add column hourly_retention_days integer not null default 365,
    add column daily_retention_days integer not null default 1826,
    -- Null: no limit.
    add column rate_limit_per_minute integer,
    add column address_rate_limit_per_minute integer,
    add column quota_per_month bigint,
    -- Set by whoever watches the quota: until then events are refused.
    add column quota_exceeded_until timestamptz(3),
    add column keep_addresses boolean not null default false,
    add constraint project_session_timeout check (session_timeout_minutes between 1 and 1440),
    -- Events may come late by up to two days less, and must be able to come late by one.
    add constraint project_raw_retention check (raw_retention_days = 0 or raw_retention_days >= 3),
    add constraint project_rollup_retention check (hourly_retention_days >= 0 and daily_retention_days >= 0),
    add constraint project_limits check (
        rate_limit_per_minute > 0 and address_rate_limit_per_minute > 0 and quota_per_month > 0
    );

-- Several keys at once, so that a new one can take over before the old one is revoked. A revoked key stays, so that
-- nobody gets it again.
alter table write_key
    add column name text not null default '',
    add column revoked_at timestamptz(3);

alter table api_token
    -- An admin may change settings, too.
    add column role text not null default 'read' constraint api_token_role check (role in ('read', 'admin'));

-- Which pages may send; a project without any row takes every page's events.
create table project_origin (
    project_id integer not null references project (id),
    pattern text not null,
    primary key (project_id, pattern)
);

-- The apps that send, by the name that their events carry. Those of one that is off are not taken.
create table event_source (
    project_id integer not null references project (id),
    name text not null,
    is_on boolean not null,
    created_at timestamptz(3) not null,
    primary key (project_id, name)
);

-- Traffic that is not to be counted.
create table shield (
    project_id integer not null references project (id),
    id uuid not null,
    kind text not null constraint shield_kind check (kind in ('address', 'hostname', 'path', 'user_agent')),
    pattern text not null,
    created_at timestamptz(3) not null,
    primary key (project_id, id),
    constraint shield_once unique (project_id, kind, pattern)
);

-- Properties of events that rollups hold, from their declaration on.
create table declared_property (
    project_id integer not null references project (id),
    event_name text not null,
    property text not null,
    kind text not null constraint declared_property_kind check (kind in ('text', 'number')),
    declared_at timestamptz(3) not null,
    primary key (project_id, event_name, property)
);
