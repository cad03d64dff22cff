//! Reports about machines: what they are made of, how full and how old they are.

use super::{Asked, DAY, each, table};
use crate::{
    app::Error,
    db::Tx,
    domain::report::{Cell, Kind, Report, firmware_day, iso_day, shown_day},
};

pub(super) async fn hardware(tx: &mut Tx, asked: &Asked<'_>) -> Result<Report, Error> {
    let mut unknown = 0;
    let rows = each(tx, asked, |machine, rows| {
        let Some(facts) = &machine.facts else {
            unknown += 1;
            return;
        };
        let firmware = format!("{:?}", facts.firmware).to_lowercase();
        let macs: Vec<_> = facts.nics.iter().map(|nic| nic.mac.to_string()).collect();
        rows.push(vec![
            machine.name.as_str().into(),
            facts.dmi.vendor.as_str().into(),
            facts.dmi.product.as_str().into(),
            facts.dmi.serial.as_str().into(),
            facts.cpu.model.as_str().into(),
            i64::from(facts.cpu.threads).into(),
            facts.memory_bytes.into(),
            facts.disks.iter().map(|disk| disk.size_bytes).sum::<u64>().into(),
            firmware.into(),
            facts.virtualization.as_str().into(),
            macs.join(" ").into(),
            machine.facts_at.into(),
        ]);
    })
    .await?;
    let head = [
        ("client", Kind::Client),
        ("vendor", Kind::Text),
        ("product", Kind::Text),
        ("serial", Kind::Text),
        ("processor", Kind::Text),
        ("threads", Kind::Number),
        ("memory", Kind::Bytes),
        ("disk_space", Kind::Bytes),
        ("firmware", Kind::Text),
        ("virtualization", Kind::Text),
        ("addresses", Kind::Text),
        ("measured_at", Kind::Time),
    ];
    Ok(table(&head, rows, if unknown > 0 { &["some-not-measured"] } else { &[] }))
}

pub(super) async fn disks(tx: &mut Tx, asked: &Asked<'_>) -> Result<Report, Error> {
    let rows = each(tx, asked, |machine, rows| {
        for disk in machine.facts.iter().flat_map(|facts| &facts.disks).filter(|disk| !disk.removable) {
            let used: u64 = disk.partitions.iter().map(|partition| partition.size_bytes).sum();
            rows.push(vec![
                machine.name.as_str().into(),
                disk.path.as_str().into(),
                disk.model.as_str().into(),
                disk.serial.as_str().into(),
                disk.size_bytes.into(),
                used.into(),
                disk.transport.as_str().into(),
                if disk.rotational { "hdd" } else { "ssd" }.into(),
            ]);
        }
    })
    .await?;
    let head = [
        ("client", Kind::Client),
        ("path", Kind::Text),
        ("model", Kind::Text),
        ("serial", Kind::Text),
        ("size", Kind::Bytes),
        ("partitioned", Kind::Bytes),
        ("transport", Kind::Text),
        ("technology", Kind::Text),
    ];
    Ok(table(&head, rows, &[]))
}

/// The fullest file systems first.
pub(super) async fn space(tx: &mut Tx, asked: &Asked<'_>) -> Result<Report, Error> {
    let mut unknown = 0;
    let mut found = Vec::new();
    each(tx, asked, |machine, _| {
        let Some(facts) = machine.facts.as_ref().filter(|facts| !facts.file_systems.is_empty()) else {
            unknown += 1;
            return;
        };
        found.extend(
            facts.file_systems.iter().map(|one| (machine.name.clone(), one.clone(), machine.facts_at)),
        );
    })
    .await?;
    found.sort_by(|(one_client, one, _), (other_client, other, _)| {
        let by_fullness = other.used_percent().cmp(&one.used_percent());
        by_fullness.then_with(|| (one_client, &one.mount).cmp(&(other_client, &other.mount)))
    });
    let rows = found
        .into_iter()
        .map(|(client, one, measured_at)| {
            vec![
                client.into(),
                one.used_percent().into(),
                one.mount.into(),
                one.free_bytes.into(),
                one.size_bytes.into(),
                one.format.into(),
                one.device.into(),
                measured_at.into(),
            ]
        })
        .collect();
    let head = [
        ("client", Kind::Client),
        ("used_percent", Kind::Number),
        ("mount", Kind::Text),
        ("free", Kind::Bytes),
        ("size", Kind::Bytes),
        ("format", Kind::Text),
        ("path", Kind::Text),
        ("measured_at", Kind::Time),
    ];
    Ok(table(&head, rows, if unknown > 0 { &["some-not-measured"] } else { &[] }))
}

pub(super) async fn age(tx: &mut Tx, asked: &Asked<'_>) -> Result<Report, Error> {
    let today = asked.now / DAY;
    let mut rows = each(tx, asked, |machine, rows| {
        let dmi = machine.facts.as_ref().map(|facts| facts.dmi.clone()).unwrap_or_default();
        let bought = iso_day(&machine.purchased_on);
        let firmware = firmware_day(&dmi.bios_date);
        let born = bought.or(firmware);
        let by = if bought.is_some() {
            "purchase"
        } else if firmware.is_some() {
            "firmware"
        } else {
            ""
        };
        rows.push(vec![
            machine.name.as_str().into(),
            dmi.vendor.into(),
            dmi.product.into(),
            dmi.serial.into(),
            bought.map(shown_day).unwrap_or_default().into(),
            firmware.map(shown_day).unwrap_or_default().into(),
            born.map(|born| (today - born) / 365).into(),
            by.into(),
        ]);
    })
    .await?;
    // The oldest first; those of which nothing is known last.
    rows.sort_by_key(|row| match row.get(6) {
        Some(Cell::Number(years)) => -years,
        _ => i64::MAX,
    });
    let head = [
        ("client", Kind::Client),
        ("vendor", Kind::Text),
        ("product", Kind::Text),
        ("serial", Kind::Text),
        ("purchased_on", Kind::Text),
        ("firmware_of", Kind::Text),
        ("years", Kind::Number),
        ("known_by", Kind::Text),
    ];
    Ok(table(&head, rows, &["age-by-firmware"]))
}
