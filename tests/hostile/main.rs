//! What a malicious agent may try, and what must hold afterwards.
//!
//! One table row is one program. Every row says which mechanism stops it; after each the host's canaries
//! must be unharmed and harmless commands must work in the same sandbox.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it skips and what stopped each row")]

mod files;
#[expect(dead_code, clippy::unused_async, reason = "shared with the contract, which uses more of it")]
#[path = "../sandbox_contract/ground.rs"]
mod ground;
mod host;
mod kernel;
mod network;
mod outsiders;
mod processes;
mod proxy;
mod resources;
mod row;
mod session;

/// One test for each chapter and backend, so that chapters run side by side.
macro_rules! chapters {
    ($backend:ident: $($chapter:ident in $sandboxes:ident;)*) => {
        mod $backend {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $chapter() {
                    if let Some(ground) = crate::ground::$backend().await {
                        let sandboxes = crate::row::Sandboxes::$sandboxes;
                        crate::row::hold(ground, stringify!($backend), crate::$chapter::ROWS, sandboxes).await;
                    }
                }
            )*
        }
    };
}

macro_rules! all_chapters {
    ($backend:ident) => {
        chapters! { $backend:
            resources in OneEach;
            processes in OneEach;
            outsiders in OneForAll;
            kernel in OneForAll;
            network in OneForAll;
            files in OneEach;
            session in OneEach;
        }
    };
}

/// The chapter whose sandboxes may reach listed hosts.
macro_rules! proxied {
    ($($backend:ident)*) => {
        mod proxied {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $backend() {
                    if let Some(mut ground) = crate::ground::$backend().await {
                        ground.spec.network = crate::proxy::network();
                        let sandboxes = crate::row::Sandboxes::OneForAll;
                        crate::row::hold(ground, stringify!($backend), crate::proxy::ROWS, sandboxes).await;
                    }
                }
            )*
        }
    };
}

proxied!(docker namespaces rootfs);
all_chapters!(docker);
all_chapters!(namespaces);
all_chapters!(rootfs);

#[test]
fn rows_are_many_and_their_names_differ() {
    let chapters = [
        resources::ROWS,
        processes::ROWS,
        outsiders::ROWS,
        kernel::ROWS,
        network::ROWS,
        files::ROWS,
        session::ROWS,
        proxy::ROWS,
    ];
    let mut names: Vec<&str> = chapters.iter().flat_map(|rows| rows.iter().map(|row| row.name)).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    assert!(all >= 40, "{all}");
    println!("{all} rows");
}
