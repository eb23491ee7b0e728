//! Settings as text, JSON and a file.

use std::fmt::Write as _;

use serde_json::{Value, json};
use toml::ser::ValueSerializer;

use super::Config;
use super::origin::Origin;
use super::setting::Setting;

/// Returns a line for each setting: its name, its value, where it stands.
pub fn as_text(config: &Config) -> String {
    let mut text = String::new();
    for setting in &config.all {
        let shown = setting.shown();
        let value = if shown.is_null() {
            "-".to_owned()
        } else {
            shown.to_string()
        };
        let origin = setting.origin.describe();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:<28} {value:<24} {origin}", setting.key);
    }
    text
}

/// Returns all settings as one JSON object.
pub fn as_json(config: &Config) -> String {
    let settings = config.all.iter().map(|setting| {
        let mut object = json!({
            "name": setting.key,
            "value": setting.shown(),
            "origin": "default",
        });
        match &setting.origin {
            Origin::Default => {}
            Origin::File { file, line } => {
                object["origin"] = "file".into();
                object["file"] = (&**file).into();
                object["line"] = (*line).into();
            }
            Origin::Environment(variable) => {
                object["origin"] = "environment".into();
                object["variable"] = variable.as_str().into();
            }
            Origin::Flag(_) => object["origin"] = "flag".into(),
        }
        object
    });
    let settings: Vec<_> = settings.collect();
    format!("{:#}\n", json!({ "settings": settings }))
}

/// Returns a file that gives the same settings: what is set stands in it, and what is not is there
/// as a comment. Secrets are left out, as a comment too.
pub fn as_toml(config: &Config) -> String {
    let mut text = String::from("# Settings of `floe serve --config FILE`.\n\n");
    for setting in config.all.iter().filter(|setting| !setting.is_table) {
        let _ = writeln!(text, "{}", line_of(setting));
    }
    let tables = toml::to_string(&config.tables).unwrap_or_default();
    if !tables.is_empty() {
        let _ = write!(text, "\n{tables}");
    }
    text
}

fn line_of(setting: &Setting) -> String {
    let key = &setting.key;
    if setting.is_secret {
        return match setting.is_unset() {
            true => format!("# {key} is not set"),
            false => format!(
                "# {key} is set by {}, and not shown",
                setting.origin.describe()
            ),
        };
    }
    if setting.value.is_null() {
        return format!("# {key} is not set");
    }
    let is_default = setting.origin == Origin::Default;
    format!(
        "{}{key} = {}",
        if is_default { "# " } else { "" },
        toml_value(&setting.value)
    )
}

fn toml_value(value: &Value) -> String {
    let mut text = String::new();
    match serde::Serialize::serialize(value, ValueSerializer::new(&mut text)) {
        Ok(_) => text,
        // A number beyond what TOML promises, which we read all the same.
        Err(_) => value.to_string(),
    }
}
