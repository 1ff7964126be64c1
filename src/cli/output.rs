//! Result formats, and where results go.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::csv;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::{FileWriter, StreamWriter};
use arrow::json::{ArrayWriter, LineDelimitedWriter};
use clap::{Args, ValueEnum};
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::{Compression, Encoding, Type, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::display;
use super::signal;
use super::stdout::Stdout;
use crate::error::{Error, Kind, Result};
use crate::sql::Rows;

/// Row groups of Parquet files: one is held in memory until it is written.
const ROW_GROUP_BYTES: usize = 64 << 20;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people: numbers to six digits, long vectors abbreviated
    Table,
    /// Comma-separated values with a header; vectors as text
    Csv,
    /// One JSON array of objects; NULLs left out
    Json,
    /// One JSON object per line
    Ndjson,
    /// A Markdown table, abbreviated as `table` is
    Markdown,
    /// A Parquet file
    Parquet,
    /// Arrow IPC: a file with `-o`, a stream on standard output
    Arrow,
}

/// Where results go, and how.
#[derive(Debug, Args)]
pub(super) struct Output {
    /// Format; with `-o`, told by the file's extension if not given
    #[arg(long, value_enum)]
    format: Option<Format>,

    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Output {
    /// A table on standard output.
    pub(super) fn table() -> Self {
        Self { format: Some(Format::Table), output: None }
    }

    /// Whether it is a format for people.
    pub(super) fn is_for_people(&self) -> Result<bool> {
        Ok(matches!(self.format()?, Format::Table | Format::Markdown))
    }

    /// Writes all rows.
    pub(super) async fn write(&self, rows: Rows) -> Result<()> {
        let format = self.format()?;
        let Some(path) = &self.output else {
            let stdout = Box::new(BufWriter::with_capacity(1 << 16, Stdout::new()));
            return write_rows(rows, format, stdout, false).await;
        };
        if path.exists() && !path.is_file() {
            // A device or a named pipe: it must not be replaced by a file.
            let file = File::options().write(true).open(path);
            let file = file.map_err(|error| cannot_write(path, error))?;
            return write_rows(rows, format, Box::new(BufWriter::new(file)), false).await;
        }
        // Nobody shall see half a file.
        let partial = partial_path(path);
        let written = match File::create(&partial) {
            Ok(file) => tokio::select! {
                written = write_rows(rows, format, Box::new(BufWriter::new(file)), true) => written,
                () = signal::stopped() => Err(interrupted(path)),
            },
            Err(error) => Err(cannot_write(path, error)),
        };
        let placed = written
            .and_then(|()| fs::rename(&partial, path).map_err(|error| cannot_write(path, error)));
        if placed.is_err() {
            // Best effort: the failure itself is what is reported.
            let _ = fs::remove_file(&partial);
        }
        placed
    }

    fn format(&self) -> Result<Format> {
        let Some(path) = self.output.as_deref().filter(|_| self.format.is_none()) else {
            return Ok(self.format.unwrap_or(Format::Table));
        };
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Ok(Format::Csv),
            Some("json") => Ok(Format::Json),
            Some("ndjson" | "jsonl") => Ok(Format::Ndjson),
            Some("md") => Ok(Format::Markdown),
            Some("parquet") => Ok(Format::Parquet),
            Some("arrow" | "ipc" | "feather") => Ok(Format::Arrow),
            Some("txt") => Ok(Format::Table),
            _ => Err(Error::invalid(format!(
                "cannot tell the format of `{}` from its extension",
                path.display()
            ))
            .with_hint("say it with `--format`")),
        }
    }
}

fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    PathBuf::from(name)
}

fn interrupted(path: &Path) -> Error {
    let message = format!("interrupted: `{}` is as it was before", path.display());
    Error::new(Kind::Interrupted, message)
}

fn cannot_write(path: &Path, error: io::Error) -> Error {
    Error::new(Kind::Unavailable, format!("cannot write `{}`: {error}", path.display()))
        .with_source(error)
}

/// Writes rows as they come; the formats for people need all of them first.
async fn write_rows(
    mut rows: Rows,
    format: Format,
    mut out: Box<dyn Write + Send>,
    seekable: bool,
) -> Result<()> {
    if let Format::Table | Format::Markdown = format {
        let schema = rows.schema();
        let mut cells = display::Cells::default();
        while let Some(batch) = rows.next().await? {
            cells.add(&batch)?;
        }
        let text = match format {
            Format::Markdown => display::markdown(&schema, &cells),
            _ => display::table(&schema, &cells),
        };
        return out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(failed);
    }
    expect_names(&rows.schema())?;
    let mut writer = Writer::new(format, &rows.schema(), out, seekable).map_err(failed)?;
    while let Some(batch) = rows.next().await? {
        writer.write(&batch).map_err(failed)?;
    }
    writer.finish().map_err(failed)
}

