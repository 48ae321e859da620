//! Images made ready for sandboxes: a user, the program that serves inside, directories that the user owns.
//!
//! Made once of each image and kept by the engine under a name that says what it is made of, so that a
//! start uploads nothing but the repository. Guarantees that an image which is there is whole: it gets its
//! name last.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::anyhow;
use bollard::Docker;
use bollard::errors::Error;
use bollard::models::ImageSummary;
use bollard::models::{ContainerConfig, ContainerCreateBody, HostConfig};
use bollard::query_parameters::{CommitContainerOptions, ListImagesOptions};
use futures_util::StreamExt;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType};

use super::breakdown;
use super::evict::Store;
use super::files::{self, append, header, owned};
use super::images::Image;
use super::owner;
use super::program::{Program, hex};
use super::users::User;
use crate::sandbox::spec::SandboxSpec;
use crate::sandbox::{SandboxError, tree::Tree};

/// The repository of their names.
const REPOSITORY: &str = "apprentice-prepared";
/// The label that says which program is inside.
const PROGRAM: &str = "apprentice.program";
/// The label that says which image it was made from.
const BASE: &str = "apprentice.base";
/// An engine keeps a new image first and names it then: one without a name may be about to get it.
const NAMING: Duration = Duration::from_secs(600);
/// The labels that say who the user is.
const USER: [&str; 4] = ["apprentice.uid", "apprentice.gid", "apprentice.home", "apprentice.added"];

/// An image that is ready, and what is known of it.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    /// Its name.
    pub(super) image: String,
    /// Who runs the commands.
    pub(super) user: User,
    /// Whether the image had that user; else it was added, and its home is empty.
    pub(super) had_user: bool,
    /// Variables that the image sets.
    pub(super) env: Vec<(String, String)>,
    /// The work directory of the image, where that is the start.
    pub(super) tree: Option<Arc<Tree>>,
}

/// What an image is made ready for.
pub(super) struct Preparation<'a> {
    pub(super) store: Store<'a>,
    pub(super) spec: &'a SandboxSpec,
    pub(super) program: &'a Program,
    /// The image to start from.
    pub(super) image: &'a Image,
    /// Whether its work directory is the repository.
    pub(super) holds_tree: bool,
}

