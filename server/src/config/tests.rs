//! What flags and variables come to, and which are refused.

use clap::{CommandFactory as _, Parser as _};

use super::{AllowedHosts, Config, ConfigError};
use crate::args::{Cli, Command, DeviceChoice};

fn config(flags: &[&str]) -> Result<Config, ConfigError> {
    let cli = Cli::try_parse_from(["reverie", "serve"].iter().chain(flags)).unwrap();
    match cli.command {
        Command::Serve(args) => Config::try_from(*args),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_command_line_is_consistent_and_every_serve_flag_has_its_variable() {
    Cli::command().debug_assert();
    let mut cli = Cli::command();
    let serve = cli.find_subcommand_mut("serve").unwrap();
    let flags = serve.get_arguments().filter(|flag| flag.get_id() != "help");
    let flags = flags.filter(|flag| !flag.is_positional());
    for flag in flags.filter(|flag| flag.get_id() != "version") {
        let variable = flag.get_env().and_then(|name| name.to_str()).unwrap_or_default();
        assert!(variable.starts_with("REVERIE_"), "{} has none", flag.get_id());
    }
}

#[test]
fn the_checkpoint_folder_needs_no_flag_and_is_given_once() {
    for flags in [["some/folder"].as_slice(), &["--model", "some/folder"]] {
        assert_eq!(config(flags).unwrap().model.folder, Some("some/folder".into()));
    }
    assert_eq!(config(&[]).unwrap().model.folder, None);
    let twice = ["reverie", "serve", "a", "--model", "b"];
    assert!(Cli::try_parse_from(twice).is_err());
}

#[test]
fn only_a_loopback_listener_minds_the_host_header_by_itself() {
    let loopback = config(&["--host", "127.0.0.1"]).unwrap();
    assert_eq!(loopback.http.allowed_hosts, AllowedHosts::loopback());
    let public = config(&["--host", "0.0.0.0"]).unwrap();
    assert_eq!(public.http.allowed_hosts, AllowedHosts::Any);
    let named = config(&["--host", "0.0.0.0", "--allowed-host", "a.example,b.example"]).unwrap();
    let names = ["a.example", "b.example"].map(str::to_owned).to_vec();
    assert_eq!(named.http.allowed_hosts, AllowedHosts::Only(names));
}

#[test]
fn traces_are_for_those_with_a_key() {
    let refused = config(&["--allow-trace"]).unwrap_err();
    assert!(matches!(refused, ConfigError::TraceForEverybody) && refused.exit_code() == 2);
    assert!(config(&["--allow-trace", "--api-key", "sesame"]).unwrap().requests.allow_trace);
    assert!(!config(&["--api-key", "sesame"]).unwrap().requests.allow_trace);
}

#[test]
fn numbers_that_cannot_be_meant_are_refused_by_their_flag() {
    for flag in [
        "--max-num-seqs",
        "--max-num-batched-tokens",
        "--max-waiting",
        "--max-image-pixels",
        "--body-timeout",
        "--write-timeout",
    ] {
        let error = config(&[flag, "0"]).unwrap_err();
        assert!(error.to_string().starts_with(flag), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
    assert!(config(&["--max-num-inference-steps", "1001"]).is_err());
    for flag in ["--max-waiting", "--max-connections"] {
        assert!(config(&[flag, "18446744073709551615"]).is_err());
    }
    assert!(config(&["--max-held-body-bytes", "1000000"]).is_err());
    assert!(config(&["--max-num-seqs", "8", "--max-num-batched-tokens", "7"]).is_err());
}

#[test]
fn a_key_is_never_shown_and_an_empty_key_file_is_refused() {
    let config = config(&["--api-key", "hunter2,hunter3"]).unwrap();
    assert_eq!(config.http.api_keys.len(), 2);
    assert!(!format!("{config:?}").contains("hunter"));

    let cli = Cli::try_parse_from(["reverie", "serve", "--api-key", "hunter2"]).unwrap();
    assert!(!format!("{cli:?}").contains("hunter"));
    assert!(Cli::try_parse_from(["reverie", "serve", "--api-key", ""]).is_err());

    let path = std::env::temp_dir().join(format!("reverie-no-keys-{}", std::process::id()));
    std::fs::write(&path, " \n\n").unwrap();
    let error = self::config(&["--api-key-file", path.to_str().unwrap()]).unwrap_err();
    assert!(matches!(error, ConfigError::NoKey { .. }));
    std::fs::write(&path, "one\n\n two \n").unwrap();
    let keys = self::config(&["--api-key-file", path.to_str().unwrap()]).unwrap().http.api_keys;
    assert_eq!(keys.len(), 2);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn devices_are_read_as_they_are_written() {
    for (text, device) in [
        ("auto", DeviceChoice::Auto),
        ("cpu", DeviceChoice::Cpu),
        ("cuda:0", DeviceChoice::Cuda(0)),
        ("cuda:3", DeviceChoice::Cuda(3)),
    ] {
        let parsed: DeviceChoice = text.parse().unwrap();
        assert_eq!((parsed, parsed.to_string().as_str()), (device, text));
    }
    for text in ["gpu", "cuda:", "cuda:x", "CPU", ""] {
        assert!(text.parse::<DeviceChoice>().is_err(), "{text}");
    }
}
