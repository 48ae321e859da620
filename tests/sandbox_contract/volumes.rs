//! `/usr` in a volume of the engine, where the engine's storage driver is a process: what is seen there is what the
//! image holds, and the volume goes with its image.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use apprentice::isolation::Isolation;
use apprentice::sandbox::docker::DockerBackend;
use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{ListVolumesOptions, RemoveImageOptions, RemoveVolumeOptions};

use crate::ground::{self, Ground};

/// A ground with an image made ready of its own, where volumes are used.
async fn ground(name: &str) -> Option<(Ground, DockerBackend)> {
    let mut ground = ground::docker().await?;
    let engine = DockerBackend::connect(Isolation::Full).await.unwrap();
    let driver = engine.docker().info().await.unwrap().driver.unwrap_or_default();
    if driver != "fuse-overlayfs" {
        println!("skipped: the storage driver {driver} answers in the kernel");
        return None;
    }
    name.clone_into(&mut ground.spec.name);
    ground.spec.workdir = format!("/usr/src/{name}");
    Some((ground, engine))
}

/// The image of a container, and the volume at its `/usr`.
async fn image_and_volume(docker: &Docker, id: &str) -> (String, Option<String>) {
    let container = docker.inspect_container(id, None).await.unwrap();
    let mounts = container.mounts.unwrap_or_default();
    let usr = mounts.into_iter().find(|mount| mount.destination.as_deref() == Some("/usr"));
    (container.image.unwrap(), usr.and_then(|mount| mount.name))
}

async fn is_there(docker: &Docker, volume: &str) -> bool {
    match docker.inspect_volume(volume).await {
        Ok(_) => true,
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

/// The names of all volumes and marks of the image `id`.
async fn volumes_of(docker: &Docker, id: &str) -> Vec<String> {
    let filters = HashMap::from([("label".to_owned(), vec![format!("apprentice.usr={id}")])]);
    let listed = docker.list_volumes(Some(ListVolumesOptions { filters: Some(filters) })).await.unwrap();
    listed.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect()
}

/// Removes the image, and then what is left of its volumes: nothing.
async fn remove_image_and_volume(engine: &DockerBackend, image: &str) {
    let (docker, begin) = (engine.docker(), Instant::now());
    // One that was being made ahead may still have it.
    while let Err(error) = docker.remove_image(image, None::<RemoveImageOptions>, None).await {
        assert!(begin.elapsed() < Duration::from_secs(30), "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    engine.clear_volumes().await.unwrap();
    assert_eq!(volumes_of(docker, image).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_shows_in_a_volume_what_the_image_holds() {
    // Directories have other sizes and numbers of links on other file systems.
    const LOOK: &str = "(shopt -s globstar dotglob; for file in /usr/**; do case $file in /usr/src/*) ;; *)
        if test -d \"$file\" -a ! -L \"$file\"; then stat -c '%n %f %u %g' \"$file\"; \
        else stat -c '%N %f %u %g %s %.Y %h' \"$file\"; fi ;; esac; done)";
    let Some((mut ground, engine)) = ground("same").await else { return };
    let mut there = ground.start(&[("a", b"one\n")]).await;
    let (_, volume) = image_and_volume(engine.docker(), there.id()).await;
    assert!(volume.is_some());
    let in_volume = ground::output(&mut there, LOOK).await;
    assert_eq!(
        ground::output(&mut there, "cat a; pwd; echo two > a; cat a").await,
        "one\n/usr/src/same\ntwo\n"
    );
    let refused =
        ground::output(&mut there, "touch /usr/x 2>&1 || true; rm /usr/lib/apprentice/inside 2>&1 || true")
            .await;
    assert_eq!(refused.matches("Read-only file system").count(), 2, "{refused}");
    there.stop().await.unwrap();
    // Root works in the layer, and so sees the image itself.
    "root".clone_into(&mut ground.spec.user);
    let mut image = ground.start(&[]).await;
    assert_eq!(image_and_volume(engine.docker(), image.id()).await.1, None);
    let in_image = ground::output(&mut image, LOOK).await;
    image.stop().await.unwrap();
    assert!(in_volume.contains("/usr/lib/apprentice/inside'"), "{in_volume}");
    assert_eq!(in_volume, in_image);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_removes_a_volume_with_its_image_and_not_while_it_is_used() {
    let Some((ground, engine)) = ground("goes").await else { return };
    let docker = engine.docker();
    let mut sandbox = ground.start(&[]).await;
    let (image, volume) = image_and_volume(docker, sandbox.id()).await;
    let volume = volume.unwrap();
    assert_eq!(volumes_of(docker, &image).await.len(), 2, "a volume and its mark");
    engine.clear_volumes().await.unwrap();
    assert!(is_there(docker, &volume).await);
    let mut fork = sandbox.fork().await.unwrap();
    drop(docker.remove_image(&image, None::<RemoveImageOptions>, None).await);
    engine.clear_volumes().await.unwrap();
    assert!(is_there(docker, &volume).await);
    assert_eq!(
        ground::output(&mut fork, "ls /usr/lib/apprentice/inside").await,
        "/usr/lib/apprentice/inside\n"
    );
    fork.stop().await.unwrap();
    sandbox.stop().await.unwrap();
    remove_image_and_volume(&engine, &image).await;
    // The same backend makes both again.
    let again = ground.start(&[]).await;
    let (image, volume) = image_and_volume(docker, again.id()).await;
    assert!(volume.is_some());
    again.stop().await.unwrap();
    remove_image_and_volume(&engine, &image).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_takes_no_empty_volume_for_one_that_was_removed() {
    let Some((ground, engine)) = ground("lost").await else { return };
    let docker = engine.docker();
    let first = ground.start(&[]).await;
    let (image, volume) = image_and_volume(docker, first.id()).await;
    let volume = volume.unwrap();
    first.stop().await.unwrap();
    docker.remove_volume(&volume, None::<RemoveVolumeOptions>).await.unwrap();
    let mut second = ground.start(&[]).await;
    assert_eq!(image_and_volume(docker, second.id()).await.1, None);
    assert_eq!(
        ground::output(&mut second, "ls /usr/lib/apprentice/inside").await,
        "/usr/lib/apprentice/inside\n"
    );
    assert!(!is_there(docker, &volume).await);
    let mut third = ground.start(&[]).await;
    let other = image_and_volume(docker, third.id()).await.1;
    assert!(other.is_some_and(|other| other != volume));
    assert_eq!(
        ground::output(&mut third, "ls /usr/lib/apprentice/inside").await,
        "/usr/lib/apprentice/inside\n"
    );
    second.stop().await.unwrap();
    third.stop().await.unwrap();
    remove_image_and_volume(&engine, &image).await;
}
