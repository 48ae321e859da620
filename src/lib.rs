//! Apprentice: a training environment for software-engineering agents.
//!
//! An expert trajectory is a trunk; the student branches from it at every step. Read the modules in
//! this order, which is also the order of the layers (ARCHITECTURE.md, checked by `tests/layers.rs`).

// Layer 0: no domain.
pub mod difflib;
pub mod fsio;
pub mod seed;
pub mod stats;

// Layer 1: the domain as plain data.
pub mod certificate;
pub mod chat;
pub mod event;
pub mod example;
pub mod group;
pub mod isolation;
pub mod policy;
pub mod task;
pub mod trajectory;

// Layer 2: rules, pure functions on the domain.
pub mod answer;
pub mod curate;
pub mod editor;
pub mod episode;
pub mod mutate;
pub mod patch;
pub mod rate;
pub mod reward;
pub mod solution;
pub mod swe_bench;
pub mod testlog;

// Layer 3: engines, each behind its own types; they never import each other.
pub mod export;
pub mod import;
#[cfg(feature = "train")]
pub mod model;
pub mod remote;
pub mod run;
pub mod sandbox;
pub mod task_dir;
pub mod workspace;

// Layer 4: workflows, one verb each.
pub mod act;
pub mod audit;
pub mod branch;
pub mod certify;
pub mod extract;
pub mod grade;
#[cfg(feature = "train")]
pub mod practice;
pub mod ready;
pub mod replay;
pub mod report;
pub mod rewrite;
pub mod rollout;
#[cfg(feature = "train")]
pub mod serve;
pub mod solve;
pub mod synth;
#[cfg(feature = "train")]
pub mod train;
pub mod viewer;

// Layer 5: the surface.
pub mod cli;
#[cfg(feature = "train")]
pub mod quickstart;
#[cfg(feature = "train")]
pub mod recipe;
