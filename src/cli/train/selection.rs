//! Which steps a training practises on: profiled once by the student that it begins with, and read again by a resumed run.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{anyhow, ensure};

use super::Stage;
use crate::cli::failure::Failure;
use crate::event::{Event, EventSink};
use crate::fsio;
use crate::model::Student;
use crate::reward::StepReward;
use crate::train::data::DataSet;
use crate::train::profile::{self, FORMAT, Profile};

/// Where profiles are kept.
pub(super) struct File<'a> {
    pub(super) path: PathBuf,
    /// The checkpoint that the training goes on from, whose student is no longer the first one.
    pub(super) saved: Option<&'a Path>,
}

/// The steps of `data` that the stage's recipe selects.
pub(super) fn selected<'a>(
    stage: &Stage<'_>,
    file: &File<'_>,
    data: DataSet<'a>,
    (student, judge): (&Student, &dyn StepReward),
    events: &mut dyn EventSink,
) -> Result<DataSet<'a>, Failure> {
    let profiles = match (file.path.exists(), file.saved) {
        (true, _) => read(&file.path).map_err(Failure::input)?,
        (false, None) => {
            let made = made(stage, &data, (student, judge), events).map_err(Failure::host)?;
            fsio::write_json_lines(&file.path, &made).map_err(Failure::host)?;
            made
        }
        (false, Some(_)) => {
            let missing =
                anyhow!("`{}` is gone, and its steps cannot be profiled again", file.path.display());
            return Err(Failure::input(missing).with_hint("put the file back, or start a new run"));
        }
    };
    let data = data.only(&profile::kept(&profiles));
    let text = format!(
        "{} of {} profiled steps are practised on: their rewards spread and are not yet high",
        data.examples().len(),
        profiles.len()
    );
    events.emit(&Event::Note { text }).map_err(Failure::host)?;
    if data.examples().is_empty() {
        let nothing = anyhow!("no step is worth practising on by `select`; see `{}`", file.path.display());
        return Err(
            Failure::nothing(nothing).with_hint("lower `select.min_spread`, or raise `select.max_mean`")
        );
    }
    Ok(data)
}

/// Profiles all steps; its phase is told of as any other.
fn made(
    stage: &Stage<'_>,
    data: &DataSet<'_>,
    (student, judge): (&Student, &dyn StepReward),
    events: &mut dyn EventSink,
) -> anyhow::Result<Vec<Profile>> {
    let (recipe, phase) = (stage.recipe, format!("profile {}", stage.name));
    let started = Instant::now();
    events.emit(&Event::PhaseStarted { phase: phase.clone(), total: Some(data.examples().len() as u64) })?;
    let done = |done| events.emit(&Event::PhaseAdvanced { phase: phase.clone(), done });
    let settings = (recipe.select, &recipe.srl);
    let profiles = profile::profile(&recipe.train_config(), settings, data, (student, judge), done)?;
    events.emit(&Event::PhaseEnded { phase, seconds: started.elapsed().as_secs_f64() })?;
    Ok(profiles)
}

fn read(path: &Path) -> anyhow::Result<Vec<Profile>> {
    let profiles: Vec<Profile> = fsio::read_json_lines(path)?;
    for Profile { format, .. } in &profiles {
        ensure!(format == FORMAT, "`{}` has format `{format}`, not `{FORMAT}`", path.display());
    }
    Ok(profiles)
}
