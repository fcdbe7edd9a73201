//! The API over a store: what it needs beside that is made here.

use std::sync::Arc;

use async_trait::async_trait;
use tallymark_query::{Management, QueryApi, SecretError};
use tallymark_store::Store;
use uuid::Uuid;

use super::publish_or_say;
use crate::config::Options;
use crate::{clock, secrets};

/// The API that answers and changes what the store holds.
pub(crate) fn api(options: &Options, store: &Store) -> QueryApi {
    let management = Arc::new(Managed { options: options.clone(), store: store.clone() });
    QueryApi { store: store.clone(), now: clock::asked(), management }
}

struct Managed {
    options: Options,
    store: Store,
}

#[async_trait]
impl Management for Managed {
    fn write_key(&self) -> Result<String, SecretError> {
        Ok(secrets::write_key()?)
    }

    fn token(&self) -> Result<String, SecretError> {
        Ok(secrets::token()?)
    }

    fn id(&self) -> Result<Uuid, SecretError> {
        Ok(secrets::id()?)
    }

    fn sketch_key(&self) -> Result<[u8; 16], SecretError> {
        Ok(secrets::bytes()?)
    }

    async fn publish(&self) {
        publish_or_say(&self.options, &self.store).await;
    }
}
