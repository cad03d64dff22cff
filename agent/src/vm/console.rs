//! The screen of a machine: found by what libvirt itself says, and connected to.
//!
//! Invariant: whoever asks names a machine and nothing else. The socket is the one that libvirt has given to the screen of a machine of ours,
//! on this very host; so nobody can use the agent as a way to anything else.

use tokio_util::sync::CancellationToken;

use super::{
    domain::described,
    virsh::{self, Virsh},
    xml::Element,
};
use crate::host::{self, Host, LocalSocket, Talk};

/// Why a screen cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// libvirt does not say.
    #[error(transparent)]
    Virsh(#[from] virsh::Error),
    /// There is no such machine.
    #[error("there is no machine {0} on this host")]
    Missing(String),
    /// Somebody else has made it.
    #[error("the machine {0} was not made by Lotse, so it is left alone")]
    Foreign(String),
    /// It has no screen.
    #[error("the machine {0} has no screen by VNC")]
    NoScreen(String),
    /// It is switched off.
    #[error("the machine {0} is switched off")]
    Off(String),
    /// Nobody listens there.
    #[error(transparent)]
    Host(#[from] host::Error),
}

/// Connects to the screen of a machine.
///
/// # Errors
/// There is no such machine of ours, or it has no screen now.
pub(crate) async fn open(host: &dyn Host, name: &str) -> Result<Box<dyn Talk>, Error> {
    let stop = CancellationToken::new();
    let virsh = Virsh::new(host, &stop);
    // libvirt also takes numbers for names.
    if !virsh.machines().await?.iter().any(|known| known == name) {
        return Err(Error::Missing(name.to_owned()));
    }
    let socket = socket(name, &virsh.definition(name, false).await?)?;
    Ok(host.dial(&socket).await?)
}

/// Where the screen of a machine listens.
fn socket(name: &str, domain: &Element) -> Result<LocalSocket, Error> {
    if !described(domain).ours {
        return Err(Error::Foreign(name.to_owned()));
    }
    let devices = domain.find(&["devices"]);
    let screen = devices
        .into_iter()
        .flat_map(|devices| devices.all("graphics"))
        .find(|screen| screen.attribute("type") == "vnc")
        .ok_or_else(|| Error::NoScreen(name.to_owned()))?;
    let place = screen.all("listen").find_map(|listen| match listen.attribute("type") {
        "socket" => {
            let path = listen.attribute("socket");
            path.starts_with('/').then(|| LocalSocket::Unix(path.into()))
        }
        "address" if listen.attribute("address") == "127.0.0.1" => {
            let port = screen.attribute("port").parse().ok().filter(|port| *port > 0)?;
            Some(LocalSocket::Loopback(port))
        }
        _ => None,
    });
    place.ok_or_else(|| Error::Off(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::{Answer, FakeHost};

    const OURS: &str = "<metadata><lotse:machine xmlns:lotse='urn:lotse:machine' title=''/></metadata>";

    fn of(metadata: &str, graphics: &str) -> Result<LocalSocket, Error> {
        let text = format!("<domain>{metadata}<devices>{graphics}</devices></domain>");
        socket("desk", &Element::read(&text).unwrap())
    }

    #[test]
    fn a_screen_is_where_libvirt_says() {
        let unix = "<graphics type='vnc' socket='/run/x/vnc.sock'><listen type='socket' socket='/run/x/vnc.sock'/></graphics>";
        assert_eq!(of(OURS, unix).unwrap(), LocalSocket::Unix("/run/x/vnc.sock".into()));
        let port = "<graphics type='vnc' port='5901'><listen type='address' address='127.0.0.1'/></graphics>";
        assert_eq!(of(OURS, port).unwrap(), LocalSocket::Loopback(5901));
    }

    #[test]
    fn nothing_but_the_screen_of_a_machine_of_ours_on_this_host_is_found() {
        let port = "<graphics type='vnc' port='5901'><listen type='address' address='127.0.0.1'/></graphics>";
        assert!(matches!(of("", port), Err(Error::Foreign(_))));
        assert!(matches!(of(OURS, ""), Err(Error::NoScreen(_))));
        assert!(matches!(of(OURS, "<graphics type='spice' port='5901'/>"), Err(Error::NoScreen(_))));
        for off in [
            "<graphics type='vnc' port='-1'><listen type='address' address='127.0.0.1'/></graphics>",
            "<graphics type='vnc'><listen type='socket'/></graphics>",
            "<graphics type='vnc' port='5901'><listen type='address' address='192.0.2.7'/></graphics>",
            "<graphics type='vnc' port='65537'><listen type='address' address='127.0.0.1'/></graphics>",
            "<graphics type='vnc'><listen type='socket' socket='relative'/></graphics>",
        ] {
            assert!(matches!(of(OURS, off), Err(Error::Off(_))), "{off}");
        }
    }

    #[tokio::test]
    async fn a_name_that_is_none_of_a_machine_is_not_even_asked_for() {
        let host = FakeHost::new(0);
        host.answer("virsh --quiet --connect qemu:///system list", Answer::prints("desk\n"));
        for other in ["1", "127.0.0.1:22", "/run/docker.sock", "desk2", ""] {
            assert!(matches!(open(&host, other).await, Err(Error::Missing(_))), "{other}");
        }
        assert!(host.command_lines().iter().all(|line| line.contains("list --all --name")));
    }
}
