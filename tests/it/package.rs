//! The Debian package in a clean Debian: a root made by debootstrap (`scripts/setup debian`), copied for the test.
//!
//! Installed, one edit, checked, run as the unit says until it is ready and one job is done, upgraded, removed, purged.
//! Needs root, for the root's own `/proc` and for chroot; without it, it asks sudo, as `scripts/setup` does.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tokio::net::UnixDatagram;

use crate::support::provider;
use crate::support::scene::{people, send_job};
use crate::support::wait;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A command that runs as root.
fn as_root(program: &str) -> Command {
    if nix::unistd::geteuid().is_root() {
        return Command::new(program);
    }
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", program]);
    sudo
}

fn good(output: &Output, what: &str) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what}:\n{out}{err}");
    out.into_owned()
}

/// Makes the package of the binary under test, in this version.
fn package(folder: &Path, version: &str) -> PathBuf {
    let mut making = Command::new(repository().join("scripts/deb"));
    making.arg(env!("CARGO_BIN_EXE_remesa")).arg(folder).env("FAST", "1").env("VERSION", version);
    PathBuf::from(good(&making.output().unwrap(), "scripts/deb").trim())
}

/// The same package with another configuration as it ships it.
fn with_other_defaults(package: &Path) -> PathBuf {
    let tree = package.with_extension("tree");
    let deb = |first: &str, from: &Path, to: &Path| {
        // Ownership as in the package, whoever runs the test.
        let mut deb = Command::new("dpkg-deb");
        deb.args(["--root-owner-group", "-Zgzip", "-z1", first]).arg(from).arg(to);
        good(&deb.output().unwrap(), "dpkg-deb");
    };
    deb("-R", package, &tree);
    let shipped = tree.join("etc/remesa/remesa.toml");
    let text = std::fs::read_to_string(&shipped).unwrap();
    std::fs::write(&shipped, text + "\n# New in this version.\n").unwrap();
    deb("-b", &tree, package);
    package.to_owned()
}

/// A clean Debian of the test's own.
struct Debian {
    folder: TempDir,
}