/// Fails if two columns have the same name: what reads the result could not tell them apart.
fn expect_names(schema: &SchemaRef) -> Result<()> {
    let mut names = HashSet::new();
    match schema.fields().iter().find(|field| !names.insert(field.name())) {
        None => Ok(()),
        Some(twice) => {
            Err(Error::invalid(format!("several columns are called `{}`", twice.name()))
                .with_hint("choose columns instead of `*`, join by `USING`, or rename with `AS`"))
        }
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(Kind::Unavailable, format!("cannot write the result: {error}")).with_source(error)
}

type Out = Box<dyn Write + Send>;

/// A writer of one of the formats for programs.
enum Writer {
    Csv(csv::Writer<Out>),
    Json(ArrayWriter<Out>),
    Ndjson(LineDelimitedWriter<Out>),
    Parquet(Box<ArrowWriter<Out>>),
    ArrowFile(FileWriter<Out>),
    ArrowStream(StreamWriter<Out>),
}

impl Writer {
    fn new(
        format: Format,
        schema: &SchemaRef,
        out: Out,
        seekable: bool,
    ) -> Result<Self, ArrowError> {
        Ok(match format {
            Format::Json => Self::Json(ArrayWriter::new(out)),
            Format::Ndjson => Self::Ndjson(LineDelimitedWriter::new(out)),
            Format::Parquet => {
                let properties = Some(parquet_properties(schema)?);
                let writer = ArrowWriter::try_new(out, SchemaRef::clone(schema), properties)?;
                Self::Parquet(Box::new(writer))
            }
            Format::Arrow if seekable => Self::ArrowFile(FileWriter::try_new(out, schema)?),
            Format::Arrow => Self::ArrowStream(StreamWriter::try_new(out, schema)?),
            Format::Csv | Format::Table | Format::Markdown => {
                let mut writer = csv::WriterBuilder::new().with_header(true).build(out);
                // The header, even if there are no rows.
                writer.write(&text_lists(&RecordBatch::new_empty(SchemaRef::clone(schema)))?)?;
                Self::Csv(writer)
            }
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        match self {
            Self::Csv(writer) => writer.write(&text_lists(batch)?),
            Self::Json(writer) => writer.write(batch),
            Self::Ndjson(writer) => writer.write(batch),
            Self::Parquet(writer) => Ok(writer.write(batch)?),
            Self::ArrowFile(writer) => writer.write(batch),
            Self::ArrowStream(writer) => writer.write(batch),
        }
    }

    fn finish(self) -> Result<(), ArrowError> {
        let mut out = match self {
            Self::Csv(writer) => writer.into_inner(),
            Self::Json(mut writer) => {
                writer.finish()?;
                let mut out = writer.into_inner();
                out.write_all(b"\n")?;
                out
            }
            Self::Ndjson(mut writer) => {
                writer.finish()?;
                writer.into_inner()
            }
            Self::Parquet(writer) => writer.into_inner()?,
            Self::ArrowFile(writer) => writer.into_inner()?,
            Self::ArrowStream(writer) => writer.into_inner()?,
        };
        out.flush().map_err(|error| ArrowError::IoError(error.to_string(), error))
    }
}

/// Numbers with a fraction hardly recur: a dictionary of them is work for nothing, and
/// their first bytes compress apart from the others.
fn parquet_properties(schema: &SchemaRef) -> Result<WriterProperties, ParquetError> {
    let columns = ArrowSchemaConverter::new().convert(schema)?;
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES));
    for column in columns.columns() {
        if matches!(column.physical_type(), Type::FLOAT | Type::DOUBLE) {
            let path = column.path();
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path.clone(), Encoding::BYTE_STREAM_SPLIT);
        }
    }
    Ok(properties.build())
}

/// CSV has no lists: they become text, `[0.1, 0.2]`.
fn text_lists(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let columns = batch.columns().iter().zip(schema.fields()).map(|(array, field)| {
        let nested = matches!(
            field.data_type(),
            DataType::List(_)
                | DataType::LargeList(_)
                | DataType::FixedSizeList(..)
                | DataType::Struct(_)
        );
        let array = if nested { display::full_text(array)? } else { ArrayRef::clone(array) };
        Ok((field.name().clone(), array))
    });
    RecordBatch::try_from_iter(columns.collect::<Result<Vec<_>, ArrowError>>()?)
}
