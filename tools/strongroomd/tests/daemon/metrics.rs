//! What those who watch the daemon read.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use strongroom_functions::frame::{Refusal, Welcome, Wish};
use strongroom_functions::{Cryptoki, Remote};
use strongroom_types::{Error, MechanismCall, MechanismType, Params, Room, UserType, mechanism};

use crate::world::{Daemon, LONG, PIN, hung_up, over_p11kit, slot, stranger, token};

const METRICS: &str = "metrics = 'metrics.sock'";

/// What curl reads at a path of the socket: the status, and the text.
fn curl(daemon: &Daemon, path: &str) -> (String, String) {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--write-out", "\n%{http_code} %{content_type}"])
        .arg("--unix-socket")
        .arg(daemon.dir.path().join("metrics.sock"))
        .arg(format!("http://localhost{path}"))
        .output()
        .expect("curl");
    assert!(output.status.success(), "{output:?}");
    let all = String::from_utf8(output.stdout).unwrap();
    let (text, status) = all.rsplit_once('\n').unwrap();
    (status.to_owned(), text.to_owned())
}

/// The text as the parser of Prometheus's client for Python understands it: each sample, and its
/// labels as `name=value`, sorted. It refuses what is no OpenMetrics.
fn scrape(daemon: &Daemon) -> BTreeMap<String, f64> {
    const SCRIPT: &str = "import sys\n\
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
        for family in parse(sys.stdin.read()):\n    \
            for sample in family.samples:\n        \
                labels = ' '.join(f'{k}={v}' for k, v in sorted(sample.labels.items()))\n        \
                print(sample.name, labels, sample.value, sep='\\t')\n";
    let (status, text) = curl(daemon, "/metrics");
    assert_eq!(status, "200 application/openmetrics-text; version=1.0.0; charset=utf-8");
    let mut parser = Command::new("/usr/bin/python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python");
    parser.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = parser.wait_with_output().unwrap();
    assert!(output.status.success(), "{text}");
    let sample = |line: &str| {
        let (sample, value) = line.rsplit_once('\t').unwrap();
        (sample.replace('\t', " ").trim().to_owned(), value.parse().unwrap())
    };
    String::from_utf8(output.stdout).unwrap().lines().map(sample).collect()
}

