//! Having an image pulled, and marking it as ours to remove.
//!
//! A tag is resolved at its registry, and what is pulled is that digest: no name of the user's is made or
//! moved. Instead the image gets a name of ours, [`MARKS`], under which it is found again without a registry.
//! Guarantees that what an image was called before is noted too, so that it stays while it is called that, and that
//! a process that is killed leaves an image which nobody will remove rather than a note that is wrong: the note
//! comes last.

use std::time::Instant;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::ImageInspect;
use bollard::query_parameters::TagImageOptions;

use super::evict::Store;
use super::ledger::Pull;
use super::owner;
use super::pulls::{self, Before};
use super::reference::{Reference, short};
use crate::sandbox::Say;

/// The repository of the names that we give to what we pull.
pub(super) const MARKS: &str = "apprentice-pulled";

/// Our name for `reference`.
pub(super) fn mark(reference: &Reference) -> String {
    format!("{MARKS}:{}", reference.mark())
}

/// Pulls `reference`, or waits for the pull of it that is under way in this process.
///
/// # Errors
/// Why it could not be pulled, for the user.
pub(super) async fn fetch(store: &Store<'_>, reference: &Reference, say: Say<'_>) -> Result<(), String> {
    let name = short(&reference.to_string());
    pulls::share(&name, || async {
        let begin = Instant::now();
        say(&format!("pulling {name}"));
        let digest = match reference.digest() {
            Some(digest) => Some((digest.to_owned(), Before::Unknown)),
            None => pulls::digest(store.docker, &reference.asked()).await?.map(|it| (it, Before::Answered)),
        };
        let Some((digest, answered)) = digest else {
            // An engine that cannot ask registries pulls by the tag, and the image is the user's.
            store.make_room(say).await;
            return pulls::pull(store.docker, &reference.asked(), Before::Unknown, (&name, say)).await;
        };
        let pinned = reference.pinned(&digest);
        let was_there = inspect(store.docker, &pinned).await?.is_some();
        if !was_there {
            store.make_room(say).await;
            pulls::pull(store.docker, &pinned, answered, (&name, say)).await?;
        }
        let image = inspect(store.docker, &pinned).await?.ok_or("the engine does not have it")?;
        keep(store, reference, &image, (&pinned, was_there)).await?;
        let seconds = begin.elapsed().as_secs_f64();
        say(&format!("pulled {name} in {seconds:.1} s ({})", short(&digest)));
        Ok(())
    })
    .await
}

/// Gives the image a name of ours, and notes what it was called before we came: as long as it is called that, it
/// is not ours to remove.
async fn keep(
    store: &Store<'_>,
    reference: &Reference,
    image: &ImageInspect,
    (pinned, was_there): (&str, bool),
) -> Result<(), String> {
    let id = image.id.as_deref().unwrap_or_default();
    let tag = TagImageOptions { repo: Some(MARKS.to_owned()), tag: Some(reference.mark()) };
    store.docker.tag_image(id, Some(tag)).await.map_err(|error| format!("it could not be named: {error}"))?;
    let Some(ledger) = store.ledger else { return Ok(()) };
    let names = image.repo_tags.iter().flatten().filter(|name| !is_mark(name));
    let digests = image.repo_digests.iter().flatten().filter(|digest| was_there || *digest != pinned);
    let pull = Pull {
        name: reference.to_string(),
        digest: pinned.to_owned(),
        theirs: names.chain(digests).cloned().collect(),
    };
    // Without a note the image stays, which is no reason to fail.
    match ledger.note(id, pull).await {
        Ok(held) => drop(held),
        Err(error) => tracing::warn!(%error, "what was pulled could not be noted"),
    }
    Ok(())
}

/// Whether a name is one that we gave.
pub(super) fn is_mark(name: &str) -> bool {
    owner::plain(name).strip_prefix(MARKS).is_some_and(|rest| rest.starts_with(':'))
}

async fn inspect(docker: &Docker, image: &str) -> Result<Option<ImageInspect>, String> {
    match docker.inspect_image(image).await {
        Ok(found) => Ok(Some(found)),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}
