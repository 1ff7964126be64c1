//! Which epochs of every model are asked for.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// Which states of every model: `last`, `all`, `50`, or `21..25`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Epochs {
    /// The last one of each model.
    #[default]
    Last,
    /// All of them.
    All,
    /// From one epoch to another, both included.
    Range(u32, u32),
}

/// The last state of each of `models` in SQL: a table of `model_id` and `epoch`.
pub(crate) const LAST: &str = "(SELECT e.model_id, max(e.epoch) AS epoch FROM epochs e \
     JOIN models m ON e.model_id = m.model_id GROUP BY e.model_id)";

impl FromStr for Epochs {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let epoch = |text: &str| text.parse::<u32>().ok();
        let range = text.split_once("..").unwrap_or((text, text));
        match (text, epoch(range.0), epoch(range.1)) {
            ("last", ..) => Ok(Self::Last),
            ("all", ..) => Ok(Self::All),
            (_, Some(first), Some(last)) if first <= last => Ok(Self::Range(first, last)),
            _ => Err(Error::invalid(format!(
                "epochs `{text}`: expected `last`, `all`, a number, or a range such as `21..25`, both included"
            ))),
        }
    }
}

/// As it is read.
impl fmt::Display for Epochs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last => formatter.write_str("last"),
            Self::All => formatter.write_str("all"),
            Self::Range(first, last) if first == last => write!(formatter, "{first}"),
            Self::Range(first, last) => write!(formatter, "{first}..{last}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (text, epochs) in [
            ("last", Epochs::Last),
            ("all", Epochs::All),
            ("7", Epochs::Range(7, 7)),
            ("0..50", Epochs::Range(0, 50)),
        ] {
            assert_eq!(text.parse::<Epochs>().unwrap(), epochs);
            assert_eq!(epochs.to_string(), text);
        }
        for wrong in ["", "first", "-1", "5..", "..5", "6..5", "1..2..3", "1.5"] {
            assert!(wrong.parse::<Epochs>().is_err(), "{wrong}");
        }
    }
}