/// Waits until the daemon has seen that others have gone.
fn becomes(daemon: &Daemon, sample: &str, value: f64) {
    let start = Instant::now();
    loop {
        let now = scrape(daemon).get(sample).copied();
        if now == Some(value) {
            return;
        }
        assert!(start.elapsed() < LONG, "{sample} is {now:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The sample of calls.
fn calls(function: &str, mechanism: &str, result: &str) -> String {
    format!("strongroom_operations_total function={function} mechanism={mechanism} result={result}")
}

#[test]
fn calls_are_counted_by_function_mechanism_and_result() {
    let daemon = Daemon::start(&format!("{METRICS}\np11kit = 'p11kit.sock'"));
    token(&daemon);
    let caller = daemon.connect();
    let remote = Remote::new(&caller);
    let session = remote.open_session(slot(&caller), false).unwrap();
    let sha256 = MechanismCall { mechanism: mechanism!(CKM_SHA256).0, params: Params::default() };
    for _ in 0..5 {
        remote.digest_init(session, Some(sha256.clone())).unwrap();
        remote.digest(session, b"abc", Room::Bytes(32)).unwrap();
    }
    let idle = remote.digest(session, b"abc", Room::Bytes(32)).map(drop);
    assert_eq!(idle, Err(Error::OperationNotInitialized));
    for number in [0x8765_4321, 0x8765_4322] {
        let made_up = MechanismCall { mechanism: MechanismType(number), ..sha256.clone() };
        let refused = remote.digest_init(session, Some(made_up));
        assert_eq!(refused, Err(Error::MechanismInvalid));
    }
    let wrong = remote.login(session, UserType::USER, b"7654321");
    assert_eq!(wrong, Err(Error::PinIncorrect));
    let key = ["--label", "a key of mine", "--id", "01"];
    over_p11kit(&daemon, &[&["--keypairgen", "--key-type", "EC:prime256v1"], &key[..]].concat());

    let samples = scrape(&daemon);
    for (function, mechanism, result, count) in [
        ("C_DigestInit", "CKM_SHA256", "CKR_OK", 5.0),
        ("C_Digest", "CKM_SHA256", "CKR_OK", 5.0),
        ("C_Digest", "", "CKR_OPERATION_NOT_INITIALIZED", 1.0),
        ("C_DigestInit", "", "CKR_MECHANISM_INVALID", 2.0),
        ("C_Login", "", "CKR_PIN_INCORRECT", 1.0),
        ("C_GenerateKeyPair", "CKM_EC_KEY_PAIR_GEN", "CKR_OK", 1.0),
    ] {
        let name = calls(function, mechanism, result);
        assert_eq!(samples.get(&name), Some(&count), "{name}: {samples:#?}");
    }
    let times = "strongroom_operation_seconds";
    let digest = "function=C_Digest";
    let sha256 = "mechanism=CKM_SHA256";
    assert_eq!(samples[&format!("{times}_count {digest} {sha256}")], 5.0);
    assert_eq!(samples[&format!("{times}_bucket {digest} le=+Inf {sha256}")], 5.0);
    assert!(samples[&format!("{times}_sum {digest} {sha256}")] > 0.0);
    assert_eq!(samples["strongroom_connections wire=metrics"], 1.0);
    for what in ["sessions", "applications", "connections wire=module"] {
        becomes(&daemon, &format!("strongroom_{what}"), 1.0);
    }
    becomes(&daemon, "strongroom_connections wire=p11-kit", 0.0);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(samples[&format!("strongroom_build_info version={version}")], 1.0);
}

#[test]
fn no_label_tells_of_a_key_a_token_or_a_caller() {
    let daemon = Daemon::start(&format!("{METRICS}\np11kit = 'p11kit.sock'"));
    token(&daemon);
    let key = ["--label", "a key of mine", "--id", "01"];
    over_p11kit(&daemon, &[&["--keypairgen", "--key-type", "EC:prime256v1"], &key[..]].concat());
    let names = ["function", "mechanism", "result", "le", "wire", "reason", "version"];
    for sample in scrape(&daemon).keys() {
        let labels = sample.split(' ').skip(1).filter_map(|label| label.split_once('='));
        for (name, value) in labels {
            assert!(names.contains(&name), "{sample}");
            let made_of = |byte: char| byte.is_ascii_alphanumeric() || "_.+-".contains(byte);
            assert!(value.chars().all(made_of), "{sample}");
        }
    }
    let (_, text) = curl(&daemon, "/metrics");
    for secret in ["a key of mine", "xxxx", str::from_utf8(PIN).unwrap()] {
        assert!(!text.contains(secret), "{secret} in:\n{text}");
    }
}

#[test]
fn who_is_turned_away_is_counted_and_a_full_daemon_can_be_watched() {
    let daemon = Daemon::start(&format!("{METRICS}\nconnections = 2\nusers = []"));
    let first = daemon.connect();
    // Who is gone makes place when the daemon has seen that; here who looked whether it had started.
    let joined = loop {
        match daemon.ask(Wish::Join([0; 16])).err() {
            Some(Refusal::Full) => {}
            refused => break refused,
        }
    };
    assert_eq!(joined, Some(Refusal::Application));
    let mut callers = vec![first];
    while callers.len() < 2 {
        callers.extend(daemon.ask(Wish::Found(0)).ok());
    }
    assert_eq!(daemon.ask(Wish::Found(0)).err(), Some(Refusal::Full));
    let samples = scrape(&daemon);
    assert_eq!(samples["strongroom_connections_limit"], 2.0);
    becomes(&daemon, "strongroom_connections wire=module", 2.0);
    assert_eq!(samples["strongroom_refused_connections_total reason=application"], 1.0);
    assert!(samples["strongroom_refused_connections_total reason=full"] >= 1.0);
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    assert_eq!(stranger(&daemon, &nobody, &[]), Welcome::Refused(Refusal::User));
    assert_eq!(scrape(&daemon)["strongroom_refused_connections_total reason=user"], 1.0);
}

#[test]
fn the_door_of_metrics_is_for_metrics_alone() {
    let daemon = Daemon::start(METRICS);
    daemon.says("for metrics");
    assert_eq!(curl(&daemon, "/").0, "404 text/plain");
    let mut garbage = UnixStream::connect(daemon.dir.path().join("metrics.sock")).unwrap();
    garbage.write_all(&[0xff; 100]).unwrap();
    assert!(hung_up(garbage));
    let mut half = UnixStream::connect(daemon.dir.path().join("metrics.sock")).unwrap();
    half.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    assert!(hung_up(half), "it is waited for, but not for ever");
    assert_eq!(curl(&daemon, "/metrics").0.get(..3), Some("200"));
}

#[test]
fn those_who_watch_have_a_list_of_their_own() {
    let daemon = Daemon::start(&format!("{METRICS}\nusers = [65533]\nwatchers = [65534]"));
    assert_eq!(curl(&daemon, "/metrics").0.get(..3), Some("200"), "the daemon's own user");
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let socket = daemon.dir.path().join("metrics.sock");
    fs::set_permissions(daemon.dir.path(), Permissions::from_mode(0o755)).unwrap();
    let curl = |user: &str| {
        let mut setpriv = Command::new("setpriv");
        setpriv.args([&format!("--reuid={user}"), "--regid=65534", "--clear-groups", "curl"]);
        setpriv.args(["--silent", "http://localhost/metrics", "--unix-socket"]).arg(&socket);
        setpriv.output().expect("setpriv and curl").stdout.starts_with(b"# ")
    };
    assert!(curl("65534"), "who watches");
    assert!(!curl("65533"), "who may use keys");
    assert!(matches!(stranger(&daemon, &["--reuid=65534"], &[]), Welcome::Refused(Refusal::User)));
}
