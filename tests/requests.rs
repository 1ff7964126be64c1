//! What operations ask of an object store, to the request: a service bills and
//! delays each of them.

use object_store::path::Path;
use zoolake::sql::Session;
use zoolake::store::{RequestCounter, Requests, Store, Table};

use crate::fixture::{damage, new_place, synthetic, synthetics};

/// A store of `commits` commits of one model each.
async fn store_of(commits: u32, counter: &RequestCounter) -> Store {
    let store = Store::open_or_create(new_place().counted(counter)).await.unwrap();
    let mut writer = store.writer().await.unwrap();
    for index in 0..commits {
        writer.commit(&[synthetic(index, 1)], "train").await.unwrap();
    }
    store
}

/// The requests of `work`; bytes differ with the version in what is written.
async fn requests_of(counter: &RequestCounter, work: impl Future<Output = ()>) -> Requests {
    let before = counter.requests();
    work.await;
    let after = counter.requests();
    Requests {
        get: after.get - before.get,
        ranged_get: after.ranged_get - before.ranged_get,
        list: after.list - before.list,
        head: after.head - before.head,
        put: after.put - before.put,
        put_create: after.put_create - before.put_create,
        delete: after.delete - before.delete,
        ..Requests::default()
    }
}

#[tokio::test]
async fn creating_a_store_writes_one_object() {
    let (counter, place) = (RequestCounter::default(), new_place());
    let creating = requests_of(&counter, async {
        Store::open_or_create(place.counted(&counter)).await.unwrap();
    });
    // It looks for a store, then for anything else; and who created it.
    let expected = Requests { get: 2, list: 1, put_create: 1, ..Requests::default() };
    assert_eq!(creating.await, expected);
}

#[tokio::test]
async fn opening_reads_the_format_the_newest_folded_log_and_the_entries_after_it() {
    // Folded every 20 commits: 0, 0, 0 and 3 entries are left to read.
    for (commits, get) in [(0, 1), (1, 1 + 1), (20, 1 + 1), (43, 1 + 1 + 3)] {
        let counter = RequestCounter::default();
        let location = store_of(commits, &counter).await.location().clone();
        let opening = requests_of(&counter, async {
            Store::open(location).await.unwrap().snapshot().await.unwrap();
        });
        assert_eq!(opening.await, Requests { get, list: 1, ..Requests::default() }, "{commits}");
    }
}

#[tokio::test]
async fn a_commit_writes_a_file_per_table_and_one_entry() {
    let counter = RequestCounter::default();
    let store = store_of(0, &counter).await;
    let mut writer = store.writer().await.unwrap();
    // The first one also writes the layout of the architecture, the 20th folds the log.
    for (commit, put, put_create) in (1..=21).map(|commit| match commit {
        1 => (commit, 4, 1),
        20 => (commit, 3, 2),
        _ => (commit, 3, 1),
    }) {
        let models = [synthetic(2 * commit, 1), synthetic(2 * commit + 1, 1)];
        let committing = requests_of(&counter, async {
            writer.commit(&models, "train").await.unwrap();
        });
        let expected = Requests { put, put_create, ..Requests::default() };
        assert_eq!(committing.await, expected, "commit {commit}");
    }
}

