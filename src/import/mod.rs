//! Importers: other projects' files become trajectories and tasks. Stub.

pub mod native;
pub mod swe_agent;
pub mod swe_bench;
