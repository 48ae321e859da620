//! What every backend must do, run against each of them.
//!
//! `behaviours` holds one function a claim; the macro makes one test of each for each backend. What a
//! host lacks is printed as `skipped: …`, and fails when `APPRENTICE_REQUIRE` names it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it skips")]

mod behaviours;
mod ground;
mod reports;
mod sharing;
mod spills;
mod streams;
mod terminals;
#[cfg(feature = "docker")]
mod volumes;

macro_rules! contract {
    ($backend:ident: $($behaviour:ident)*) => {
        mod $backend {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $behaviour() {
                    if let Some(ground) = crate::ground::$backend().await {
                        crate::behaviours::$behaviour(&ground).await;
                    }
                }
            )*
        }
    };
}

macro_rules! whole_contract {
    ($backend:ident) => {
        contract! { $backend:
            exit_codes_are_the_scripts_own
            a_signal_is_not_success
            both_streams_arrive_in_their_order
            streams_told_apart_keep_their_true_order
            copies_of_a_stream_are_that_stream
            a_stream_opened_by_its_name_loses_nothing
            large_writes_to_both_streams_come_whole_and_in_order
            streams_told_apart_share_one_bound
            what_holds_a_stream_apart_does_not_hold_up_its_command
            a_deadline_holds_where_streams_are_apart
            what_a_command_reports_comes_beside_its_output
            a_report_keeps_its_first_bytes_and_counts_the_rest
            a_report_survives_what_is_done_to_its_name
            a_deadline_keeps_what_was_reported
            a_whole_output_is_kept_where_that_is_asked_for
            whole_outputs_share_one_bound
            nothing_is_kept_unasked
            a_whole_output_is_kept_of_streams_told_apart
            a_shell_on_a_terminal_is_interactive
            who_hangs_up_ends_the_shell_and_what_it_left
            a_flood_on_a_terminal_and_typing_do_not_block_each_other
            programs_that_want_a_user_end_at_once
            a_signal_and_the_memory_bound_are_told_apart
            silence_ends_the_whole_tree
            scripts_of_any_length_run
            stdin_is_closed
            a_deadline_kills_the_whole_tree_and_keeps_the_output
            a_deadline_stops_endless_output
            a_background_process_does_not_hold_up_its_command
            what_runs_on_is_listed
            silence_ends_a_command_where_it_is_bounded
            output_keeps_head_and_tail
            output_that_is_not_text_is_replaced
            files_are_read_and_written
            what_cannot_be_read_or_written_is_a_value
            a_written_file_keeps_its_mode
            links_lead_nowhere_outside
            every_kind_of_change_is_found
            a_removed_work_directory_is_all_deleted
            the_start_is_never_written
            the_session_carries_directory_variables_and_functions
            a_program_without_a_shell_is_in_the_session_too
            a_fresh_command_sees_and_leaves_no_session
            a_fork_has_everything_and_is_its_own
            forks_of_forks_outlive_their_parents
            a_sandbox_has_no_network
            a_sandbox_has_no_power
            processes_are_bounded
            memory_is_bounded
            sandboxes_run_side_by_side
            what_one_keeps_another_takes_over
            who_finds_no_room_waits_for_the_end_of_another
        }
    };
}

whole_contract!(docker);
whole_contract!(docker_on_disk);
whole_contract!(namespaces);
whole_contract!(rootfs);

contract! { scripted:
    files_are_read_and_written
    a_written_file_keeps_its_mode
    the_start_is_never_written
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_on_disk_bounds_a_shell_on_a_terminal() {
    let Some(ground) = ground::docker_on_disk().await else { return };
    behaviours::a_shell_on_a_terminal_that_fills_the_disk_is_ended(ground).await;
}

#[cfg(feature = "docker")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_leaves_nothing_behind() {
    use apprentice::sandbox::docker;

    let Some(mut ground) = ground::docker().await else { return };
    ground.spec.name = "leftovers".to_owned();
    let engine = docker::DockerBackend::connect(apprentice::isolation::Isolation::Full).await.unwrap();
    let mut sandbox = ground.start(&[]).await;
    let mut fork = sandbox.fork().await.unwrap();
    let grandchild = fork.fork().await.unwrap();
    let ids = [sandbox.id().to_owned(), fork.id().to_owned(), grandchild.id().to_owned()];
    let mine = async || -> Vec<docker::Leftover> {
        let all = docker::leftovers(engine.docker()).await.unwrap();
        all.into_iter().filter(|leftover| ids.contains(&leftover.id)).collect()
    };
    let running = mine().await;
    assert_eq!(running.len(), 3);
    assert!(running.iter().all(|leftover| !leftover.is_orphan && leftover.pid == std::process::id()));
    let images = |all: &[docker::Leftover]| all.iter().filter(|leftover| leftover.kind == "image").count();
    for sandbox in [sandbox, fork, grandchild] {
        sandbox.stop().await.unwrap();
    }
    assert_eq!(mine().await, []);
    let left = docker::leftovers(engine.docker()).await.unwrap();
    let left: Vec<_> = left.into_iter().filter(|leftover| leftover.sandbox == ground.spec.name).collect();
    assert_eq!(images(&left), 0, "{left:?}");
}

