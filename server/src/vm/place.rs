//! Where exactly a desktop is made: the names of a provider's wish, looked up in what the provider offers.

use serde::{Deserialize, Serialize};

use super::{Offer, Offers};
use crate::domain::provider::ProviderWish;

/// Ids of the provider, so that what was begun is finished in the same place, whatever is changed meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The zone.
    pub zone: String,
    /// Processors and memory.
    pub offering: String,
    /// The disk offering.
    pub disk: String,
    /// GiB, where the disk offering leaves that open.
    pub disk_gib: Option<u32>,
    /// The network.
    pub network: String,
    /// It is reached by ports of a public address.
    pub isolated: bool,
    /// It needs a rule to reach others.
    pub closed_outwards: bool,
    /// The boot image.
    pub iso: String,
    /// The hypervisor.
    pub hypervisor: String,
    /// The public address, as people write it; empty: any of the network.
    pub address: String,
}

/// Looks everything up; what is missing is said in words, all of it at once.
///
/// # Errors
/// What is missing.
pub fn place(wish: &ProviderWish, size: &str, offers: &Offers) -> Result<Place, Vec<String>> {
    let mut missing = Vec::new();
    let zone = find(&mut missing, "zone", wish.location(), "", offers.zones.iter()).unwrap_or_default();
    let mut place = Place { zone: zone.id, hypervisor: wish.hypervisor.clone(), ..Place::default() };
    place.address.clone_from(&wish.address);
    match wish.sizes.get(size) {
        Some(there) => {
            let offerings = offers.offerings.iter();
            let offering = find(&mut missing, "service offering", &there.offering, &place.zone, offerings);
            place.offering = offering.unwrap_or_default().id;
            let disks = offers.disks.iter().map(|disk| &disk.offer);
            let disk = find(&mut missing, "disk offering", &there.disk, &place.zone, disks);
            place.disk = disk.unwrap_or_default().id;
            let is_open = offers.disks.iter().any(|disk| disk.offer.id == place.disk && disk.open_size);
            match (is_open, there.disk_gib) {
                (true, None) => {
                    missing.push(format!("the size `{size}` has no GiB, and its disk offering needs them"));
                }
                (true, gib) => place.disk_gib = gib,
                (false, _) => {}
            }
        }
        None => missing.push(format!("it has no size `{size}`")),
    }
    let networks = offers.networks.iter().map(|network| &network.offer);
    let network = find(&mut missing, "network", &wish.network, &place.zone, networks).unwrap_or_default();
    if let Some(found) = offers.networks.iter().find(|found| found.offer.id == network.id) {
        place.isolated = found.isolated;
        place.closed_outwards = found.isolated && found.closed_outwards == Some(true);
    }
    place.network = network.id;
    // Without a name it is the one that Lotse keeps there, which whoever asks knows.
    let iso = if wish.iso.is_empty() {
        Offer::default()
    } else {
        find(&mut missing, "ISO image", &wish.iso, &place.zone, offers.isos.iter()).unwrap_or_default()
    };
    if !iso.id.is_empty() && !iso.usable {
        missing.push(format!("the ISO image {} is not ready: {}", iso.name, iso.about));
    }
    place.iso = iso.id;
    if missing.is_empty() { Ok(place) } else { Err(missing) }
}

/// What has this id, or else the only one with this name.
fn find<'a>(
    missing: &mut Vec<String>,
    what: &str,
    wanted: &str,
    zone: &str,
    offers: impl Iterator<Item = &'a Offer>,
) -> Option<Offer> {
    if wanted.is_empty() {
        missing.push(format!("no {what} is named"));
        return None;
    }
    let fits = |offer: &&Offer| {
        (offer.id == wanted || offer.name == wanted)
            && (zone.is_empty() || offer.zone.is_empty() || offer.zone == zone)
    };
    let found: Vec<_> = offers.filter(fits).collect();
    match (found.iter().find(|offer| offer.id == wanted), found.as_slice()) {
        (Some(offer), _) => Some((*offer).clone()),
        (None, [offer]) => Some((*offer).clone()),
        (None, []) => {
            missing.push(format!("there is no {what} `{wanted}`"));
            None
        }
        (None, several) => {
            missing.push(format!("{} {what}s are called `{wanted}`: name one by its id", several.len()));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::provider::SizeThere,
        vm::{DiskOffer, NetworkOffer},
    };

    fn offer(id: &str, name: &str, zone: &str) -> Offer {
        Offer {
            id: id.to_owned(),
            name: name.to_owned(),
            zone: zone.to_owned(),
            usable: true,
            ..Offer::default()
        }
    }

    fn offers() -> Offers {
        Offers {
            zones: vec![offer("z1", "north", ""), offer("z2", "south", "")],
            offerings: vec![offer("o1", "small", ""), offer("o2", "twice", ""), offer("o3", "twice", "")],
            disks: vec![
                DiskOffer { offer: offer("d1", "20", ""), open_size: false },
                DiskOffer { offer: offer("d2", "custom", ""), open_size: true },
            ],
            networks: vec![
                NetworkOffer { offer: offer("n1", "lan", "z1"), isolated: true, closed_outwards: Some(true) },
                NetworkOffer { offer: offer("n2", "lan", "z2"), isolated: false, closed_outwards: None },
            ],
            templates: Vec::new(),
            isos: vec![Offer {
                usable: false,
                about: "40% Downloaded".to_owned(),
                ..offer("i1", "boot", "z1")
            }],
        }
    }

    fn wish(offering: &str, disk: &str) -> ProviderWish {
        let there = SizeThere { offering: offering.to_owned(), disk: disk.to_owned(), disk_gib: None };
        ProviderWish {
            zone: "north".to_owned(),
            network: "lan".to_owned(),
            iso: "boot".to_owned(),
            sizes: [("standard".to_owned(), there)].into(),
            ..ProviderWish::default()
        }
    }

    #[test]
    fn names_are_looked_up_in_the_zone_and_everything_missing_is_said_at_once() {
        let mut there = offers();
        let missing = place(&wish("twice", "custom"), "standard", &there).unwrap_err();
        assert_eq!(
            missing,
            [
                "2 service offerings are called `twice`: name one by its id",
                "the size `standard` has no GiB, and its disk offering needs them",
                "the ISO image boot is not ready: 40% Downloaded",
            ]
        );
        there.isos[0].usable = true;
        let found = place(&wish("o3", "d1"), "standard", &there).unwrap();
        assert_eq!((found.network.as_str(), found.offering.as_str(), found.iso.as_str()), ("n1", "o3", "i1"));
        assert!(found.isolated && found.closed_outwards && found.disk_gib.is_none());
        assert_eq!(place(&wish("o1", "d1"), "huge", &there).unwrap_err(), ["it has no size `huge`"]);
    }
}
