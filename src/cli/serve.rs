//! `apprentice model serve`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context;
use serde_json::json;

use super::ask::{KEY, key};
use super::failure::{Answer, Failure};
use super::output::Output;
use super::sandbox::block_on;
use super::{interrupt, model};
use crate::model::{Student, cpu};
use crate::serve::{Options, ServeError, Server};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Model directory in Hugging Face layout
    dir: PathBuf,
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Address to listen on; another than loopback needs a key in APPRENTICE_API_KEY
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Name of the model in requests [default: the directory's name]
    #[arg(long)]
    name: Option<String>,
    /// Serve a LoRA adapter too (PEFT layout), merged into a copy of the model
    #[arg(long, value_name = "NAME=DIR")]
    adapter: Vec<Adapter>,
    /// Let clients load adapters from below this directory
    #[arg(long, value_name = "DIR")]
    adapter_root: Option<PathBuf>,
}

#[derive(Debug, Clone)]
struct Adapter {
    name: String,
    dir: PathBuf,
}

impl FromStr for Adapter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, dir)) if !name.is_empty() && !dir.is_empty() => {
                Ok(Self { name: name.to_owned(), dir: dir.into() })
            }
            _ => Err("use NAME=DIR".to_owned()),
        }
    }
}

pub(super) fn run(args: &Args, output: Output) -> Result<Answer, Failure> {
    let key = key()?;
    let student = Student::load(&args.dir, &cpu()).map_err(model::failure)?;
    let directory = fs_err::canonicalize(&args.dir).map_err(Failure::input)?;
    let own = || directory.file_name().map_or("student".into(), |name| name.to_string_lossy().into_owned());
    let options = Options {
        address: SocketAddr::new(args.host, args.port),
        key,
        name: args.name.clone().unwrap_or_else(own),
        adapter_root: args.adapter_root.clone(),
    };
    block_on(async {
        let server = Server::bind(student, options).await.map_err(failure)?;
        for Adapter { name, dir } in &args.adapter {
            server.load_adapter(name, dir).map_err(failure)?;
        }
        let end = interrupt::first().context("could not listen for signals").map_err(Failure::host)?;
        let (url, names) = (format!("http://{}", server.address()), server.names());
        let value = json!({"format": "apprentice.serve/1", "url": url, "models": names});
        let human = format!("serving {} at {url}", names.join(", "));
        output.result(&value, &human).map_err(Failure::host)?;
        server.run(end).await;
        Ok(Answer::Yes)
    })
}

fn failure(error: ServeError) -> Failure {
    match error {
        ServeError::Open { .. } => Failure::usage(error)
            .with_hint(format!("set {KEY} to a secret that clients know, or leave out `--host`")),
        ServeError::Bind { .. } => {
            Failure::host(error).with_hint("choose another `--port`; 0 takes a free one")
        }
        ServeError::Thread(_) => Failure::host(error),
        ServeError::Name { .. } => Failure::usage(error),
        ServeError::Adapter { name, source } => {
            let Failure { kind, source, hint } = model::failure(source);
            Failure { kind, source: source.context(format!("could not load adapter `{name}`")), hint }
        }
    }
}
