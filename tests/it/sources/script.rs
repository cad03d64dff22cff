//! What the job script does with files, run for real in a directory in place of `/`, with an apt that does as it is told.

use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use harness::server::repository;

/// A system that is only a directory.
struct System(tempfile::TempDir);

impl System {
    fn new() -> Self {
        let system = Self(tempfile::tempdir().unwrap());
        for folder in ["etc/apt/sources.list.d", "bin", "var/lib"] {
            fs_err::create_dir_all(system.path(folder)).unwrap();
        }
        system
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs_err::write(self.path(name), text).unwrap();
    }

    /// apt says this and ends so.
    fn apt(&self, says: &str, status: i32) {
        self.write("bin/apt-get", &format!("#!/bin/sh\ncat <<'END'\n{says}\nEND\nexit {status}\n"));
        fs_err::set_permissions(self.path("bin/apt-get"), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs a script of the job, as it is for `replace`.
    #[expect(clippy::disallowed_methods, reason = "the script is what is tested")]
    fn run(&self, script: &str, replace: bool) -> Output {
        let text =
            fs_err::read_to_string(repository().join("job-scripts/package-sources").join(script)).unwrap();
        let root = self.0.path().display();
        let text = text
            .replace("{{ params.replace }}", if replace { "true" } else { "false" })
            .replace("/etc/apt", &format!("{root}/etc/apt"))
            .replace("/var/lib/lotse-sources", &format!("{root}/var/lib/lotse-sources"));
        let path = format!("{root}/bin:/usr/bin:/bin");
        Command::new("/bin/sh").args(["-eu", "-c", &text]).env("PATH", path).output().unwrap()
    }

    fn whole(&self, lists: &[(&str, &str)], replace: bool) -> Output {
        assert!(self.run("10-begin.sh.tera", replace).status.success());
        for (name, text) in lists {
            self.write(&format!("var/lib/lotse-sources/new/{name}"), text);
        }
        self.run("30-use.sh.tera", replace)
    }

    fn lists(&self) -> Vec<(String, String)> {
        let folder = self.path("etc/apt/sources.list.d");
        let read = |path: &Path| fs_err::read_to_string(path).unwrap();
        let mut all: Vec<_> = fs_err::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), read(&path)))
            .collect();
        let one = self.path("etc/apt/sources.list");
        if one.exists() {
            all.push(("sources.list".to_owned(), read(&one)));
        }
        all.sort();
        all
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn new_lists_take_the_place_of_our_own_and_others_stay_unless_told() {
    let system = System::new();
    system.apt("Reading package lists...", 0);
    system.write("etc/apt/sources.list", "# Written by Lotse. x\ndeb http://old\n");
    system.write("etc/apt/sources.list.d/lotse-gone.sources", "gone");
    system.write("etc/apt/sources.list.d/theirs.list", "theirs");
    let output = system.whole(&[("lotse-a.sources", "a")], false);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(system.lists(), pairs(&[("lotse-a.sources", "a"), ("theirs.list", "theirs")]));
    let output = system.whole(&[("lotse-a.sources", "a2")], true);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(system.lists(), pairs(&[("lotse-a.sources", "a2")]));
    assert!(system.path("var/lib/lotse-sources/replaced/theirs.list").exists(), "what was put away is kept");
}

#[test]
fn what_apt_refuses_is_taken_back() {
    let system = System::new();
    let before = pairs(&[("lotse-a.sources", "old"), ("sources.list", "deb http://theirs\n")]);
    system.write("etc/apt/sources.list", "deb http://theirs\n");
    system.write("etc/apt/sources.list.d/lotse-a.sources", "old");
    system.apt("E: The repository 'http://x stable Release' is not signed.", 100);
    let output = system.whole(&[("lotse-a.sources", "new"), ("lotse-b.sources", "b")], true);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("is not signed"));
    assert_eq!(system.lists(), before);
    // A mirror that is away: tried again later.
    system.apt("E: Failed to fetch http://x/InRelease  Could not connect", 100);
    let output = system.whole(&[("lotse-a.sources", "new")], false);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert_eq!(system.lists(), before);
}

#[test]
fn an_interruption_between_the_old_and_the_new_is_put_right() {
    let system = System::new();
    system.write("etc/apt/sources.list.d/lotse-a.sources", "old");
    // The machine loses power while apt looks at the new lists.
    system.apt("", 0);
    system.write("bin/apt-get", "#!/bin/sh\nkill -9 $PPID\n");
    let output = system.whole(&[("lotse-b.sources", "b")], false);
    assert!(!output.status.success());
    assert_eq!(system.lists(), pairs(&[("lotse-b.sources", "b")]));
    assert!(system.run("10-begin.sh.tera", false).status.success());
    assert_eq!(system.lists(), pairs(&[("lotse-a.sources", "old")]));
}
