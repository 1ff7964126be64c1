//! Statistics of a vector: what each one is, and how many are had for one scan
//! and one sort. And the spectrum of a vector that is a matrix.
//!
//! Owns the arithmetic; knows neither Arrow nor SQL nor where vectors come from.
//! Everything is exact but for rounding in `f64`, and a vector has the same
//! statistics bit for bit whichever of them are asked for together, whatever
//! vectors stand beside it, and on every processor. A spectrum is `faer`'s arithmetic,
//! whose last bits depend on the processor.
//!
//! A NaN in a vector makes each of its statistics NaN. Zeros of both signs are one
//! value: an order statistic that is zero is `0.0`.

mod lanes;
mod moments;
mod network;
mod order;
mod power_law;
mod select;
mod spectrum;
mod statistic;
mod summary;

pub(crate) use spectrum::{Spectra, Spectrum};
pub(crate) use statistic::Statistic;
pub(crate) use summary::Summary;