impl Preparation<'_> {
    /// Finds the image or makes it. What it is made from may be gone meanwhile: then it is had again.
    pub(super) async fn run(&self) -> Result<Prepared, SandboxError> {
        let docker = self.store.docker;
        let program = self.program.key().map_err(self.failed("reading this program"))?;
        let name = self.name(&program);
        let found = match docker.inspect_image(&name).await {
            Ok(image) => {
                image.config.and_then(|config| config.labels).filter(|labels| user_of(labels).is_some())
            }
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => None,
            Err(error) => return Err(self.failed("inspecting it")(error)),
        };
        let labels = if let Some(labels) = found {
            labels
        } else {
            self.find_base().await?;
            self.make(&name, &program).await?
        };
        let user = user_of(&labels).ok_or_else(|| {
            self.failed("reading its labels")(anyhow!("`{name}` does not say who its user is"))
        })?;
        let had_user = labels.get(USER[3]).is_some_and(|added| added == "no");
        let tree = if self.holds_tree { Some(self.tree(&name).await?) } else { None };
        let env = self.image.env.clone();
        Ok(Prepared { image: name, user, had_user, env, tree })
    }

    /// Brings back the image that this starts from, if it is gone.
    async fn find_base(&self) -> Result<(), SandboxError> {
        match self.store.docker.inspect_image(&self.image.id).await {
            Ok(_) => Ok(()),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => {
                self.store.bring_back(self.spec, self.image).await
            }
            Err(error) => Err(self.failed("inspecting it")(error)),
        }
    }

    fn name(&self, program: &str) -> String {
        let base = &self.image.id;
        let made_of = serde_json::json!([base, self.spec.user, self.spec.workdir, self.holds_tree, program]);
        format!("{REPOSITORY}:{}", hex(&Sha256::digest(made_of.to_string())))
    }

    fn failed<E: Into<anyhow::Error>>(&self, doing: &str) -> impl FnOnce(E) -> SandboxError + use<E> {
        let (image, doing) = (self.image.name.clone(), doing.to_owned());
        move |error| {
            let error = error.into();
            let breakdown = error.downcast_ref().and_then(|error| breakdown(error, &image, &doing));
            breakdown.unwrap_or_else(|| SandboxError::Image {
                image,
                reason: format!("{doing} failed: {error:#}"),
                hint: "make sure that `docker run` works on this host, and that its disk is not full"
                    .to_owned(),
            })
        }
    }

    /// Makes the image called `name`; gives its labels.
    async fn make(&self, name: &str, program: &str) -> Result<HashMap<String, String>, SandboxError> {
        let body = ContainerCreateBody {
            image: Some(self.image.id.clone()),
            entrypoint: Some(vec!["chown".to_owned()]),
            user: Some("0:0".to_owned()),
            network_disabled: Some(true),
            labels: Some(owner::labels(&self.spec.name)),
            host_config: Some(HostConfig {
                cap_drop: Some(vec!["ALL".to_owned()]),
                cap_add: Some(vec!["CHOWN".to_owned(), "DAC_OVERRIDE".to_owned()]),
                security_opt: Some(vec!["no-new-privileges".to_owned()]),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        // The command line names the user, who is known only once the image can be read.
        let looked = self.store.docker.create_container(None, body.clone()).await;
        let looked = looked.map_err(self.failed("making a container of it"))?.id;
        let user = self.choose_user(&looked).await;
        owner::remove_container(self.store.docker, &looked).await.map_err(self.failed("cleaning up"))?;
        let user = user?;
        let command = ["-R", "-h", &user.ids(), &self.spec.workdir].map(str::to_owned).to_vec();
        let body = ContainerCreateBody { cmd: Some(command), ..body };
        let made = self.store.docker.create_container(None, body).await;
        let made = made.map_err(self.failed("making a container of it"))?.id;
        let labels = self.fill(&made, &user, name, program).await;
        owner::remove_container(self.store.docker, &made).await.map_err(self.failed("cleaning up"))?;
        labels
    }

    async fn choose_user(&self, id: &str) -> Result<User, SandboxError> {
        let passwd = files::download_file(self.store.docker, id, "/etc/passwd").await?.unwrap_or_default();
        let group = files::download_file(self.store.docker, id, "/etc/group").await?.unwrap_or_default();
        Ok(User::choose(&self.spec.user, passwd, group))
    }

    /// Fills the container `id` and makes it the image called `name`.
    async fn fill(
        &self,
        id: &str,
        user: &User,
        name: &str,
        program: &str,
    ) -> Result<HashMap<String, String>, SandboxError> {
        let (packed_user, packed_program, workdir) =
            (user.clone(), self.program.clone(), self.spec.workdir.clone());
        let archive =
            tokio::task::spawn_blocking(move || pack(&packed_user, &packed_program, &workdir)).await;
        let archive = archive.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        let archive = archive.map_err(self.failed("packing this program"))?;
        files::upload(self.store.docker, id, archive).await?;
        if self.holds_tree && !user.is_root() {
            self.give_workdir(id).await?;
        }
        let home = user.home.clone();
        let added = if user.added.is_some() { "yes" } else { "no" };
        let values = [user.uid.to_string(), user.gid.to_string(), home, added.to_owned()];
        let mut labels: HashMap<String, String> =
            USER.iter().map(|name| (*name).to_owned()).zip(values).collect();
        labels.insert(PROGRAM.to_owned(), program.to_owned());
        labels.insert(BASE.to_owned(), self.image.id.clone());
        labels.extend(owner::nobody());
        let config = ContainerConfig { labels: Some(labels.clone()), ..ContainerConfig::default() };
        let (repo, tag) = name.split_once(':').expect("invariant: our names have a tag");
        let options = CommitContainerOptions {
            container: Some(id.to_owned()),
            repo: Some(repo.to_owned()),
            tag: Some(tag.to_owned()),
            // Podman reads no labels from the configuration, which Docker does.
            changes: Some(as_instructions(&labels)),
            ..CommitContainerOptions::default()
        };
        self.store.docker.commit_container(options, config).await.map_err(self.failed("keeping it"))?;
        Ok(labels)
    }

    /// Gives the repository that came with the image to its user.
    async fn give_workdir(&self, id: &str) -> Result<(), SandboxError> {
        let doing = "giving its work directory to the user";
        self.store.docker.start_container(id, None).await.map_err(self.failed(doing))?;
        match self.store.docker.wait_container(id, None).next().await {
            Some(Ok(_)) | None => Ok(()),
            Some(Err(error)) => Err(self.failed(doing)(error)),
        }
    }

    /// Reads the repository of the image.
    async fn tree(&self, image: &str) -> Result<Arc<Tree>, SandboxError> {
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            entrypoint: Some(self.program.argv()),
            labels: Some(owner::labels(&self.spec.name)),
            ..ContainerCreateBody::default()
        };
        let id = self.store.docker.create_container(None, body).await;
        let id = id.map_err(self.failed("making a container of it"))?.id;
        let tree = files::download_tree(self.store.docker, &id, &self.spec.workdir).await;
        owner::remove_container(self.store.docker, &id).await.map_err(self.failed("cleaning up"))?;
        tree.map(Arc::new)
    }
}

/// An image made ready that no start of this program will use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stale {
    /// The engine's id.
    pub id: String,
    /// Its names; none when another of the same name was made at the same time.
    pub names: Vec<String>,
    /// When it was made, in seconds since 1970.
    #[serde(skip)]
    pub(super) created: i64,
}

