//! What is at a provider, as far as desktops use it: machines, disks, addresses of their networks, and the rules on these.

use std::collections::BTreeSet;

use crate::{
    app::providers::OpenProvider,
    context::Ctx,
    db::{desktops::parts::KnownPart, providers::ProviderRecord},
    domain::desktop::PartKind,
    vm::{self, PublicAddress, Rule, RulesOf, Vm, Volume},
};

/// What is there.
#[derive(Clone, Debug, Default)]
pub(super) struct There {
    pub(super) machines: Vec<Vm>,
    pub(super) volumes: Vec<Volume>,
    pub(super) addresses: Vec<PublicAddress>,
    /// Each with the id of its address.
    pub(super) forwardings: Vec<(String, Rule)>,
    /// Each with the id of its address.
    pub(super) openings: Vec<(String, Rule)>,
    /// Each with the id of its network.
    pub(super) egress: Vec<(String, Rule)>,
}

/// Looks at everything that desktops use there.
///
/// # Errors
/// The provider does not say.
pub(super) async fn look(
    ctx: &Ctx,
    record: &ProviderRecord,
    opened: &OpenProvider,
    machines: Vec<Vm>,
    known: &[KnownPart],
) -> Result<There, vm::Error> {
    let provider = opened.provider.as_ref();
    let mut there = There { machines, volumes: provider.volumes().await?, ..There::default() };
    if !provider.capabilities().forwards_ports {
        return Ok(there);
    }
    let offers = opened.offers(ctx.now()).await?;
    let is_wanted = |offer: &&vm::NetworkOffer| {
        offer.isolated && [&offer.offer.name, &offer.offer.id].contains(&&record.wish.network)
    };
    let mut networks: BTreeSet<String> =
        offers.networks.iter().filter(is_wanted).map(|network| network.offer.id.clone()).collect();
    let named = known.iter().filter(|known| matches!(known.part.kind, PartKind::Egress | PartKind::Address));
    networks.extend(named.filter_map(|known| known.part.tag.split(' ').next()).map(str::to_owned));
    // One that is gone has nothing.
    networks.retain(|id| offers.networks.iter().any(|network| network.offer.id == *id));
    for network in networks {
        there.addresses.extend(provider.addresses(&network).await?);
        let rules = provider.rules(&RulesOf::Egress(network.clone())).await?;
        there.egress.extend(rules.into_iter().map(|rule| (network.clone(), rule)));
    }
    for id in there.addresses.iter().map(|address| address.id.clone()).collect::<Vec<_>>() {
        let rules = provider.rules(&RulesOf::Forwarding(id.clone())).await?;
        there.forwardings.extend(rules.into_iter().map(|rule| (id.clone(), rule)));
        let rules = provider.rules(&RulesOf::Firewall(id.clone())).await?;
        there.openings.extend(rules.into_iter().map(|rule| (id.clone(), rule)));
    }
    Ok(there)
}
