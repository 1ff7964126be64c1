//! Hyperparameters: the named choices and numbers that make one model differ
//! from the next.

use crate::error::{Error, Result};

/// Declares an enum whose variants have one name each, used in specs, in SQL
/// and in model ids.
macro_rules! named_choice {
    ($(#[$doc:meta])* $choice:ident, $key:literal { $($(#[$vdoc:meta])* $variant:ident = $name:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $choice { $($(#[$vdoc])* $variant),+ }

        impl $choice {
            /// Every choice, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The names of [`Self::ALL`].
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The name in specs and tables.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The choice called `name`; an error lists those there are.
            pub fn by_name(name: &str) -> Result<Self> {
                match name {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(Error::not_allowed($key, name, Self::NAMES)),
                }
            }
        }
    };
}

named_choice! {
    /// The nonlinearity of a network. Definitions are PyTorch's.
    Activation, "activation" {
        /// Hyperbolic tangent.
        Tanh = "tanh",
        /// `1 / (1 + exp(-x))`.
        Sigmoid = "sigmoid",
        /// `max(x, 0)`.
        Relu = "relu",
        /// `x Φ(x)`, exact (erf), not the tanh approximation.
        Gelu = "gelu",
        /// `x` above zero, `0.01 x` below.
        LeakyRelu = "leaky_relu",
        /// `x sigmoid(x)`.
        Silu = "silu",
    }
}

named_choice! {
    /// How weights start; biases always start at 0.01 (specification of the
    /// published zoos, section 3.3).
    Init, "init" {
        /// U[0, 1): not centred, as in the published zoos.
        Uniform = "uniform",
        /// N(0, 1).
        Normal = "normal",
        /// U[-b, b) with b = √(6 / fan_in).
        KaimingUniform = "kaiming_uniform",
        /// N(0, 2 / fan_in).
        KaimingNormal = "kaiming_normal",
    }
}

named_choice! {
    /// The update rule. Weight decay is coupled (L2 added to the gradient), on
    /// biases too, as `torch.optim.Adam` and `torch.optim.SGD` do it.
    Optimizer, "optimizer" {
        /// Adam, β = (0.9, 0.999), ε = 1e-8.
        Adam = "adam",
        /// Stochastic gradient descent with momentum, no dampening, not Nesterov.
        Sgd = "sgd",
    }
}

named_choice! {
    /// How the learning rate moves during training.
    Scheduler, "scheduler" {
        /// It does not.
        Constant = "constant",
        /// PyTorch's `OneCycleLR` with its defaults, stepped after every batch: `lr`
        /// is the largest rate, and the momentum moves between 0.95 and 0.85.
        OneCycle = "one_cycle",
    }
}

/// Everything besides data and architecture that decides how a model turns out.
#[derive(Debug, Clone, PartialEq)]
pub struct Hyper {
    /// Nonlinearity after each block.
    pub activation: Activation,
    /// Initialisation of the weights.
    pub init: Init,
    /// Update rule.
    pub optimizer: Optimizer,
    /// How the learning rate moves.
    pub scheduler: Scheduler,
    /// Learning rate; the largest one if it moves.
    pub lr: f64,
    /// Coupled L2 factor.
    pub weight_decay: f64,
    /// Probability that an activation is dropped in training, in [0, 1).
    pub dropout: f64,
    /// Momentum of SGD. Adam ignores it, and so does a scheduler that moves it.
    pub momentum: f64,
    /// Images per step; the last batch of an epoch may be smaller.
    pub batch_size: usize,
    /// Training epochs; a model has one state more, epoch 0.
    pub epochs: usize,
    /// Source of all randomness of the model.
    pub seed: u64,
}

impl Hyper {
    /// Whether a model with these hyperparameters can train in lockstep with one
    /// that has `other`: every step of both does the same to other numbers.
    pub fn trains_with(&self, other: &Self) -> bool {
        let kind = |hyper: &Self| {
            let Self { activation, optimizer, scheduler, batch_size, epochs, .. } = *hyper;
            (activation, optimizer, scheduler, batch_size, epochs, hyper.dropout > 0.0)
        };
        kind(self) == kind(other)
    }

    /// The momentum, if there is one that counts.
    pub fn momentum(&self) -> Option<f64> {
        match (self.optimizer, self.scheduler) {
            (Optimizer::Sgd, Scheduler::Constant) => Some(self.momentum),
            (Optimizer::Adam, _) | (_, Scheduler::OneCycle) => None,
        }
    }
}
