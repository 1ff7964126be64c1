//! The session: the one place where tables, functions and settings meet.

use std::any::Any;
use std::collections::{BTreeSet, HashMap};
use std::num::NonZero;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{LogicalPlan, ScalarUDF};
use datafusion::physical_plan::execute_stream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};

use super::table_function::{self, Failure, TableFunction};
use super::{diagnostic, functions, paths, shared_statistics, views, wide_rows};
use crate::error::{Error, Kind, Result, panicked};
use crate::store::{DataFile, Finding, Snapshot, Store, Table, VERIFY};
use crate::{memory, scan};

/// Memory that a partition needs to sort: what waits, what is sorted of it, and DataFusion's
/// reserve for merging.
const PARTITION_BYTES: usize = 64 << 20;

/// The side of a join that is held whole: `models` of the published zoos are 12 MB.
const COLLECTED_BYTES: usize = 64 << 20;

/// Answers SQL over one snapshot of a store. Later commits do not change its
/// answers.
#[derive(Clone)]
pub struct Session {
    context: SessionContext,
    store: Store,
    snapshot: Arc<Snapshot>,
    /// Those of a row, as table `functions` lists them.
    functions: Vec<ScalarUDF>,
    table_functions: Vec<Arc<dyn TableFunction>>,
}

/// Rows, batch by batch: those a query yields, or those of a batch at hand.
pub struct Rows {
    stream: SendableRecordBatchStream,
    /// Who explains failures of the query, and the tables that it reads.
    asked: Option<(Session, BTreeSet<Table>)>,
}

impl Session {
    /// A session over `snapshot` of `store`, whose queries may take half of the memory that
    /// is free now.
    pub async fn new(store: &Store, snapshot: &Snapshot) -> Result<Self> {
        let half = memory::free().and_then(|free| usize::try_from(free / 2).ok());
        Self::with_memory(store, snapshot, half.unwrap_or(usize::MAX)).await
    }

