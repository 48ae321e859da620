//! `/usr` of an image made ready, in a volume of the engine: where the engine's storage driver is a process, each
//! look at a file of an image asks it, and one in a volume asks the kernel.
//!
//! Guarantees that a sandbox gets a volume only when the engine said that it copied all of `/usr` there: volumes are
//! filled under names that are used once, and a second, empty volume, the mark, says which of them is whole. What a
//! killed process was filling has no mark, and is removed as all is that killed processes left. Containers read
//! these volumes and cannot write to them. Without room, or when the engine refuses, sandboxes go without.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions, SystemInfo, Volume,
    VolumeCreateRequest,
};
use bollard::query_parameters::{
    ContainerArchiveInfoOptions, ListImagesOptions, ListVolumesOptions, RemoveVolumeOptions,
};
use sha2::{Digest, Sha256};

use super::evict::Store;
use super::owner;
use super::program::hex;

/// What is in the volume, and where it is mounted.
const DIRECTORY: &str = "/usr";
/// How the names of volumes and marks begin.
const PREFIX: &str = "apprentice-usr";
/// The label that says of which image made ready they are.
const IMAGE: &str = "apprentice.usr";
/// The label of a mark, which names the volume that is whole.
const WHOLE: &str = "apprentice.usr.whole";

/// Whether the engine's storage driver is a process that answers for each file of an image.
pub(super) fn pays(info: &SystemInfo) -> bool {
    info.driver.as_deref() == Some("fuse-overlayfs")
}

/// The mount of `volume` in a container of the kind `sandbox`.
pub(super) fn mount(volume: &str, sandbox: &str) -> Mount {
    Mount {
        target: Some(DIRECTORY.to_owned()),
        source: Some(volume.to_owned()),
        typ: Some(MountType::VOLUME),
        read_only: Some(true),
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(true),
            // The engine makes a volume that is gone anew; by these it is known for no volume of ours, and removed.
            labels: Some(owner::labels(sandbox)),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    }
}

/// Whether `volume` is there and was made to be filled. Once a container has it, the engine keeps it.
pub(super) async fn is_there(docker: &Docker, volume: &str) -> Result<bool, Error> {
    Ok(inspect(docker, volume).await?.is_some_and(|volume| volume.labels.contains_key(IMAGE)))
}

/// An image made ready, whose `/usr` is wanted in a volume.
pub(super) struct Usr<'a> {
    pub(super) store: Store<'a>,
    pub(super) image: &'a str,
    /// The kind of sandbox.
    pub(super) sandbox: &'a str,
    /// A file below it that every image made ready has.
    pub(super) program: &'a str,
}

impl Usr<'_> {
    /// Finds the volume or makes it; none where there is no room.
    pub(super) async fn find(&self) -> Result<Option<String>, Error> {
        let docker = self.store.docker;
        let id = docker.inspect_image(self.image).await?.id.unwrap_or_default();
        if let Some(volume) = whole(docker, &id).await? {
            return Ok(Some(volume));
        }
        if self.store.room.missing().is_ok_and(|missing| 0 < missing) {
            tracing::info!(image = self.image, "its programs are not copied: the engine's disk is too full");
            return Ok(None);
        }
        let volume = fresh_name(&id);
        let image = (IMAGE.to_owned(), id.clone());
        let labels = owner::labels(self.sandbox).into_iter().chain([image.clone()]);
        create(docker, &volume, labels.collect()).await?;
        let first = match self.fill(&volume).await {
            Ok(()) => {
                let mark = (WHOLE.to_owned(), volume.clone());
                let labels = owner::nobody().into_iter().chain([image, mark]);
                // The engine gives the one that has this name already: another process was first.
                create(docker, &mark_of(&id), labels.collect()).await
            }
            Err(error) => Err(error),
        };
        let first = first.map(|mark| mark.labels.get(WHOLE).cloned());
        if !matches!(&first, Ok(Some(first)) if *first == volume) {
            remove(docker, &volume).await?;
        }
        first
    }

    /// Has the engine copy, which it does when a container is created.
    async fn fill(&self, volume: &str) -> Result<(), Error> {
        let docker = self.store.docker;
        let filling = Mount { read_only: None, volume_options: None, ..mount(volume, self.sandbox) };
        let body = ContainerCreateBody {
            image: Some(self.image.to_owned()),
            entrypoint: Some(vec![self.program.to_owned()]),
            network_disabled: Some(true),
            labels: Some(owner::labels(self.sandbox)),
            host_config: Some(HostConfig { mounts: Some(vec![filling]), ..HostConfig::default() }),
            ..ContainerCreateBody::default()
        };
        let id = docker.create_container(None, body).await?.id;
        let options = ContainerArchiveInfoOptions { path: self.program.to_owned() };
        // An engine that copies at another time has an empty one here.
        let copied = docker.get_container_archive_info(&id, Some(options)).await;
        owner::remove_container(docker, &id).await?;
        copied.map(drop)
    }
}

