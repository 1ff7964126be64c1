//! What is predicted.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// A property of states to predict: numbers or classes.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The column of `states`.
    pub name: String,
    /// The value of each state: the number, or the number of the class.
    pub values: Vec<f64>,
    /// The names of the classes, sorted; none for numbers.
    pub classes: Vec<String>,
}

impl Target {
    /// A target of numbers.
    ///
    /// # Errors
    /// `Invalid` if values are missing or not finite, or are all the same.
    pub fn numbers(name: &str, values: Vec<Option<f64>>) -> Result<Self> {
        let values = complete(name, values)?;
        let (states, wild) =
            (values.len(), values.iter().filter(|value| !value.is_finite()).count());
        if wild > 0 {
            let message =
                format!("target `{name}` is no finite number in `{wild}` of `{states}` states");
            return Err(Error::invalid(message)
                .with_hint(format!("leave them out with `--where \"abs({name}) < 1e308\"`")));
        }
        if values.iter().all(|value| *value == values[0]) {
            return Err(single(name, &values[0].to_string()));
        }
        Ok(Self { name: name.to_owned(), values, classes: Vec::new() })
    }

    /// A target of classes.
    ///
    /// # Errors
    /// `Invalid` if values are missing, or are all the same.
    pub fn classes(name: &str, values: Vec<Option<String>>) -> Result<Self> {
        let values = complete(name, values)?;
        let mut numbers: BTreeMap<&str, usize> =
            values.iter().map(|value| (value.as_str(), 0)).collect();
        for (number, of_class) in numbers.values_mut().enumerate() {
            *of_class = number;
        }
        let classes: Vec<String> = numbers.keys().map(|class| (*class).to_owned()).collect();
        if classes.len() == 1 {
            return Err(single(name, &classes[0]));
        }
        let values = values.iter().map(|value| numbers[value.as_str()] as f64).collect();
        Ok(Self { name: name.to_owned(), values, classes })
    }

    /// Whether it is of classes.
    pub fn is_class(&self) -> bool {
        !self.classes.is_empty()
    }

    /// The values of the states `rows`.
    pub fn of(&self, rows: &[usize]) -> Vec<f64> {
        rows.iter().map(|&row| self.values[row]).collect()
    }
}

fn complete<T>(name: &str, values: Vec<Option<T>>) -> Result<Vec<T>> {
    let (states, missing) = (values.len(), values.iter().filter(|value| value.is_none()).count());
    if missing > 0 {
        let message = format!("target `{name}` has no value in `{missing}` of `{states}` states");
        let hint = match missing == states {
            true => "choose another target".to_owned(),
            false => format!("leave them out with `--where \"{name} IS NOT NULL\"`"),
        };
        return Err(Error::invalid(message).with_hint(hint));
    }
    Ok(values.into_iter().flatten().collect())
}

fn single(name: &str, value: &str) -> Error {
    Error::invalid(format!("target `{name}` is `{value}` in every state: nothing to predict"))
        .with_hint("choose another target, or zoos in which it varies")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_numbered_by_name() {
        let values = ["tanh", "relu", "tanh", "gelu"].map(|class| Some(class.to_owned()));
        let target = Target::classes("activation", values.to_vec()).unwrap();
        assert_eq!(target.classes, ["gelu", "relu", "tanh"]);
        assert_eq!(target.values, [2.0, 1.0, 2.0, 0.0]);
        assert_eq!(target.of(&[3, 0]), [0.0, 2.0]);
    }

    #[test]
    fn nothing_is_learnt_from_gaps_or_one_value() {
        let error = Target::numbers("val_acc", vec![Some(0.5), None, Some(f64::NAN)]).unwrap_err();
        assert_eq!(error.to_string(), "target `val_acc` has no value in `1` of `3` states");
        assert!(error.hint().unwrap().contains("val_acc IS NOT NULL"));
        let error = Target::numbers("test_loss", vec![Some(0.5), Some(f64::NAN)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "target `test_loss` is no finite number in `1` of `2` states"
        );
        assert!(error.hint().unwrap().contains("abs(test_loss) < 1e308"), "NaN is not NULL");
        let error = Target::numbers("lr", vec![Some(0.5); 3]).unwrap_err();
        assert_eq!(error.to_string(), "target `lr` is `0.5` in every state: nothing to predict");
        let error = Target::classes("init", vec![Some("normal".to_owned()); 3]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "target `init` is `normal` in every state: nothing to predict"
        );
    }
}
