//! `zoolake query`: the named queries.

use clap::Args;
use clap::error::ErrorKind;

use super::env_vars;
use super::output::Output;
use super::place::{Cloud, Place, PlaceAndTime};
use super::stdout::print;
use crate::error::Result;
use crate::sql::{NamedQuery, Parameter, ParameterType, named_queries};

/// Run a named query; without a name, list them
#[derive(Debug, Args)]
pub(super) struct Query {
    /// The query
    name: Option<String>,

    /// A parameter of the query, as `name=value`; may be given several times
    #[arg(short, long = "param", value_name = "NAME=VALUE", value_parser = name_and_value)]
    params: Vec<(String, String)>,

    /// Print the SQL text instead of running it
    #[arg(long)]
    show: bool,

    /// The store: a folder, `s3://bucket/path`, `gs://bucket/path` or `az://container/path`
    #[arg(short, long, value_name = "URL", env = env_vars::STORE)]
    store: Option<String>,

    #[command(flatten)]
    cloud: Cloud,

    /// Read the store as it was after commit N
    #[arg(long, value_name = "N")]
    at: Option<u64>,

    #[command(flatten)]
    output: Output,
}

impl Query {
    pub(super) async fn run(self) -> Result<()> {
        let Some(name) = &self.name else { return list() };
        let query = NamedQuery::by_name(name)?;
        if self.show {
            return print(query.sql);
        }
        let parameters = query.bind(&self.params)?;
        let Some(store) = self.store else {
            let message = format!("query `{name}` needs a store: name one with `--store`\n");
            clap::Error::raw(ErrorKind::MissingRequiredArgument, message).exit()
        };
        let place = PlaceAndTime { place: Place { store, cloud: self.cloud }, at: self.at };
        let rows = place.session().await?.sql_with(query.sql, parameters).await?;
        self.output.write(rows).await
    }
}

/// Every query with its purpose, parameters and columns.
fn list() -> Result<()> {
    let mut text = String::new();
    for query in named_queries()? {
        text += &format!("{}\n    {}\n", query.name, query.purpose);
        for Parameter { name, kind, default, doc } in &query.parameters {
            let kind = match kind {
                ParameterType::Text => "text",
                ParameterType::Int => "int",
                ParameterType::Float => "float",
            };
            text += &format!("    --param {name}=<{kind}>  {doc} [default: {default}]\n");
        }
        let columns: Vec<&str> = query.columns.iter().map(|(name, _)| name.as_str()).collect();
        text += &format!("    columns: {}\n", columns.join(", "));
    }
    print(&text)
}

fn name_and_value(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected `name=value`".to_owned()),
    }
}
