//! `tallymark.toml` and `.env`.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;

/// The options in a TOML file, by their ids. A missing file is an empty one; an unknown key is an error. `lists` are the
/// options that may be given several times: their values may be lists, which are joined by commas.
pub(super) fn toml(
    path: &Path,
    known: &[String],
    lists: &[String],
) -> Result<HashMap<String, String>, String> {
    let Some(text) = read(path)? else { return Ok(HashMap::new()) };
    let table: toml::Table = text.parse().map_err(|error| format!("{}: {error}", path.display()))?;
    let mut options = HashMap::new();
    for (key, value) in table {
        let id = key.replace('-', "_");
        if !known.contains(&id) {
            let known = known.join(", ").replace('_', "-");
            return Err(format!("{}: there is no option {key:?}; there are: {known}", path.display()));
        }
        let text = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(flag) => flag.to_string(),
            toml::Value::Array(values) if lists.contains(&id) => {
                let texts: Option<Vec<&str>> = values.iter().map(toml::Value::as_str).collect();
                texts
                    .ok_or_else(|| format!("{}: {key} has to be a list of texts in quotes", path.display()))?
                    .join(",")
            }
            other => {
                let (path, kind) = (path.display(), other.type_str());
                return Err(format!("{path}: {key} has to be one text in quotes, or a number, not a {kind}"));
            }
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
