//! What operators ask and do beside running roles: `status`, `doctor`, `dead-letter …`, `config`.
//!
//! What lies in the store or in Redis is asked there. The embedded queue and the spool belong to one process:
//! where a server owns them, it is asked through `DATA/admin.sock`; where none does, the command opens them.

mod access;
mod configuration;
mod dead_letters;
mod doctor;
mod socket;
mod status;
mod table;

pub(crate) use self::configuration::config;
pub(crate) use self::dead_letters::dead_letter;
pub(crate) use self::doctor::doctor;
pub(crate) use self::socket::AdminSocket;
pub(crate) use self::status::status;
