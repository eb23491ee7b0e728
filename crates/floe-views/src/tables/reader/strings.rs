//! Functions on texts whose own form in SQLite takes a time that grows with the product of what they
//! are given, all of it in one step that nothing can stop: the same functions in linear time.

use std::borrow::Cow;
use std::collections::BTreeSet;

use memchr::memmem;
use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};

/// Puts the functions in the place of SQLite's.
pub fn install(db: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    db.create_scalar_function("instr", 2, flags, |context| Ok(instr(context)))?;
    db.create_scalar_function("replace", 3, flags, replace)?;
    for (name, left, right) in [
        ("trim", true, true),
        ("ltrim", true, false),
        ("rtrim", false, true),
    ] {
        for arguments in [1, 2] {
            db.create_scalar_function(name, arguments, flags, move |context| {
                Ok(trim(context, left, right))
            })?;
        }
    }
    Ok(())
}

/// Place of the second in the first, from 1: in bytes where both are bytes, else in characters.
fn instr(context: &Context<'_>) -> Option<i64> {
    let (all, part) = (context.get_raw(0), context.get_raw(1));
    if let (ValueRef::Blob(all), ValueRef::Blob(part)) = (all, part) {
        return Some(memmem::find(all, part).map_or(0, |at| at as i64 + 1));
    }
    let (all, part) = (text(all)?, text(part)?);
    let found = memmem::find(&all, &part);
    Some(found.map_or(0, |at| {
        let before = all.get(..at).unwrap_or_default();
        String::from_utf8_lossy(before).chars().count() as i64 + 1
    }))
}

/// The first with the third in each place of the second.
fn replace(context: &Context<'_>) -> rusqlite::Result<Value> {
    let [all, part, by] = [0, 1, 2].map(|at| text(context.get_raw(at)));
    let (Some(all), Some(part)) = (all, part) else {
        return Ok(Value::Null);
    };
    // SQLite looks at the third only where there is something to be replaced.
    if part.is_empty() {
        return Ok(string(&all));
    }
    let Some(by) = by else {
        return Ok(Value::Null);
    };
    let places: Vec<usize> = memmem::find_iter(&all, &*part).collect();
    let grown = by.len().saturating_sub(part.len()) * places.len();
    if all.len() + grown > BYTES_MAX {
        return Err(too_big());
    }
    let mut out = Vec::with_capacity(all.len() + grown);
    let mut from = 0;
    for at in places {
        out.extend_from_slice(all.get(from..at).unwrap_or_default());
        out.extend_from_slice(&by);
        from = at + part.len();
    }
    out.extend_from_slice(all.get(from..).unwrap_or_default());
    Ok(string(&out))
}

/// The first without the characters of the second, which are spaces where there is none, at its ends.
fn trim(context: &Context<'_>, left: bool, right: bool) -> Value {
    let Some(all) = text(context.get_raw(0)) else {
        return Value::Null;
    };
    let set = match context.len() {
        1 => Some(Cow::Borrowed(&b" "[..])),
        _ => text(context.get_raw(1)),
    };
    let Some(set) = set else {
        return Value::Null;
    };
    let set: BTreeSet<char> = String::from_utf8_lossy(&set).chars().collect();
    let all = String::from_utf8_lossy(&all);
    let mut rest = &*all;
    if left {
        rest = rest.trim_start_matches(|char| set.contains(&char));
    }
    if right {
        rest = rest.trim_end_matches(|char| set.contains(&char));
    }
    Value::Text(rest.to_owned())
}

/// Bytes that no function of texts gives more of, whatever the limit of values is; SQLite looks at that
/// afterwards.
const BYTES_MAX: usize = 16 << 20;

fn too_big() -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_TOOBIG);
    rusqlite::Error::SqliteFailure(code, None)
}

/// Returns a value as SQLite makes a text of it; `None` where there is none.
fn text(value: ValueRef<'_>) -> Option<Cow<'_, [u8]>> {
    Some(match value {
        ValueRef::Null => return None,
        ValueRef::Integer(whole) => Cow::Owned(whole.to_string().into_bytes()),
        ValueRef::Real(real) => Cow::Owned(real_text(real).into_bytes()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Cow::Borrowed(bytes),
    })
}

fn real_text(real: f64) -> String {
    if real.is_infinite() {
        return if real > 0.0 { "Inf" } else { "-Inf" }.to_owned();
    }
    let size = real.abs();
    if size == 0.0 || (1e-4..1e15).contains(&size) {
        return format!("{real:?}");
    }
    let text = format!("{real:e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let point = if digits.contains('.') { "" } else { ".0" };
    let (sign, power) = match power.strip_prefix('-') {
        Some(power) => ('-', power),
        None => ('+', power),
    };
    format!("{digits}{point}e{sign}{power:0>2}")
}

fn string(bytes: &[u8]) -> Value {
    Value::Text(String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks SQLite's own functions and ours.
    fn both(sql: &str) -> (String, String) {
        let ask = |db: &Connection| {
            let sql = format!("SELECT quote({sql})");
            db.query_row(&sql, [], |row| row.get(0)).unwrap()
        };
        let db = Connection::open_in_memory().unwrap();
        let own = ask(&db);
        install(&db).unwrap();
        db.flush_prepared_statement_cache();
        (own, ask(&db))
    }

    #[test]
    fn the_functions_say_what_those_of_sqlite_say() {
        let values = [
            "NULL", "''", "' '", "'a'", "'  aXa '", "'äöa'", "'aaab'", "12", "-1.5", "1e21",
            "2e-7", "1.0", "x'61'", "x'6161'", "x''", "'ab'",
        ];
        for a in values {
            for one in ["trim", "ltrim", "rtrim"] {
                let (own, ours) = both(&format!("{one}({a})"));
                assert_eq!(ours, own, "{one} {a}");
            }
            for b in values {
                for two in ["trim", "ltrim", "rtrim", "instr"] {
                    let (own, ours) = both(&format!("{two}({a}, {b})"));
                    assert_eq!(ours, own, "{two} {a} {b}");
                }
                for c in ["'ü'", "''", "NULL", "7"] {
                    let (own, ours) = both(&format!("replace({a}, {b}, {c})"));
                    assert_eq!(ours, own, "replace {a} {b} {c}");
                }
            }
        }
    }
}
