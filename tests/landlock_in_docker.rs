//! The weakest backend where it is needed: inside a container of Docker with default settings, which refuses
//! namespaces.
//!
//! Prints `skipped:` where there is no Docker, and fails there under `APPRENTICE_REQUIRE=docker`; where
//! the container has no Landlock or cannot start this program, under `APPRENTICE_REQUIRE=landlock`.

#![cfg(feature = "docker")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says that it was skipped"
)]

use std::path::Path;

use apprentice::isolation::Isolation;
use apprentice::sandbox::docker::DockerBackend;
use apprentice::sandbox::spec::SandboxSpec;
use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{LogsOptions, RemoveContainerOptions};
use futures_util::TryStreamExt;

/// Where the container finds this program.
const INSIDE: &str = "/usr/local/bin/apprentice";

/// What a command in a container said.
#[derive(Debug, Default)]
struct Said {
    code: i64,
    stdout: String,
    stderr: String,
}

/// A Docker host, and an image of the same distribution that this program was built for.
struct Ground {
    docker: Docker,
    image: String,
}

impl Ground {
    /// Runs the program in a new container with default settings, which is gone afterwards.
    async fn say(&self, arguments: &[&str]) -> Said {
        let command = [&[INSIDE], arguments].concat().into_iter().map(str::to_owned).collect();
        let program = env!("CARGO_BIN_EXE_apprentice");
        let body = ContainerCreateBody {
            image: Some(self.image.clone()),
            entrypoint: Some(command),
            cmd: Some(Vec::new()),
            host_config: Some(HostConfig {
                binds: Some(vec![format!("{program}:{INSIDE}:ro")]),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let id = self.docker.create_container(None, body).await.unwrap().id;
        // Nothing panics before the container is removed.
        let said = self.run(&id).await;
        let options = RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
        self.docker.remove_container(&id, Some(options)).await.unwrap();
        said.unwrap()
    }

    async fn run(&self, id: &str) -> Result<Said, Error> {
        self.docker.start_container(id, None).await?;
        let code = match self.docker.wait_container(id, None).try_next().await {
            Ok(ended) => ended.map_or(-1, |ended| ended.status_code),
            Err(Error::DockerContainerWaitError { code, .. }) => code,
            Err(error) => return Err(error),
        };
        let options = LogsOptions { stdout: true, stderr: true, ..LogsOptions::default() };
        let said = Said { code, ..Said::default() };
        let logs = self.docker.logs(id, Some(options));
        logs.try_fold(said, |mut said, part| async move {
            match &part {
                LogOutput::StdErr { message } => said.stderr += &String::from_utf8_lossy(message),
                _ => said.stdout += &part.to_string(),
            }
            Ok(said)
        })
        .await
    }
}

/// Says why a test is skipped, or fails when it must not be.
fn skip(what: &str, reason: &str) {
    let required = std::env::var("APPRENTICE_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == what), "{what} is required: {reason}");
    println!("skipped: {reason}");
}

async fn ground() -> Option<Ground> {
    let backend = match DockerBackend::connect(Isolation::Full).await {
        Ok(backend) => backend,
        Err(error) => {
            skip("docker", &error.to_string());
            return None;
        }
    };
    let spec = SandboxSpec::load("shell", Path::new("no directory")).unwrap();
    let docker = backend.docker().clone();
    let image = match backend.build(&spec, &tokio::sync::Mutex::new(()), &|_| ()).await {
        Ok((image, _)) => image.name,
        Err(error) => {
            skip("docker", &error.to_string());
            return None;
        }
    };
    let ground = Ground { docker, image };
    let said = ground.say(&["--version"]).await;
    if said.code != 0 {
        skip("landlock", &format!("this program does not start in the image: {}", said.stderr));
        return None;
    }
    Some(ground)
}

#[tokio::test(flavor = "multi_thread")]
async fn landlock_is_refused_until_weaker_isolation_is_accepted_and_says_what_it_lacks() {
    let Some(ground) = ground().await else { return };
    let run = ["sandbox", "run", "shell", "--sandbox", "landlock"];
    let script = "id -u; touch /etc/x 2>/dev/null || echo refused; echo written > here && cat here";
    let accepted = ground.say(&[&run[..], &["--accept-weaker-isolation", "--", script]].concat()).await;
    if accepted.stderr.contains("landlock sandboxes are not available") {
        return skip("landlock", &accepted.stderr);
    }
    assert_eq!(accepted.code, 0, "{}", accepted.stderr);
    let lines: Vec<&str> = accepted.stdout.lines().collect();
    assert_eq!(lines[1..], ["refused", "written"], "{}", accepted.stdout);
    assert_ne!(lines[0], "0", "root gives its rights up");
    let refused = ground.say(&[&run[..], &["--", "id"]].concat()).await;
    assert_eq!((refused.code, refused.stdout.as_str()), (5, ""));
    assert!(refused.stderr.contains("pass `--accept-weaker-isolation`"), "{}", refused.stderr);
    for said in [&accepted, &refused] {
        assert!(said.stderr.contains("a private /tmp (programs must use TMPDIR)"), "{}", said.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_are_refused_with_what_to_do() {
    let Some(ground) = ground().await else { return };
    let said = ground.say(&["sandbox", "run", "shell", "--sandbox", "namespaces", "--", "id"]).await;
    if said.code == 0 {
        println!("skipped: this engine's containers may make namespaces");
        return;
    }
    assert_eq!((said.code, said.stdout.as_str()), (5, ""));
    assert!(said.stderr.contains("namespaces sandboxes are not available"), "{}", said.stderr);
    assert!(said.stderr.contains("hint: inside Docker, add `--security-opt"), "{}", said.stderr);
    assert!(said.stderr.contains("`--sandbox landlock --accept-weaker-isolation`"), "{}", said.stderr);
}
