-- What commits did and how long they took: the rates and the last commits that `tallymark status` shows. One row a
-- commit that counted something, in its transaction; removed after a week.
create table commit_log (
    committed_at integer not null,
    -- From the transaction's begin to this row.
    took_ms integer not null,
    envelopes integer not null,
    accepted integer not null,
    duplicates integer not null,
    discarded integer not null
);
-- The last commits, those of the last minute, and those to be removed.
create index commit_log_committed on commit_log (committed_at);
