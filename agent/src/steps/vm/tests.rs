//! Against a recorded virsh; what the real one makes of our descriptions is tested with whole agents (`tests/it/vm`).

use wire::vm::{NewMachine, SnapshotOrder, VmBoot, VmNetwork, VmPower, VmWork};

use super::*;
use crate::{
    host::fake::{Answer, FakeHost},
    steps::testing::Stage,
    vm::{DIRECTORY, inventory, xml::Element},
};

const VIRSH: &str = "virsh --quiet --connect qemu:///system ";
const OURS: &str = include_str!("../../vm/testdata/dumpxml.xml");
const FOREIGN: &str = include_str!("../../vm/testdata/foreign.xml");
const NAME: &str = "desk-lotse-1";

/// A host with the place for disks, an active network, and no machine.
fn host() -> FakeHost {
    let host = FakeHost::new(0).with_file(&format!("{DIRECTORY}/keep"), "").with_file("/dev/kvm", "");
    let says = |words: &str, text: &str| host.answer(&format!("{VIRSH}{words}"), Answer::prints(text));
    says("net-list --name", "lotse\n");
    says("pool-info", "Name: lotse\nCapacity:       1000\nAllocation:     1\nAvailable:      600\n");
    says("--version", "9.0.0");
    host.answer(&format!("{VIRSH}vol-info"), Answer::fails(1, "error: failed to get vol"));
    host
}

/// The same with one machine.
fn host_with(description: &str, state: &str) -> FakeHost {
    let host = host();
    host.answer(&format!("{VIRSH}list --all --name"), Answer::prints(NAME));
    host.answer(&format!("{VIRSH}dumpxml"), Answer::prints(description));
    host.answer(&format!("{VIRSH}domstate"), Answer::prints(state));
    host
}

fn machine() -> NewMachine {
    NewMachine {
        name: NAME.to_owned(),
        title: "desk & more".to_owned(),
        processors: 2,
        memory_bytes: 1 << 30,
        disk_bytes: 40 << 30,
        boot: VmBoot::Network {},
        mac: None,
        user_data: None,
    }
}

/// What was changed, without the words that are always the same.
fn changes(stage: &Stage) -> Vec<String> {
    let asks = [
        "list",
        "dumpxml",
        "domstate",
        "net-list",
        "pool-list",
        "vol-info",
        "snapshot-list",
        "--version",
        "pool-info",
        "domifaddr",
    ];
    let lines = stage.host.command_lines().into_iter();
    let words = lines.map(|line| line.strip_prefix(VIRSH).map_or(line.clone(), str::to_owned));
    words.filter(|words| !asks.contains(&words.split(' ').next().unwrap())).collect()
}

fn defined(stage: &Stage) -> Described {
    let commands = stage.host.commands();
    let define = commands.iter().find(|command| command.argv.contains(&"define".to_owned())).unwrap();
    described(&Element::read(define.stdin.as_deref().unwrap()).unwrap())
}

#[tokio::test]
async fn a_machine_is_made_of_image_user_data_and_disk_and_described_at_last() {
    let mut stage = Stage::new(host());
    stage.server.blob = b"iso".to_vec();
    stage.server.secrets.insert("vm desk".to_owned(), "#lotse-v1\ntoken=hidden\n".to_owned());
    let new = NewMachine {
        boot: VmBoot::Iso { blob: stage.server.reference() },
        user_data: Some("vm desk".to_owned()),
        ..machine()
    };
    execute(&stage.ctx(), &VmWork::Create { machine: new }).await.unwrap();
    let done = changes(&stage);
    let image = format!("{DIRECTORY}/boot-{}", stage.server.reference().sha256);
    assert_eq!(
        done,
        [
            format!("mv -- {image}.part {image}.iso"),
            format!(
                "xorriso -as mkisofs -quiet -volid CIDATA -joliet -rock -output {DIRECTORY}/{NAME}-seed.iso /run/lotse-agent/vm/{NAME}"
            ),
            format!("vol-create-as lotse {NAME}.qcow2 42949672960 --format qcow2"),
            "define /dev/stdin".to_owned(),
        ]
    );
    assert_eq!(stage.host.text(&format!("{image}.part")), "iso");
    let known = defined(&stage);
    assert_eq!((known.ours, known.title.as_str(), known.iso), (true, "desk & more", format!("{image}.iso")));
    assert_eq!((known.processors, known.memory_bytes, known.disk_bytes), (2, 1 << 30, 40 << 30));
    assert_eq!(known.full_drives, ["sda", "sdb"]);
    // The token is on the disc alone.
    assert!(stage.host.file(&format!("/run/lotse-agent/vm/{NAME}/user-data")).is_none());
    let all = format!("{:?}", stage.host.commands());
    assert!(!all.contains("hidden") && !stage.said().contains("hidden"));
    assert!(stage.host.file(&format!("{DIRECTORY}/{NAME}.unfinished")).is_none());
}