#[cfg(feature = "docker")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_keeps_what_root_writes_anywhere() {
    let Some(mut ground) = ground::docker().await else { return };
    "root".clone_into(&mut ground.spec.user);
    sharing::what_one_keeps_another_takes_over(&ground).await;
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("files");
    let start = ground::tree(&[]).keep();
    let mut one = ground.start_at(&start).await;
    one.remember().await.unwrap();
    ground::output(
        &mut one,
        "mkdir /opt /opt/tool; echo t > /opt/tool/t; echo k >> /etc/passwd; rm /etc/shadow",
    )
    .await;
    assert_eq!(one.keep(&file).await.unwrap(), apprentice::sandbox::Kept::Whole);
    one.stop().await.unwrap();
    let mut two = ground.start_at(&start).await;
    two.take_over(&file).await.unwrap();
    let seen =
        ground::output(&mut two, "cat /opt/tool/t; tail -n 1 /etc/passwd; test ! -e /etc/shadow").await;
    assert_eq!(seen, "t\nk\n");
    two.stop().await.unwrap();
}

#[cfg(feature = "docker")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_sweeps_what_a_killed_process_left() {
    use std::time::{Duration, Instant};

    use apprentice::sandbox::docker;

    const KIND: &str = "killed";
    let Some(ground) = ground::docker().await else { return };
    let dir = tempfile::tempdir().unwrap();
    let spec = format!(
        "format: apprentice.sandbox/1\nname: {KIND}\nimage: {}\n",
        ground.spec.image.as_ref().unwrap()
    );
    fs_err::create_dir_all(dir.path().join(KIND)).unwrap();
    fs_err::write(dir.path().join(KIND).join("sandbox.yaml"), spec).unwrap();
    let mut manager = std::process::Command::new(env!("CARGO_BIN_EXE_apprentice"))
        .args(["sandbox", "run", KIND, "--sandbox", "docker", "--sandboxes"])
        .arg(dir.path())
        .args(["--", "sleep", "300"])
        .spawn()
        .unwrap();
    let engine = docker::DockerBackend::connect(apprentice::isolation::Isolation::Full).await.unwrap();
    let left = async || -> usize {
        let all = docker::leftovers(engine.docker()).await.unwrap();
        all.iter().filter(|leftover| leftover.sandbox == KIND).count()
    };
    let wait_for = async |count: usize| {
        let begin = Instant::now();
        while left().await != count {
            assert!(begin.elapsed() < Duration::from_secs(30), "there are not {count} after 30 s");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    wait_for(1).await;
    manager.kill().unwrap();
    manager.wait().unwrap();
    ground.start(&[]).await.stop().await.unwrap();
    wait_for(0).await;
}

#[cfg(feature = "docker")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_hands_out_no_warm_sandbox_that_ended() {
    use apprentice::sandbox::{Start, docker};

    let Some(mut ground) = ground::docker().await else { return };
    ground.spec.name = "warm".to_owned();
    let tree = ground::tree(&[]);
    let start = Start { spec: &ground.spec, tree: Some(tree.path()) };
    ground.backend.warm(&start, 1).await.unwrap();
    let engine = docker::DockerBackend::connect(apprentice::isolation::Isolation::Full).await.unwrap();
    let all = docker::leftovers(engine.docker()).await.unwrap();
    let is_mine = |one: &&docker::Leftover| one.sandbox == "warm" && one.pid == std::process::id();
    let waiting = all.iter().find(is_mine).unwrap();
    docker::remove(engine.docker(), waiting).await.unwrap();
    let mut sandbox = ground.backend.start(&start).await.unwrap();
    assert_ne!(sandbox.id(), waiting.id);
    assert_eq!(ground::output(&mut sandbox, "echo here").await, "here\n");
    sandbox.stop().await.unwrap();
}

#[cfg(feature = "docker")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_keeps_the_image_of_a_fork_that_is_used() {
    use apprentice::sandbox::docker;

    let Some(mut ground) = ground::docker_on_disk().await else { return };
    ground.spec.name = "used-image".to_owned();
    let engine = docker::DockerBackend::connect(apprentice::isolation::Isolation::Full).await.unwrap();
    let mut sandbox = ground.start(&[]).await;
    let fork = sandbox.fork().await.unwrap();
    let all = docker::leftovers(engine.docker()).await.unwrap();
    let image = all.iter().find(|one| one.kind == "image" && one.sandbox == "used-image").unwrap();
    assert!(!docker::remove(engine.docker(), image).await.unwrap());
    fork.stop().await.unwrap();
    sandbox.stop().await.unwrap();
}
