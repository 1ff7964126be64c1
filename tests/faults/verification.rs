//! How a verification asks for what it reads: much at a time, and in an order that is always
//! the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use object_store::path::Path;
use zoolake::store::{Simulation, Store};

use super::operation::{Operation, after};
use super::service::{Fate, Kind, Passage, Service};

/// The most requests for objects of `log` and of `data` that were under way at once.
fn most_at_once(service: &Service) -> BTreeMap<String, usize> {
    let most = Arc::new(Mutex::new(BTreeMap::new()));
    let (trace, kept) = (Arc::clone(&service.trace), Arc::clone(&most));
    let mut begun = 0;
    let network = move |kind: Kind, path: &Path| {
        begun += 1;
        if kind == Kind::Get {
            let under_way = begun - trace.lock().unwrap().len();
            let folder = path.as_ref().split('/').next().unwrap_or_default().to_owned();
            let mut most = kept.lock().unwrap();
            let most: &mut usize = most.entry(folder).or_default();
            *most = under_way.max(*most);
        }
        Passage { there: 7, fate: Fate::Answered, back: 7, shift: None }
    };
    let location = service.client("far", Box::new(network));
    let _simulation = Simulation::begin(1);
    let report = futures::executor::block_on(async {
        Store::open(location).await.unwrap().verify().await.unwrap()
    });
    assert_eq!((report.findings, report.models), (vec![], 24));
    most.lock().unwrap().clone()
}

#[test]
fn several_objects_are_under_way_at_once() {
    let service = Service::new(after((0..24).map(|model| Operation::Commit(model..model + 1))));
    let expected = [("data", 4), ("log", 16), ("zoolake.json", 1)];
    let expected = expected.map(|(folder, most)| (folder.to_owned(), most));
    assert_eq!(most_at_once(&service), expected.into());
}
