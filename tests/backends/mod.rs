//! The backends that work here, for tests that need a real sandbox: others are printed as `skipped: …`, and fail
//! when `APPRENTICE_REQUIRE` names them.

use std::path::PathBuf;
use std::sync::Arc;

use apprentice::isolation::Isolation;
use apprentice::sandbox::Backend;
use apprentice::sandbox::select::{BackendKind, Choice};
use apprentice::sandbox::spec::SandboxSpec;

/// The backend of this kind for `spec`, if it works here.
pub(crate) async fn backend(kind: BackendKind, spec: &SandboxSpec) -> Option<Arc<dyn Backend>> {
    let required = std::env::var("APPRENTICE_REQUIRE").unwrap_or_default();
    let exe = PathBuf::from(env!("CARGO_BIN_EXE_apprentice"));
    match Choice::of(kind, Isolation::Full, exe).backend(spec).await {
        Ok(selection) => Some(selection.backend),
        Err(error) => {
            assert!(!required.contains(&kind.to_string()), "{kind} is required: {error}");
            println!("skipped: {kind}: {error}");
            None
        }
    }
}
