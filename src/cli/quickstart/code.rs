//! Quickstart with code: which sandboxes its bugs are repaired in.

use std::path::Path;
use std::sync::Arc;

use super::{Args, Setting, wrong_change};
use crate::cli::failure::Failure;
use crate::cli::sandbox::{block_on, failure as sandbox_failure};
use crate::isolation::Isolation;
use crate::quickstart::Domain;
use crate::quickstart::code::{Code, Plan};
use crate::run::Manifest;
use crate::sandbox::SandboxError;
use crate::sandbox::select::{BackendKind, Choice, Selection};
use crate::sandbox::spec::SandboxSpec;

/// The plan with its sandboxes.
pub(super) struct Bench {
    plan: Plan,
    spec: Arc<SandboxSpec>,
    selection: Selection,
    isolation: Isolation,
}

impl Bench {
    pub(super) fn choose(args: &Args) -> Result<Self, Failure> {
        let plan =
            Plan::load(&args.changes).map_err(|error| wrong_change(error, "recipes/quickstart.yaml"))?;
        let spec = Arc::new(SandboxSpec::load("shell", Path::new("sandboxes")).map_err(Failure::input)?);
        let (selection, isolation) = select(args.kind, &spec)?;
        Ok(Self { plan, spec, selection, isolation })
    }
}

impl Setting for Bench {
    fn domain(&self) -> Box<dyn Domain + '_> {
        Box::new(Code { plan: &self.plan, backend: &self.selection.backend, spec: &self.spec })
    }

    fn manifest(&self) -> Result<Manifest, Failure> {
        let recipe = serde_json::to_value(&self.plan).map_err(Failure::usage)?;
        let mut manifest = Manifest::new(std::env::args(), recipe);
        manifest.digests.sandboxes.insert("shell".to_owned(), self.selection.made_of.clone());
        manifest.protection = Some(self.selection.protection.clone());
        manifest.isolation = self.isolation;
        Ok(manifest)
    }

    fn note(&self) -> Option<&str> {
        Some(&self.selection.line)
    }
}

/// Hundreds of short-lived sandboxes: namespaces start in milliseconds, containers in tenths of a second, so
/// `auto` asks for namespaces first. The tasks and the student are our own, so where neither is to be had, this
/// command alone may fall to Landlock by itself.
fn select(kind: BackendKind, spec: &SandboxSpec) -> Result<(Selection, Isolation), Failure> {
    let asked: &[(BackendKind, Isolation)] = match kind {
        BackendKind::Auto => &[
            (BackendKind::Namespaces, Isolation::Full),
            (BackendKind::Docker, Isolation::Full),
            (BackendKind::Landlock, Isolation::AcceptWeaker),
        ],
        BackendKind::Landlock => &[(BackendKind::Landlock, Isolation::AcceptWeaker)],
        BackendKind::Docker => &[(BackendKind::Docker, Isolation::Full)],
        BackendKind::Namespaces => &[(BackendKind::Namespaces, Isolation::Full)],
    };
    block_on(async {
        let mut first: Option<SandboxError> = None;
        for &(kind, isolation) in asked {
            let choice = Choice::new(kind, isolation).map_err(sandbox_failure)?;
            match choice.backend(spec).await {
                Ok(selection) => return Ok((selection, isolation)),
                Err(error) => drop(first.get_or_insert(error)),
            }
        }
        Err(sandbox_failure(first.expect("invariant: something was asked for")))
    })
}
