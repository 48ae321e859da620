//! Our two sandbox backends beside what others use, in one run: `cargo bench --bench sandbox`.
//!
//! Guarantees that everybody does the same work on the same engine and image, in turns, and that what
//! cannot be measured here is said and left empty. Writes `target/bench/sandbox.json`; docs/benches.md
//! says what the figures mean. Stops and removes what it started.
#![expect(clippy::print_stdout, reason = "a bench reports on its standard output")]

mod contender;
mod driver;
mod measures;
mod ours;
mod peer;
mod processor;
mod report;
mod repository;
mod setup;

use std::path::Path;

use anyhow::{Context, Result};

use contender::Entry;
use measures::Figure;

type Measure = fn(&mut [Entry]) -> Result<Vec<Figure>>;

/// What can be measured; names on the command line choose.
const MEASURES: [(&str, Measure); 6] = [
    ("first", measures::first_command),
    ("external", measures::external),
    ("builtin", measures::builtin),
    ("output", measures::long_output),
    ("crowd", measures::crowd),
    ("fork", measures::fork),
];

fn main() -> Result<()> {
    // Cargo says where: a directory of the target directory.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("finding the target directory")?;
    let directory = target.join("bench");
    fs_err::create_dir_all(&directory)?;
    println!("load before: {}", processor::load()?);
    let mut entries: Vec<Entry> = ours::entries()?;
    entries.extend(peer::entries(&directory));
    let mut figures = Vec::new();
    let chosen: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    for (name, measure) in MEASURES {
        if !chosen.is_empty() && !chosen.iter().any(|word| word == name) {
            continue;
        }
        let measured = measure(&mut entries)?;
        for figure in &measured {
            print!("{}", report::table(figure, &entries));
        }
        figures.extend(measured);
    }
    println!("load after: {}", processor::load()?);
    let file = directory.join("sandbox.json");
    fs_err::write(&file, serde_json::to_string_pretty(&report::rows(&figures, &entries))? + "\n")?;
    println!("wrote {}", file.display());
    Ok(())
}
