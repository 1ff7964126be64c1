//! The read path: the tables of a snapshot as DataFusion sees them.
//!
//! Owns the table providers over the files of a snapshot, the reader of vectors
//! (`vectors`), and the system tables.
//! Knows nothing of SQL functions or of how a session is configured.

mod system;
mod table;
mod vectors;

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::execution::object_store::ObjectStoreUrl;

use crate::arch::Arch;
use crate::error::{Error, Result};
use crate::store::{EPOCHS, MODELS, PREDICTIONS, RESULTS, Snapshot, TENSORS, Table};
use vectors::{Columns, Footer};

pub use table::StoreTable;
pub(crate) use vectors::{BATCH_BYTES, VectorScan};

/// The URL under which a session knows the objects of its store.
const STORE_URL: &str = "zoolake://store";

/// The URL under which the objects of the store must be registered with the
/// session that scans its tables.
pub fn store_url() -> Result<ObjectStoreUrl> {
    ObjectStoreUrl::parse(STORE_URL)
        .map_err(|error| Error::internal("store URL").with_source(error))
}

/// The architectures with weights in `snapshot`. Those that only a later zoolake
/// knows are left out: the rest of the store can be read all the same.
pub fn archs(snapshot: &Snapshot) -> Vec<Arch> {
    snapshot.archs().iter().filter_map(|name| Arch::by_name(name).ok()).collect()
}

/// The stored table that is read as table `name`.
pub(crate) fn stored(name: &str) -> Table {
    match name.strip_prefix("vectors_") {
        Some(arch) => Table::Weights(arch.to_owned()),
        None => Table::from(name.to_owned()),
    }
}

/// Every table of `snapshot`, stored and system, with its name.
pub fn tables(snapshot: &Snapshot) -> Result<Vec<(String, Arc<dyn TableProvider>)>> {
    let table = |table: Table, schema| -> Result<(String, Arc<dyn TableProvider>)> {
        let provider = StoreTable::new(schema, &snapshot.files_of(&table))?;
        Ok((table.to_string(), Arc::new(provider)))
    };
    let mut tables = vec![
        table(Table::Models, MODELS.arrow())?,
        table(Table::Epochs, EPOCHS.arrow())?,
        table(Table::Tensors, TENSORS.arrow())?,
        table(Table::Results, RESULTS.arrow())?,
        table(Table::Predictions, PREDICTIONS.arrow())?,
        ("snapshots".to_owned(), system::snapshots(snapshot)?),
        ("files".to_owned(), system::files(snapshot)?),
    ];
    for arch in archs(snapshot) {
        let files = snapshot.files_of(&Table::Weights(arch.name().to_owned()));
        let footers: Vec<Footer> = files.iter().map(|_| Footer::default()).collect();
        for (shape, columns) in [
            ("weights", Columns::of_weights(arch.layout())),
            ("vectors", Columns::of_vectors(arch.layout())),
        ] {
            let table = StoreTable::of_vectors(columns, &files, &footers)?;
            tables.push((format!("{shape}_{}", arch.name()), Arc::new(table)));
        }
    }
    Ok(tables)
}
