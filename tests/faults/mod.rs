//! Commits under fire. Everything happens in memory, in an order and with names
//! that a seed decides, so that what fails can be seen again.
//!
//! * [`every_request`] lets each single request of a writer go wrong in each way.
//! * [`simulation`] lets several writers and readers loose on two stores, with
//!   requests that are slow or fail, writers that die, and days that pass.
//! * [`acknowledgement`] lets one answer be lost while others go on.
//!
//! All give writers a [`service`], which S3 could be: requests take effect one at
//! a time, and what was written is read and listed at once. A [`judge`] looks at
//! the store after every effect. [`schedule`] says who is next, [`operation`]
//! what writers do, and [`at_work`] what a vacuum must keep.

mod acknowledgement;
mod at_work;
mod every_request;
mod judge;
mod operation;
mod schedule;
mod service;
mod simulation;
