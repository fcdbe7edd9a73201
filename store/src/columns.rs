//! How our times lie in each database's columns: `timestamptz` and `date` in PostgreSQL, Unix milliseconds
//! and `YYYY-MM-DD` in SQLite.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::sqlite::{SqliteArgumentsBuffer, SqliteTypeInfo, SqliteValueRef};
use sqlx::{Decode, Encode, Postgres, Sqlite, Type};
use tallymark_protocol::UnixMs;

/// 2000-01-01, PostgreSQL's epoch, in Unix milliseconds and in days since 1970-01-01.
pub(crate) const PG_EPOCH_MS: i64 = 946_684_800_000;
pub(crate) const PG_EPOCH_DAYS: i32 = 10_957;
const PG_TIMESTAMPTZ: u32 = 1184;
const PG_TIMESTAMPTZ_ARRAY: u32 = 1185;
const PG_DATE: u32 = 1082;
const PG_DATE_ARRAY: u32 = 1182;
const PG_INET: u32 = 869;

/// An instant as a column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ms(pub(crate) UnixMs);

impl Ms {
    /// PostgreSQL's binary form: microseconds since 2000-01-01. Instants that far away are refused at capture.
    pub(crate) fn pg_micros(self) -> i64 {
        self.0.0.saturating_sub(PG_EPOCH_MS).saturating_mul(1_000)
    }
}

impl Type<Postgres> for Ms {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(sqlx::postgres::types::Oid(PG_TIMESTAMPTZ))
    }
}

impl PgHasArrayType for Ms {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(sqlx::postgres::types::Oid(PG_TIMESTAMPTZ_ARRAY))
    }
}

impl Encode<'_, Postgres> for Ms {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buf.extend_from_slice(&self.pg_micros().to_be_bytes());
        Ok(IsNull::No)
    }
}

impl Decode<'_, Postgres> for Ms {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        if value.format() == PgValueFormat::Text {
            return Err("timestamps are read in binary".into());
        }
        let micros = i64::from_be_bytes(value.as_bytes()?.try_into()?);
        Ok(Self(UnixMs(micros.div_euclid(1_000) + PG_EPOCH_MS)))
    }
}

impl Type<Sqlite> for Ms {
    fn type_info() -> SqliteTypeInfo {
        <i64 as Type<Sqlite>>::type_info()
    }

    fn compatible(ty: &SqliteTypeInfo) -> bool {
        <i64 as Type<Sqlite>>::compatible(ty)
    }
}

impl Encode<'_, Sqlite> for Ms {
    fn encode_by_ref(&self, args: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<'_, Sqlite>>::encode_by_ref(&self.0.0, args)
    }
}

impl<'r> Decode<'r, Sqlite> for Ms {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        <i64 as Decode<'r, Sqlite>>::decode(value).map(|millis| Self(UnixMs(millis)))
    }
}

/// A UTC day as a column, in days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day(pub(crate) i32);

impl Day {
    /// `YYYY-MM-DD`.
    pub(crate) fn text(self) -> String {
        date(self.0).to_string()
    }
}

/// The calendar day, clamped to the years that calendars have.
pub(crate) fn date(day: i32) -> jiff::civil::Date {
    let epoch = jiff::civil::date(1970, 1, 1);
    epoch.saturating_add(jiff::Span::new().days(i64::from(day).clamp(-719_162, 2_932_896)))
}

impl Type<Postgres> for Day {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(sqlx::postgres::types::Oid(PG_DATE))
    }
}

impl PgHasArrayType for Day {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(sqlx::postgres::types::Oid(PG_DATE_ARRAY))
    }
}

impl Encode<'_, Postgres> for Day {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buf.extend_from_slice(&(self.0 - PG_EPOCH_DAYS).to_be_bytes());
        Ok(IsNull::No)
    }
}

impl Decode<'_, Postgres> for Day {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(Self(i32::from_be_bytes(value.as_bytes()?.try_into()?) + PG_EPOCH_DAYS))
    }
}

impl Type<Sqlite> for Day {
    fn type_info() -> SqliteTypeInfo {
        <String as Type<Sqlite>>::type_info()
    }
}

impl Encode<'_, Sqlite> for Day {
    fn encode_by_ref(&self, args: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        <String as Encode<'_, Sqlite>>::encode(self.text(), args)
    }
}

impl<'r> Decode<'r, Sqlite> for Day {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        let day: jiff::civil::Date = <String as Decode<'r, Sqlite>>::decode(value)?.parse()?;
        let since = day.since(jiff::civil::date(1970, 1, 1))?;
        Ok(Self(since.get_days()))
    }
}

/// An address as a column: `inet` in PostgreSQL, text in SQLite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address(pub(crate) IpAddr);

/// The kinds of address in PostgreSQL's binary form, and the bits of each.
const PG_V4: [u8; 2] = [2, 32];
const PG_V6: [u8; 2] = [3, 128];

impl Address {
    /// PostgreSQL's binary form: kind, bits of the network, whether it is a network's, length, and the address.
    pub(crate) fn pg_bytes(self) -> Vec<u8> {
        let form = |[kind, bits]: [u8; 2], address: &[u8]| {
            let mut bytes = vec![kind, bits, 0, bits / 8];
            bytes.extend_from_slice(address);
            bytes
        };
        match self.0 {
            IpAddr::V4(address) => form(PG_V4, &address.octets()),
            IpAddr::V6(address) => form(PG_V6, &address.octets()),
        }
    }
}

impl Type<Postgres> for Address {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(sqlx::postgres::types::Oid(PG_INET))
    }
}

impl Decode<'_, Postgres> for Address {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let bytes = value.as_bytes()?;
        let address = match bytes.get(4..).ok_or("an address without a length")? {
            v4 if bytes[0] == PG_V4[0] => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(v4)?)),
            v6 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(v6)?)),
        };
        Ok(Self(address))
    }
}

impl Type<Sqlite> for Address {
    fn type_info() -> SqliteTypeInfo {
        <String as Type<Sqlite>>::type_info()
    }
}

impl<'r> Decode<'r, Sqlite> for Address {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(<String as Decode<'r, Sqlite>>::decode(value)?.parse()?))
    }
}
