use std::collections::BTreeMap;

use clap::{Arg, ArgAction};
use serde::{Deserialize, Serialize};

use super::problem::odd_variable;
use super::*;

/// Settings from a file and flags.
fn load(text: &str, flags: &[&str]) -> Result<Config, ConfigError> {
    load_as(&["serve"], text, flags)
}

fn load_as(command: &[&str], text: &str, flags: &[&str]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("floe.toml");
    std::fs::write(&path, text).unwrap();
    let mut arguments: Vec<OsString> = vec!["floe".into()];
    arguments.extend(command.iter().map(OsString::from));
    arguments.push("--config".into());
    arguments.push(path.into());
    arguments.extend(flags.iter().map(OsString::from));
    Sources::new(arguments).load()
}

/// Everything that is wrong with a file, with its name cut short.
fn problems(text: &str) -> Vec<String> {
    match load(text, &[]) {
        Err(ConfigError::Problems(problems)) => problems.iter().map(short).collect(),
        other => panic!("{other:?}"),
    }
}

fn short(problem: &problem::Problem) -> String {
    let text = problem.to_string();
    let at = text.find("floe.toml").unwrap_or(0);
    text[at..].replacen("floe.toml:", "", 1)
}

#[test]
fn a_file_says_what_flags_say() {
    let text = "listen = \"127.0.0.1:5000\"\n\
        streams_max = 1_000\n\
        wal_segment_bytes = 0x100000\n\
        origins = [\"https://a.example\", \"https://b.example\"]\n\
        view_words = false\n\
        open = true\n\
        log_format = 'json'\n";
    let flags = [
        "--listen=127.0.0.1:5000",
        "--streams-max=1000",
        "--wal-segment-bytes=1048576",
        "--origins=https://a.example,https://b.example",
        "--view-words=false",
        "--open",
        "--log-format=json",
    ];
    let (file, said) = (load(text, &[]).unwrap(), load("", &flags).unwrap());
    assert_eq!(file.settings(), said.settings());
    assert_ne!(file.settings(), load("", &[]).unwrap().settings());
    assert!(file.arguments.open);
    assert_eq!(file.origin("view_words").line(), Some(5));
    assert_eq!(said.origin("view_words").describe(), "flag");
    assert_eq!(file.origin("data"), Origin::Default);
}

#[test]
fn a_flag_goes_before_the_file() {
    let text = "streams_max = 5\nreaders_max = 6\nopen = false\n";
    let config = load(text, &["--streams-max=7", "--open"]).unwrap();
    let limits = config.settings().limits;
    assert_eq!((limits.streams_max, limits.readers_max), (7, 6));
    assert!(config.arguments.open);
    assert_eq!(config.origin("streams_max").describe(), "flag");
    assert_eq!(config.origin("open").describe(), "flag");
}

#[test]
fn all_problems_of_a_file_are_told_at_once_with_their_lines() {
    let text = "stream_max = 5\n\
        streams_max = \"5\"\n\
        readers_max = -1\n\
        data = 5\n\
        log_format = \"jsn\"\n\
        origins = [\"https://a.example\",\n\
        5]\n\
        view_words = 1\n\
        listen = \"here\"\n\
        config = \"other.toml\"\n\
        sse_timeout_ms = [1]\n\
        streams-max = 3\n\
        api_keys = \"secret\"\n\
        log = \"floe=loud\"\n\
        [limits]\n\
        readers_max = 1\n";
    assert_eq!(
        problems(text),
        [
            "1: stream_max is no setting; did you mean streams_max?",
            "2: streams_max: expected a whole number, found a string; it stands without quotes",
            "3: readers_max: expected a whole number that is not negative",
            "4: data: expected a string, found a whole number; put it in quotes",
            "5: log_format: expected one of text, json; did you mean json?",
            "7: origins: expected a string, found a whole number; put it in quotes",
            "8: view_words: expected true or false, found a whole number",
            "9: listen: expected ADDRESS:PORT: invalid socket address syntax",
            "10: config is no setting",
            "11: sse_timeout_ms: expected a whole number, found a list",
            "12: streams-max is no setting; did you mean streams_max?",
            "13: api_keys: API key 1 is not NAMESPACE:RIGHTS:KEY",
            "14: log: error parsing level filter: expected one of \"off\", \"error\", \"warn\", \"info\", \
             \"debug\", \"trace\", or a number 0-5",
            "16: limits: unknown field `readers_max`, expected one of `keys_max`, \
             `socket_refusals_max`, `ip`, `user`, `connection`, `namespace`, `room`",
        ]
    );
}

