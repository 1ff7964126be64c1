//! The SQL scripts of `tests/slt`, over the synthetic store of the fixture.

use std::future::ready;
use std::path::Path;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};
use zoolake::sql::Session;

use crate::fixture::synthetic_store;

struct Database(Session);

#[async_trait::async_trait]
impl AsyncDB for Database {
    type Error = zoolake::Error;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> zoolake::Result<DBOutput<DefaultColumnType>> {
        let rows = self.0.sql(sql).await?;
        let schema = rows.schema();
        let types = schema.fields().iter().map(|field| match field.data_type() {
            DataType::Int64 | DataType::UInt64 => DefaultColumnType::Integer,
            DataType::Float32 | DataType::Float64 => DefaultColumnType::FloatingPoint,
            DataType::Utf8 | DataType::Utf8View => DefaultColumnType::Text,
            _ => DefaultColumnType::Any,
        });
        let types = types.collect();
        let rows = rows.collect().await?.iter().flat_map(texts).collect();
        Ok(DBOutput::Rows { types, rows })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &'static str {
        "zoolake"
    }
}

fn texts(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("NULL");
    let text = |array: &dyn Array, row| {
        ArrayFormatter::try_new(array, &options).unwrap().value(row).to_string()
    };
    (0..batch.num_rows())
        .map(|row| batch.columns().iter().map(|column| text(column, row)).collect())
        .collect()
}

#[tokio::test]
async fn scripts() {
    let store = synthetic_store().await;
    let mut session = Session::new(&store, &store.snapshot().await.unwrap()).await.unwrap();
    zoolake::features::register(&mut session);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let mut runner = Runner::new(|| ready(Ok(Database(session.clone()))));
        runner.with_column_validator(sqllogictest::strict_column_validator);
        if let Err(error) = runner.run_file_async(&file).await {
            panic!("{}", error.display(false));
        }
    }
}
