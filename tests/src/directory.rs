//! A real directory (slapd) of a test's own, on loopback, with a certificate and a CA made for it.
//!
//! Invariant: it ends with the test, however that ends: a shell waits on a pipe whose other end only this process holds.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use server::{
    auth::ldap::{Mapping, Membership, Settings},
    domain::people::Role,
};
use tempfile::TempDir;

/// Root of the tree.
pub const BASE: &str = "dc=school,dc=example";
/// Password of the tree's owner, and of Lotse's own account.
const SECRET: &str = "of-the-service";

/// Start, say its number, and stop when standard input ends. `$1`: configuration, `$2`: addresses.
const SCRIPT: &str = r#"set -eu
PATH=$PATH:/usr/sbin
slapd -f "$1" -h "$2" -d 0 > /dev/null 2>&1 < /dev/null &
echo $!
cat > /dev/null
kill -CONT $! || true
kill -KILL $! || true
wait $! || true
"#;

/// Everybody and every group; `it` holds `staff` holds `helpers` holds ann, and `helpers` holds `it` again.
const TREE: &str = "\
dn: dc=school,dc=example\nobjectClass: dcObject\nobjectClass: organization\no: School\n
dn: ou=people,dc=school,dc=example\nobjectClass: organizationalUnit\n
dn: ou=groups,dc=school,dc=example\nobjectClass: organizationalUnit\n
dn: cn=lotse,dc=school,dc=example\nobjectClass: applicationProcess\nobjectClass: simpleSecurityObject\nuserPassword: of-the-service\n
dn: uid=ann,ou=people,dc=school,dc=example\nobjectClass: inetOrgPerson\ncn: Ann Lee\nsn: Lee\nuserPassword: ann's password\n
dn: uid=bob,ou=people,dc=school,dc=example\nobjectClass: inetOrgPerson\ncn: Bob\nsn: B\nuserPassword: bob's password\n
dn: uid=eve,ou=people,dc=school,dc=example\nobjectClass: inetOrgPerson\ncn: Eve\nsn: E\nuserPassword: eve's password\n
dn: uid=admin,ou=people,dc=school,dc=example\nobjectClass: inetOrgPerson\ncn: Other\nsn: O\nuserPassword: other's password\n
dn: cn=helpers,ou=groups,dc=school,dc=example\nobjectClass: groupOfNames\nmember: uid=ann,ou=people,dc=school,dc=example\nmember: uid=admin,ou=people,dc=school,dc=example\n
dn: cn=staff,ou=groups,dc=school,dc=example\nobjectClass: groupOfNames\nmember: cn=helpers,ou=groups,dc=school,dc=example\n
dn: cn=it,ou=groups,dc=school,dc=example\nobjectClass: groupOfNames\nmember: cn=staff,ou=groups,dc=school,dc=example\n
dn: ou=rooms,dc=school,dc=example\nobjectClass: organizationalUnit\n
dn: cn=room-102,ou=rooms,dc=school,dc=example\nobjectClass: groupOfNames\nmember: cn=staff,ou=groups,dc=school,dc=example\n
dn: cn=teachers,ou=groups,dc=school,dc=example\nobjectClass: groupOfNames\nmember: uid=bob,ou=people,dc=school,dc=example\n
";
const CIRCLE: &str = "dn: cn=helpers,ou=groups,dc=school,dc=example\nchangetype: modify\nadd: member\nmember: cn=it,ou=groups,dc=school,dc=example\n";

/// A directory that runs.
#[expect(clippy::struct_field_names, reason = "a directory of files, of a directory of people")]
pub struct Directory {
    directory: TempDir,
    keeper: Child,
    number: Pid,
    open_port: u16,
    tls_port: u16,
}

