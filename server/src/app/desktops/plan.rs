//! What would be made for a new desktop, and where: nothing is written, and nothing is asked of a provider but what it offers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{super::Error, NewDesktop, create_in, trial::candidates};
use crate::{
    app::providers::{self, BootImage},
    context::Ctx,
    db::{jobs, providers::ProviderRecord},
    domain::{
        client::RemoteAccess,
        desktop::{DesktopWish, ports},
        provider::Candidate,
    },
    vm::{Offer, Offers, Place, place},
};

/// What would be made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DesktopPlan {
    /// Types of the jobs that set it up, in order.
    pub jobs: Vec<String>,
    /// Where its machine may be made, the first ones first.
    pub places: Vec<PlannedPlace>,
}

/// A provider at which the machine may be made; whatever lies there is given by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedPlace {
    /// The provider.
    pub provider: String,
    /// The lowest is tried first.
    pub order: i32,
    /// How often it comes first among those of the same order, beside the others' weights.
    pub weight: u32,
    /// It is left alone until then; 0 when it is not.
    pub rests_until: i64,
    /// The zone.
    pub zone: String,
    /// Processors and memory.
    pub offering: String,
    /// The disk.
    pub disk: String,
    /// The network.
    pub network: String,
    /// The boot image.
    pub image: String,
    /// Ports of the desktop that get one of their own on a public address; empty where it is reached at its own address.
    pub ports: Vec<u16>,
    /// Why it cannot be made there now.
    pub problems: Vec<String>,
}

/// Shows what would be made.
///
/// # Errors
/// As making it.
pub async fn plan(ctx: &Ctx, new: &NewDesktop, actor: &str) -> Result<DesktopPlan, Error> {
    let hashes = new.client.passwords.hash().await?;
    let (jobs, candidates) = {
        // What is written here is never committed.
        let mut tx = ctx.db.write().await?;
        let client = create_in(ctx, &mut tx, new, &hashes, actor).await?;
        let mut queued = jobs::since(&mut tx, client, 0).await?;
        queued.sort_by_key(|job| job.id);
        let candidates = candidates(&mut tx, &new.wish()).await?;
        (queued.into_iter().map(|job| job.job_type).collect(), candidates)
    };
    let remote = new.client.config.desktop.unwrap_or_default().remote;
    let mut places = Vec::new();
    for (record, candidate) in candidates {
        places.push(planned(ctx, record, &candidate, &new.wish(), remote).await);
    }
    places.sort_by(|one, other| (one.order, &one.provider).cmp(&(other.order, &other.provider)));
    Ok(DesktopPlan { jobs, places })
}

async fn planned(
    ctx: &Ctx,
    record: ProviderRecord,
    candidate: &Candidate,
    wish: &DesktopWish,
    remote: RemoteAccess,
) -> PlannedPlace {
    let mut planned = PlannedPlace {
        provider: record.name.clone(),
        order: candidate.order,
        weight: candidate.weight,
        rests_until: if record.standing.rests_until > ctx.now() { record.standing.rests_until } else { 0 },
        ..PlannedPlace::default()
    };
    let offers = match providers::open(ctx, &record).await {
        Ok(opened) => opened.offers(ctx.now()).await.map_err(|error| format!("{error}; {}", error.remedy())),
        Err(error) => Err(error.to_string()),
    };
    match offers.map(|offers| (place(&record.wish.of(wish), &wish.size, &offers), offers)) {
        Ok((Ok(place), offers)) => {
            if record.wish.iso.is_empty() {
                match own_image(ctx, &record).await {
                    Ok(how) => planned.image = how,
                    Err(problem) => planned.problems.push(problem),
                }
            }
            if place.isolated {
                planned.ports = ports(&record.wish.ports, remote);
            }
            name(&mut planned, &place, &offers);
        }
        Ok((Err(missing), _)) => planned.problems = missing,
        Err(problem) => planned.problems = vec![problem],
    }
    planned
}

/// How it stands with the boot image that Lotse keeps there, or why there is none.
async fn own_image(ctx: &Ctx, record: &ProviderRecord) -> Result<String, String> {
    let kept = providers::open(ctx, record).await.is_ok_and(|opened| opened.provider.keeps_images());
    if !kept {
        return Err("no ISO image is named".to_owned());
    }
    let found = async {
        let mut tx = ctx.db.read().await?;
        providers::boot_image(ctx, &mut tx, record.id).await
    };
    match found.await {
        Ok(BootImage::Ready(_)) => Ok("of this server".to_owned()),
        Ok(BootImage::Coming(how)) => Ok(how),
        Ok(BootImage::Missing(why)) => Err(why),
        Err(error) => Err(error.to_string()),
    }
}

/// The names of what the place has ids for.
fn name(planned: &mut PlannedPlace, place: &Place, offers: &Offers) {
    planned.zone = named(&place.zone, offers.zones.iter());
    planned.offering = described(&place.offering, offers.offerings.iter());
    planned.network = named(&place.network, offers.networks.iter().map(|network| &network.offer));
    if !place.iso.is_empty() {
        planned.image = named(&place.iso, offers.isos.iter());
    }
    let disks = || offers.disks.iter().map(|disk| &disk.offer);
    planned.disk = match place.disk_gib {
        Some(gib) => format!("{} ({gib} GiB)", named(&place.disk, disks())),
        None => described(&place.disk, disks()),
    };
}

fn named<'a>(id: &str, mut offers: impl Iterator<Item = &'a Offer>) -> String {
    offers.find(|offer| offer.id == id).map(|offer| offer.name.clone()).unwrap_or_default()
}

fn described<'a>(id: &str, mut offers: impl Iterator<Item = &'a Offer>) -> String {
    let found = offers.find(|offer| offer.id == id);
    found.map(|offer| format!("{} ({})", offer.name, offer.about)).unwrap_or_default()
}
