//! `apprentice model serve` as a process of its own, asked by our client and by plain HTTP.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(feature = "train")]

mod adapters;
mod http;
mod openai;
mod replies;
mod rollouts;
mod service;
