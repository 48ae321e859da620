//! Which differences a patch tells of, and why not the others.

use std::collections::{BTreeMap, BTreeSet};

use super::{Baseline, FILE_BYTES, Ignored, PATCH_BYTES, PATH_LENGTH};
use crate::patch::{Change, File, LeftOut, Why, is_sayable};
use crate::sandbox::tree::Compared;

/// Differences by what becomes of them.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// What the patch tells of, by path.
    pub(super) told: Vec<Change>,
    /// What it leaves out, sorted.
    pub(super) left_out: Vec<LeftOut>,
}

impl Sorted {
    pub(super) fn of(compared: Compared, baseline: &Baseline) -> Self {
        let Compared { changes, left_out } = compared;
        let mut sorting =
            Sorting { baseline, left_out: Vec::new(), stays: BTreeSet::new(), room: PATCH_BYTES };
        sorting.note_undone(&changes, &left_out);
        sorting.note_untold(left_out);
        let (mut told, mut set_up) = (BTreeMap::new(), BTreeMap::new());
        for change in changes {
            if baseline.set_up.made(&change) {
                set_up.insert(change.path.clone(), change);
            } else if let Some(why) = sorting.why_not(&change) {
                sorting.leave_out(&change, why);
            } else {
                told.insert(change.path.clone(), change);
            }
        }
        sorting.clear_ways(&mut told, set_up);
        sorting.left_out.sort();
        Self { told: told.into_values().collect(), left_out: sorting.left_out }
    }
}

struct Sorting<'a> {
    baseline: &'a Baseline,
    left_out: Vec<LeftOut>,
    /// Paths that are left out and that the base holds or may hold: they are still there after the patch.
    stays: BTreeSet<String>,
    /// Bytes that may still be told.
    room: usize,
}

impl Sorting<'_> {
    /// Notes what the set-up had changed and the student has put back as it was in the base, so that nothing
    /// differs: no patch to the base says it.
    fn note_undone(&mut self, changes: &[Change], left_out: &[LeftOut]) {
        let changed = changes.iter().map(|change| &change.path);
        let differs: BTreeSet<&String> =
            changed.chain(left_out.iter().map(|left_out| &left_out.path)).collect();
        for path in self.baseline.set_up.prints.keys().filter(|path| !differs.contains(path)) {
            let why = if self.ignores(path) { Why::Ignored } else { Why::SetUp };
            self.left_out.push(LeftOut { path: path.clone(), why });
        }
    }

    /// Notes what the sandbox did not tell of.
    fn note_untold(&mut self, left_out: Vec<LeftOut>) {
        for LeftOut { path, why } in left_out {
            self.stays.insert(path.clone());
            if !self.baseline.set_up.left_out.contains(&path) {
                let why = if self.ignores(&path) { Why::Ignored } else { why };
                self.left_out.push(LeftOut { path, why });
            }
        }
    }

    fn ignores(&self, path: &str) -> bool {
        self.baseline.ignored == Ignored::LeftOut && self.baseline.rules.ignore(path)
    }

    fn why_not(&mut self, change: &Change) -> Option<Why> {
        if !is_sayable(&change.path) {
            return Some(Why::Name);
        }
        if PATH_LENGTH < change.path.len() {
            return Some(Why::TooDeep);
        }
        let is_of_base = match &self.baseline.tracked {
            Some(tracked) => tracked.contains(&change.path),
            None => change.before.is_some(),
        };
        if !is_of_base && self.ignores(&change.path) {
            return Some(Why::Ignored);
        }
        let sizes =
            || [&change.before, &change.after].into_iter().flatten().map(|file: &File| file.bytes.len());
        let left = self.room.checked_sub(sizes().sum()).filter(|_| sizes().all(|size| size <= FILE_BYTES));
        match left {
            Some(left) => {
                self.room = left;
                None
            }
            None => Some(Why::TooLarge),
        }
    }

    fn leave_out(&mut self, change: &Change, why: Why) {
        if change.before.is_some() {
            self.stays.insert(change.path.clone());
        }
        self.left_out.push(LeftOut { path: change.path.clone(), why });
    }

    /// Sees to it that nothing which is told stands where something stays: what the set-up had removed is told
    /// too, all else gives way.
    fn clear_ways(&mut self, told: &mut BTreeMap<String, Change>, mut set_up: BTreeMap<String, Change>) {
        let replaced = |change: &&Change| change.before.is_some();
        let mut removed: BTreeSet<String> =
            set_up.values().filter(replaced).map(|change| change.path.clone()).collect();
        let written = |change: &&Change| change.after.is_some();
        let mut pending: Vec<String> =
            told.values().filter(written).map(|change| change.path.clone()).collect();
        while let Some(path) = pending.pop() {
            while let Some(other) = in_the_way(&removed, &path) {
                removed.remove(&other);
                told.extend(set_up.remove(&other).map(|change| (other, change)));
            }
            if in_the_way(&self.stays, &path).is_none() {
                continue;
            }
            let Some(change) = told.remove(&path) else { continue };
            self.leave_out(&change, Why::InTheWay);
            if change.before.is_some() {
                // It stays now, and may be in the way of what was looked at before.
                pending.extend(told.values().filter(written).map(|change| change.path.clone()));
            }
        }
    }
}

/// A path of `paths` that lies above or below `path`.
fn in_the_way(paths: &BTreeSet<String>, path: &str) -> Option<String> {
    let mut above = path.match_indices('/').map(|(end, _)| &path[..end]);
    let below = format!("{path}/");
    let first_below =
        || paths.range(below.clone()..).next().filter(|other| other.starts_with(&below)).cloned();
    above.find(|other| paths.contains(*other)).map(str::to_owned).or_else(first_below)
}
