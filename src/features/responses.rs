//! Feature sets that are what networks make of images: their queries.

use super::call::Call;
use super::set::{Column, Frame, Parameter, literal, quoted};
use crate::arch::Arch;
use crate::error::{Error, Result};

/// How many images a network is shown.
pub(super) const IMAGES: Parameter = Parameter { about: "a number of images", default: 1000 };

/// Images whose logits are features.
pub(super) const PROBES: usize = 32;

/// The frame of a set called `set`, whose `columns` (with the tensor that each is about)
/// are the list that `function` yields; and with `probes` the logits of some images.
pub(super) fn frame(
    set: &str,
    call: &Call,
    function: &str,
    probes: bool,
    columns: impl Fn(&Arch) -> Vec<(String, Option<String>)>,
) -> Result<Frame> {
    let [arch] = call.archs.as_slice() else {
        let arch = call.archs.first().map_or("", Arch::name);
        let message = format!("`{set}` of several architectures has no common frame");
        return Err(Error::invalid(message)
            .with_hint(format!("name one, as in `{set}({})`", literal(arch))));
    };
    let columns = columns(arch);
    let ask = |function: &str, images: usize| {
        let arch = literal(arch.name());
        format!("{function}(weights, {arch}, activation, dataset, 'train', {images})")
    };
    let mut features = String::new();
    for (place, (column, _)) in columns.iter().enumerate() {
        features += &format!(", numbers[{}] AS {}", place + 1, quoted(column));
    }
    let mut asked = format!("{} AS numbers", ask(function, call.number as usize));
    if probes {
        features += ", probes";
        asked += &format!(", {} AS probes", ask("network_logits", PROBES));
    }
    let query = format!(
        "SELECT model_id, epoch{features} FROM (SELECT model_id, epoch, {asked} \
         FROM vectors_{} JOIN models USING (model_id))",
        arch.name()
    );
    let mut columns: Vec<Column> =
        columns.into_iter().map(|(name, tensor)| Column { name, tensor }).collect();
    if probes {
        columns.push(Column { name: "probes".to_owned(), tensor: None });
    }
    Ok(Frame { columns, query })
}
