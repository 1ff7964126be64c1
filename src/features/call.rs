//! A feature set with its arguments: `hsg_quintiles_v1('cnn_s')`.

use async_trait::async_trait;

use super::set::{FeatureSet, literal};
use crate::arch::Arch;
use crate::error::{Error, Result};
use crate::scan;
use crate::sql::{Argument, Session, TableFunction};

/// What features are asked of.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The architectures, each once. Several ask for a common frame. For sets that
    /// are not computed from weights, none are all.
    pub archs: Vec<Arch>,
    /// The number of a set that has a [`Parameter`](super::Parameter).
    pub number: u32,
}

impl Call {
    /// A call of `set` about `archs`; without any, about the only one in the store
    /// that `session` asks.
    ///
    /// # Errors
    /// `Invalid` if an architecture is unknown or without weights in the store, if
    /// there are several to choose from, or if the set takes no number.
    pub(super) fn new(
        set: &dyn FeatureSet,
        session: &Session,
        archs: &[&str],
        number: Option<i64>,
    ) -> Result<Self> {
        let name = set.name();
        let number = match (set.parameter(), number) {
            (None, None) => 0,
            (None, Some(number)) => {
                let message = format!("`{name}` takes names of architectures, not `{number}`");
                return Err(Error::invalid(message));
            }
            (Some(parameter), None) => parameter.default,
            (Some(parameter), Some(number)) => number.try_into().map_err(|_| {
                Error::invalid(format!("`{name}` got `{number}`: expected {}", parameter.about))
            })?,
        };
        let stored = scan::archs(session.snapshot());
        let mut chosen: Vec<Arch> = Vec::new();
        for name in archs {
            let arch = stored.iter().find(|arch| arch.name() == *name);
            match arch {
                Some(arch) if chosen.contains(arch) => {}
                Some(arch) => chosen.push(arch.clone()),
                None => return Err(unknown_arch(name, &stored)),
            }
        }
        if chosen.is_empty() && set.of_weights() {
            chosen = vec![only(name, stored)?];
        }
        Ok(Self { archs: chosen, number })
    }

    /// The call in SQL.
    pub(super) fn sql(&self, set: &dyn FeatureSet) -> String {
        let mut arguments: Vec<String> =
            self.archs.iter().map(|arch| literal(arch.name())).collect();
        arguments.extend(set.parameter().map(|_| self.number.to_string()));
        format!("{}({})", set.name(), arguments.join(", "))
    }
}

fn unknown_arch(name: &str, stored: &[Arch]) -> Error {
    let names: Vec<&str> = stored.iter().map(Arch::name).collect();
    if names.is_empty() { no_weights() } else { Error::not_allowed("architecture", name, &names) }
}

/// The only architecture there is.
fn only(set: &str, mut stored: Vec<Arch>) -> Result<Arch> {
    match (stored.len(), stored.pop()) {
        (1, Some(arch)) => Ok(arch),
        (_, None) => Err(no_weights()),
        (_, Some(last)) => {
            stored.push(last);
            let names: Vec<String> =
                stored.iter().map(|arch| format!("`{}`", arch.name())).collect();
            let all: Vec<String> = stored.iter().map(|arch| literal(arch.name())).collect();
            let message = format!("the store has several architectures: {}", names.join(", "));
            Err(Error::invalid(message).with_hint(format!(
                "name one, as in `{set}({})`, or several for their common frame",
                all[0]
            )))
        }
    }
}

fn no_weights() -> Error {
    Error::not_found("the store has no weights").with_hint("`zoolake train` adds models")
}

/// A feature set as a table function.
pub(super) struct Function(pub(super) &'static dyn FeatureSet);

#[async_trait]
impl TableFunction for Function {
    fn name(&self) -> &str {
        self.0.name()
    }

    async fn query(&self, session: &Session, arguments: &[Argument]) -> Result<String> {
        let mut archs = Vec::new();
        let mut numbers = Vec::new();
        for argument in arguments {
            match argument {
                Argument::Text(text) => archs.push(text.as_str()),
                Argument::Integer(number) => numbers.push(*number),
            }
        }
        if let [_, extra, ..] = numbers[..] {
            let message = format!("`{}` takes one number, and got `{extra}` too", self.0.name());
            return Err(Error::invalid(message));
        }
        let call = Call::new(self.0, session, &archs, numbers.first().copied())?;
        Ok(self.0.frame(session, &call).await?.query)
    }
}
