//! Quickstart with mathematics: nothing but a plan.

use anyhow::anyhow;

use super::{Args, Setting, wrong_change};
use crate::cli::failure::Failure;
use crate::quickstart::Domain;
use crate::quickstart::math::{Math, Plan};
use crate::run::Manifest;
use crate::sandbox::select::BackendKind;

/// The plan.
pub(super) struct Paper {
    plan: Plan,
}

impl Paper {
    pub(super) fn choose(args: &Args) -> Result<Self, Failure> {
        if args.kind != BackendKind::Auto {
            let failure = anyhow!("`--domain math` runs no sandbox");
            return Err(Failure::usage(failure).with_hint("leave `--sandbox` out"));
        }
        let plan =
            Plan::load(&args.changes).map_err(|error| wrong_change(error, "recipes/quickstart-math.yaml"))?;
        Ok(Self { plan })
    }
}

impl Setting for Paper {
    fn domain(&self) -> Box<dyn Domain + '_> {
        Box::new(Math { plan: &self.plan })
    }

    fn manifest(&self) -> Result<Manifest, Failure> {
        let recipe = serde_json::to_value(&self.plan).map_err(Failure::usage)?;
        Ok(Manifest::new(std::env::args(), recipe))
    }

    fn note(&self) -> Option<&str> {
        None
    }
}
