//! Tests of fetching, from a server on this machine that misbehaves as told.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::*;
use crate::dataset::all;

const FILE: &[u8] = b"forty bytes of some official data file..";
const FILE_MD5: &str = "75ce4833d0922f344a8c9d80ef1512da";

/// How one request is answered.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// Properly, with `Range` understood.
    Whole,
    /// Properly, with `Range` ignored.
    NoRanges,
    /// With a promise of all bytes and only so many of them.
    CutAfter(usize),
    /// With another file.
    Other,
    /// Not at all.
    NotFound,
}

/// A server that answers one request after the other, and what it was asked for.
struct Server {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(answers: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answers, log) = (answers.to_vec(), Arc::clone(&requests));
        thread::spawn(move || {
            for answer in answers {
                let (stream, _) = listener.accept().unwrap();
                log.lock().unwrap().push(respond(stream, answer));
            }
        });
        Self { url, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Answers one request; returns its path and range.
fn respond(mut stream: TcpStream, answer: Answer) -> String {
    let lines: Vec<String> = BufReader::new(stream.try_clone().unwrap())
        .lines()
        .map(|line| line.unwrap())
        .take_while(|line| !line.is_empty())
        .collect();
    let path = lines[0].split(' ').nth(1).unwrap().to_owned();
    let range = lines
        .iter()
        .find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let from: usize =
        range.as_ref().map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
    let ranged = |body: &[u8], sent: usize| {
        if from > 0 && from >= body.len() {
            return b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
        }
        let status = match from {
            0 => "200 OK".to_owned(),
            _ => format!(
                "206 Partial Content\r\nContent-Range: bytes {from}-{}/{}",
                body.len() - 1,
                body.len()
            ),
        };
        let length = body.len() - from;
        let mut reply =
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")
                .into_bytes();
        reply.extend(&body[from..][..sent.min(length)]);
        reply
    };
    let reply = match answer {
        Answer::Whole => ranged(FILE, FILE.len()),
        Answer::CutAfter(sent) => ranged(FILE, sent),
        Answer::Other => ranged(&[b'x'; 60], 60),
        Answer::NoRanges => {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                FILE.len()
            );
            [head.as_bytes(), FILE].concat()
        }
        Answer::NotFound => {
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
        }
    };
    stream.write_all(&reply).unwrap();
    format!("{path} {}", range.unwrap_or_default()).trim_end().to_owned()
}

/// Keeps what it is told.
#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Watch for Log {
    fn receiving(&self, file: &str, _url: &str, have: u64, total: Option<u64>) {
        self.0.lock().unwrap().push(format!("{file} from {have} of {}", total.unwrap()));
    }

    fn received(&self, _bytes: u64) {}

    fn failed(&self, _file: &str, _url: &str, reason: &str) {
        self.0.lock().unwrap().push(reason.to_owned());
    }
}

/// A data set of one file that is nowhere but at the mirror.
fn info() -> Info {
    const DOWNLOADS: &[Download] =
        &[Download { file: "file.bin", folders: &["http://127.0.0.1:9/"], md5: FILE_MD5 }];
    let mnist = all().find(|info| info.name == "mnist").unwrap().clone();
    Info { downloads: DOWNLOADS, ..mnist }
}

struct Run {
    result: Result<Vec<(PathBuf, bool)>>,
    requests: Vec<String>,
    log: Vec<String>,
}

/// Fetches into `data` from a server that answers as told.
async fn run(data: &Path, answers: &[Answer]) -> Run {
    let server = Server::new(answers);
    let fetch = Fetch::with(Client::builder().no_proxy(), Some(&server.url)).unwrap();
    let log = Log::default();
    let result = fetch.fetch(&info(), data, &log).await;
    Run { result, requests: server.requests(), log: log.0.into_inner().unwrap() }
}

