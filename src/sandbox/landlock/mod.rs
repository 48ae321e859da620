//! Sandboxes confined by Landlock alone. In work.

pub(in crate::sandbox) mod rules;
