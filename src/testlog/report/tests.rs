//! Reports of real runs, and what of them is not whole.
