//! SQL over a snapshot of a store.
//!
//! Owns the session (one for command line, tests and library), its views, the
//! SQL functions, named queries and the wording of SQL errors. The tables come
//! from `scan`; printing rows is `cli`'s.

mod diagnostic;
mod functions;
mod named;
mod paths;
mod session;
mod shared_statistics;
mod table_function;
mod views;
mod wide_rows;

pub(crate) use functions::{Function, arrays, list_of, udf};
pub use functions::{all as functions, windows as window_functions};
pub use named::{NamedQuery, Parameter, ParameterType, named_queries};
pub use session::{Rows, Session};
pub use table_function::{Argument, TableFunction};