    /// A session whose queries sort, group and join in so many `bytes`: what is sorted or
    /// grouped goes to temporary files beyond them, what cannot is refused. Scans, which
    /// take some 100 MB for each core, and rows that the caller holds are not counted.
    pub async fn with_memory(store: &Store, snapshot: &Snapshot, bytes: usize) -> Result<Self> {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(bytes)))
            // The disk has a limit of its own.
            .with_max_temp_directory_size(u64::MAX)
            .build_arc()
            .map_err(|error| Error::internal("the query engine").with_source(error))?;
        let state = SessionStateBuilder::new_with_default_features()
            .with_config(config(bytes))
            .with_runtime_env(runtime)
            .with_optimizer_rules(shared_statistics::rules())
            .with_physical_optimizer_rules(paths::rules())
            .with_physical_optimizer_rule(Arc::new(wide_rows::BatchesByBytes))
            .build();
        let context = SessionContext::new_with_state(state);
        let url = scan::store_url()?;
        context.register_object_store(url.as_ref(), Arc::clone(store.objects()));
        for function in functions::windows() {
            context.register_udwf(function);
        }
        let mut session = Self {
            context,
            store: store.clone(),
            snapshot: Arc::new(snapshot.clone()),
            functions: Vec::new(),
            table_functions: Vec::new(),
        };
        session.register_functions(functions::all())?;
        for (name, table) in scan::tables(snapshot)? {
            let registered = session.context.register_table(&name, table);
            registered
                .map_err(|error| Error::internal(format!("table `{name}`")).with_source(error))?;
        }
        views::register(&session.context, snapshot).await?;
        Ok(session)
    }

    /// Lets queries call a table function.
    pub fn register(&mut self, function: Arc<dyn TableFunction>) {
        self.table_functions.push(function);
    }

    /// Lets queries call functions of a row, and lists them in table `functions`.
    ///
    /// # Errors
    /// `Internal` if the table cannot be made.
    pub fn register_functions(&mut self, more: impl IntoIterator<Item = ScalarUDF>) -> Result<()> {
        for function in more {
            self.context.register_udf(function.clone());
            self.functions.push(function);
        }
        let table = functions::table(&self.functions)?;
        // The one with fewer functions stands in its way.
        let registered = (self.context.deregister_table("functions"))
            .and_then(|_| self.context.register_batch("functions", table));
        registered
            .map(drop)
            .map_err(|error| Error::internal("table `functions`").with_source(error))
    }

    /// Answers one SQL query.
    ///
    /// # Errors
    /// `Invalid` with the position and a suggestion if the query is wrong.
    pub async fn sql(&self, sql: &str) -> Result<Rows> {
        self.sql_with(sql, Vec::new()).await
    }

    /// Answers a query with values for its `$name` parameters.
    pub async fn sql_with(&self, sql: &str, values: Vec<(String, ScalarValue)>) -> Result<Rows> {
        // As long as nothing is planned, the table functions may be what failed.
        let mut tables = None;
        let run = async {
            let (mut state, mut plan) = self.plan(sql).await?;
            if !values.is_empty() {
                plan = plan.with_param_values(values.into_iter().collect::<HashMap<_, _>>())?;
            }
            let plan = state.optimize(&plan)?;
            tables = Some(scanned(&plan)?);
            wide_rows::deal_out_no_large_rows(&mut state, &plan)?;
            let plan = state.query_planner().create_physical_plan(&plan, &state).await?;
            Ok(execute_stream(plan, state.task_ctx())?)
        };
        match AssertUnwindSafe(run).catch_unwind().await {
            Ok(Ok(stream)) => {
                Ok(Rows { stream, asked: tables.map(|tables| (self.clone(), tables)) })
            }
            Ok(Err(Failure::Ours(error))) => Err(error),
            Ok(Err(Failure::Engine(error))) => Err(self.explain(error, tables.as_ref()).await),
            Err(panic) => Err(self.explain_panic(panic, tables.as_ref()).await),
        }
    }

    /// A query with its table functions written out; nothing but a query. And the state
    /// that planned it: a copy takes as long as reading a state's weights.
    ///
    /// Boxed here: an `async fn` is compiled by every crate that awaits it, and with this
    /// one goes DataFusion's planner, a third of the machine code of this crate.
    fn plan<'a>(
        &'a self,
        sql: &'a str,
    ) -> BoxFuture<'a, Result<(SessionState, LogicalPlan), Failure>> {
        Box::pin(async move {
            let state = self.context.state();
            let dialect = state.config_options().sql_parser.dialect;
            let mut statement = state.sql_to_statement(sql, &dialect)?;
            table_function::expand(&mut statement, self, &state, &self.table_functions).await?;
            let plan = state.statement_to_plan(statement).await?;
            let read_only = SQLOptions::new()
                .with_allow_ddl(false)
                .with_allow_dml(false)
                .with_allow_statements(false);
            read_only.verify_plan(&plan)?;
            Ok((state, plan))
        })
    }

    /// The files of these tables, or of all.
    fn files_of(&self, tables: Option<&BTreeSet<Table>>) -> Vec<Arc<DataFile>> {
        match tables {
            Some(tables) => tables.iter().flat_map(|table| self.snapshot.files_of(table)).collect(),
            None => self.snapshot.files().map(Arc::clone).collect(),
        }
    }

    /// The snapshot that is asked.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The names of all tables and views.
    pub fn tables(&self) -> Vec<String> {
        let schema =
            self.context.catalog("datafusion").and_then(|catalog| catalog.schema("public"));
        let mut names = schema.map(|schema| schema.table_names()).unwrap_or_default();
        names.sort_unstable();
        names
    }

    /// The columns of a table or view.
    pub async fn schema(&self, table: &str) -> Result<SchemaRef> {
        let provider = self.context.table_provider(table).await.map_err(|_| {
            let tables = self.tables();
            let names: Vec<&str> = tables.iter().map(String::as_str).collect();
            Error::not_allowed("table", table, &names)
        })?;
        Ok(provider.schema())
    }

    /// What a failure of DataFusion means. If stored bytes may be the reason,
    /// looks which file of `tables`, or of all, is damaged, those first that the failure names:
    /// that takes time, and there is nothing better to do with it.
    async fn explain(&self, error: DataFusionError, tables: Option<&BTreeSet<Table>>) -> Error {
        let calls = self.table_functions.iter().map(|function| format!("{}()", function.name()));
        let known: Vec<String> = self.tables().into_iter().chain(calls).collect();
        let text = error.to_string();
        let is_named = |file: &Arc<DataFile>| text.contains(&file.path);
        let (named, others) = self.files_of(tables).into_iter().partition(is_named);
        self.name_damage(diagnostic::explain(error, &known), &[named, others]).await
    }

    /// Damaged bytes make some readers panic, and so do bugs.
    async fn explain_panic(
        &self,
        panic: Box<dyn Any + Send>,
        tables: Option<&BTreeSet<Table>>,
    ) -> Error {
        let bug = panicked("the query", panic.as_ref());
        let damaged = Error::corrupt("the store cannot be read");
        let damaged = self.name_damage(damaged, &[self.files_of(tables)]).await;
        if damaged.hint().is_some() { damaged } else { bug }
    }

    /// Names what is damaged, of `files` in turn.
    async fn name_damage(&self, explained: Error, files: &[Vec<Arc<DataFile>>]) -> Error {
        if explained.kind() != Kind::Corrupt {
            return explained;
        }
        for files in files {
            match self.store.first_damaged(&self.snapshot, files).await {
                Ok(Some(Finding { place, problem })) => {
                    return Error::corrupt(format!("`{place}` {problem}"))
                        .with_hint(format!("other tables still work; {VERIFY}"))
                        .with_source(explained);
                }
                Ok(None) => {}
                // Nothing is: a vacuum was faster than the query.
                Err(error) => return error.with_source(explained),
            }
        }
        explained
    }
}

