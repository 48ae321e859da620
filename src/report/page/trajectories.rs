//! Whole trajectories beside a report: which ones, and the pages that show them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::report::episodes::{self, Episode};
use crate::report::grid::Grid;
use crate::trajectory::Trajectory;
use crate::viewer::{self, View};

/// The trajectories that are shown whole.
pub(super) struct Trajectories {
    /// The name of the page of each, by file and line.
    names: BTreeMap<(PathBuf, u64), String>,
    whole: BTreeMap<(PathBuf, u64), Trajectory>,
}

impl Trajectories {
    /// Of at most `count` episodes: the first try at each task, then the second ones, and so on.
    pub(super) fn of(grids: &[Grid<'_>], count: usize) -> anyhow::Result<Self> {
        let mut wanted: Vec<&Episode> = Vec::new();
        let columns: Vec<_> = grids.iter().flat_map(|grid| &grid.columns).map(|(_, column)| column).collect();
        let most =
            columns.iter().flat_map(|column| column.tries.values().map(Vec::len)).max().unwrap_or_default();
        'all: for attempt in 0..most {
            for column in &columns {
                for tries in column.tries.values() {
                    let Some(episode) = tries.get(attempt).and_then(|one| one.episode.as_ref()) else {
                        continue;
                    };
                    if wanted.len() == count {
                        break 'all;
                    }
                    wanted.push(episode);
                }
            }
        }
        let name = |(number, episode): (usize, &&Episode)| {
            ((episode.file.clone(), episode.line), format!("trajectory-{}.html", number + 1))
        };
        Ok(Self {
            names: wanted.iter().enumerate().map(name).collect(),
            whole: episodes::trajectories(&wanted)?,
        })
    }

    /// The name of the page that shows an episode, if one does.
    pub(super) fn page_of(&self, episode: &Episode) -> Option<&str> {
        self.names.get(&(episode.file.clone(), episode.line)).map(String::as_str)
    }

    /// The pages: names and texts.
    pub(super) fn into_pages(self) -> impl Iterator<Item = (String, String)> {
        let Self { names, mut whole } = self;
        names.into_iter().filter_map(move |(place, name)| {
            let view = View { trajectory: &whole.remove(&place)?, replay: None, rewards: &BTreeMap::new() };
            Some((name, viewer::page::html(&view)))
        })
    }
}
