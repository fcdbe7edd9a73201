//! Admin commands: the store's use-cases on the command line. They work beside a running server.

mod migrate;
mod project;
mod token;

pub(crate) use migrate::migrate;
pub(crate) use project::{CreatedProject, create_project, project};
pub(crate) use token::token;
