//! Arithmetic on slices of f32: the inner loops of the network on a CPU.
//!
//! Guarantees that results depend on the inputs alone: every sum runs in an order fixed by the shapes,
//! never by threads. Single-threaded; `fused` splits the work.

pub(crate) mod gate;
pub(crate) mod lanes;
pub(crate) mod matmul;
pub(crate) mod norm;
pub(crate) mod panel;
pub(crate) mod rope;
