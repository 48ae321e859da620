//! What of the host must survive every row: a file, a process, two listeners and the kernel's settings.

use std::collections::BTreeMap;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Child, Command};

/// The canaries.
pub(crate) struct Host {
    secret: tempfile::TempDir,
    process: Child,
    tcp: TcpListener,
    unix: UnixListener,
    settings: Vec<String>,
    words: BTreeMap<&'static str, String>,
}

/// Settings of the kernel that an escape would change first.
const SETTINGS: [&str; 4] = [
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/vm/overcommit_memory",
];

/// System calls by the names that rows use, because their numbers depend on the processor.
const CALLS: &[(&str, i64)] = &[
    ("@SYS_add_key@", libc::SYS_add_key),
    ("@SYS_bpf@", libc::SYS_bpf),
    ("@SYS_chroot@", libc::SYS_chroot),
    ("@SYS_clone@", libc::SYS_clone),
    ("@SYS_clone3@", libc::SYS_clone3),
    ("@SYS_init_module@", libc::SYS_init_module),
    ("@SYS_io_uring_setup@", libc::SYS_io_uring_setup),
    ("@SYS_kexec_load@", libc::SYS_kexec_load),
    ("@SYS_keyctl@", libc::SYS_keyctl),
    ("@SYS_mount@", libc::SYS_mount),
    ("@SYS_open_by_handle_at@", libc::SYS_open_by_handle_at),
    ("@SYS_perf_event_open@", libc::SYS_perf_event_open),
    ("@SYS_pidfd_getfd@", libc::SYS_pidfd_getfd),
    ("@SYS_pidfd_open@", libc::SYS_pidfd_open),
    ("@SYS_pivot_root@", libc::SYS_pivot_root),
    ("@SYS_process_vm_readv@", libc::SYS_process_vm_readv),
    ("@SYS_ptrace@", libc::SYS_ptrace),
    ("@SYS_reboot@", libc::SYS_reboot),
    ("@SYS_setdomainname@", libc::SYS_setdomainname),
    ("@SYS_sethostname@", libc::SYS_sethostname),
    ("@SYS_settimeofday@", libc::SYS_settimeofday),
    ("@SYS_setxattr@", libc::SYS_setxattr),
    ("@SYS_syslog@", libc::SYS_syslog),
    ("@SYS_unshare@", libc::SYS_unshare),
    ("@SYS_userfaultfd@", libc::SYS_userfaultfd),
];

impl Host {
    pub(crate) fn new() -> Self {
        let secret = tempfile::tempdir().unwrap();
        // Temporary names are random.
        let random = secret.path().file_name().unwrap().to_string_lossy().into_owned();
        let canary = format!("canary {random} of the host");
        fs_err::write(secret.path().join("secret"), &canary).unwrap();
        // The length is a mark that no other process has.
        let mark = format!("9{}.75", std::process::id());
        let process = Command::new("sleep").arg(&mark).env("CANARY", &canary).spawn().unwrap();
        let address = own_address();
        let tcp = TcpListener::bind((address, 0)).unwrap();
        tcp.set_nonblocking(true).unwrap();
        let name = format!("apprentice-hostile-{random}");
        let unix = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        unix.set_nonblocking(true).unwrap();
        let words = BTreeMap::from([
            ("@secret@", secret.path().join("secret").display().to_string()),
            ("@secrets@", secret.path().display().to_string()),
            ("@canary@", canary),
            ("@mark@", mark),
            ("@pid@", process.id().to_string()),
            ("@address@", address.to_string()),
            ("@port@", tcp.local_addr().unwrap().port().to_string()),
            ("@unix@", name),
        ]);
        Self { secret, process, tcp, unix, settings: settings(), words }
    }

    /// Puts this host's names into the text of a row.
    pub(crate) fn fill(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (word, value) in &self.words {
            text = text.replace(word, value);
        }
        for (word, number) in CALLS {
            text = text.replace(word, &number.to_string());
        }
        text
    }

    /// What an agent has done to this host.
    pub(crate) fn harm(&mut self) -> Vec<String> {
        let mut harm = Vec::new();
        let secret = fs_err::read_to_string(self.secret.path().join("secret")).unwrap_or_default();
        if secret != self.words["@canary@"] {
            harm.push(format!("the host's file now holds {secret:?}"));
        }
        let names = fs_err::read_dir(self.secret.path()).map_or(0, Iterator::count);
        if names != 1 {
            harm.push(format!("the host's directory holds {names} entries"));
        }
        if let Ok(Some(status)) = self.process.try_wait() {
            harm.push(format!("the host's process ended: {status}"));
        }
        if self.tcp.accept().is_ok() || self.unix.accept().is_ok() {
            harm.push("a listener of the host was reached".to_owned());
        }
        let now = settings();
        if now != self.settings {
            harm.push(format!("the kernel's settings are {now:?}, not {:?}", self.settings));
        }
        harm
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended, which `harm` says.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn settings() -> Vec<String> {
    SETTINGS.iter().map(|path| fs_err::read_to_string(path).unwrap_or_default()).collect()
}

/// The address by which this host would reach others; nothing is sent to find it.
fn own_address() -> IpAddr {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).unwrap();
    let routed = socket.connect(("192.0.2.1", 9)).and_then(|()| socket.local_addr());
    routed.map_or(IpAddr::from([127, 0, 0, 1]), |address| address.ip())
}
