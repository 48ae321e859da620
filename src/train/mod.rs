//! Trainers.
pub mod adamw;
pub mod batch;
pub mod gradients;
pub mod loss;
pub mod schedule;
