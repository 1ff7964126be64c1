//! All parameters of a state as one vector.

use super::call::Call;
use super::set::quoted;
use crate::arch::Arch;

/// The vector in SQL, and the table that has it.
fn of(arch: &Arch) -> (String, String) {
    let (layout, name) = (arch.layout(), arch.name());
    if layout.size() == layout.num_params() {
        return ("weights".to_owned(), format!("vectors_{name}"));
    }
    let parameters = layout.tensors().iter().filter(|tensor| tensor.kind.is_parameter());
    let parameters: Vec<String> = parameters.map(|tensor| quoted(&tensor.name)).collect();
    (format!("vector_concat({})", parameters.join(", ")), format!("weights_{name}"))
}

/// The query that `select` makes of the vector and its table, for every architecture
/// of `call`: features that all of them have.
pub(super) fn union(call: &Call, select: impl Fn(&str, &str) -> String) -> String {
    let selects = call.archs.iter().map(|arch| {
        let (vector, table) = of(arch);
        select(&vector, &table)
    });
    selects.collect::<Vec<_>>().join(" UNION ALL ")
}
