//! An object store in memory, and clients of it whose requests take time and fail.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};
use zoolake::store::{Location, Simulation};

use super::at_work::Shift;
use super::judge::Judge;
use super::schedule::{Spawner, turns};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Get,
    /// A get without the bytes.
    Head,
    /// One page of a listing.
    List,
    Put,
    PutCreate,
    Delete,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It takes effect and says so.
    Answered,
    /// It has no effect, and fails.
    Refused,
    /// It takes effect, and fails: its acknowledgement is lost.
    Unanswered,
    /// It fails, and takes effect so many turns later.
    Late(u32),
    /// It has no effect, and says that there is a conflict: the 409 of S3.
    Conflicting,
    /// Half of its bytes come, then it fails.
    Truncated,
}

impl Fate {
    /// Whether a request of this kind can end so, in a way that no other fate is.
    pub(super) fn befalls(self, kind: Kind) -> bool {
        match self {
            Self::Answered | Self::Refused => true,
            Self::Unanswered | Self::Late(_) => {
                !matches!(kind, Kind::Get | Kind::Head | Kind::List)
            }
            Self::Conflicting => kind == Kind::PutCreate,
            Self::Truncated => kind == Kind::Get,
        }
    }
}

/// How a request fares: turns on its way there, what becomes of it, and turns on
/// the way back; and who is at work until it took effect.
pub(super) struct Passage {
    pub(super) there: u32,
    pub(super) fate: Fate,
    pub(super) back: u32,
    pub(super) shift: Option<Shift>,
}

/// Decides on the passage of a client's requests, one after another.
pub(super) type Network = Box<dyn FnMut(Kind, &Path) -> Passage + Send>;

/// Names in one page of a listing: few, so that much happens between two pages.
const PAGE: usize = 5;

/// The store that all clients share.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) objects: Arc<InMemory>,
    /// When an object was written; long ago, if it was there from the beginning.
    pub(super) times: Arc<Mutex<HashMap<Path, DateTime<Utc>>>>,
    pub(super) judge: Arc<Mutex<Judge>>,
    pub(super) spawner: Spawner,
    /// Whether creating an object replaces one, as where conditional writes are ignored.
    pub(super) replaces: bool,
    /// Every request with its end, in the order in which they ended.
    pub(super) trace: Arc<Mutex<Vec<String>>>,
}

impl Service {
    /// A service that has `objects`, which are sound, or none.
    pub(super) fn new(objects: InMemory) -> Self {
        let judge = Arc::new(Mutex::new(Judge::new(&objects)));
        let (spawner, trace) = (Spawner::default(), Arc::default());
        let times = Arc::default();
        Self { objects: Arc::new(objects), times, judge, spawner, replaces: false, trace }
    }

    /// Another one, without objects, whose clients take turns with those of this one.
    pub(super) fn beside(&self) -> Self {
        let (spawner, trace) = (self.spawner.clone(), Arc::clone(&self.trace));
        Self { spawner, trace, ..Self::new(InMemory::new()) }
    }

    /// The service as one client reaches it.
    pub(super) fn client(&self, name: impl Into<String>, network: Network) -> Location {
        let name = name.into();
        let network = Arc::new(Mutex::new(network));
        let client = Client { name: name.clone(), service: self.clone(), network };
        Location::from_objects(name, Arc::new(client))
    }

    /// The service without any network.
    pub(super) fn direct(&self) -> Location {
        let answered =
            |_: Kind, _: &Path| Passage { there: 0, fate: Fate::Answered, back: 0, shift: None };
        self.client("direct", Box::new(answered))
    }

    /// What is known of an object, with the time of the simulation.
    fn dated(&self, object: ObjectMeta) -> ObjectMeta {
        let last_modified = self.times.lock().unwrap().get(&object.location).copied();
        ObjectMeta { last_modified: last_modified.unwrap_or_default(), ..object }
    }

    fn note(&self, client: &str, kind: Kind, path: &Path, end: &str) {
        self.trace.lock().unwrap().push(format!("{client}: {kind:?} {path}: {end}"));
    }
}

/// One client. Its clones share its network.
#[derive(Clone)]
struct Client {
    name: String,
    service: Service,
    network: Arc<Mutex<Network>>,
}