/// Lists the images that were made ready for other programs than `program`, or have lost their names.
pub(super) async fn stale(docker: &Docker, program: &str) -> Result<Vec<Stale>, Error> {
    let filters = HashMap::from([("label".to_owned(), vec![PROGRAM.to_owned()])]);
    // Without what only other images are made of.
    let options = ListImagesOptions { filters: Some(filters), ..ListImagesOptions::default() };
    let images = docker.list_images(Some(options)).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
    // A fork's image is made of one of these, and has its labels too.
    let made_ready = images.into_iter().filter(|image| !owner::is_owned(&image.labels));
    let stale = made_ready.filter_map(|image| {
        let names: Vec<String> =
            image.repo_tags.into_iter().filter(|name| owner::plain(name).starts_with(REPOSITORY)).collect();
        let is_current = image.labels.get(PROGRAM).is_some_and(|known| known == program);
        let is_nameless = names.is_empty() && image.created < now - NAMING.as_secs() as i64;
        let is_stale = is_nameless || !names.is_empty() && !is_current;
        is_stale.then_some(Stale { id: image.id, names, created: image.created })
    });
    Ok(stale.collect())
}

/// Removes what [`stale`] listed, unless a container uses it.
pub(super) async fn remove(docker: &Docker, stale: &Stale) -> Result<bool, Error> {
    // Each name counts as a use of its own.
    for name in stale.names.iter().chain(stale.names.is_empty().then_some(&stale.id)) {
        match owner::remove_image(docker, name).await {
            Err(Error::DockerResponseServerError { status_code: 409, .. }) => return Ok(false),
            removed => removed?,
        }
    }
    Ok(true)
}

/// Whether `image` was made ready by this program or another version of it, and is no fork's.
pub(super) fn is_prepared(image: &ImageSummary) -> bool {
    image.labels.contains_key(PROGRAM) && !owner::is_owned(&image.labels)
}

/// Which image `image` was made ready from.
pub(super) fn base_of(image: &ImageSummary) -> Option<&str> {
    image.labels.get(BASE).map(String::as_str)
}

/// Labels in the language of Dockerfiles.
fn as_instructions(labels: &HashMap<String, String>) -> String {
    let quoted =
        |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$"));
    let line = |(name, value): (&String, &String)| format!("LABEL {}={}", quoted(name), quoted(value));
    labels.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn user_of(labels: &HashMap<String, String>) -> Option<User> {
    Some(User {
        uid: labels.get(USER[0])?.parse().ok()?,
        gid: labels.get(USER[1])?.parse().ok()?,
        home: labels.get(USER[2])?.clone(),
        added: None,
    })
}

/// What a ready image has beside its own files.
fn pack(user: &User, program: &Program, workdir: &str) -> io::Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    if let Some((passwd, group)) = &user.added {
        append(&mut builder, "/etc/passwd", &header(EntryType::Regular, 0o644), passwd.as_bytes())?;
        append(&mut builder, "/etc/group", &header(EntryType::Regular, 0o644), group.as_bytes())?;
        append(&mut builder, &user.home, &owned(EntryType::Directory, 0o755, user), &[])?;
    }
    for directory in [files::STATE_DIRECTORY, workdir] {
        append(&mut builder, directory, &owned(EntryType::Directory, 0o755, user), &[])?;
    }
    for (inside, path) in program.files() {
        append(&mut builder, &inside, &header(EntryType::Regular, 0o755), &fs_err::read(path)?)?;
    }
    builder.into_inner()
}
