//! The peers as contenders: what to start them with, and their requests.

use std::path::Path;

use anyhow::{Context, Result};
use apprentice::sandbox::docker::images;
use apprentice::sandbox::spec::SandboxSpec;
use serde_json::{Value, json};

use crate::contender::{Contender, Crowd, Entry, Mode, Side, Work};
use crate::driver::Driver;
use crate::repository::WORKDIR;
use crate::setup::{self, Installed};

/// A peer as the report and the driver name it.
struct Known {
    name: &'static str,
    key: &'static str,
    mode: Mode,
    /// The kind of sandbox whose image it runs in.
    image: &'static str,
    forks: bool,
}

const PEERS: [Known; 4] = [
    Known {
        name: "mini-swe-agent DockerEnvironment",
        key: "mini",
        mode: Mode::Stateless,
        image: "shell",
        forks: false,
    },
    Known {
        name: "docker-py exec_run",
        key: "docker-py",
        mode: Mode::Stateless,
        image: "shell",
        forks: true,
    },
    // Its server needs Python in the image.
    Known {
        name: "SWE-ReX DockerDeployment session",
        key: "rex-session",
        mode: Mode::Session,
        image: "python",
        forks: false,
    },
    Known {
        name: "SWE-ReX DockerDeployment execute",
        key: "rex-execute",
        mode: Mode::Stateless,
        image: "python",
        forks: false,
    },
];

/// The peers. One that cannot be installed or started stays in the list and fails when it is asked.
pub(crate) fn entries(directory: &Path) -> Vec<Entry> {
    let installed = match setup::install(&directory.join("peers")) {
        Ok(installed) => Some(installed),
        Err(error) => {
            println!("skipped: all peers: {error:#}");
            None
        }
    };
    let entry = |known: &Known| {
        let driver = installed.as_ref().and_then(|installed| {
            let log = directory.join("peers.log");
            start(known, installed, &log)
                .inspect_err(|error| println!("skipped: {}: {error:#}", known.name))
                .ok()
        });
        Entry {
            name: known.name.to_owned(),
            side: Side::Peer,
            mode: known.mode,
            forks: known.forks,
            contender: Box::new(Peer { driver }),
        }
    };
    PEERS.iter().map(entry).collect()
}

fn start(known: &Known, installed: &Installed, log: &Path) -> Result<Driver> {
    let spec = SandboxSpec::load(known.image, Path::new("only what is shipped"))?;
    let image = images::tag(&spec);
    let server = installed.server.to_string_lossy();
    let mut arguments = vec![known.key, image.as_str()];
    if known.image == "python" {
        arguments.push(&server);
    }
    println!("peer: {} on {image}", known.name);
    Driver::start(&installed.python, &arguments, log)
}

/// One peer; without a driver, one that could not be started.
struct Peer {
    driver: Option<Driver>,
}

impl Peer {
    fn ask(&mut self, question: &Value) -> Result<Value> {
        self.driver.as_mut().context("it could not be started")?.ask(question)
    }

    fn seconds(&mut self, question: &Value) -> Result<Vec<f64>> {
        numbers(&self.ask(question)?["seconds"])
    }

    fn one(&mut self, question: &Value) -> Result<f64> {
        self.seconds(question)?.first().copied().context("no seconds were answered")
    }
}

fn numbers(value: &Value) -> Result<Vec<f64>> {
    let array = value.as_array().context("no list was answered")?;
    array.iter().map(|number| number.as_f64().context("no number was answered")).collect()
}

impl Contender for Peer {
    fn start(&mut self) -> Result<f64> {
        self.one(&json!({"ask": "start"}))
    }

    fn run(&mut self, work: &Work, times: usize) -> Result<Vec<f64>> {
        self.seconds(&json!({"ask": "run", "script": work.script, "times": times, "at_least": work.prints}))
    }

    fn stop(&mut self) -> Result<()> {
        self.ask(&json!({"ask": "stop"})).map(drop)
    }

    fn crowd(&mut self, size: usize, work: &Work, times: usize) -> Result<Crowd> {
        let question = json!({"ask": "crowd", "size": size, "script": work.script, "times": times});
        let answer = self.ask(&question)?;
        let seconds = numbers(&answer["seconds"])?.first().copied().context("no seconds were answered")?;
        Ok(Crowd::new(&numbers(&answer["starts"])?, seconds, times))
    }

    fn hold(&mut self, repository: &Path, changes: &str) -> Result<()> {
        let script = format!("cd {WORKDIR} && {changes}");
        self.ask(&json!({"ask": "hold", "directory": repository, "inside": WORKDIR, "script": script}))
            .map(drop)
    }

    fn fork(&mut self, check: &str) -> Result<f64> {
        self.one(&json!({"ask": "fork", "script": format!("cd {WORKDIR} && {check}")}))
    }
}
