//! `CloudStack`: the virtual router of the guest network answers for whoever asks from a machine's address.
//!
//! The router is the DHCP server, has the name `data-server` in the network's DNS domain, and is nearly always the gateway (`CloudStack`,
//! "User-data and metadata"). Other clouds' gateways and hotels answer, too: hence the check of what they say.

use futures_util::future::BoxFuture;

use super::{Machine, Source, Tried, in_order, lease};

const NAME: &str = "data-server";

/// `CloudStack`'s virtual router.
#[derive(Clone, Copy, Debug)]
pub(super) struct CloudStack;

impl Source for CloudStack {
    fn name(&self) -> &'static str {
        "CloudStack"
    }

    fn look<'a>(&'a self, machine: Machine<'a>) -> BoxFuture<'a, Vec<Tried>> {
        Box::pin(async move {
            let servers = lease::all(machine.host).into_iter().filter_map(|lease| lease.server);
            let mut routers: Vec<String> = Vec::new();
            let gateways = lease::gateways(machine.host);
            let named = servers.map(|address| address.to_string()).chain([NAME.to_owned()]);
            for router in named.chain(gateways.iter().map(ToString::to_string)) {
                if !routers.contains(&router) {
                    routers.push(router);
                }
            }
            in_order(routers.iter().map(|router| {
                let url = format!("http://{router}/latest/user-data");
                Box::pin(Tried::url(machine.ask, url, Vec::new())) as BoxFuture<'_, Tried>
            }))
            .await
        })
    }
}
