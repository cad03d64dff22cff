//! Asking libvirt: virsh(1) with words, and its tables understood.

use tokio_util::sync::CancellationToken;

use super::xml::Element;
use crate::host::{self, Command, Host};

/// The libvirt of the whole system.
const CONNECTION: &str = "qemu:///system";

/// A command of virsh.
pub(crate) fn command<'a>(words: impl IntoIterator<Item = &'a str>) -> Command {
    Command::new(["virsh", "--quiet", "--connect", CONNECTION].into_iter().chain(words))
}

/// The word that names a machine; in this form no name is taken for an option.
pub(crate) fn domain(name: &str) -> String {
    format!("--domain={name}")
}

/// Asks libvirt; its answer is in no report.
#[derive(Clone, Copy)]
pub(crate) struct Virsh<'a> {
    host: &'a dyn Host,
    stop: &'a CancellationToken,
}

/// Why libvirt has not said what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It refused, or cannot be reached.
    #[error(transparent)]
    Host(#[from] host::Error),
    /// It said what nobody understands.
    #[error("reading what libvirt says of {what}: {reason}")]
    Answer {
        /// Of what.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl<'a> Virsh<'a> {
    pub(crate) fn new(host: &'a dyn Host, stop: &'a CancellationToken) -> Self {
        Self { host, stop }
    }

    /// What a command prints.
    pub(crate) async fn ask(&self, words: &[&str]) -> Result<String, Error> {
        Ok(self.host.run(&command(words.iter().copied()), &|_, _| {}, self.stop).await?)
    }

    /// The lines of a list of names.
    pub(crate) async fn names(&self, words: &[&str]) -> Result<Vec<String>, Error> {
        Ok(lines(&self.ask(words).await?))
    }

    /// All machines, by name.
    pub(crate) async fn machines(&self) -> Result<Vec<String>, Error> {
        let mut names = self.names(&["list", "--all", "--name"]).await?;
        names.sort();
        Ok(names)
    }

    /// A machine as it is now, or as it is at its next start.
    pub(crate) async fn definition(&self, name: &str, next: bool) -> Result<Element, Error> {
        let domain = domain(name);
        let mut words = vec!["dumpxml", &domain];
        if next {
            words.push("--inactive");
        }
        let text = self.ask(&words).await?;
        let reason =
            |error: super::xml::Error| Error::Answer { what: name.to_owned(), reason: error.to_string() };
        Element::read(&text).map_err(reason)
    }

    /// A machine's state in libvirt's word.
    pub(crate) async fn state(&self, name: &str) -> Result<String, Error> {
        Ok(self.ask(&["domstate", &domain(name)]).await?.trim().to_owned())
    }

    /// A number of bytes from a table such as that of `pool-info --bytes`.
    pub(crate) async fn bytes<const N: usize>(
        &self,
        words: &[&str],
        fields: [&str; N],
    ) -> Result<[u64; N], Error> {
        let text = self.ask(words).await?;
        let mut found = [0; N];
        for (place, field) in found.iter_mut().zip(fields) {
            let reason = || format!("it has no line `{field}` with a number");
            *place = bytes_of(&text, field)
                .ok_or_else(|| Error::Answer { what: words.join(" "), reason: reason() })?;
        }
        Ok(found)
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn bytes_of(text: &str, field: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// The first address in the table of `domifaddr`, without its prefix length; empty when there is none.
pub(crate) fn address_of(text: &str) -> String {
    let mut words = text.lines().filter_map(|line| line.split_whitespace().nth(3));
    words.find_map(|word| Some(word.split_once('/')?.0.to_owned())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_the_real_virsh_are_understood() {
        let pool = "Name:           default-pool\nUUID:           dfe224cb-28fb-8dd0-c4b2-64eb3f0f4566\nState:          running\n\
                    Capacity:       107374182400\nAllocation:     0\nAvailable:      107374182400\n";
        assert_eq!(bytes_of(pool, "Available"), Some(107_374_182_400));
        let volume = "Name:           a.qcow2\nType:           file\nCapacity:       1000000 bytes\nAllocation:     196616 bytes\n";
        assert_eq!(
            (bytes_of(volume, "Capacity"), bytes_of(volume, "Allocation")),
            (Some(1_000_000), Some(196_616))
        );
        assert_eq!(bytes_of(volume, "Available"), None);
        assert_eq!(lines("default-pool        \nlotse               \n\n"), ["default-pool", "lotse"]);
        let leases = " testnet0   52:54:00:29:70:d8    ipv4         192.168.122.23/24\n";
        assert_eq!(address_of(leases), "192.168.122.23");
        assert_eq!(address_of(""), "");
    }
}
