//! `tallymark.toml` and `.env`.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;

/// The options in a TOML file, by their ids. A missing file is an empty one; an unknown key is an error.
pub(super) fn toml(path: &Path, known: &[String]) -> Result<HashMap<String, String>, String> {
    let Some(text) = read(path)? else { return Ok(HashMap::new()) };
    let table: toml::Table = text.parse().map_err(|error| format!("{}: {error}", path.display()))?;
    let mut options = HashMap::new();
    for (key, value) in table {
        let id = key.replace('-', "_");
        if !known.contains(&id) {
            let known = known.join(", ");
            return Err(format!("{}: there is no option {key:?}; there are: {known}", path.display()));
        }
        let text = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(flag) => flag.to_string(),
            other => return Err(format!("{}: {key} cannot be a {}", path.display(), other.type_str())),
        };
        options.insert(id, text);
    }
    Ok(options)
}

/// The variables in a `.env` file: `NAME=value` a line, `#` begins a comment line, quotes around a value go.
pub(super) fn dotenv(path: &Path) -> Result<HashMap<String, String>, String> {
    let Some(text) = read(path)? else { return Ok(HashMap::new()) };
    let mut variables = HashMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            return Err(format!("{}, line {}: not of the form NAME=value", path.display(), index + 1));
        };
        let value = value.trim();
        let quoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        variables.insert(name.trim().to_owned(), quoted.unwrap_or(value).to_owned());
    }
    Ok(variables)
}

fn read(path: &Path) -> Result<Option<String>, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}
