//! Properties of events that rollups hold, from their declaration on.

use sqlx::Row;
use tallymark_protocol::UnixMs;
use tallymark_protocol::limits::NAME_BYTES_MAX;

use super::change::{Done, Hold, change};
use super::check::{SettingError, check_name};
use crate::columns::Ms;
use crate::rows::from_rows;
use crate::{Store, StoreError, on_both};

/// Declared properties of one project: each is a dimension of its rollups.
const PROPERTIES_MAX: usize = 100;

/// What the values of a property are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropertyKind {
    /// Counted by value.
    Text,
    /// Added up, too.
    Number,
}

impl PropertyKind {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
        }
    }

    /// The kind of this name.
    ///
    /// # Errors
    /// [`SettingError`] with the names that there are.
    pub fn parse(name: &str) -> Result<Self, SettingError> {
        match name {
            "text" => Ok(Self::Text),
            "number" => Ok(Self::Number),
            _ => Err(SettingError::new("kind", format!("{name:?} is no kind; write text or number"))),
        }
    }
}

/// A property of an event that rollups hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredProperty {
    /// The event's name.
    pub event_name: String,
    /// The property's name.
    pub property: String,
    /// What its values are.
    pub kind: PropertyKind,
    /// It is counted in events that are stored from then on.
    pub declared_at: UnixMs,
}

from_rows!(DeclaredProperty, |row| {
    let kind: String = row.try_get("kind")?;
    Ok(DeclaredProperty {
        event_name: row.try_get("event_name")?,
        property: row.try_get("property")?,
        kind: PropertyKind::parse(&kind).map_err(|error| sqlx::Error::ColumnDecode {
            index: "declared_property.kind".to_owned(),
            source: error.into(),
        })?,
        declared_at: row.try_get::<Ms, _>("declared_at")?.0,
    })
});

impl DeclaredProperty {
    /// Checks a property as people write it.
    ///
    /// # Errors
    /// [`SettingError`] for names that no event or property has.
    pub fn check(
        event_name: &str,
        property: &str,
        kind: PropertyKind,
        declared_at: UnixMs,
    ) -> Result<Self, SettingError> {
        let event_name = check_name("event", event_name)?;
        if event_name.len() > NAME_BYTES_MAX {
            let detail = format!("no event has a name of more than {NAME_BYTES_MAX} bytes");
            return Err(SettingError::new("event", detail));
        }
        Ok(Self { event_name, property: check_name("property", property)?, kind, declared_at })
    }
}

impl Store {
    /// A project's declared properties, by event and name.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn declared_properties(&self, project_id: i32) -> Result<Vec<DeclaredProperty>, StoreError> {
        on_both!(self, read, |pool| Ok(sqlx::query_as(
            "select event_name, property, kind, declared_at from declared_property where project_id = $1
             order by event_name, property"
        )
        .bind(project_id)
        .fetch_all(pool)
        .await?))
    }

    /// Declares a property. Where it is declared already, that is answered and nothing changes. Waits for the project's
    /// commits under way.
    ///
    /// # Errors
    /// [`StoreError::Setting`] where it is declared as another kind, or is one too many;
    /// [`StoreError::UnknownProject`]; those of the store.
    pub async fn declare_property(
        &self,
        project_id: i32,
        new: &DeclaredProperty,
    ) -> Result<(DeclaredProperty, bool), StoreError> {
        change!(self, project_id, Hold::Counting, |tx| {
            let known: Vec<DeclaredProperty> = sqlx::query_as(
                "select event_name, property, kind, declared_at from declared_property where project_id = $1",
            )
            .bind(project_id)
            .fetch_all(&mut *tx)
            .await?;
            let same = |row: &&DeclaredProperty| {
                (&row.event_name, &row.property) == (&new.event_name, &new.property)
            };
            if let Some(known) = known.iter().find(same) {
                if known.kind != new.kind {
                    let detail = format!("it is declared as {}; remove that first", known.kind.as_str());
                    return Err(SettingError::new("kind", detail).into());
                }
                Done::Same((known.clone(), false))
            } else {
                if known.len() >= PROPERTIES_MAX {
                    let detail =
                        format!("{PROPERTIES_MAX} are declared, and no more are allowed; remove some");
                    return Err(SettingError::new("property", detail).into());
                }
                sqlx::query(
                    "insert into declared_property (project_id, event_name, property, kind, declared_at)
                     values ($1, $2, $3, $4, $5)",
                )
                .bind(project_id)
                .bind(&new.event_name)
                .bind(&new.property)
                .bind(new.kind.as_str())
                .bind(Ms(new.declared_at))
                .execute(&mut *tx)
                .await?;
                Done::Changed((new.clone(), true))
            }
        })
    }

    /// Takes a declaration back; false where there is none such. Waits for the project's commits under way.
    ///
    /// # Errors
    /// [`StoreError::UnknownProject`]; those of the store.
    pub async fn remove_property(
        &self,
        project_id: i32,
        event_name: &str,
        property: &str,
    ) -> Result<bool, StoreError> {
        change!(self, project_id, Hold::Counting, |tx| {
            let removed = sqlx::query(
                "delete from declared_property where project_id = $1 and event_name = $2 and property = $3",
            )
            .bind(project_id)
            .bind(event_name)
            .bind(property)
            .execute(tx)
            .await?;
            if removed.rows_affected() > 0 { Done::Changed(true) } else { Done::Same(false) }
        })
    }
}
