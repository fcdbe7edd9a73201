//! What tests that cross stages stand on: a world whose numbers are known, databases to hold it, and an
//! oracle that recounts from raw rows.
//!
//! No part of an event's path. The [`world`] makes traffic from a seed and, by a plan of its own, says what must
//! come out; the [`oracle`] reads raw rows back and counts them again by its own rules. Neither calls the
//! code whose result it judges.
//!
//! ```no_run
//! # async fn example(store: tallymark_store::Store) -> anyhow::Result<()> {
//! use tallymark_tests::world::{Shape, World};
//! use tallymark_tests::{drive, oracle};
//!
//! let world = World::generate(7, &Shape::default());
//! let projects = drive::create_projects(&store, &world).await?;
//! drive::commit_all(&store, world.queued(&projects), 40).await?;
//! oracle::assert_true(&store, &world, &projects).await?;
//! # Ok(())
//! # }
//! ```

pub mod browsers;
pub mod databases;
pub mod drive;
pub mod installation;
pub mod oracle;
pub mod patience;
pub mod product;
pub mod redis;
pub mod world;
