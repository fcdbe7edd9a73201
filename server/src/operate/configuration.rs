//! `tallymark config`: the options in force, and where each comes from.

use super::table::Table;
use crate::config::InForce;
use crate::out::say;

/// Shows the options.
pub(crate) fn config(in_force: &[InForce], json: bool) -> anyhow::Result<()> {
    if json {
        say!("{}", serde_json::to_string(in_force)?);
        return Ok(());
    }
    let mut table = Table::new(["OPTION", "VALUE", "FROM"]);
    for InForce { option, value, from } in in_force {
        let value = value.clone().unwrap_or_else(|| "(not set)".to_owned());
        table.row([option.clone(), value, from.clone()]);
    }
    say!("{}", table.to_string().trim_end());
    Ok(())
}