impl Directory {
    /// Starts one, with everybody in it.
    ///
    /// # Errors
    /// slapd or ldap-utils are not installed (`packaging/setup.sh` does that), or it does not start.
    pub fn start() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        certificates(directory.path())?;
        let at = directory.path().display();
        fs_err::create_dir(directory.path().join("db"))?;
        let config = format!(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n\
             include /etc/ldap/schema/inetorgperson.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n\
             moduleload memberof\npidfile {at}/pid\nTLSCertificateFile {at}/cert.pem\nTLSCertificateKeyFile {at}/key.pem\n\
             database mdb\nsuffix \"{BASE}\"\nrootdn \"cn=root,{BASE}\"\nrootpw {SECRET}\ndirectory {at}/db\n\
             maxsize 10485760\noverlay memberof\nmemberof-refint true\n\
             access to attrs=userPassword by anonymous auth by * none\naccess to * by users read by anonymous auth\n"
        );
        let path = directory.path().join("slapd.conf");
        fs_err::write(&path, config)?;
        let (open_port, tls_port) = (free_port()?, free_port()?);
        let addresses = format!("ldap://127.0.0.1:{open_port} ldaps://127.0.0.1:{tls_port}");
        let mut keeper = spawn(&path, &addresses)?;
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().context("the shell has no output")?).read_line(&mut line)?;
        let number = Pid::from_raw(line.trim().parse().context("slapd did not start")?);
        let directory = Self { directory, keeper, number, open_port, tls_port };
        directory.change("ldapadd", TREE)?;
        directory.change("ldapmodify", CIRCLE)?;
        Ok(directory)
    }

    /// Adds or modifies entries (LDIF, RFC 2849), as the tree's owner.
    ///
    /// # Errors
    /// The directory refuses.
    #[expect(clippy::disallowed_methods, reason = "the directory's own tools")]
    pub fn change(&self, program: &str, ldif: &str) -> Result<()> {
        let mut last = String::new();
        // Just started, it may not listen yet.
        for _ in 0..100 {
            let mut child = Command::new(program)
                .args(["-x", "-H", &format!("ldap://127.0.0.1:{}", self.open_port)])
                .args(["-D", &format!("cn=root,{BASE}"), "-w", SECRET])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .with_context(|| format!("starting {program}; packaging/setup.sh installs it"))?;
            child.stdin.take().context("no input")?.write_all(ldif.as_bytes())?;
            let done = child.wait_with_output()?;
            if done.status.success() {
                return Ok(());
            }
            last = String::from_utf8_lossy(&done.stderr).into_owned();
            if !last.contains("contact LDAP server") {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        anyhow::bail!("{program}: {last}")
    }

    /// A description of it: `helpers` (and with it, through two more groups, `it`) are admins, `teachers` help in room-101.
    pub fn settings(&self) -> Result<Settings> {
        let password = self.directory.path().join("password");
        fs_err::write(&password, format!("{SECRET}\n"))?;
        let mapping = |group: &str, role, client_groups: &[&str]| Mapping {
            group: format!("CN={group}, OU=groups,{BASE}"),
            role,
            client_groups: client_groups.iter().map(|&name| name.to_owned()).collect(),
        };
        Ok(Settings {
            url: format!("ldap://127.0.0.1:{}", self.open_port),
            start_tls: true,
            ca_file: Some(self.directory.path().join("ca.pem")),
            bind_dn: Some(format!("cn=lotse,{BASE}")),
            bind_password_file: Some(password),
            user_base: format!("ou=people,{BASE}"),
            user_filter: "(&(objectClass=person)(uid={name}))".to_owned(),
            name_attribute: "uid".to_owned(),
            full_name_attribute: "cn".to_owned(),
            membership: Membership::MemberOf,
            group_base: vec![format!("ou=groups,{BASE}")],
            timeout: 2,
            cache: 600,
            roles: vec![mapping("it", Role::Admin, &[]), mapping("teachers", Role::Helpdesk, &["room-101"])],
        })
    }

    /// Its address that is encrypted from the start.
    pub fn ldaps(&self) -> String {
        format!("ldaps://127.0.0.1:{}", self.tls_port)
    }

    /// A CA that did not sign its certificate.
    pub fn other_ca(&self) -> PathBuf {
        self.directory.path().join("other-ca.pem")
    }

    /// From now on it answers nothing, but keeps its connections.
    ///
    /// # Errors
    /// It has ended.
    pub fn hold(&self) -> Result<()> {
        Ok(kill(self.number, Signal::SIGSTOP)?)
    }

    /// It answers again.
    ///
    /// # Errors
    /// It has ended.
    pub fn go_on(&self) -> Result<()> {
        Ok(kill(self.number, Signal::SIGCONT)?)
    }

    /// Ends it; its files stay, so that what refers to them goes on doing so.
    ///
    /// # Errors
    /// The shell cannot be waited for.
    pub fn end(&mut self) -> Result<()> {
        drop(self.keeper.stdin.take());
        self.keeper.wait()?;
        Ok(())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Nothing could be done about a failure here, and the pipe closes in any case.
        self.end().ok();
    }
}

#[expect(clippy::disallowed_methods, reason = "a process of the harness")]
fn spawn(config: &std::path::Path, addresses: &str) -> Result<Child> {
    let child = Command::new("sh")
        .args(["-c", SCRIPT, "slapd"])
        .arg(config)
        .arg(addresses)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    Ok(child)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn certificates(at: &std::path::Path) -> Result<()> {
    let authority = |name: &str| -> Result<(String, Issuer<'static, KeyPair>)> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key)?.pem();
        Ok((pem, Issuer::new(params, key)))
    };
    let (ca, issuer) = authority("School CA")?;
    let (other, _) = authority("Another CA")?;
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &issuer)?;
    ensure!(!ca.is_empty(), "the CA is empty");
    for (name, text) in [
        ("ca.pem", ca),
        ("other-ca.pem", other),
        ("cert.pem", certificate.pem()),
        ("key.pem", key.serialize_pem()),
    ] {
        fs_err::write(at.join(name), text)?;
    }
    Ok(())
}
