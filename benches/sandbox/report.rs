//! The figures as tables for people and as rows for programs.

use serde_json::{Value as Json, json};

use crate::contender::{Entry, Mode, Side};
use crate::measures::{Better, Figure, Pairs, Value};

/// One figure as a table in Markdown.
pub(crate) fn table(figure: &Figure, entries: &[Entry]) -> String {
    let mut text = format!("\n{} ({})\n\n| who | median | n |\n|---|---|---|\n", figure.name, figure.unit);
    for (entry, value) in entries.iter().zip(&figure.values) {
        let name = full_name(entry);
        text += &match value {
            Some(Value { median, n }) => format!("| {name} | {} | {n} |\n", rounded(*median)),
            None => format!("| {name} | – | 0 |\n"),
        };
    }
    text
}

/// Each of ours beside each peer that does the same, as `docs/benches.md` describes.
pub(crate) fn rows(figures: &[Figure], entries: &[Entry]) -> Vec<Json> {
    figures.iter().flat_map(|figure| rows_of(figure, entries)).collect()
}

fn rows_of(figure: &Figure, entries: &[Entry]) -> Vec<Json> {
    let of = |side| entries.iter().zip(&figure.values).filter(move |(entry, _)| entry.side == side);
    let mut rows = Vec::new();
    for (ours, value) in of(Side::Ours) {
        let Some(value) = value else { continue };
        let peers = of(Side::Peer).filter(|(peer, _)| is_alike(ours, peer, figure));
        rows.extend(peers.map(|(peer, theirs)| row(figure, (ours, *value), (peer, *theirs))));
    }
    rows
}

fn is_alike(ours: &Entry, peer: &Entry, figure: &Figure) -> bool {
    match figure.pairs {
        Pairs::OfOneMode => ours.mode == peer.mode,
        Pairs::OfForks => ours.forks && peer.forks,
    }
}

fn row(figure: &Figure, ours: (&Entry, Value), peer: (&Entry, Option<Value>)) -> Json {
    let ratio = peer.1.map(|peer| match figure.better {
        Better::More => ours.1.median / peer.median,
        Better::Less => peer.median / ours.1.median,
    });
    json!({
        "name": format!("{}, {}", figure.name, full_name(ours.0)),
        "unit": figure.unit,
        "ours": ours.1.median,
        "peer": peer.1.map(|peer| peer.median),
        "peer_name": peer.0.name,
        "ratio": ratio,
        "n": peer.1.map_or(ours.1.n, |peer| peer.n.min(ours.1.n)),
    })
}

fn full_name(entry: &Entry) -> String {
    match (entry.side, entry.mode) {
        (Side::Peer, _) => entry.name.clone(),
        (Side::Ours, Mode::Session) => format!("ours: {}, session", entry.name),
        (Side::Ours, Mode::Stateless) => format!("ours: {}, stateless", entry.name),
    }
}

/// Three digits that count.
fn rounded(value: f64) -> String {
    let places = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.places$}")
}
