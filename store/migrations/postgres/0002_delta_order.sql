-- Deltas lie in the table where there is room, not in the order of their commits. The compactor takes the oldest
-- first: a session that leaves a row must not be folded before its coming, which would add its visitor again.
-- A commit that corrects a session has waited for the one before it, so its number is larger. (SQLite's rowid is
-- such a number already.)

alter table rollup_delta add column id bigint generated always as identity;

-- The compactor's oldest first. Not unique and no key: keys start with project_id.
create index rollup_delta_id on rollup_delta (id);
