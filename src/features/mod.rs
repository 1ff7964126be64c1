//! Feature sets: what a state is described by, to predict its properties from.
//!
//! Owns the definitions of the literature, one set per file: which statistics of
//! which tensors, by which rule, in which order, under which names. A set is a
//! query over the tables of a session; [`register`] makes each one a table
//! function. How statistics are computed is `sql`'s, and what is predicted from
//! them is not known here.
//!
//! The name of a set carries a version: what a name yields never changes.

mod activations;
mod call;
mod epochs;
mod global7;
mod hsg_quintiles;
mod hyper;
mod images;
mod learning_curve;
mod margins;
mod network;
mod nfn_statnn;
mod norms;
mod query;
mod responses;
mod set;
mod slots;
mod spectral;
mod statistics;
mod trajectory;
mod unterthiner;
mod vector;
mod weights;

use std::path::Path;
use std::sync::Arc;

pub use call::Call;
pub use epochs::Epochs;
pub(crate) use epochs::LAST;
pub use query::Query;
pub use set::{Column, FeatureSet, Frame, Parameter};

use crate::error::{Error, Result};
use crate::sql::Session;

/// Every feature set, in the order in which they are listed.
pub fn all() -> [&'static dyn FeatureSet; 14] {
    [
        &unterthiner::SET,
        &nfn_statnn::SET,
        &hsg_quintiles::SET,
        &hsg_quintiles::WEIGHTS_ONLY,
        &global7::Global7,
        &norms::SET,
        &spectral::SET,
        &spectral::HALVED,
        &trajectory::Trajectory,
        &weights::Weights,
        &hyper::Hyper,
        &learning_curve::LearningCurve,
        &activations::Activations,
        &margins::Margins,
    ]
}

/// The feature set called `name`; an error lists those there are.
pub fn by_name(name: &str) -> Result<&'static dyn FeatureSet> {
    let sets = all();
    sets.into_iter().find(|set| set.name() == name).ok_or_else(|| {
        let names: Vec<&str> = sets.iter().map(|set| set.name()).collect();
        Error::not_allowed("feature set", name, &names)
    })
}

/// The feature set of a call such as `learning_curve_v1(10)`, `norms_v1()` or `norms_v1`,
/// and its number if it has one.
pub fn parse(call: &str) -> Result<(&'static dyn FeatureSet, Option<i64>)> {
    let Some((name, number)) = call.strip_suffix(')').and_then(|call| call.split_once('(')) else {
        return Ok((by_name(call)?, None));
    };
    match number.parse() {
        Ok(number) => Ok((by_name(name)?, Some(number))),
        Err(_) if number.is_empty() => Ok((by_name(name)?, None)),
        Err(_) => Err(Error::invalid(format!("feature set `{call}`: `{number}` is no number"))
            .with_hint("architectures are named beside the set, as in `--arch cnn_s`")),
    }
}

/// Makes every feature set a table function of `session`:
/// `SELECT * FROM hsg_quintiles_v1('cnn_s')`.
pub fn register(session: &mut Session) {
    for set in all() {
        session.register(Arc::new(call::Function(set)));
    }
}

/// Lets queries of `session` run stored networks on the data sets in `folder`:
/// `network_accuracy`, `network_logits`, `network_activations` and `network_margins`, and
/// with them the sets `activations_v1` and `margins_v1`.
///
/// # Errors
/// `Internal` if table `functions` cannot list them.
pub fn register_networks(session: &mut Session, folder: &Path) -> Result<()> {
    session.register_functions(network::functions(folder.to_owned()))
}
