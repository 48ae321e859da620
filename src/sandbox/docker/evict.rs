//! Removing images that we pulled, what was not used for longest first, while the engine's disk is fuller than
//! it should be.
//!
//! Guarantees that an image is removed only when a command of this user pulled it, it has no name but ours, no
//! container uses it, nothing but what we made ready from it is made from it, and no process of ours uses it.
//! What was made ready from it goes too, with its volumes. Removes nothing where the engine's disk cannot be seen.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::SystemTime;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ImageSummary, SystemInfo};
use bollard::query_parameters::ListImagesOptions;
use serde::Serialize;

use super::disk::{self, KeepFree};
use super::fetch::is_mark;
use super::ledger::{Ledger, Record};
use super::{owner, prepare, usr};
use crate::sandbox::Say;

/// An engine, and what is known of its images.
#[derive(Clone, Copy)]
pub(super) struct Store<'a> {
    pub(super) docker: &'a Docker,
    /// What this user's commands pulled; absent where that cannot be known.
    pub(super) ledger: Option<&'a Ledger>,
    /// How full the disk is.
    pub(super) room: Room<'a>,
}

/// How full the engine's disk is, and how full it may be.
#[derive(Clone, Copy)]
pub(super) struct Room<'a> {
    pub(super) keep: KeepFree,
    pub(super) info: &'a SystemInfo,
}

impl Room<'_> {
    /// The bytes that are missing to what should be free.
    ///
    /// # Errors
    /// Why that cannot be known.
    pub(super) fn missing(&self) -> Result<u64, String> {
        if self.keep == KeepFree::Off {
            return Ok(0);
        }
        let disk = disk::of_engine(self.info)?;
        Ok(self.keep.wanted(disk.total).saturating_sub(disk.free))
    }
}

/// An image that may be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evictable {
    /// The engine's id.
    pub id: String,
    /// Under which names it was pulled.
    pub names: Vec<String>,
    /// When it was last used, in seconds since 1970.
    pub last_used: u64,
    /// Its size; what it shares with other images is not freed.
    pub bytes: u64,
    /// The names of what was made ready from it.
    pub prepared: Vec<String>,
    /// The engine's references to it: digests first, so that our own mark goes last.
    #[serde(skip)]
    references: Vec<String>,
}

impl Evictable {
    /// What it is called, for people.
    pub fn title(&self) -> String {
        if self.names.is_empty() { super::short(&self.id) } else { self.names.join(", ") }
    }
}

impl Store<'_> {
    /// Removes images until enough of the disk is free. What does not work is told and left.
    pub(super) async fn make_room(&self, say: Say<'_>) {
        let missing = match self.room.missing() {
            Ok(0) => return,
            Ok(missing) => missing,
            Err(reason) => return tracing::info!(reason, "no room is made for images"),
        };
        let mut is_full = || self.room.missing().is_ok_and(|missing| 0 < missing);
        match self.evict(&mut is_full, say).await {
            Ok(removed) if removed.is_empty() => {
                tracing::info!(missing, "the engine's disk is full, and nothing on it may be removed");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "no room could be made for images"),
        }
    }

    /// Removes images, what was not used for longest first, as long as `is_full` says so. While another process
    /// does the same this does nothing.
    pub(super) async fn evict(
        &self,
        is_full: &mut (dyn FnMut() -> bool + Send),
        say: Say<'_>,
    ) -> Result<Vec<Evictable>, Error> {
        let mut removed = Vec::new();
        let Some(ledger) = self.ledger else { return Ok(removed) };
        let Some(_making_room) = ledger.making_room()? else { return Ok(removed) };
        for image in self.evictable().await? {
            if !is_full() {
                break;
            }
            if self.remove(ledger, &image).await? {
                say(&format!("removed image {}: the engine's disk is too full", image.title()));
                removed.push(image);
            }
        }
        Ok(removed)
    }

    /// What may be removed, what was not used for longest first. Forgets what is gone from the engine.
    pub(super) async fn evictable(&self) -> Result<Vec<Evictable>, Error> {
        let Some(ledger) = self.ledger else { return Ok(Vec::new()) };
        let records = ledger.records()?;
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let images = Images::list(self.docker).await?;
        let mut evictable = Vec::new();
        for record in records {
            match images.by_id.get(&record.id) {
                // Its user removed it; what has its id later is not ours.
                None => forget(ledger, &record.id),
                Some(image) if !image.repo_tags.iter().any(|name| is_mark(name)) => {
                    forget(ledger, &record.id);
                }
                Some(image) => {
                    let prepared = images.prepared_if_unused(image, &record);
                    evictable.extend(prepared.map(|prepared| described(image, record, prepared)));
                }
            }
        }
        // One that a process uses is let alone; what begins to be used after this is seen again when it is removed.
        evictable.retain(|image| matches!(ledger.alone(&image.id), Ok(Some(_))));
        Ok(evictable)
    }

    /// Removes one that [`Store::evictable`] listed, unless it is in use by now.
    async fn remove(&self, ledger: &Ledger, image: &Evictable) -> Result<bool, Error> {
        let Some(alone) = ledger.alone(&image.id)? else { return Ok(false) };
        for name in image.prepared.iter().chain(&image.references) {
            match owner::remove_image(self.docker, name).await {
                // A container that was made this moment.
                Err(Error::DockerResponseServerError { status_code: 409, .. }) => return Ok(false),
                removed => removed?,
            }
        }
        alone.forget()?;
        usr::clear(self.docker).await?;
        Ok(true)
    }
}