#[test]
fn a_file_that_is_no_toml_is_told_of_by_line_and_so_is_the_rest() {
    let found = problems("streams_max = 5\nreaders_max =\nstreams_max = 6\nlogs = 1\n");
    let lines: Vec<_> = found
        .iter()
        .map(|problem| problem.split(':').next().unwrap())
        .collect();
    assert_eq!(lines, ["2", "3", "4"], "{found:?}");
}

#[test]
fn a_file_that_is_not_there_or_too_long_is_a_problem() {
    let arguments = ["floe", "serve", "--config=/nowhere/floe.toml"];
    let sources = Sources::new(arguments.map(OsString::from).to_vec());
    let error = sources.load().unwrap_err().to_string();
    assert!(
        error.contains("/nowhere/floe.toml: cannot be read: No such file"),
        "{error}"
    );
    let long = "#".repeat((1 << 20) + 1);
    assert_eq!(problems(&long), [" has more than 1048576 bytes"]);
}

#[test]
fn what_is_wrong_with_a_secret_does_not_tell_it() {
    for text in [
        "api_keys = \"topsecret\"",
        "api_keys = \"*:write:topsecret *:write:topsecret\"",
        "api_keys = [\"topsecret\"]",
        "api_keys = \"topsecret",
        "api_keys = topsecret",
    ] {
        let told = format!("{:?}", problems(text));
        assert!(!told.contains("topsecret"), "{told}");
    }
}

#[test]
fn other_machines_are_let_in_only_where_that_was_meant() {
    let listen = "listen = \"0.0.0.0:4437\"\n";
    let refused = problems(listen);
    assert!(
        refused[0].starts_with("1: listen: 0.0.0.0:4437 lets other machines in"),
        "{refused:?}"
    );
    assert!(refused[0].contains("--open"), "{refused:?}");
    assert_eq!(refused.len(), 1);
    for also in ["open = true", "api_keys = \"*:admin:k\""] {
        load(&format!("{listen}{also}"), &[]).unwrap();
    }
    for listen in ["[::1]:1", "[::ffff:127.0.0.1]:1", "127.8.0.1:1"] {
        load("", &["--listen", listen]).unwrap();
    }
    load("", &["--listen=[::]:1"]).unwrap_err();
    // A key that is wrong is the problem, not one that is missing.
    let wrong_key = problems(&format!("{listen}api_keys = 5"));
    assert_eq!(wrong_key.len(), 1, "{wrong_key:?}");
}

#[test]
fn what_is_printed_as_a_file_gives_the_same_settings() {
    let text = "listen = \"127.0.0.1:5000\"\n\
        origins = [\"https://a.example\", \"https://b.example\"]\n\
        data = \"/srv/a \\\"b\\\"\\n\"\n\
        open = true\n";
    let flags = [
        "--streams-max=7",
        "--cold-hot-bytes-max=18446744073709551615",
        "--cold=file:///mnt/x",
        "--view-words=false",
        "--public-url=",
    ];
    let config = load_as(&["config", "print"], text, &flags).unwrap();
    let printed = print::as_toml(&config);
    let again = load(&printed, &[]).unwrap();
    assert_eq!(again.settings(), config.settings(), "{printed}");
    assert!(again.arguments.open);
    // Everything else is there too, for those who want to change it.
    assert!(printed.contains("\n# readers_max = 50000\n"), "{printed}");
    let all: String = printed
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.contains(" = ") => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert_eq!(load(&all, &[]).unwrap().settings(), config.settings());
}

#[test]
fn a_print_shows_values_and_origins_and_no_secret() {
    let text = "api_keys = \"*:admin:topsecret\"\nstreams_max = 5\n";
    let config = load(text, &["--readers-max=9"]).unwrap();
    let shown = print::as_text(&config);
    let line = |name: &str| {
        let line = shown.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(line("streams_max").starts_with("streams_max 5 file /"));
    assert!(line("streams_max").ends_with("floe.toml:2"));
    assert_eq!(line("readers_max"), "readers_max 9 flag");
    assert_eq!(line("memory_keys_max"), "memory_keys_max 1024 default");
    assert_eq!(line("public_url"), "public_url - default");
    assert_eq!(line("data"), "data \"./floe-data\" default");
    assert!(line("api_keys").starts_with("api_keys \"(set)\" file /"));
    let json: serde_json::Value = serde_json::from_str(&print::as_json(&config)).unwrap();
    let all = json["settings"].as_array().unwrap();
    let found = all.iter().find(|one| one["name"] == "streams_max").unwrap();
    assert_eq!(
        (found["value"].as_u64(), found["line"].as_u64()),
        (Some(5), Some(2))
    );
    for printed in [shown, print::as_json(&config), print::as_toml(&config)] {
        assert!(!printed.contains("topsecret"), "{printed}");
    }
    let unset = load("", &[]).unwrap();
    assert!(print::as_toml(&unset).contains("\n# api_keys is not set\n"));
}

#[test]
fn the_example_file_is_good_and_shows_defaults() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/floe.toml");
    let text = std::fs::read_to_string(path).unwrap();
    load(&text, &[]).unwrap();
    // Also what is commented out, which is what people will use; the file that it names is another.
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "a secret of the webhook").unwrap();
    let text = text.replace("/etc/floe/webhook-secret", secret.to_str().unwrap());
    let all: String = text
        .lines()
        .map(|line| {
            let rest = line.strip_prefix('#').unwrap_or(line);
            let is_setting = !rest.starts_with(' ');
            format!("{}\n", if is_setting { rest } else { line })
        })
        .collect();
    load(&all, &[]).unwrap();
    assert!(
        all.matches(" = ").count()
            > text
                .lines()
                .filter(|line| line.contains(" = ") && !line.starts_with('#'))
                .count()
    );
}

