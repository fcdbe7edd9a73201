//! Rows of events in PostgreSQL's binary COPY form.
//! <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4>

use tallymark_protocol::UnixMs;
use uuid::Uuid;

use crate::columns::{Address, Ms, PG_EPOCH_DAYS};
use crate::model::EventRow;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
const COLUMNS: i16 = 20;

/// The statement that [`encode`]'s bytes answer.
pub(crate) const COPY_EVENTS: &str = "copy event (project_id, day, id, visitor_id, session_id, occurred_at, \
    received_at, engaged_ms, name, user_id, url, hostname, path, title, referrer, category, event_source, props, \
    server_session, address) from stdin (format binary)";

/// Encodes `rows`, header and trailer included.
pub(crate) fn encode(rows: &[&EventRow]) -> Vec<u8> {
    let mut out = CopyBuffer(Vec::with_capacity(32 + rows.len() * 512));
    out.0.extend_from_slice(SIGNATURE);
    out.0.extend_from_slice(&[0; 8]); // flags, length of the header's extension
    for row in rows {
        out.0.extend_from_slice(&COLUMNS.to_be_bytes());
        out.int(row.project_id);
        out.int(row.day - PG_EPOCH_DAYS);
        out.uuid(Some(row.id));
        out.uuid(row.visitor_id);
        out.uuid(row.session_id);
        out.time(row.occurred_at);
        out.time(row.received_at);
        out.optional_int(row.engaged_ms);
        out.text(Some(&row.name));
        for text in [&row.user_id, &row.url, &row.hostname, &row.path, &row.title, &row.referrer] {
            out.text(text.as_deref());
        }
        out.text(row.category.as_deref());
        out.text(row.event_source.as_deref());
        out.jsonb(row.props.as_ref().map(|props| props.get()));
        if row.server_session {
            out.field(&[1])
        } else {
            out.null()
        }
        match row.address {
            Some(address) => out.field(&Address(address).pg_bytes()),
            None => out.null(),
        }
    }
    out.0.extend_from_slice(&(-1_i16).to_be_bytes());
    out.0
}

struct CopyBuffer(Vec<u8>);

impl CopyBuffer {
    fn field(&mut self, bytes: &[u8]) {
        let length = i32::try_from(bytes.len()).expect("fields are bounded by the limits of the wire");
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn null(&mut self) {
        self.0.extend_from_slice(&(-1_i32).to_be_bytes());
    }

    fn int(&mut self, value: i32) {
        self.field(&value.to_be_bytes());
    }

    fn optional_int(&mut self, value: Option<i32>) {
        match value {
            Some(value) => self.int(value),
            None => self.null(),
        }
    }

    fn uuid(&mut self, value: Option<Uuid>) {
        match value {
            Some(value) => self.field(value.as_bytes()),
            None => self.null(),
        }
    }

    fn time(&mut self, value: UnixMs) {
        self.field(&Ms(value).pg_micros().to_be_bytes());
    }

    fn text(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.field(value.as_bytes()),
            None => self.null(),
        }
    }

    /// The binary form of `jsonb` is a version, 1, and the JSON text.
    fn jsonb(&mut self, value: Option<&str>) {
        let Some(value) = value else { return self.null() };
        let length =
            i32::try_from(value.len() + 1).expect("properties are bounded by the limits of the wire");
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.push(1);
        self.0.extend_from_slice(value.as_bytes());
    }
}