impl Rows {
    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }

    /// The next batch, or `None` after the last.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        match AssertUnwindSafe(self.stream.next()).catch_unwind().await {
            Ok(None) => Ok(None),
            Ok(Some(Ok(batch))) => Ok(Some(batch)),
            Ok(Some(Err(error))) => Err(match &self.asked {
                Some((session, tables)) => session.explain(error, Some(tables)).await,
                None => diagnostic::explain(error, &[]),
            }),
            Err(panic) => Err(match &self.asked {
                Some((session, tables)) => session.explain_panic(panic, Some(tables)).await,
                None => panicked("reading rows", panic.as_ref()),
            }),
        }
    }

    /// All batches.
    pub async fn collect(mut self) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await? {
            batches.push(batch);
        }
        Ok(batches)
    }
}

impl From<RecordBatch> for Rows {
    fn from(batch: RecordBatch) -> Self {
        let schema = batch.schema();
        let stream = futures::stream::iter([Ok(batch)]);
        Self { stream: Box::pin(RecordBatchStreamAdapter::new(schema, stream)), asked: None }
    }
}

/// The stored tables that a plan scans.
fn scanned(plan: &LogicalPlan) -> datafusion::error::Result<BTreeSet<Table>> {
    let mut tables = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            tables.insert(scan::stored(scan.table_name.table()));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(tables)
}

/// The settings of a session whose queries have so many `bytes` of memory.
pub(super) fn config(bytes: usize) -> SessionConfig {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let partitions = (bytes / PARTITION_BYTES).clamp(1, cores);
    let mut config =
        SessionConfig::new().with_information_schema(true).with_target_partitions(partitions);
    let options = config.options_mut();
    // Positions in error messages.
    options.sql_parser.collect_spans = true;
    // Statistics come from the log. Collecting them from files would reserve
    // memory by the width of a value, which for weights is megabytes.
    options.execution.collect_statistics = false;
    // A join holds its smaller side whole, up to so many bytes, rather than deal out the rows of
    // both, which copies weights.
    options.optimizer.hash_join_single_partition_threshold = COLLECTED_BYTES;
    // Pushed down, each field of what `vector_statistics` yields would compute all of them.
    options.optimizer.enable_leaf_expression_pushdown = false;
    // Text stays Utf8 on its way to files that other tools read.
    options.execution.parquet.schema_force_view_types = false;
    config
}
