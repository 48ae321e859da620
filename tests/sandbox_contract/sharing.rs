//! What sandboxes share: a start that one keeps and others take over, and the machine that they run on.

use std::sync::{Arc, Mutex};

use apprentice::sandbox::admission::{Admission, Host};
use apprentice::sandbox::{Backend, Kept, Start};

use crate::ground::{Ground, output, tree};

const CHANGE: &str = "rm -r gone dir becomes; mkdir becomes; echo x > becomes/inner; echo new > edited; chmod +x edited
    ln -s edited link; mkdir closed; echo c > closed/file; chmod 555 closed; echo h > ~/home; echo t > /tmp/shared
    mkfifo /tmp/pipe; cd becomes; export WORD='two words'; greet() { echo hi; }";
const SEEN: &str =
    "pwd; cat inner ~/home /tmp/shared ../edited ../closed/file; echo \"$WORD\"; greet; test -p /tmp/pipe
    test ! -e ../gone && test ! -e ../dir && readlink ../link && stat -c %a ../closed ../edited";

/// A second sandbox of the same start has files, directory, variables and functions of the first, its changes
/// are those of the first, and so it is with its forks.
pub(crate) async fn what_one_keeps_another_takes_over(ground: &Ground) {
    let names = ["gone", "dir/old", "becomes", "edited", "same"];
    let start = tree(&names.map(|name| (name, b"old\n".as_slice()))).keep();
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("files");
    let mut one = ground.start_at(&start).await;
    one.remember().await.unwrap();
    output(&mut one, CHANGE).await;
    let (seen, changes) = (output(&mut one, SEEN).await, one.diff().await.unwrap());
    assert_eq!(one.keep(&file).await.unwrap(), Kept::Whole);
    one.stop().await.unwrap();
    let mut two = ground.start_at(&start).await;
    two.take_over(&file).await.unwrap();
    assert_eq!(output(&mut two, SEEN).await, seen);
    assert_eq!(two.diff().await.unwrap(), changes);
    output(&mut two, "cd ..; rm -r becomes; echo again > becomes; rm edited; mkdir edited; rm link").await;
    let mut fork = two.fork().await.unwrap();
    assert_eq!(output(&mut fork, "pwd; cat becomes; ls -a edited | wc -l; echo \"$WORD\"").await, {
        let workdir = &ground.spec.workdir;
        format!("{workdir}\nagain\n2\ntwo words\n")
    });
    assert_eq!(fork.diff().await.unwrap(), two.diff().await.unwrap());
    fork.stop().await.unwrap();
    two.stop().await.unwrap();
}

/// A sandbox that does not fit beside another starts when that has ended.
pub(crate) async fn who_finds_no_room_waits_for_the_end_of_another(ground: &Ground) {
    let (host, mut spec) = (Arc::<Host>::default(), ground.spec.clone());
    let bounded = Admission::new(ground.backend.clone(), host);
    spec.limits.memory_mib = ground.backend.capacity().await.unwrap().free_memory_mib * 6 / 10;
    assert_eq!(bounded.at_once(&spec).await.unwrap(), 1);
    let empty = tree(&[]);
    let start = Start { spec: &spec, tree: Some(empty.path()) };
    let mut first = bounded.start(&start).await.unwrap();
    let order = Mutex::new(Vec::new());
    let second = async {
        let second = bounded.start(&start).await.unwrap();
        order.lock().unwrap().push("the second starts");
        second
    };
    let work = async {
        output(&mut first, "sleep 1").await;
        order.lock().unwrap().push("the first ends");
        first.stop().await.unwrap();
    };
    let (second, ()) = tokio::join!(second, work);
    assert_eq!(*order.lock().unwrap(), ["the first ends", "the second starts"]);
    second.stop().await.unwrap();
}
