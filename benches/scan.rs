//! One query over a store, again and again, by the vector scan or by DataFusion alone.

use std::time::Instant;

use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::ListingOptions;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;
use tokio::runtime::Runtime;
use zoolake::sql::Session;
use zoolake::store::{CloudOptions, Location, Store};

/// `--sql zoolake|datafusion STORE TIMES QUERY`: prints the seconds of each run, warm, for
/// `python/bench_scan.py`. The stock reader gets the folders of `weights_cnn_s` and of the
/// narrow tables, and the settings that serve it best.
pub(crate) fn measure(arguments: &[String]) {
    let [engine, store, times, query] = arguments else {
        panic!("--sql zoolake|datafusion STORE TIMES QUERY, not {arguments:?}")
    };
    let times: usize = times.parse().unwrap();
    Runtime::new().unwrap().block_on(async {
        let ours = match engine.as_str() {
            "zoolake" => {
                let store = Location::existing(store, &CloudOptions::default()).unwrap();
                let store = Store::open(store).await.unwrap();
                let snapshot = store.snapshot().await.unwrap();
                Some(Session::new(&store, &snapshot).await.unwrap())
            }
            _ => None,
        };
        let stock = stock(store).await;
        for _ in 0..times {
            let start = Instant::now();
            let mut rows = 0;
            match &ours {
                Some(session) => {
                    let mut batches = session.sql(query).await.unwrap();
                    while let Some(batch) = batches.next().await.unwrap() {
                        rows += batch.num_rows();
                    }
                }
                None => {
                    let frame = stock.sql(query).await.unwrap();
                    let mut batches = frame.execute_stream().await.unwrap();
                    while let Some(batch) = batches.next().await {
                        rows += batch.unwrap().num_rows();
                    }
                }
            }
            println!("{} {rows}", start.elapsed().as_secs_f64());
        }
    });
}

/// DataFusion by itself over the files of a store on disk.
async fn stock(store: &str) -> SessionContext {
    let threads = std::thread::available_parallelism().unwrap().get();
    let mut config = SessionConfig::new().with_target_partitions(threads).with_batch_size(512);
    config.options_mut().execution.parquet.pushdown_filters = true;
    config.options_mut().execution.parquet.reorder_filters = true;
    config.options_mut().execution.parquet.force_filter_selections = true;
    config.options_mut().execution.collect_statistics = false;
    let context = SessionContext::new_with_config(config);
    for table in ["models", "epochs", "weights_cnn_s"] {
        let folder = format!("{store}/data/{table}/");
        let options = ListingOptions::new(std::sync::Arc::new(ParquetFormat::default()));
        if std::path::Path::new(&folder).is_dir() {
            context.register_listing_table(table, &folder, options, None, None).await.unwrap();
        }
    }
    context
}
