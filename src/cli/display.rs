//! Rows for people: tables, numbers to six digits, abbreviated vectors.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::{Cell, CellAlignment, Table, TableComponent, presets};

use crate::error::{Error, Result};

/// Elements of a vector that are shown: as many from its beginning.
const SHOWN_ELEMENTS: usize = 3;

/// Significant digits of a float.
const DIGITS: i32 = 6;

/// Rows as short text, which is all that is kept of them until they are shown.
#[derive(Default)]
pub(super) struct Cells(Vec<Vec<String>>);

impl Cells {
    /// Adds the rows of a batch.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns: std::result::Result<Vec<_>, ArrowError> =
            batch.columns().iter().map(short_text).collect();
        let columns = columns
            .map_err(|error| Error::internal("cannot show the result").with_source(error))?;
        let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
        let row = |_| columns.iter_mut().flat_map(Iterator::next).collect();
        self.0.extend((0..batch.num_rows()).map(row));
        Ok(())
    }
}

/// A table with ruled columns, numbers to the right.
pub(super) fn table(schema: &SchemaRef, Cells(rows): &Cells) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    // A rule below the header is enough.
    table.remove_style(TableComponent::HorizontalLines);
    table.remove_style(TableComponent::MiddleIntersections);
    table.set_header(schema.fields().iter().map(|field| cell(field.name(), field.data_type())));
    for row in rows {
        let cells = row.iter().zip(schema.fields());
        table.add_row(cells.map(|(text, field)| cell(text, field.data_type())));
    }
    let count = if rows.len() == 1 { "1 row".to_owned() } else { format!("{} rows", rows.len()) };
    format!("{table}\n{count}\n")
}

/// A Markdown table.
pub(super) fn markdown(schema: &SchemaRef, Cells(rows): &Cells) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let escape = |text: &String| text.replace('|', "\\|").replace('\n', " ");
    let rule = |data_type: &DataType| if is_number(data_type) { "---:" } else { "---" }.to_owned();
    let fields = schema.fields();
    let mut text = line(fields.iter().map(|field| escape(field.name())).collect());
    text += &line(fields.iter().map(|field| rule(field.data_type())).collect());
    for row in rows {
        text += &line(row.iter().map(escape).collect());
    }
    text
}

/// Every value of an array as text, nothing left out.
pub(super) fn full_text(array: &ArrayRef) -> std::result::Result<ArrayRef, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options)?;
    let text = |row| (!array.is_null(row)).then(|| formatter.value(row).to_string());
    Ok(Arc::new((0..array.len()).map(text).collect::<StringArray>()))
}

/// `1234567` as `1,234,567`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 file`, `1,234 files`.
pub(super) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(number as u64))
}

/// `1536` as `1.5 kB`.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

fn cell(text: &str, data_type: &DataType) -> Cell {
    let right = is_number(data_type);
    Cell::new(text).set_alignment(if right { CellAlignment::Right } else { CellAlignment::Left })
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

/// Every value of an array as short text; NULL is `NULL`.
fn short_text(array: &ArrayRef) -> std::result::Result<Vec<String>, ArrowError> {
    let valid = |row: usize, text: &dyn Fn() -> String| {
        if array.is_null(row) { "NULL".to_owned() } else { text() }
    };
    if array.data_type().is_floating() {
        let floats = cast(array, &DataType::Float64)?;
        let floats = floats.as_primitive::<Float64Type>();
        return Ok((0..array.len()).map(|row| valid(row, &|| float(floats.value(row)))).collect());
    }
    let element = |row: usize| -> Option<ArrayRef> {
        if let Some(list) = array.as_list_opt::<i32>() {
            return (!list.is_null(row)).then(|| list.value(row));
        }
        let list = array.as_fixed_size_list_opt()?;
        (!list.is_null(row)).then(|| list.value(row))
    };
    if let DataType::List(_) | DataType::FixedSizeList(..) = array.data_type() {
        let list = |row| element(row).map_or_else(|| Ok("NULL".to_owned()), |list| vector(&list));
        return (0..array.len()).map(list).collect();
    }
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options)?;
    Ok((0..array.len()).map(|row| valid(row, &|| formatter.value(row).to_string())).collect())
}

/// `[0.1, 0.2, 0.3, … 2464 values]`.
fn vector(list: &ArrayRef) -> std::result::Result<String, ArrowError> {
    let shown =
        list.len().min(if list.len() > 2 * SHOWN_ELEMENTS { SHOWN_ELEMENTS } else { usize::MAX });
    let head = short_text(&list.slice(0, shown))?.join(", ");
    Ok(if shown == list.len() {
        format!("[{head}]")
    } else {
        format!("[{head}, … {} values]", list.len())
    })
}

/// A float to six significant digits, without trailing zeros.
fn float(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let rounded: f64 = format!("{value:.*e}", (DIGITS - 1) as usize).parse().unwrap_or(value);
    if (1e-5..1e15).contains(&rounded.abs()) { rounded.to_string() } else { format!("{rounded:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let shown = [0.9234567, 1e-3, 1e-7, 12_345_678.9, -0.5, f64::NAN, 0.0, 1e20].map(float);
        assert_eq!(shown, ["0.923457", "0.001", "1e-7", "12345700", "-0.5", "NaN", "0", "1e20"]);
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1, 1234].map(|n| count(n, "file")), ["0 files", "1 file", "1,234 files"]);
        assert_eq!([999, 1536, 999_999].map(bytes), ["999 B", "1.5 kB", "1.0 MB"]);
    }
}