/// The volume of the image `id`, if there is one that is whole.
async fn whole(docker: &Docker, id: &str) -> Result<Option<String>, Error> {
    let Some(mark) = inspect(docker, &mark_of(id)).await? else { return Ok(None) };
    if let Some(volume) = mark.labels.get(WHOLE)
        && is_there(docker, volume).await?
    {
        return Ok(Some(volume.clone()));
    }
    // Somebody removed what it names.
    remove(docker, &mark.name).await?;
    Ok(None)
}

/// The marks among `volumes`, and what they name.
fn marks(volumes: &[Volume]) -> impl Iterator<Item = (&Volume, &String)> {
    volumes.iter().filter_map(|mark| Some((mark, mark.labels.get(WHOLE)?)))
}

/// Lists volumes that a process made, and that no mark names: name and labels.
pub(super) async fn unmarked(
    docker: &Docker,
    filters: HashMap<String, Vec<String>>,
) -> Result<Vec<(String, HashMap<String, String>)>, Error> {
    let volumes = list(docker, filters).await?;
    let marked: HashSet<&String> = marks(&volumes).map(|(_, volume)| volume).collect();
    let unmarked = volumes.iter().filter(|volume| !marked.contains(&volume.name));
    Ok(unmarked.map(|volume| (volume.name.clone(), volume.labels.clone())).collect())
}

/// Removes the volumes of images that are gone, unless a container uses them.
pub(super) async fn clear(docker: &Docker) -> Result<(), Error> {
    // Volumes first: the image of each of them is older.
    let volumes = all(docker).await?;
    let options = ListImagesOptions { all: true, ..ListImagesOptions::default() };
    let images = docker.list_images(Some(options)).await?;
    let images: HashSet<String> = images.into_iter().map(|image| image.id).collect();
    remove_marked(docker, &volumes, |id| !images.contains(id)).await
}

/// Removes the volume of the image `id`, unless a container uses it.
pub(super) async fn remove_of(docker: &Docker, id: &str) -> Result<(), Error> {
    remove_marked(docker, &all(docker).await?, |known| known == id).await
}

async fn remove_marked(
    docker: &Docker,
    volumes: &[Volume],
    is_of: impl Fn(&str) -> bool,
) -> Result<(), Error> {
    for (mark, volume) in marks(volumes) {
        if !mark.labels.get(IMAGE).is_some_and(|id| is_of(id)) {
            continue;
        }
        match remove(docker, volume).await {
            Err(Error::DockerResponseServerError { status_code: 409, .. }) => {}
            Err(error) => return Err(error),
            Ok(()) => remove(docker, &mark.name).await?,
        }
    }
    Ok(())
}

/// Removes a volume; one that is gone is fine.
pub(super) async fn remove(docker: &Docker, volume: &str) -> Result<(), Error> {
    owner::gone_is_fine(docker.remove_volume(volume, None::<RemoveVolumeOptions>).await)
}

async fn create(docker: &Docker, name: &str, labels: HashMap<String, String>) -> Result<Volume, Error> {
    let request =
        VolumeCreateRequest { name: Some(name.to_owned()), labels: Some(labels), ..Default::default() };
    docker.create_volume(request).await
}

async fn inspect(docker: &Docker, name: &str) -> Result<Option<Volume>, Error> {
    match docker.inspect_volume(name).await {
        Ok(volume) => Ok(Some(volume)),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn all(docker: &Docker) -> Result<Vec<Volume>, Error> {
    list(docker, HashMap::from([("label".to_owned(), vec![IMAGE.to_owned()])])).await
}

async fn list(docker: &Docker, filters: HashMap<String, Vec<String>>) -> Result<Vec<Volume>, Error> {
    let options = ListVolumesOptions { filters: Some(filters) };
    Ok(docker.list_volumes(Some(options)).await?.volumes.unwrap_or_default())
}

fn mark_of(id: &str) -> String {
    format!("{PREFIX}-{}", hex(&Sha256::digest(id)))
}

/// A name that no process uses twice.
fn fresh_name(id: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let made_of = format!("{id} {} {}", owner::current_process(), COUNT.fetch_add(1, Ordering::Relaxed));
    format!("{}-{}", mark_of(id), hex(&Sha256::digest(made_of)))
}
