//! People's accounts, and root: passwd(5), group(5), and who may log in by which key.

use std::{collections::BTreeMap, time::Duration};

use aws_lc_rs::digest;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use tokio_util::sync::CancellationToken;
use wire::survey::FoundUser;

use super::Files;
use crate::host::Command;

/// Accounts of people: `UID_MIN` and `UID_MAX` of login.defs(5), as all distributions have them.
const PEOPLE: std::ops::RangeInclusive<u32> = 1000..=60000;
/// A home may be on a server that does not answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Nobody has more keys.
const LONGEST_KEYS: &str = "65536";

pub(super) async fn gather(files: &mut Files<'_>) -> Vec<FoundUser> {
    let mut users = accounts(&files.text("/etc/passwd"), &files.text("/etc/group"));
    for user in &mut users {
        for file in ["authorized_keys", "authorized_keys2"] {
            let path = format!("{}/.ssh/{file}", user.home.trim_end_matches('/'));
            match keys(files, &path).await {
                Some(text) => user.key_fingerprints.extend(text.lines().filter_map(fingerprint)),
                None => files.unread.push(format!("{path}: its file system does not answer")),
            }
        }
    }
    users
}

/// The text of a file in a home, by a process that can be given up. `None`: it did not answer.
async fn keys(files: &Files<'_>, path: &str) -> Option<String> {
    let command = Command::new(["head", "-c", LONGEST_KEYS, "--", path]);
    let stop = CancellationToken::new();
    let reading = files.host.run(&command, &|_, _| {}, &stop);
    // Most have none, which is no error.
    tokio::time::timeout(PATIENCE, reading).await.ok().map(Result::unwrap_or_default)
}

/// Root, and the accounts of people who can log in.
fn accounts(passwd: &str, group: &str) -> Vec<FoundUser> {
    let groups: Vec<Vec<&str>> = group.lines().map(|line| line.split(':').collect()).collect();
    let names: BTreeMap<&str, &str> =
        groups.iter().filter_map(|fields| Some((*fields.get(2)?, *fields.first()?))).collect();
    let account = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, gecos, home, shell] = fields.as_slice() else { return None };
        let uid: u32 = uid.parse().ok()?;
        let is_person = PEOPLE.contains(&uid) && !shell.ends_with("/nologin") && !shell.ends_with("/false");
        if uid != 0 && !is_person {
            return None;
        }
        let mut own: Vec<String> = names.get(gid).map(|name| (*name).to_owned()).into_iter().collect();
        for fields in &groups {
            let [group, _, _, members] = fields.as_slice() else { continue };
            if members.split(',').any(|member| member == *name) && !own.iter().any(|known| known == group) {
                own.push((*group).to_owned());
            }
        }
        Some(FoundUser {
            name: (*name).to_owned(),
            uid,
            full_name: gecos.split(',').next().unwrap_or_default().to_owned(),
            home: (*home).to_owned(),
            groups: own,
            key_fingerprints: Vec::new(),
        })
    };
    passwd.lines().filter_map(account).collect()
}

/// What `ssh-keygen -l` shows of a line of `authorized_keys`, which may begin with options (sshd(8)).
fn fingerprint(line: &str) -> Option<String> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let blob = words.windows(2).find_map(|pair| {
        let [kind, key] = pair else { return None };
        let blob = STANDARD.decode(key).ok()?;
        // The key begins with the length and the name of its kind (RFC 4253, 6.6).
        let named = blob.get(4..)?.starts_with(kind.as_bytes());
        named.then_some(blob)
    })?;
    let hash = digest::digest(&digest::SHA256, &blob);
    Some(format!("SHA256:{}", STANDARD_NO_PAD.encode(hash.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
                          sshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n\
                          ann:x:1000:1000:Ann Example,Room 3,,:/home/ann:/bin/bash\n\
                          backup-job:x:1001:1001::/srv/backup:/usr/sbin/nologin\n\
                          nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n\
                          +@ldap\n";
    const GROUP: &str = "root:x:0:\nsudo:x:27:ann,other\nusers:x:100:annabel\nann:x:1000:\n";

    #[test]
    fn people_and_root_are_accounts_and_services_are_not() {
        let users = accounts(PASSWD, GROUP);
        let names: Vec<&str> = users.iter().map(|user| user.name.as_str()).collect();
        assert_eq!(names, ["root", "ann"]);
        assert_eq!(users[1].full_name, "Ann Example");
        assert_eq!(users[1].groups, ["ann", "sudo"]);
    }

    #[test]
    fn a_fingerprint_is_that_of_ssh_keygen() {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
        let known = Some("SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU".to_owned());
        assert_eq!(fingerprint(key), known);
        assert_eq!(fingerprint(&format!("command=\"rsync --server\",no-pty {key} ann@laptop")), known);
        assert_eq!(fingerprint(&format!("# {key}")), None);
        assert_eq!(fingerprint("ssh-ed25519 nonsense"), None);
    }
}
