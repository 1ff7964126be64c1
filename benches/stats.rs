//! Statistics of vectors in memory: what the functions cost without a file.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, FixedSizeListArray, Float32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Float64Type};
use arrow::ipc::reader::FileReader;
use criterion::{Criterion, Throughput};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use tokio::runtime::{Builder, Runtime};
use zoolake::arch::Arch;
use zoolake::train::{Purpose, Stream};

/// States in a batch, as a scan yields them.
const ROWS: usize = 400;
const BATCHES: usize = 5;

/// One thread, one table `weights` in memory, and all functions on vectors.
struct Memory {
    runtime: Runtime,
    context: SessionContext,
}

impl Memory {
    fn new(batches: Vec<RecordBatch>) -> Self {
        let mut config = SessionConfig::new().with_target_partitions(1);
        // As in a session of a store.
        config.options_mut().optimizer.enable_leaf_expression_pushdown = false;
        let context = SessionContext::new_with_config(config);
        for function in zoolake::sql::functions() {
            context.register_udf(function);
        }
        for function in zoolake::sql::window_functions() {
            context.register_udwf(function);
        }
        let table = MemTable::try_new(batches[0].schema(), vec![batches]).unwrap();
        context.register_table("weights", Arc::new(table)).unwrap();
        Self { runtime: Builder::new_current_thread().build().unwrap(), context }
    }

    fn run(&self, sql: &str) -> Vec<RecordBatch> {
        let answer = async { self.context.sql(sql).await.unwrap().collect().await.unwrap() };
        self.runtime.block_on(answer)
    }
}

/// The tensors of the small CNN, of random normal numbers.
fn batch(stream: &mut Stream) -> RecordBatch {
    let layout = Arch::by_name("cnn_s").unwrap().layout().clone();
    let columns = layout.tensors().iter().map(|tensor| {
        let values: Vec<f32> = (0..ROWS * tensor.size).map(|_| stream.normal()).collect();
        let item = Arc::new(Field::new("item", DataType::Float32, true));
        let length = i32::try_from(tensor.size).unwrap();
        let values = Arc::new(Float32Array::from(values));
        let vectors = FixedSizeListArray::try_new(item, length, values, None).unwrap();
        (tensor.name.clone(), Arc::new(vectors) as ArrayRef)
    });
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Statistics of every tensor of 2,000 states.
pub(crate) fn statistics(criterion: &mut Criterion) {
    let mut stream = Stream::new(1, Purpose::Init);
    let batches: Vec<_> = (0..BATCHES).map(|_| batch(&mut stream)).collect();
    let tensors: Vec<String> =
        batches[0].schema().fields().iter().map(|field| format!("\"{}\"", field.name())).collect();
    let bytes: usize =
        batches[0].columns().iter().map(|column| column.get_array_memory_size()).sum();
    let memory = Memory::new(batches);
    let mut group = criterion.benchmark_group("statistics");
    group.sample_size(20).throughput(Throughput::Bytes((bytes * BATCHES) as u64));
    for (name, call) in [
        ("12 statistics", "vector_statistics(#)"),
        ("mean", "vector_mean(#)"),
        ("median", "vector_quantile(#, 0.5)"),
        ("quartiles", "vector_quantiles(#, [0, 0.25, 0.5, 0.75, 1])"),
    ] {
        let calls: Vec<_> = tensors.iter().map(|tensor| call.replace('#', tensor)).collect();
        let sql = format!("SELECT {} FROM weights", calls.join(", "));
        group.bench_function(name, |bencher| bencher.iter(|| memory.run(&sql)));
    }
    group.finish();
}

/// Prints the seconds of processor time that a query takes over the batches of an
/// Arrow file, on one thread, and the numbers in its answer's only row.
pub(crate) fn measure(arguments: &[String]) {
    let [path, sql] = arguments else { panic!("--statistics FILE SQL") };
    let reader = FileReader::try_new(File::open(path).unwrap(), None).unwrap();
    let memory = Memory::new(reader.map(Result::unwrap).collect());
    memory.run(sql);
    let begun = processor_seconds();
    let answer = memory.run(sql);
    println!("{}", processor_seconds() - begun);
    let number = |column: &ArrayRef| column.as_primitive::<Float64Type>().value(0).to_string();
    println!("{}", answer[0].columns().iter().map(number).collect::<Vec<_>>().join(","));
}

/// What this thread has had of a processor, as Linux counts it.
fn processor_seconds() -> f64 {
    let counts = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    counts.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}
