//! What this host has room for, and which machines are there.

use std::path::Path;

use tokio_util::sync::CancellationToken;
use wire::vm::{HostedMachine, VmHost};

use super::{
    NAME,
    domain::described,
    is_host,
    virsh::{Error, Virsh, address_of, domain},
    volume,
};
use crate::{host::Host, report::chain};

/// Measures; `None`: no machines are hosted here. What libvirt does not say is told as a problem, never as nothing.
pub(crate) async fn gather(host: &dyn Host) -> Option<VmHost> {
    if !is_host(host) {
        return None;
    }
    let stop = CancellationToken::new();
    let virsh = Virsh::new(host, &stop);
    let mut found = VmHost { kvm: has_kvm(host), ..VmHost::default() };
    if let Err(error) = measure(virsh, &mut found).await {
        found.problem = chain(&error);
    }
    Some(found)
}

/// Whether machines run on the processor itself.
pub(crate) fn has_kvm(host: &dyn Host) -> bool {
    host.exists(Path::new("/dev/kvm"))
}

async fn measure(virsh: Virsh<'_>, found: &mut VmHost) -> Result<(), Error> {
    virsh.ask(&["--version"]).await?.trim().clone_into(&mut found.version);
    [found.disk_bytes, found.disk_free_bytes] =
        virsh.bytes(&["pool-info", "--bytes", NAME], ["Capacity", "Available"]).await?;
    found.networks = virsh.names(&["net-list", "--name"]).await?;
    for name in virsh.machines().await? {
        match machine(virsh, &name).await {
            Ok(machine) => found.machines.push(machine),
            // Removed by somebody since the list was made.
            Err(_) if !virsh.machines().await?.contains(&name) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn machine(virsh: Virsh<'_>, name: &str) -> Result<HostedMachine, Error> {
    let state = virsh.state(name).await?;
    let known = described(&virsh.definition(name, false).await?);
    let (mut disk_used_bytes, mut address) = (0, String::new());
    if known.ours {
        let words = ["vol-info", "--bytes", "--pool", NAME, &volume(name)];
        // A disk that somebody has moved away takes up no room here.
        [disk_used_bytes] = virsh.bytes(&words, ["Allocation"]).await.unwrap_or_default();
        if state == "running" {
            // Only networks of libvirt's own have leases.
            let leases = virsh.ask(&["domifaddr", &domain(name), "--source", "lease"]).await;
            address = leases.map(|text| address_of(&text)).unwrap_or_default();
        }
    }
    Ok(HostedMachine {
        name: name.to_owned(),
        title: known.title,
        ours: known.ours,
        state,
        processors: known.processors,
        memory_bytes: known.memory_bytes,
        disk_bytes: known.disk_bytes,
        disk_used_bytes,
        address,
        iso: known.iso,
    })
}