#[tokio::test]
async fn a_machine_that_is_there_is_not_made_again() {
    let stage = Stage::new(host_with(OURS, "shut off"));
    execute(&stage.ctx(), &VmWork::Create { machine: machine() }).await.unwrap();
    assert_eq!(changes(&stage), Vec::<String>::new());
}

#[tokio::test]
async fn what_lotse_has_not_made_is_left_alone() {
    let name = || NAME.to_owned();
    for work in [
        VmWork::Create { machine: machine() },
        VmWork::Power { name: name(), order: VmPower::ForceOff },
        VmWork::Snapshot { name: name(), snapshot: "a".to_owned(), order: SnapshotOrder::Take },
        VmWork::Eject { name: name() },
        VmWork::Delete { name: name() },
    ] {
        let stage = Stage::new(host_with(FOREIGN, "running"));
        let error = execute(&stage.ctx(), &work).await.unwrap_err();
        assert!(
            matches!(&error, StepError::Refused(why) if why.contains("not made by Lotse")),
            "{work:?}: {error}"
        );
        assert_eq!(changes(&stage), Vec::<String>::new());
    }
    // Nor a disk that nobody says to be ours.
    let stage = Stage::new(host().with_file(&format!("{DIRECTORY}/{NAME}.qcow2"), "precious"));
    let error = execute(&stage.ctx(), &VmWork::Create { machine: machine() }).await.unwrap_err();
    assert!(matches!(error, StepError::Refused(_)));
    execute(&stage.ctx(), &VmWork::Delete { name: name() }).await.unwrap();
    assert_eq!(changes(&stage), Vec::<String>::new());
}

#[tokio::test]
async fn what_an_interrupted_attempt_has_left_is_removed_before_it_is_made_again() {
    let host = host().with_file(&format!("{DIRECTORY}/{NAME}.unfinished"), "");
    host.answer(&format!("{VIRSH}vol-info"), Answer::prints("Capacity: 1 bytes"));
    let stage = Stage::new(host);
    execute(&stage.ctx(), &VmWork::Create { machine: machine() }).await.unwrap();
    let done = changes(&stage);
    let kinds: Vec<_> = done.iter().map(|words| words.split(' ').next().unwrap()).collect();
    assert_eq!(kinds, ["vol-delete", "vol-create-as", "define"]);
}

#[tokio::test(start_paused = true)]
async fn a_system_that_does_not_switch_off_is_switched_off() {
    let stage = Stage::new(host_with(OURS, "running"));
    let stop = VmWork::Power { name: NAME.to_owned(), order: VmPower::Stop };
    let error = execute(&stage.ctx(), &stop).await;
    // The recorded machine runs on whatever it is told.
    assert!(error.is_ok());
    assert_eq!(
        changes(&stage),
        [
            format!("shutdown --domain={NAME}"),
            format!("destroy --domain={NAME}"),
            format!("autostart --domain={NAME} --disable"),
        ]
    );
}

