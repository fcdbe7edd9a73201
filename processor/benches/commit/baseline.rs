//! The same event rows by the plainest way there is, and what each relation weighs.

use std::path::Path;
use std::time::Instant;

use sqlx::{AssertSqlSafe, Connection, PgPool, SqliteConnection};
use tallymark_store::Batch;
use tallymark_store::model::EventRow;

use crate::{Run, cpu};

fn rows(batches: &[Batch]) -> impl Iterator<Item = &EventRow> {
    batches
        .iter()
        .flat_map(|batch| &batch.envelopes)
        .flat_map(|envelope| &envelope.events)
        .map(|event| &event.row)
}

/// One text COPY of all rows into a table with the same columns and indexes.
pub(crate) async fn copy(pool: &PgPool, batches: &[Batch], server: Option<u32>) -> anyhow::Result<Run> {
    sqlx::query("create table plain (like event including all)").execute(pool).await?;
    let mut text = String::new();
    let mut events = 0;
    for row in rows(batches) {
        events += 1;
        text_row(&mut text, row);
    }
    let (started, before) = (Instant::now(), cpu::now(server));
    let mut connection = pool.acquire().await?;
    let mut copy = connection.copy_in_raw("copy plain (project_id, day, id, visitor_id, session_id, occurred_at, received_at, engaged_ms, name, user_id, url,
             hostname, path, title, referrer, category, event_source, props) from stdin").await?;
    for chunk in text.as_bytes().chunks(256 * 1024) {
        copy.send(chunk).await?;
    }
    copy.finish().await?;
    let (wall, after) = (started.elapsed(), cpu::now(server));
    sqlx::query("drop table plain").execute(pool).await?;
    let cpu = cpu::Cpu { ours: after.ours - before.ours, server: after.server - before.server };
    Ok(Run { events, wall, cpu, compacting: None })
}

/// Multi-row inserts of all rows, 5,000 a transaction, into a table with the same columns and indexes.
pub(crate) async fn insert(file: &Path, batches: &[Batch]) -> anyhow::Result<Run> {
    let address = format!("sqlite:{}?mode=rwc", file.display());
    let mut connection = SqliteConnection::connect(&address).await?;
    let schema = include_str!("../../../store/migrations/sqlite/0001_path.sql");
    sqlx::raw_sql(AssertSqlSafe(schema)).execute(&mut connection).await?;
    sqlx::raw_sql("pragma journal_mode = wal; pragma synchronous = full").execute(&mut connection).await?;
    let all: Vec<&EventRow> = rows(batches).collect();
    let (started, before) = (Instant::now(), cpu::now(None));
    for transaction in all.chunks(5_000) {
        let mut tx = connection.begin().await?;
        for chunk in transaction.chunks(250) {
            let values = vec!["(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"; chunk.len()].join(",");
            let mut query = sqlx::query(AssertSqlSafe(format!("insert into event values {values}")));
            for row in chunk {
                query = query
                    .bind(row.project_id)
                    .bind(row.day.to_string())
                    .bind(row.id)
                    .bind(row.visitor_id)
                    .bind(row.session_id)
                    .bind(row.occurred_at.0)
                    .bind(row.received_at.0)
                    .bind(row.engaged_ms)
                    .bind(&row.name)
                    .bind(&row.user_id)
                    .bind(&row.url)
                    .bind(&row.hostname)
                    .bind(&row.path)
                    .bind(&row.title)
                    .bind(&row.referrer)
                    .bind(&row.category)
                    .bind(&row.event_source)
                    .bind(row.props.as_ref().map(|props| props.get()));
            }
            query.execute(&mut *tx).await?;
        }
        tx.commit().await?;
    }
    let (wall, after) = (started.elapsed(), cpu::now(None));
    connection.close().await?;
    let cpu = cpu::Cpu { ours: after.ours - before.ours, server: 0.0 };
    Ok(Run { events: all.len(), wall, cpu, compacting: None })
}

fn text_row(out: &mut String, row: &EventRow) {
    fn field(out: &mut String, value: Option<&str>) {
        match value {
            None => out.push_str("\\N"),
            Some(value) => {
                out.push_str(&value.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n"))
            }
        }
        out.push('\t');
    }
    let time = civil_time;
    field(out, Some(&row.project_id.to_string()));
    field(out, Some(&time(i64::from(row.day) * 86_400_000)[..10]));
    field(out, Some(&row.id.to_string()));
    field(out, row.visitor_id.map(|id| id.to_string()).as_deref());
    field(out, row.session_id.map(|id| id.to_string()).as_deref());
    field(out, Some(&time(row.occurred_at.0)));
    field(out, Some(&time(row.received_at.0)));
    field(out, row.engaged_ms.map(|ms| ms.to_string()).as_deref());
    field(out, Some(&row.name));
    for text in [&row.user_id, &row.url, &row.hostname, &row.path, &row.title, &row.referrer, &row.category] {
        field(out, text.as_deref());
    }
    field(out, row.event_source.as_deref());
    field(out, row.props.as_ref().map(|props| props.get()));
    out.pop();
    out.push('\n');
}

/// `YYYY-MM-DD HH:MM:SS.mmm+00`, by the civil-from-days formula
/// (<https://howardhinnant.github.io/date_algorithms.html#civil_from_days>).
fn civil_time(at: i64) -> String {
    let (days, ms) = (at.div_euclid(86_400_000) + 719_468, at.rem_euclid(86_400_000));
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let (day, month) =
        (of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{:03}+00", ms % 1_000)
}

/// Prints what every relation weighs an event, after VACUUM: rows, indexes and TOAST together.
pub(crate) async fn relation_sizes(pool: &PgPool, events: usize) -> anyhow::Result<()> {
    sqlx::query("vacuum analyze").execute(pool).await?;
    let sizes: Vec<(String, i64)> = sqlx::query_as(
        "select case when relispartition then 'event' else relname::text end, sum(pg_total_relation_size(oid))::bigint
         from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace
         group by 1 having sum(pg_total_relation_size(oid)) > 0 order by 2 desc",
    )
    .fetch_all(pool)
    .await?;
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let each = |bytes: i64| bytes as f64 / events as f64;
    println!("bytes an event, after VACUUM:");
    for (name, bytes) in &sizes {
        println!("    {name:<24} {:>7.1}", each(*bytes));
    }
    println!("    {:<24} {:>7.1}\n", "all", each(sizes.iter().map(|(_, bytes)| bytes).sum()));
    Ok(())
}
