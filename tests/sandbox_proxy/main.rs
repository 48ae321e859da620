//! What a sandbox reaches that may reach listed hosts, on every backend that can hold a list.
//!
//! `behaviours` holds one function a claim. The hosts are servers of this test on the loopback of the
//! machine that the manager runs on; clients are bash and perl, which every sandbox of the contract has.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it skips")]

mod behaviours;
#[expect(dead_code, clippy::unused_async, reason = "shared with the contract, which uses more of it")]
#[path = "../sandbox_contract/ground.rs"]
mod ground;
mod server;

macro_rules! whole {
    ($backend:ident: $($behaviour:ident)*) => {
        mod $backend {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $behaviour() {
                    if let Some(ground) = crate::ground::$backend().await {
                        crate::behaviours::$behaviour(ground).await;
                    }
                }
            )*
        }
    };
}

macro_rules! all {
    ($($backend:ident)*) => {
        $(whole! { $backend:
            a_listed_host_is_reached_by_request_and_by_tunnel
            what_is_not_listed_is_refused_and_nothing_leaves
            twenty_megabytes_go_both_ways_while_a_command_prints
            more_connections_than_there_is_room_for_are_all_served
            a_client_that_never_reads_stops_nobody
            a_client_that_dies_ends_its_connection
            the_end_of_the_sandbox_is_the_end_of_its_connections
            a_command_that_is_killed_leaves_the_proxy
            a_fork_has_the_same_list
            programs_are_told_of_the_proxy
        })*
    };
}

all!(docker docker_on_disk namespaces rootfs);

/// Commands of root, who lacks every capability, beside a relay that is not root's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_of_root_that_is_killed_leaves_the_proxy() {
    let Some(mut ground) = ground::docker().await else { return };
    "root".clone_into(&mut ground.spec.user);
    behaviours::a_command_that_is_killed_leaves_the_proxy(ground).await;
}

/// Commands of root, which can replace the program that serves in the next container.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_of_a_container_of_root_starts_our_program() {
    let Some(mut ground) = ground::docker().await else { return };
    "root".clone_into(&mut ground.spec.user);
    behaviours::a_fork_starts_our_program(ground).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_gone_is_a_lost_sandbox() {
    let Some(ground) = ground::docker().await else { return };
    behaviours::a_relay_that_is_gone_is_a_lost_sandbox(ground).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "counts this process's open files, so it runs alone: `cargo test --test sandbox_proxy -- --ignored --test-threads 1`"]
async fn sandboxes_in_namespaces_that_come_and_go_leave_no_open_file() {
    let Some(ground) = ground::namespaces().await else { return };
    behaviours::sandboxes_that_come_and_go_leave_no_open_file(ground).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "counts this process's open files, so it runs alone: `cargo test --test sandbox_proxy -- --ignored --test-threads 1`"]
async fn sandboxes_in_docker_that_come_and_go_leave_no_open_file() {
    let Some(ground) = ground::docker().await else { return };
    behaviours::sandboxes_that_come_and_go_leave_no_open_file(ground).await;
}