impl Debian {
    fn new() -> Self {
        let clean = repository().join("target/debian-root");
        assert!(clean.join("etc/debian_version").exists(), "the clean root is there: scripts/setup debian");
        let folder = tempfile::Builder::new().prefix("remesa-debian-").tempdir().unwrap();
        let mut copy = as_root("cp");
        copy.args(["-a", "--reflink=auto"]).arg(&clean).arg(folder.path().join("root"));
        good(&copy.output().unwrap(), "copying the clean root");
        Self { folder }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn has(&self, path: &str) -> bool {
        // A link may lead to where it leads inside.
        let mut test = as_root("/bin/sh");
        test.args(["-c", "[ -e \"$0\" ] || [ -L \"$0\" ]"]).arg(self.root().join(path.trim_start_matches('/')));
        test.status().unwrap().success()
    }

    fn read(&self, path: &str) -> String {
        good(&as_root("cat").arg(self.root().join(path.trim_start_matches('/'))).output().unwrap(), path)
    }

    /// A shell script inside, as root, with a `/proc` of its own.
    fn command(&self, script: &str) -> Command {
        let mut unshare = as_root("unshare");
        let enter = "mount -t proc proc \"$0/proc\" && exec chroot \"$0\" /bin/sh -ec \"$1\"";
        unshare.args(["--mount", "/bin/sh", "-ec", enter]).arg(self.root()).arg(script);
        unshare.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("DEBIAN_FRONTEND", "noninteractive");
        unshare.stdin(Stdio::null());
        unshare
    }

    fn run(&self, script: &str) -> String {
        good(&self.command(script).output().unwrap(), script)
    }

    fn put(&self, file: &Path) -> String {
        let name = file.file_name().unwrap().to_str().unwrap();
        good(&as_root("cp").arg(file).arg(self.root().join(name)).output().unwrap(), "copying the package");
        format!("/{name}")
    }

    fn state_of(&self, package: &str) -> String {
        self.run(&format!("dpkg-query -W -f '${{Status}}' {package} 2>/dev/null || echo none"))
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        let _ = as_root("rm").arg("-rf").arg(self.root()).status();
    }
}

/// What the unit sets for its process, as far as a process can be given it without systemd.
fn environment(unit: &str) -> String {
    let mut set = "export STATE_DIRECTORY=/var/lib/remesa HOME=/var/lib/remesa NOTIFY_SOCKET=/notify".to_owned();
    let umask = unit.lines().find_map(|line| line.strip_prefix("UMask=")).unwrap();
    write!(set, "; umask {umask}; cd /").unwrap();
    set
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = as_root("kill").arg("-KILL").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

// The provider answers while commands are waited for.
#[tokio::test(flavor = "multi_thread")]
async fn the_package_is_a_service_after_one_edit_keeps_edits_over_an_upgrade_and_leaves_nothing_when_purged() {
    let (built, debian) = (tempfile::tempdir().unwrap(), Debian::new());
    let first = debian.put(&package(built.path(), "0.1.0"));
    debian.run(&format!("dpkg -i {first}"));
    assert_eq!(debian.state_of("remesa"), "install ok installed");
    assert!(debian.has("/etc/systemd/system/multi-user.target.wants/remesa.service"), "enabled");
    assert_eq!(debian.run("stat -c '%U %G %a' /etc/remesa/remesa.toml").trim(), "root remesa 640");
    assert_eq!(
        debian.run("stat -c '%U %a' /var/lib/remesa/spool /etc/remesa/credentials").trim(),
        "remesa 2770\nroot 700"
    );
    for there in ["bash-completion/completions/remesa", "man/man1/remesa.1.gz", "man/man1/remesa-run.1.gz"] {
        assert!(debian.has(&format!("/usr/share/{there}")), "{there}");
    }
    for there in
        ["README.md", "remesa.toml", "jobs/README.md", "jobs/generate/schema.json", "monitoring/remesa.rules.yml"]
    {
        assert!(debian.has(&format!("/usr/share/doc/remesa/{there}")), "{there}");
    }
    assert_eq!(debian.run("dpkg -V remesa"), "", "what is there is what was packed");

    // One edit.
    let sandbox = provider::sandbox().await;
    let edit = format!(
        "s|^#\\[channels.sms-test\\]|[channels.sms-test]|; s|^#kind = \"sandbox\"|kind = \"sandbox\"\\nurl = \"{}\"|",
        sandbox.url()
    );
    debian.run(&format!("sed -i '{edit}' /etc/remesa/remesa.toml"));
    let as_user = "setpriv --reuid remesa --regid remesa --clear-groups --no-new-privs";
    let checked = debian.run(&format!("{as_user} remesa check --json"));
    let checked: Value = serde_json::from_str(&checked).unwrap();
    assert_eq!(checked["good"], true, "{checked}");

    // What the unit starts, as its user, until it says that it is ready; then one job.
    let unit = debian.read("/usr/lib/systemd/system/remesa.service");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let notify = UnixDatagram::bind(debian.root().join("notify")).unwrap();
    debian.run("chmod 666 /notify");
    // No port of a certain number is free for sure.
    let no_port = "export REMESA_HTTP__LISTEN=127.0.0.1:0";
    let script = format!("{}; {no_port}; exec {as_user} {start}", environment(&unit));
    let daemon = debian.command(&script).stderr(Stdio::piped()).spawn().unwrap();
    let mut daemon = Running(daemon);
    wait::within("READY=1", async {
        let mut told = vec![0; 4096];
        while let Ok(length) = notify.recv(&mut told).await {
            if String::from_utf8_lossy(&told[..length]).contains("READY=1") {
                return;
            }
        }
    })
    .await;
    let mut job = send_job("c", people(3));
    job["channel"] = "sms-test".into();
    std::fs::write(built.path().join("job.json"), job.to_string()).unwrap();
    let job = debian.put(&built.path().join("job.json"));
    debian.run(&format!("{as_user} remesa enqueue generate {job} --wait"));
    assert_eq!(sandbox.stats().counts.accepted, 3);
    good(&as_root("kill").arg("-TERM").arg(daemon.0.id().to_string()).output().unwrap(), "kill");
    let ended = wait::until("it drains", async || daemon.0.try_wait().unwrap()).await;
    assert_eq!(ended.code(), Some(0));

    // An upgrade keeps the edit, a removal keeps configuration and state, a purge keeps nothing.
    let second = debian.put(&with_other_defaults(&package(built.path(), "0.2.0")));
    debian.run(&format!("dpkg --force-confdef -i {second}"));
    let kept = debian.read("/etc/remesa/remesa.toml");
    assert!(kept.contains("\n[channels.sms-test]\n") && !kept.contains("New in this version"), "{kept}");
    assert!(debian.read("/etc/remesa/remesa.toml.dpkg-dist").contains("New in this version"));
    assert_eq!(debian.run("dpkg-query -W -f '${Version}' remesa"), "0.2.0");
    debian.run(&format!("{as_user} remesa check --json"));
    debian.run("dpkg --remove remesa");
    assert_eq!(debian.state_of("remesa"), "deinstall ok config-files");
    let left = [
        debian.has("/usr/bin/remesa"),
        debian.has("/etc/remesa/remesa.toml"),
        debian.has("/var/lib/remesa/default.lock"),
    ];
    assert_eq!(left, [false, true, true]);
    debian.run(&format!("dpkg -i {second}"));
    assert!(debian.has("/etc/systemd/system/multi-user.target.wants/remesa.service"), "enabled again");
    debian.run("dpkg --purge remesa");
    assert_eq!(debian.state_of("remesa").trim(), "none");
    let left = debian.run("find / -xdev -path /proc -prune -o \\( -ipath '*remesa*' -o -lname '*remesa*' \\) -print");
    let left: Vec<&str> = left.lines().filter(|path| *path != first && *path != second).collect();
    assert_eq!(left, Vec::<&str>::new());
}