#[tokio::test]
async fn a_machine_is_switched_by_what_it_does_now() {
    for (order, state, expected) in [
        (VmPower::Start, "shut off", "start"),
        (VmPower::Start, "paused", "resume"),
        (VmPower::Start, "running", "autostart"),
        (VmPower::Reboot, "running", "reboot"),
        (VmPower::Reboot, "shut off", "start"),
        (VmPower::Reset, "running", "reset"),
        (VmPower::Stop, "shut off", "autostart"),
        (VmPower::Pause, "running", "suspend"),
        (VmPower::Resume, "paused", "resume"),
    ] {
        let stage = Stage::new(host_with(OURS, state));
        execute(&stage.ctx(), &VmWork::Power { name: NAME.to_owned(), order }).await.unwrap();
        let first = changes(&stage).remove(0);
        assert_eq!(
            first,
            format!("{expected} --domain={NAME}{}", if order == VmPower::Stop { " --disable" } else { "" })
        );
    }
    let stage = Stage::new(host_with(OURS, "shut off"));
    let pause = VmWork::Power { name: NAME.to_owned(), order: VmPower::Pause };
    assert!(matches!(execute(&stage.ctx(), &pause).await, Err(StepError::Refused(_))));
}

#[tokio::test]
async fn drives_are_emptied_for_now_and_for_the_next_start() {
    let stage =
        Stage::new(host_with(OURS, "running").with_file(&format!("{DIRECTORY}/{NAME}-seed.iso"), "token"));
    execute(&stage.ctx(), &VmWork::Eject { name: NAME.to_owned() }).await.unwrap();
    assert_eq!(
        changes(&stage),
        ["define /dev/stdin".to_owned(), format!("change-media --domain={NAME} sda --eject --live --force"),]
    );
    let known = defined(&stage);
    assert!(known.ours && known.iso.is_empty() && known.full_drives.is_empty());
    assert_eq!(known.memory_bytes, 1 << 30);
    assert!(stage.host.file(&format!("{DIRECTORY}/{NAME}-seed.iso")).is_none());
}

#[tokio::test]
async fn a_host_is_prepared_once_and_its_network_stays() {
    let host = FakeHost::new(0);
    let stage = Stage::new(host);
    let work = VmWork::Prepare { network: VmNetwork::Bridge { interface: "br0".to_owned() } };
    execute(&stage.ctx(), &work).await.unwrap();
    let kinds: Vec<_> =
        changes(&stage).iter().map(|words| words.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(
        kinds,
        ["pool-define", "pool-start", "pool-autostart", "net-define", "net-start", "net-autostart"]
    );
    for list in ["pool-list", "net-list"] {
        stage.host.answer(&format!("{VIRSH}{list}"), Answer::prints("lotse               \n"));
    }
    let before = changes(&stage).len();
    execute(&stage.ctx(), &work).await.unwrap();
    assert_eq!(changes(&stage)[before..], ["pool-autostart lotse", "net-autostart lotse"]);
}

#[tokio::test]
async fn a_host_tells_its_room_and_every_machine_and_what_it_could_not_learn() {
    assert_eq!(inventory::gather(&FakeHost::new(0)).await, None);
    let host = host_with(OURS, "running");
    host.answer(
        &format!("{VIRSH}vol-info"),
        Answer::prints("Capacity:       9 bytes\nAllocation:     7 bytes\n"),
    );
    host.answer(
        &format!("{VIRSH}domifaddr"),
        Answer::prints(" vnet0   52:54:00:29:70:d8    ipv4         192.168.150.23/24"),
    );
    let told = inventory::gather(&host).await.unwrap();
    assert_eq!(
        (told.version.as_str(), told.kvm, told.disk_bytes, told.disk_free_bytes),
        ("9.0.0", true, 1000, 600)
    );
    let machine = &told.machines[0];
    assert_eq!(
        (machine.title.as_str(), machine.ours, machine.state.as_str()),
        ("desk & more", true, "running")
    );
    assert_eq!((machine.disk_bytes, machine.disk_used_bytes), (40 << 30, 7));
    assert_eq!(
        (machine.address.as_str(), machine.iso.as_str()),
        ("192.168.150.23", "/var/lib/lotse-vms/boot-ab.iso")
    );
    assert_eq!(told.problem, "");
    host.answer(&format!("{VIRSH}list"), Answer::fails(1, "error: failed to connect to the hypervisor"));
    let told = inventory::gather(&host).await.unwrap();
    assert!(told.machines.is_empty() && told.problem.contains("failed to connect"), "{told:?}");
}
