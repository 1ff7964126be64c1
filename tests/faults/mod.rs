//! Commits under fire. Everything happens in memory, in an order and with names
//! that a seed decides, so that what fails can be seen again.
//!
//! * [`every_request`] lets each single request of an operation go wrong in each way.
//! * [`simulation`] lets several writers and readers loose on two stores, with
//!   requests that are slow or fail, writers that die, and days that pass.
//! * [`meanwhile`] lets others commit at the worst moment.
//! * [`acknowledgement`] lets one answer be lost while others go on.
//! * [`verification`] sees how much of a store is read at a time.
//!
//! All give writers a [`service`], which S3 could be: requests take effect one at
//! a time, and what was written is read and listed at once. A [`judge`] looks at
//! the store after every effect. [`schedule`] says who is next, [`operation`]
//! what writers do, [`training`] how models get there that are really trained, and
//! [`at_work`] what a vacuum must keep.

mod acknowledgement;
mod at_work;
mod every_request;
mod judge;
mod meanwhile;
mod operation;
mod schedule;
mod service;
mod simulation;
mod training;
mod verification;
