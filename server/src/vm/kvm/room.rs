//! Whether a machine still fits on a host: what it has, less what was given out. Pure.
//!
//! Memory is never given out twice; processors are shared by several machines; a disk counts with its whole size, although it grows only as
//! it is written, so that no machine ever finds the host's disk full.

use super::{Coming, View};
use crate::{
    domain::desktop::FaultClass,
    vm::{AccountLimit, Error},
};

/// Memory that stays for the host itself: this much, or a sixteenth of it when that is more.
const OWN_MEMORY: u64 = 1 << 30;
/// Room on disk that stays free for images and for the host's own needs.
const OWN_DISK: u64 = 2 << 30;
/// So many processors of machines share a hardware thread.
const SHARED: u32 = 4;

/// Processors and memory of a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) processors: u32,
    pub(super) memory_mib: u32,
}

/// Reads `PROCESSORSxMIB`.
pub(super) fn size(text: &str) -> Option<Size> {
    let (processors, memory_mib) = text.split_once('x')?;
    let size = Size { processors: processors.parse().ok()?, memory_mib: memory_mib.parse().ok()? };
    ((1..=512).contains(&size.processors) && (64..=8 << 20).contains(&size.memory_mib)).then_some(size)
}

/// What was given out, and how much there is to give.
struct Given {
    machines: usize,
    processors: u32,
    memory_bytes: u64,
    disk_bytes: u64,
}

fn given(view: &View) -> Given {
    let told = &view.told.machines;
    let is_told = |coming: &&Coming| told.iter().any(|there| there.name == coming.name);
    let coming: Vec<_> = view.coming.iter().filter(|coming| !is_told(coming)).collect();
    // Machines of others need memory and processors as well.
    let there = told.iter().map(|machine| (machine.processors, machine.memory_bytes, machine.disk_bytes));
    let all = there.chain(coming.iter().map(|new| (new.processors, new.memory_bytes, new.disk_bytes)));
    let nothing = Given {
        machines: told.iter().filter(|machine| machine.ours).count() + coming.len(),
        processors: 0,
        memory_bytes: 0,
        disk_bytes: 0,
    };
    all.fold(nothing, |sum, (processors, memory_bytes, disk_bytes)| Given {
        machines: sum.machines,
        processors: sum.processors.saturating_add(processors),
        memory_bytes: sum.memory_bytes.saturating_add(memory_bytes),
        disk_bytes: sum.disk_bytes.saturating_add(disk_bytes),
    })
}

fn all(view: &View) -> (u32, u64, u64) {
    let memory = view.memory_bytes.saturating_sub(OWN_MEMORY.max(view.memory_bytes / 16));
    // What our disks have taken already is theirs; what else lies there is not.
    let used = view.told.machines.iter().map(|machine| machine.disk_used_bytes);
    let disk = used.fold(view.told.disk_free_bytes, u64::saturating_add).saturating_sub(OWN_DISK);
    (view.threads.saturating_mul(SHARED), memory, disk)
}

/// What stands against a machine of this size.
pub(super) fn fits(view: &View, wanted: &Coming, most: Option<u32>) -> Result<(), Error> {
    let attempt = format!("making the machine {}", wanted.name);
    let against = |class: FaultClass, reason: String| Err(Error::new(class, &attempt, reason));
    if view
        .told
        .machines
        .iter()
        .map(|machine| &machine.name)
        .chain(view.coming.iter().map(|coming| &coming.name))
        .any(|name| *name == wanted.name)
    {
        return against(FaultClass::Caller, format!("{} has a machine of this name already", view.name));
    }
    let given = given(view);
    if let Some(most) = most.filter(|most| usize::try_from(*most).is_ok_and(|most| given.machines >= most)) {
        return against(
            FaultClass::Quota,
            format!("{} may have {most} machines, and has {}", view.name, given.machines),
        );
    }
    let (processors, memory, disk) = all(view);
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    if wanted.processors > view.threads || given.processors.saturating_add(wanted.processors) > processors {
        return against(
            FaultClass::Capacity,
            format!(
                "{} has {} hardware threads, and its machines {} processors",
                view.name, view.threads, given.processors
            ),
        );
    }
    for (what, all, given, wanted) in [
        ("memory", memory, given.memory_bytes, wanted.memory_bytes),
        ("room for disks", disk, given.disk_bytes, wanted.disk_bytes),
    ] {
        if given.saturating_add(wanted) > all {
            return against(
                FaultClass::Capacity,
                format!(
                    "{} has {} of {what} for machines, {} are given out, and this one needs {}",
                    view.name,
                    mib(all),
                    mib(given),
                    mib(wanted)
                ),
            );
        }
    }
    Ok(())
}

