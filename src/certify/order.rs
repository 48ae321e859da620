//! The same tests in another order.
//!
//! pytest alone can be told one, by a plugin of ours that its environment names; the command stays the task's own.
//! Guarantees that an order which did not come about is seen: the plugin leaves a mark, and the output says so.

use std::fmt;

use crate::task::{Task, Tests};

/// An order of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The runner's own order backwards: whatever test needs another one before it shows.
    Reversed,
    /// Files, and the tests of each, by digests of their names with a seed.
    Seed(u64),
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reversed => f.write_str("reversed"),
            Self::Seed(seed) => write!(f, "seed {seed}"),
        }
    }
}

/// The first `count` orders to try: backwards, then the seeds from 1.
pub(super) fn orders(count: usize) -> Vec<Order> {
    std::iter::once(Order::Reversed).chain((1..).map(Order::Seed)).take(count).collect()
}

/// Whether the task's tests are pytest's: by its parser's name or its command.
pub(super) fn is_pytest(tests: &Tests) -> bool {
    let parser = serde_json::to_string(&tests.parser).unwrap_or_default();
    [parser.as_str(), tests.command.as_str()]
        .iter()
        .any(|text| text.contains("pytest") || text.contains("py.test"))
}

/// The task with its tests in another order.
pub(super) fn reordered(task: &Task, order: Order) -> Task {
    let mut task = task.clone();
    if let Some(tests) = &mut task.tests {
        tests.command = script(&tests.command, order);
    }
    task
}

/// What the output says when the plugin was at work.
fn mark(order: Order) -> String {
    format!("apprentice: the order of the tests was: {order}")
}

/// Whether the output tells that the tests ran in that order.
pub(super) fn came_about(log: &str, order: Order) -> bool {
    let mark = mark(order);
    log.lines().any(|line| line == mark)
}

const PLUGIN: &str = include_str!("order_plugin.py");

/// A script that runs `command` with the plugin and ends as `command` does.
fn script(command: &str, order: Order) -> String {
    let mark = mark(order);
    format!(
        "APPRENTICE_ORDER_AT=$(mktemp -d) || exit 1\n\
         cat > \"$APPRENTICE_ORDER_AT/apprentice_order.py\" <<'APPRENTICE_PLUGIN'\n{PLUGIN}APPRENTICE_PLUGIN\n\
         export APPRENTICE_ORDER_AT APPRENTICE_ORDER='{order}'\n\
         export PYTHONPATH=\"$APPRENTICE_ORDER_AT${{PYTHONPATH:+:$PYTHONPATH}}\"\n\
         export PYTEST_ADDOPTS=\"${{PYTEST_ADDOPTS:+$PYTEST_ADDOPTS }}-p apprentice_order\"\n\
         (\n{command}\n)\n\
         APPRENTICE_EXIT=$?\n\
         [ ! -e \"$APPRENTICE_ORDER_AT/mark\" ] || printf '\\n%s\\n' '{mark}'\n\
         exit $APPRENTICE_EXIT\n"
    )
}
