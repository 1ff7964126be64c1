//! What a zoo is: a specification, the grid it expands to, and its models.
//!
//! Owns hyperparameters, grid expansion and model ids. Knows nothing of how a
//! model is trained or stored.
//!
//! ```
//! let zoo = zoolake::zoo::Zoo::from_toml(r#"
//!     name = "tiny"
//!     dataset = "digits"
//!     arch = "cnn_s"
//!     epochs = 2
//!     seeds = { from = 1, to = 3 }
//!     [hyper]
//!     activation = ["tanh", "relu"]   # a list is an axis of the grid
//!     init = "kaiming_uniform"        # a single value is fixed
//!     optimizer = "adam"
//!     lr = 1e-3
//! "#)?;
//! assert_eq!(zoo.models().len(), 2 * 3);
//! # Ok::<(), zoolake::Error>(())
//! ```

mod catalogue;
mod grid;
mod hyper;
mod model;
mod seeds;
mod shard;
mod spec;

pub use catalogue::{Published, published};
pub use grid::Grid;
pub use hyper::{Activation, Hyper, Init, Optimizer, Scheduler};
pub use model::Model;
pub use seeds::Seeds;
pub use shard::Shard;
pub use spec::Zoo;