/// The same as a table: machines, processors, memory in MiB, disk in GiB.
pub(super) fn limits(view: &View, most: Option<u32>) -> Vec<AccountLimit> {
    let given = given(view);
    let (processors, memory, disk) = all(view);
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let limit = |of: &str, used: u64, limit: Option<u64>| AccountLimit {
        of: of.to_owned(),
        used: number(used),
        limit: limit.map(number),
    };
    vec![
        limit("machines", given.machines as u64, most.map(u64::from)),
        limit("processors", given.processors.into(), Some(processors.into())),
        limit("memory (MiB)", given.memory_bytes >> 20, Some(memory >> 20)),
        limit("disk (GiB)", given.disk_bytes >> 30, Some(disk >> 30)),
    ]
}

#[cfg(test)]
mod tests {
    use wire::vm::{HostedMachine, VmHost};

    use super::*;

    const GIB: u64 = 1 << 30;

    fn view() -> View {
        let there = HostedMachine {
            name: "a".to_owned(),
            ours: true,
            processors: 2,
            memory_bytes: 4 * GIB,
            disk_bytes: 40 * GIB,
            disk_used_bytes: 10 * GIB,
            ..HostedMachine::default()
        };
        let told = VmHost {
            disk_bytes: 200 * GIB,
            disk_free_bytes: 92 * GIB,
            machines: vec![there],
            ..VmHost::default()
        };
        View {
            name: "host".to_owned(),
            threads: 4,
            memory_bytes: 16 * GIB,
            told,
            coming: vec![Coming::new("b", 2, 4096, 40)],
            iso: Ok(String::new()),
        }
    }

    fn class(view: &View, wanted: (u32, u32, u32), most: Option<u32>) -> Option<FaultClass> {
        fits(view, &Coming::new("c", wanted.0, wanted.1, wanted.2), most).err().map(|error| error.class)
    }

    #[test]
    fn memory_and_disk_are_given_once_and_processors_shared() {
        let view = view();
        // 16 GiB less one for the host, less eight; 102 GiB less two, less eighty.
        assert_eq!(class(&view, (4, 7168, 20), None), None);
        assert_eq!(class(&view, (4, 7169, 20), None), Some(FaultClass::Capacity));
        assert_eq!(class(&view, (4, 7168, 21), None), Some(FaultClass::Capacity));
        assert_eq!(class(&view, (5, 64, 1), None), Some(FaultClass::Capacity));
        let busy = View { threads: 1, ..view };
        assert_eq!(class(&busy, (1, 64, 1), None), Some(FaultClass::Capacity));
    }

    #[test]
    fn a_limit_is_no_lack_of_room_and_a_name_is_taken_once() {
        let view = view();
        assert_eq!(class(&view, (1, 64, 1), Some(2)), Some(FaultClass::Quota));
        assert_eq!(class(&view, (1, 64, 1), Some(3)), None);
        for taken in ["a", "b"] {
            let error = fits(&view, &Coming::new(taken, 1, 64, 1), None).unwrap_err();
            assert_eq!(error.class, FaultClass::Caller);
        }
        let used: Vec<_> = limits(&view, Some(2)).iter().map(|limit| (limit.used, limit.limit)).collect();
        assert_eq!(used, [(2, Some(2)), (4, Some(16)), (8192, Some(15_360)), (80, Some(100))]);
    }

    #[test]
    fn a_size_is_processors_and_mebibytes() {
        assert_eq!(size("2x4096"), Some(Size { processors: 2, memory_mib: 4096 }));
        for wrong in ["", "2", "x", "0x4096", "2x1", "2x4096x", "2 x 4096", "-1x4096", "medium"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }
}
