//! The claims about reports: what commands write beside their output.

use std::time::Duration;

use apprentice::sandbox::{Exec, Sandbox};
use apprentice::trajectory::{Exit, Reported};

use crate::ground::{Ground, command, output};

async fn reported(sandbox: &mut Box<dyn Sandbox>, exec: Exec<'_>) -> Reported {
    sandbox.exec(&exec).await.unwrap().report.unwrap()
}

fn whole(text: &str) -> Reported {
    Reported { bytes: text.into(), omitted_bytes: 0 }
}

pub(crate) async fn what_a_command_reports_comes_beside_its_output(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    // In a session that has begun, from a child that was given no descriptor but the standard ones.
    output(&mut sandbox, "export A=1").await;
    let script =
        "echo seen; bash -c 'echo $A > \"$APPRENTICE_REPORT\"' 3<&-; echo two > $APPRENTICE_REPORT; exit 3";
    let seen = sandbox.exec(&command(script).reporting(1000)).await.unwrap();
    assert_eq!((seen.output.as_str(), seen.exit), ("seen\n", Some(Exit::Code(3))));
    assert_eq!(seen.report, Some(whole("1\ntwo\n")), "opening it again takes nothing away");
    assert_eq!(reported(&mut sandbox, command("/bin/true").reporting(1000)).await, whole(""));
    assert_eq!(
        reported(&mut sandbox, command("echo x > $APPRENTICE_REPORT").fresh().reporting(9)).await,
        whole("x\n")
    );
    assert_eq!(sandbox.exec(&command("true")).await.unwrap().report, None, "unasked, there is none");
    assert_eq!(sandbox.changes().await.unwrap(), [], "and nothing of it is left");
    sandbox.stop().await.unwrap();
}

pub(crate) async fn a_report_keeps_its_first_bytes_and_counts_the_rest(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    let script = "seq 1 200000 > $APPRENTICE_REPORT";
    let all: String = (1..=200_000).map(|number| format!("{number}\n")).collect();
    assert_eq!(reported(&mut sandbox, command(script).reporting(2_000_000)).await, whole(&all));
    let report = reported(&mut sandbox, command(script).reporting(1000)).await;
    assert_eq!(report.bytes, &all.as_bytes()[..1000]);
    assert_eq!(report.omitted_bytes, all.len() as u64 - 1000);
    sandbox.stop().await.unwrap();
}

pub(crate) async fn a_report_survives_what_is_done_to_its_name(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    let script = "echo first > $APPRENTICE_REPORT; : > $APPRENTICE_REPORT; sleep 0.2\n\
                  rm $APPRENTICE_REPORT; echo forged > $APPRENTICE_REPORT; truncate -s 0 $APPRENTICE_REPORT";
    assert_eq!(reported(&mut sandbox, command(script).reporting(1000)).await, whole("first\n"));
    // What the agent puts there before is not taken for the report, and a directory in the way ends it.
    let in_the_way = "rm -rf $APPRENTICE_REPORT; ln -s /etc/passwd $APPRENTICE_REPORT";
    reported(&mut sandbox, command(in_the_way).reporting(1000)).await;
    assert_eq!(
        reported(&mut sandbox, command("echo x > $APPRENTICE_REPORT").reporting(9)).await,
        whole("x\n")
    );
    let in_the_way = "rm -rf $APPRENTICE_REPORT; mkdir -p $APPRENTICE_REPORT/x";
    reported(&mut sandbox, command(in_the_way).reporting(1000)).await;
    assert_eq!(reported(&mut sandbox, command("true").reporting(9)).await, whole(""));
    sandbox.stop().await.unwrap();
}

pub(crate) async fn a_deadline_keeps_what_was_reported(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    let script = "echo begun > $APPRENTICE_REPORT; sleep 60 > $APPRENTICE_REPORT & exec sleep 60 3> $APPRENTICE_REPORT";
    let exec = Exec { timeout: Duration::from_secs(1), ..command(script) };
    let seen = sandbox.exec(&exec.reporting(1000)).await.unwrap();
    assert_eq!((seen.exit, seen.report), (Some(Exit::TimedOut), Some(whole("begun\n"))));
    sandbox.stop().await.unwrap();
}
