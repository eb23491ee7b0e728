//! The manifest and the TypeScript client.

use floe_proto::table::Table;

use super::*;

/// The client of a room with every type of column; `tests/clients` compiles and uses it.
const SAMPLE: &str = include_str!("../../../../../tests/clients/room/client.ts");
const SAMPLE_PATH: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/clients/room/client.ts"
);

fn sample_tables() -> Vec<Table> {
    let tables = r#"[
        {"name":"notes","columns":[
            {"name":"id","type":"INTEGER","primaryKey":true},
            {"name":"text","type":"TEXT","notNull":true},
            {"name":"done","type":"BOOLEAN","notNull":true,"default":0},
            {"name":"weight","type":"REAL"},
            {"name":"photo","type":"BLOB"},
            {"name":"tags","type":"JSON"},
            {"name":"extra","type":"ANY"}]},
        {"name":"seats","columns":[
            {"name":"flight","type":"TEXT","primaryKey":true},
            {"name":"number","type":"INTEGER","primaryKey":true},
            {"name":"taken_by","type":"TEXT"}]},
        {"name":"log_lines","columns":[{"name":"line","type":"TEXT"}]},
        {"name":"logLines","columns":[{"name":"key","type":"TEXT","primaryKey":true}]}
    ]"#;
    serde_json::from_str(tables).unwrap()
}

#[test]
fn the_sample_is_what_is_written() {
    let room = TableRoom::parse("acme/board").unwrap();
    let source = write_typescript(&room, &sample_tables());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(SAMPLE_PATH, &source).unwrap();
        return;
    }
    assert!(
        source == SAMPLE,
        "tests/clients/room/client.ts is out of date: UPDATE_DOCS=1 cargo test -p floe-surfaces"
    );
}

#[test]
fn two_tables_never_share_a_type() {
    let room = TableRoom::parse("a").unwrap();
    let source = write_typescript(&room, &sample_tables());
    for name in ["LogLinesRow {", "LogLines_2Row {"] {
        let count = source.matches(&format!("interface {name}")).count();
        assert_eq!(count, 1, "{name}");
    }
    // A room without tables has a client, too.
    assert!(write_typescript(&room, &[]).contains("export interface Tables {\n}\n"));
}

#[test]
fn the_manifest_says_of_every_method_what_it_takes() {
    let manifest: serde_json::Value = serde_json::from_str(&written(write_manifest)).unwrap();
    let methods = manifest["methods"].as_array().unwrap();
    assert_eq!(methods.len(), METHODS.len());
    for method in methods {
        let name = method["name"].as_str().unwrap();
        let example = &method["example"];
        assert!(call(name, &example.to_string()).is_ok(), "{method}");
        assert!(!method["needs"].as_array().unwrap().is_empty(), "{name}");
        for param in method["params"].as_array().unwrap() {
            let value = &example[param["name"].as_str().unwrap()];
            let fits = match param["type"].as_str().unwrap() {
                "string" => value.is_string(),
                "string[]" => value.is_array(),
                "integer" => value.is_u64(),
                "boolean" => value.is_boolean(),
                "row" => value.is_object(),
                "row[]" | "column[]" | "step[]" | "mutation[]" | "precondition[]" => {
                    value.is_array()
                }
                "key" | "values" | "any" => true,
                other => panic!("{other}"),
            };
            // What may be left out need not be shown.
            let is_left_out = value.is_null() && param["required"] == false;
            assert!(fits || is_left_out, "{name}: {param}");
        }
    }
    let insert = methods.iter().find(|it| it["name"] == "insertRow").unwrap();
    assert_eq!(insert["needs"], serde_json::json!(["append"]));
    assert_eq!(
        insert["params"][2],
        serde_json::json!({
            "name": "onConflict", "type": "string", "values": ["fail", "update"],
            "required": false, "about": "what happens where the key is taken; `fail` by default"
        })
    );
}

#[test]
fn what_is_told_of_bounds_is_what_holds() {
    let told: Vec<_> = METHODS
        .iter()
        .flat_map(|info| info.params.iter().map(|param| param.about))
        .collect();
    for bound in [
        format!("1 to {TITLE_CHARS_MAX} characters;"),
        format!("up to {SQL_CHARS_MAX} characters"),
        format!("up to {SQL_PARAMS_MAX} values"),
        format!("1 to {STEPS_MAX} of"),
        format!("1 to {BATCH_ROWS_MAX} rows"),
        format!("1 to {TABLES_MAX} tables"),
        format!("1 to {MUTATIONS_MAX} of"),
        format!("1 to {KEY_BYTES_MAX} bytes"),
        format!("at most {BUFFERED_BYTES_MAX} bytes"),
        format!("1 to {ENTRIES_MAX} entries"),
        format!(
            "milliseconds, {} to {}; {INTERVAL_MS_DEFAULT} by default",
            INTERVAL_MS.start(),
            INTERVAL_MS.end()
        ),
    ] {
        assert!(told.iter().any(|about| about.contains(&bound)), "{bound}");
    }
}