#[tokio::test]
async fn a_lost_race_reads_what_others_committed() {
    let counter = RequestCounter::default();
    let store = store_of(1, &counter).await;
    let mut late = store.writer().await.unwrap();
    let mut other = store.writer().await.unwrap();
    other.commit(&synthetics(10..11), "train").await.unwrap();
    let committing = requests_of(&counter, async {
        late.commit(&synthetics(20..21), "train").await.unwrap();
    });
    // Data files once; an entry in vain, which is read back; listing and reading what is new.
    let expected = Requests { put: 3, put_create: 2, get: 2, list: 1, ..Requests::default() };
    assert_eq!(committing.await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tensor_is_read_without_the_rest_of_its_state() {
    let counter = RequestCounter::default();
    let store = store_of(0, &counter).await;
    store.writer().await.unwrap().commit(&synthetics(0..64), "train").await.unwrap();
    let session = Session::new(&store, &store.snapshot().await.unwrap()).await.unwrap();
    let asking = async |sql: &str| {
        requests_of(&counter, async {
            session.sql(sql).await.unwrap().collect().await.unwrap();
        })
        .await
    };
    assert_eq!(asking("SELECT count(*) FROM weights_cnn_s").await, Requests::default());
    let before = counter.requests().bytes_read;
    let tensor = asking("SELECT \"fc2.bias\" FROM weights_cnn_s").await;
    // The end of the file, with the footer and the last column.
    assert_eq!(tensor, Requests { ranged_get: 1, ..Requests::default() });
    let bytes = counter.requests().bytes_read - before;
    assert_eq!(bytes, 128 << 10);
    // A column before that: the keys, and the page of the epoch. The footer is known now.
    let before = counter.requests().bytes_read;
    let page = asking("SELECT \"conv1.weight\" FROM weights_cnn_s WHERE epoch = 1").await;
    assert_eq!(page, Requests { ranged_get: 2, ..Requests::default() });
    let bytes = counter.requests().bytes_read - before;
    assert!(bytes < 64 * 2464 * 4 / 10, "{bytes}");
}

#[tokio::test]
async fn a_compaction_reads_small_files_once() {
    let counter = RequestCounter::default();
    let store = store_of(4, &counter).await;
    let compacting = requests_of(&counter, async {
        store.compact(&|_| {}).await.unwrap();
    });
    // Entries, and files of three tables; whether others have committed since.
    let get = 4 + 3 * 4;
    let expected = Requests { get, list: 2, put: 3, put_create: 1, ..Requests::default() };
    assert_eq!(compacting.await, expected);
}

#[tokio::test]
async fn a_drop_reads_the_keys_of_models() {
    let counter = RequestCounter::default();
    let store = store_of(4, &counter).await;
    let dropping = requests_of(&counter, async {
        store.drop_zoo("synthetic").await.unwrap();
    });
    // Entries; footer and columns of each file of models, and of the layout.
    let expected =
        Requests { get: 4, ranged_get: 2 * (4 + 1), list: 1, put_create: 1, ..Requests::default() };
    assert_eq!(dropping.await, expected);
}

#[tokio::test]
async fn a_copy_sends_every_file_once() {
    let counter = RequestCounter::default();
    let (store, target) = (store_of(4, &counter).await, store_of(0, &counter).await);
    let snapshot = store.snapshot().await.unwrap();
    let copy = async || {
        store.copy_to(&target, &snapshot, &|_| {}).await.unwrap();
    };
    // Three files of each commit and the layout, which is looked into.
    let files = 3 * 4 + 1;
    let (get, head, put) = (files, files, files);
    let sent =
        Requests { get, head, put, ranged_get: 2, list: 1, put_create: 1, ..Requests::default() };
    assert_eq!(requests_of(&counter, copy()).await, sent);
    // The entry of the copy; whether others have committed since.
    let again = Requests { get: 1, list: 2, ..Requests::default() };
    assert_eq!(requests_of(&counter, copy()).await, again);
}

#[tokio::test]
async fn a_vacuum_lists_once_and_reads_entries_that_removed_files() {
    use std::time::Duration;

    let counter = RequestCounter::default();
    let store = store_of(43, &counter).await;
    store.compact(&|_| {}).await.unwrap();
    let vacuum = async || {
        let garbage = store.garbage(Duration::ZERO).await.unwrap();
        store.vacuum(&garbage).await.unwrap();
    };
    // As to open: the newest folded log, and four entries. The one that removed files, and a
    // folded log with it. Data and log are listed. What goes are 43 files of three tables, and
    // that folded log, once there is a mark.
    let opened = Requests { get: 1 + 4, list: 2, ..Requests::default() };
    let expected =
        Requests { get: opened.get + 1 + 1, put_create: 1, delete: 3 * 43 + 1, ..opened };
    assert_eq!(requests_of(&counter, vacuum()).await, expected);
    let again = Requests { get: opened.get + 1, ..opened };
    assert_eq!(requests_of(&counter, vacuum()).await, again);
}

/// A query that fails says which file it was reading, so that this is the one to be checked.
#[tokio::test]
async fn of_many_files_the_damaged_one_is_checked() {
    let counter = RequestCounter::default();
    let store = store_of(5, &counter).await;
    let snapshot = store.snapshot().await.unwrap();
    let table = Table::Weights("cnn_s".to_owned());
    let path = Path::from(snapshot.files_of(&table)[3].path.as_str());
    damage(&store, &path, |bytes| *bytes.last_mut().unwrap() ^= 1).await;
    let session = Session::new(&store, &snapshot).await.unwrap();
    let failing = requests_of(&counter, async {
        let rows = session.sql("SELECT max(vector_max(weights)) FROM vectors_cnn_s").await;
        let error = rows.unwrap().collect().await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("`{path}` has been altered")), "{error}");
    });
    let Requests { head, get, list, .. } = failing.await;
    // Its size, its bytes; and whether a vacuum was there.
    assert_eq!((head, get, list), (1, 1, 1));
}

#[tokio::test]
async fn verification_reads_every_object_once() {
    let counter = RequestCounter::default();
    let store = store_of(20, &counter).await;
    let verifying = requests_of(&counter, async {
        assert_eq!(store.verify().await.unwrap().findings, []);
    });
    // Entries, the folded log, files of three tables, and the layout; the log and the data listed.
    let expected = Requests { get: 20 + 1 + 3 * 20 + 1, list: 2, ..Requests::default() };
    assert_eq!(verifying.await, expected);
}
