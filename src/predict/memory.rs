//! Whether an experiment fits into memory: told before it begins, since a process that takes too
//! much is ended without a word.

use crate::error::{Error, Result};

/// Fails if features of `states` by `columns`, which predictors need `bytes` for, do not fit
/// into the `free` memory; `None` is not known.
pub(super) fn expect(
    set: &str,
    (states, columns): (usize, usize),
    bytes: u64,
    free: Option<u64>,
) -> Result<()> {
    let Some(free) = free.filter(|free| bytes > *free) else { return Ok(()) };
    let [bytes, free] = [bytes, free].map(|bytes| bytes as f64 / 1e9);
    let message = format!(
        "`{columns}` features `{set}` of `{states}` states need {bytes:.1} GB of memory, and \
         {free:.1} GB are free"
    );
    Err(Error::invalid(message).with_hint(
        "choose statistics of weights, such as `hsg_quintiles_v1`, or fewer states with `--epoch` \
         or `--where`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_told_with_numbers() {
        let expect = |free| expect("weights", (1000, 11_173_962), 44_700_000_000, free);
        assert!(expect(None).is_ok() && expect(Some(44_700_000_000)).is_ok());
        let error = expect(Some(16_000_000_000)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`11173962` features `weights` of `1000` states need 44.7 GB of memory, and 16.0 GB \
             are free"
        );
        assert!(error.hint().unwrap().contains("hsg_quintiles_v1"));
    }
}