/// What the engine holds.
struct Images {
    by_id: BTreeMap<String, ImageSummary>,
    /// Images that containers of any state were made from.
    in_use: BTreeSet<String>,
}

impl Images {
    async fn list(docker: &Docker) -> Result<Self, Error> {
        let options = ListImagesOptions { all: true, ..ListImagesOptions::default() };
        let images = docker.list_images(Some(options)).await?;
        let containers = owner::containers(docker, HashMap::new()).await?;
        Ok(Self {
            by_id: images.into_iter().map(|image| (image.id.clone(), image)).collect(),
            in_use: containers.into_iter().filter_map(|container| container.image_id).collect(),
        })
    }

    /// The names of what was made ready from `image`, if nothing else is made of it or uses it.
    fn prepared_if_unused(&self, image: &ImageSummary, record: &Record) -> Option<Vec<String>> {
        let is_ours = image.repo_tags.iter().all(|name| is_mark(name) || name == "<none>:<none>")
            && image
                .repo_digests
                .iter()
                .filter(|digest| !is_none(digest))
                .all(|digest| record.digests.contains(digest) && !record.theirs.contains(digest));
        if !is_ours || self.in_use.contains(&image.id) {
            return None;
        }
        let mut names = Vec::new();
        for made in self.made_from(&image.id) {
            let is_free = prepare::is_prepared(made)
                && !self.in_use.contains(&made.id)
                && self.made_from(&made.id).next().is_none();
            if !is_free {
                return None;
            }
            let named: Vec<&String> = made.repo_tags.iter().filter(|name| !is_none(name)).collect();
            let names_of = if named.is_empty() { vec![&made.id] } else { named };
            names.extend(names_of.into_iter().cloned());
        }
        Some(names)
    }

    fn made_from<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a ImageSummary> {
        self.by_id.values().filter(move |image| image.parent_id == id || prepare::base_of(image) == Some(id))
    }
}

fn is_none(name: &str) -> bool {
    name.contains("<none>")
}

fn described(image: &ImageSummary, record: Record, prepared: Vec<String>) -> Evictable {
    let references = image.repo_digests.iter().chain(&image.repo_tags).filter(|name| !is_none(name));
    let since = record.last_used.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Evictable {
        id: record.id,
        names: record.names,
        last_used: since.as_secs(),
        bytes: u64::try_from(image.size).unwrap_or_default(),
        prepared,
        references: references.cloned().collect(),
    }
}

fn forget(ledger: &Ledger, id: &str) {
    let forgotten = match ledger.alone(id) {
        Ok(Some(alone)) => alone.forget(),
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = forgotten {
        tracing::warn!(%error, id, "a note of an image that is gone stays");
    }
}
