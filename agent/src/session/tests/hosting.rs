//! What a host of machines does beside its work.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::{Answer, Realm, Stage};
use crate::host::{Host as _, LocalSocket};

const LOG: &str = "/var/lib/lotse-vms/desk-serial.log";
const VIRSH: &str = "virsh --quiet --connect qemu:///system";
const SOCKET: &str = "/var/lib/libvirt/qemu/domain-2-desk/vnc.sock";

fn host() -> Stage {
    let mut stage = Stage::enrolled();
    stage.host = stage.host.clone().with_file("/var/lib/lotse-vms/.place", "");
    stage.host.answer(&format!("{VIRSH} list --all --name"), Answer::prints("desk\nother\n"));
    let graphics = format!("<graphics type='vnc'><listen type='socket' socket='{SOCKET}'/></graphics>");
    let mark = "<metadata><lotse:machine xmlns:lotse='urn:lotse:machine' title=''/></metadata>";
    let ours = format!("<domain><name>desk</name>{mark}<devices>{graphics}</devices></domain>");
    stage.host.answer(&format!("{VIRSH} dumpxml --domain=desk"), Answer::prints(&ours));
    let foreign = format!("<domain><name>other</name><devices>{graphics}</devices></domain>");
    stage.host.answer(&format!("{VIRSH} dumpxml --domain=other"), Answer::prints(&foreign));
    assert_eq!(stage.config.realm, Realm::System);
    stage
}

#[tokio::test(start_paused = true)]
async fn what_a_machine_prints_comes_once_over_a_bad_network_and_after_a_crash() {
    let stage = host();
    stage.server.lose_messages();
    let mut wanted = String::new();
    for round in 0..20 {
        let line = format!("line {round}: grün\n");
        stage.host.append(Path::new(LOG), line.as_bytes()).unwrap();
        wanted += &line;
        stage.crash_after(Duration::from_secs(40)).await;
    }
    assert_eq!(stage.server.printed(), wanted);
}

#[tokio::test(start_paused = true)]
async fn a_screen_is_shown_by_the_socket_that_libvirt_names_and_by_no_other() {
    let stage = host();
    let (near, mut far) = duplex(1024);
    let near = Arc::new(std::sync::Mutex::new(Some(near)));
    let dialled = Arc::new(std::sync::Mutex::new(Vec::new()));
    let notes = Arc::clone(&dialled);
    stage.host.dialled(Arc::new(move |socket: &LocalSocket| {
        notes.lock().unwrap().push(socket.clone());
        let screen = near.lock().unwrap().take().unwrap();
        Box::pin(async move { Ok(Box::new(screen) as _) })
    }));
    for (link, machine) in [("a", "other"), ("b", "127.0.0.1:22"), ("c", "/run/docker.sock"), ("d", "desk")] {
        stage.server.want(link, machine);
    }
    // This server gives back what the screen says.
    let looks = async {
        far.write_all(b"RFB 003.008\n").await.unwrap();
        let mut back = [0; 12];
        far.read_exact(&mut back).await.unwrap();
        back
    };
    let (back, ()) = tokio::join!(looks, stage.crash_after(Duration::from_secs(5)));
    assert_eq!(&back, b"RFB 003.008\n");
    assert_eq!(*dialled.lock().unwrap(), [LocalSocket::Unix(SOCKET.into())]);
    let mut refused = stage.server.refused();
    refused.sort();
    assert_eq!(
        refused,
        [
            "a: the machine other was not made by Lotse, so it is left alone",
            "b: there is no machine 127.0.0.1:22 on this host",
            "c: there is no machine /run/docker.sock on this host",
        ]
    );
}