impl Client {
    /// Sends a request, whose effect is what `effect` does to the objects. What
    /// comes back may be truncated.
    async fn request<T: Send + 'static>(
        &self,
        kind: Kind,
        path: &Path,
        effect: impl Effect<T>,
    ) -> Result<(T, Fate)> {
        let Passage { there, fate, back, shift } = (self.network.lock().unwrap())(kind, path);
        turns(there).await;
        let ended = match fate {
            Fate::Answered => self.effect(kind, path, effect),
            // Of an answer that tells of a failure, too.
            Fate::Truncated => self.effect(kind, path, effect).map_err(|_| failure("truncated")),
            Fate::Refused => Err(failure("refused")),
            Fate::Unanswered => {
                drop(self.effect(kind, path, effect));
                Err(failure("unanswered"))
            }
            Fate::Late(later) => {
                let (client, path) = (self.clone(), path.clone());
                self.service.spawner.spawn(async move {
                    turns(later).await;
                    let came = client.effect(kind, &path, effect).map_or("refused", |_| "came");
                    client.service.note(&client.name, kind, &path, came);
                    drop(shift);
                });
                Err(failure("late"))
            }
            Fate::Conflicting => {
                Err(Error::AlreadyExists { path: path.to_string(), source: "conflict".into() })
            }
        };
        turns(back).await;
        let end = ended.as_ref().map_or_else(ToString::to_string, |_| format!("{fate:?}"));
        self.service.note(&self.name, kind, path, &end);
        ended.map(|answer| (answer, fate))
    }

    /// Lets a request take effect, under the eyes of the judge.
    fn effect<T>(&self, kind: Kind, path: &Path, effect: impl Effect<T>) -> Result<T> {
        let mut judge = self.service.judge.lock().unwrap();
        let before = judge.before(kind, path, &self.service.objects);
        let done = effect(&self.service.objects);
        if done.is_ok() {
            judge.after(kind, path, before, &self.service.objects);
        }
        done
    }
}

/// An effect on the objects: in memory it takes no time.
trait Effect<T>: FnOnce(&InMemory) -> Result<T> + Send + 'static {}

impl<T, F: FnOnce(&InMemory) -> Result<T> + Send + 'static> Effect<T> for F {}

/// The result of what takes no time in memory.
pub(super) fn at_once<T>(future: impl Future<Output = T>) -> T {
    futures::FutureExt::now_or_never(future).unwrap()
}

fn failure(what: &'static str) -> Error {
    let source = std::io::Error::new(std::io::ErrorKind::StorageFull, what).into();
    Error::Generic { store: "Service", source }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[async_trait]
impl ObjectStore for Client {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        mut options: PutOptions,
    ) -> Result<PutResult> {
        let kind = match options.mode {
            PutMode::Create => Kind::PutCreate,
            _ => Kind::Put,
        };
        if self.service.replaces {
            options.mode = PutMode::Overwrite;
        }
        let (to, times) = (path.clone(), Arc::clone(&self.service.times));
        let put = move |objects: &InMemory| {
            let put = at_once(objects.put_opts(&to, payload, options))?;
            times.lock().unwrap().insert(to, Simulation::now());
            Ok(put)
        };
        self.request(kind, path, put).await.map(|(put, _)| put)
    }

    /// No object of a store is written in parts.
    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(failure("in parts"))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let from = path.clone();
        let kind = if options.head { Kind::Head } else { Kind::Get };
        let get = move |objects: &InMemory| at_once(objects.get_opts(&from, options));
        let (mut result, fate) = self.request(kind, path, get).await?;
        result.meta = self.service.dated(result.meta);
        if fate != Fate::Truncated {
            return Ok(result);
        }
        let (meta, range) = (result.meta.clone(), result.range.clone());
        let attributes = result.attributes.clone();
        let whole = at_once(result.bytes())?;
        let half = [Ok(whole.slice(..whole.len() / 2)), Err(failure("truncated"))];
        let payload = GetResultPayload::Stream(stream::iter(half).boxed());
        Ok(GetResult { payload, meta, range, attributes })
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let client = self.clone();
        let deleted = paths.and_then(move |path| {
            let (client, gone) = (client.clone(), path.clone());
            async move {
                let delete = move |objects: &InMemory| {
                    let one = stream::iter([Ok(gone)]).boxed();
                    at_once(objects.delete_stream(one).try_for_each(async |_| Ok(())))
                };
                client.request(Kind::Delete, &path, delete).await.map(|_| path)
            }
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (client, prefix) = (self.clone(), prefix.cloned().unwrap_or_default());
        let pages = stream::try_unfold(Some(Path::default()), move |after| {
            let (client, prefix) = (client.clone(), prefix.clone());
            async move {
                let Some(after) = after else { return Ok(None) };
                let below = prefix.clone();
                let list = move |objects: &InMemory| {
                    let names = objects.list_with_offset(Some(&below), &after);
                    at_once(names.take(PAGE).try_collect::<Vec<_>>())
                };
                let (page, _): (Vec<ObjectMeta>, _) =
                    client.request(Kind::List, &prefix, list).await?;
                let more = (page.len() == PAGE).then(|| page[PAGE - 1].location.clone());
                let dated = page.into_iter().map(|object| Ok(client.service.dated(object)));
                Ok::<_, Error>(Some((stream::iter(dated.collect::<Vec<_>>()), more)))
            }
        });
        pages.try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(failure("by folders"))
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(failure("copied"))
    }
}