fn files(data: &Path) -> Vec<String> {
    let entries = fs::read_dir(data.join("mnist")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_file_arrives_and_is_not_fetched_again() {
    let data = tempfile::tempdir().unwrap();
    let first = run(data.path(), &[Answer::Whole]).await;
    let path = data.path().join("mnist/file.bin");
    assert_eq!(first.result.unwrap(), [(path.clone(), true)]);
    assert_eq!(first.requests, ["/mnist/file.bin"]);
    assert_eq!(first.log, ["file.bin from 0 of 40"]);
    assert_eq!(
        (fs::read(&path).unwrap(), files(data.path())),
        (FILE.to_vec(), vec!["file.bin".to_owned()])
    );
    let second = run(data.path(), &[]).await;
    assert_eq!(second.result.unwrap(), [(path.clone(), false)]);

    fs::write(&path, "something else").unwrap();
    let error = run(data.path(), &[]).await.result.unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(
        error.to_string().contains("file.bin` is not the official file: its MD5 is `"),
        "{error}"
    );
    assert_eq!(fs::read(&path).unwrap(), b"something else", "a file of the user's is left alone");
}

#[tokio::test]
async fn a_cut_connection_is_resumed_at_once() {
    let data = tempfile::tempdir().unwrap();
    let run = run(data.path(), &[Answer::CutAfter(11), Answer::CutAfter(9), Answer::Whole]).await;
    assert!(run.result.unwrap()[0].1);
    assert_eq!(run.requests, ["/mnist/file.bin", "/mnist/file.bin 11-", "/mnist/file.bin 20-"]);
    assert_eq!(run.log[2], "file.bin from 20 of 40");
    assert_eq!(files(data.path()), ["file.bin"]);
}

#[tokio::test]
async fn an_interrupted_fetch_is_resumed_by_the_next() {
    let data = tempfile::tempdir().unwrap();
    let first = run(data.path(), &[Answer::CutAfter(25), Answer::CutAfter(0)]).await;
    let error = first.result.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.hint().unwrap().contains("running the same command again resumes"));
    assert_eq!(files(data.path()), ["file.bin.part"]);
    let second = run(data.path(), &[Answer::Whole]).await;
    assert!(second.result.is_ok());
    assert_eq!(second.requests, ["/mnist/file.bin 25-"]);
}

#[tokio::test]
async fn a_server_without_ranges_starts_over() {
    let data = tempfile::tempdir().unwrap();
    let run = run(data.path(), &[Answer::CutAfter(25), Answer::NoRanges]).await;
    assert!(run.result.is_ok());
    assert_eq!(run.log, ["file.bin from 0 of 40", "file.bin from 0 of 40"]);
}

#[tokio::test]
async fn a_partial_file_of_something_else_is_thrown_away() {
    for junk in [&b"junk of an earlier day"[..], &[b'x'; 40], &[b'x'; 90]] {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir(data.path().join("mnist")).unwrap();
        fs::write(data.path().join("mnist/file.bin.part"), junk).unwrap();
        let run = run(data.path(), &[Answer::Whole, Answer::Whole]).await;
        assert!(run.result.is_ok());
        assert_eq!(run.requests.last().unwrap(), "/mnist/file.bin", "the whole file again");
    }
}

#[tokio::test]
async fn a_whole_partial_file_only_wants_its_name() {
    let data = tempfile::tempdir().unwrap();
    fs::create_dir(data.path().join("mnist")).unwrap();
    fs::write(data.path().join("mnist/file.bin.part"), FILE).unwrap();
    let run = run(data.path(), &[Answer::Whole]).await;
    assert!(run.result.is_ok());
    assert_eq!(run.requests, ["/mnist/file.bin 40-"]);
}

#[tokio::test]
async fn a_wrong_file_is_refused_and_the_next_place_is_tried() {
    let data = tempfile::tempdir().unwrap();
    let run = run(data.path(), &[Answer::Other]).await;
    let error = run.result.unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with(
            "cannot fetch `file.bin`: `127.0.0.1`: not the official file: its MD5 is `"
        ),
        "{message}"
    );
    assert!(message.contains(&format!("expected `{FILE_MD5}`; `127.0.0.1`: ")), "{message}");
    assert!(run.log[1].starts_with("not the official file"), "{:?}", run.log);
    assert!(files(data.path()).is_empty(), "it does not stay");
}

#[tokio::test]
async fn without_a_network_the_error_says_what_to_do() {
    let data = tempfile::tempdir().unwrap();
    let run = run(data.path(), &[Answer::NotFound]).await;
    let error = run.result.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    let message = error.to_string();
    assert!(
        message.starts_with(
            "cannot fetch `file.bin`: `127.0.0.1`: answered `404 Not Found`; `127.0.0.1`: "
        ),
        "{message}"
    );
    assert!(!message.contains('\n'));
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("download http://127.0.0.1:9/file.bin elsewhere and put it at `"),
        "{hint}"
    );
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = run(file.path(), &[]).await.result.unwrap_err();
    assert!(error.to_string().starts_with("cannot write `"), "{error}");
    assert!(error.hint().unwrap().contains("--data"));
}
