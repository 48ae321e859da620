//! A terminal through which a user talks to a shell in a sandbox: what the two exchange.
//!
//! Plain data and channels. Guarantees nothing about what a program shows: whoever shows it on a real terminal lets
//! the program speak to that terminal, as any program that is run by hand.

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// The user's side of a terminal.
#[derive(Debug)]
pub struct Terminal {
    /// Its kind, as `TERM` names it.
    pub kind: String,
    /// Its size at the start.
    pub size: Size,
    /// What the user does. Who hangs up ends the shell and all that it left.
    pub keys: mpsc::Receiver<Keys>,
    /// What is to be shown.
    pub screen: mpsc::Sender<Vec<u8>>,
}

/// What a user does at a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    /// Types; an interrupt is a byte, too.
    Typed(Vec<u8>),
    /// Changes the window's size.
    Resized(Size),
    /// Leaves.
    HungUp,
}

/// How much a terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Letters in a line.
    pub columns: u16,
}