#[test]
fn a_variable_that_is_nearly_a_setting_is_told_of() {
    let serve = serve_command();
    assert_eq!(
        odd_variable("FLOE_STREAM_MAX", &serve).as_deref(),
        Some("FLOE_STREAM_MAX is no setting; did you mean FLOE_STREAMS_MAX?")
    );
    for known_or_foreign in ["FLOE_STREAMS_MAX", "FLOE_SERVICE_HOST", "STREAMS_MAX"] {
        assert_eq!(odd_variable(known_or_foreign, &serve), None);
    }
}

#[test]
fn one_argument_may_need_another_that_is_in_the_file() {
    let command = Command::new("floe").subcommand(
        Command::new("serve")
            .arg(Arg::new("a").long("a").requires("b"))
            .arg(Arg::new("b").long("b"))
            .arg(Arg::new("c").long("c").action(ArgAction::SetTrue)),
    );
    let command = command.subcommand(Command::new("config"));
    let arguments = ["floe", "serve", "--a=1"];
    command.clone().try_get_matches_from(arguments).unwrap_err();
    without_relations(command)
        .try_get_matches_from(arguments)
        .unwrap();
}

/// Tables as others will add them.
#[derive(Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Tables {
    quota: Option<Quota>,
    jwt: Vec<Issuer>,
    namespace: BTreeMap<String, Quota>,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Quota {
    streams_max: u64,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Issuer {
    issuer: String,
}

fn tables(text: &str) -> Result<ConfigFile<Tables>, Vec<String>> {
    let mut problems = Problems::default();
    let path = Path::new("floe.toml");
    let file = ConfigFile::parse(path, text, &serve_command(), &mut problems);
    problems
        .none_or(file)
        .map_err(|problems| problems.iter().map(short).collect())
}

#[test]
fn tables_are_read_and_shown() {
    let text = "streams_max = 5\n\
        [quota]\n\
        streams_max = 1\n\
        [[jwt]]\n\
        issuer = \"a\"\n\
        [[jwt]]\n\
        issuer = \"b\"\n\
        [namespace.acme]\n\
        streams_max = 2\n";
    let file = tables(text).unwrap();
    assert_eq!(file.tables.quota, Some(Quota { streams_max: 1 }));
    assert_eq!(file.tables.jwt.len(), 2);
    assert_eq!(file.tables.namespace["acme"].streams_max, 2);
    let settings = file.table_settings();
    let quota = settings.iter().find(|one| one.key == "quota").unwrap();
    assert_eq!(quota.value, serde_json::json!({ "streams_max": 1 }));
    assert_eq!(quota.origin.place(), "floe.toml:2");
}

#[test]
fn all_problems_of_tables_are_told_with_their_lines() {
    let text = "[quotas]\n\
        streams_max = 1\n\
        [quota]\n\
        streams_max = \"many\"\n\
        [[jwt]]\n\
        isuer = \"a\"\n\
        [[jwt]]\n\
        issuer = \"good\"\n\
        [[jwt]]\n\
        issuer = 5\n\
        [namespace.acme]\n\
        streams = 2\n";
    assert_eq!(
        tables(text).unwrap_err(),
        [
            "1: quotas is no setting; did you mean quota?",
            "4: quota: invalid type: string \"many\", expected u64",
            "6: jwt: unknown field `isuer`, expected `issuer`; did you mean issuer?",
            "10: jwt: invalid type: integer `5`, expected a string",
            "12: namespace: unknown field `streams`, expected `streams_max`",
        ]
    );
}
