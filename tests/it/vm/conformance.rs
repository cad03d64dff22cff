//! What every provider has to do: asked only through the trait, so that each further kind is held to the same.

use std::time::Duration;

use server::{
    domain::desktop::{FaultClass, PartKind, PowerOrder},
    vm::{Begun, NewRule, NewVm, Place, Progress, Provider, RulesOf, VmState},
};

/// A job is looked at this often.
const GLANCE: Duration = Duration::from_millis(50);

/// Looks at a job until it is over.
async fn over(provider: &dyn Provider, begun: &Begun) -> Option<String> {
    let Some(job) = &begun.job else { return begun.id.clone() };
    for _ in 0..2000 {
        match provider.job(job).await.unwrap() {
            // An agent may be at it, which has a pace of its own.
            Progress::Pending => tokio::time::sleep(GLANCE).await,
            Progress::Done(id) => return begun.id.clone().or(id),
            Progress::Failed(error) => panic!("{error}"),
        }
    }
    panic!("the job {job} does not end");
}

/// The life of a machine and of everything that makes it reachable.
pub(super) async fn conforms(provider: &dyn Provider, place: &Place) {
    let capabilities = provider.capabilities();
    assert!(capabilities.boots_iso && capabilities.user_data);
    let about = provider.about().await.unwrap();
    assert!(!about.version.is_empty() && about.refused.is_empty(), "{about:?}");
    let offers = provider.offers().await.unwrap();
    assert!(!offers.zones.is_empty() && !offers.networks.is_empty() && !offers.isos.is_empty());

    let name = "conformance-lotse-0123456789ab";
    let new = NewVm { name, title: "conformance", place, user_data: "#lotse-v1\ntoken=x\n" };
    assert_eq!(provider.vms(Some(name)).await.unwrap(), []);
    let begun = provider.deploy(&new).await.unwrap();
    let id = over(provider, &begun).await.unwrap();
    let found = provider.vms(Some(name)).await.unwrap();
    assert_eq!(found.iter().map(|vm| vm.id.as_str()).collect::<Vec<_>>(), [id.as_str()]);
    assert_eq!((found[0].state, found[0].iso.is_some()), (VmState::Stopped, true), "it waits to be started");
    assert!(!found[0].address.is_empty() || !capabilities.forwards_ports);
    assert_eq!(provider.vms(Some("conformance-lotse-")).await.unwrap(), [], "a part of a name is no name");
    let again = provider.deploy(&new).await.unwrap_err();
    assert_eq!(again.class, FaultClass::Caller, "a name is taken once: {again}");

    for (order, state) in [
        (PowerOrder::Start, VmState::Running),
        (PowerOrder::Reboot, VmState::Running),
        (PowerOrder::Stop, VmState::Stopped),
    ] {
        over(provider, &provider.power(&id, order).await.unwrap()).await;
        assert_eq!(provider.vm(&id).await.unwrap().unwrap().state, state, "{order:?}");
    }
    match provider.console(&id).await {
        Ok(url) => assert!(url.starts_with("https://"), "{url}"),
        // Through its host, or not while the machine is off.
        Err(error) if capabilities.forwards_ports => {
            assert!(error.reason.contains("must be running"), "{error}");
        }
        Err(error) => assert_eq!(error.class, FaultClass::Caller, "{error}"),
    }
    over(provider, &provider.detach_iso(&id).await.unwrap()).await;
    assert_eq!(provider.vm(&id).await.unwrap().unwrap().iso, None);

    if capabilities.forwards_ports && place.isolated {
        reaches(provider, place, &id, &found[0].address).await;
    }

    over(provider, &provider.destroy(&id).await.unwrap()).await;
    assert_eq!(provider.vm(&id).await.unwrap(), None);
    assert_eq!(provider.vms(None).await.unwrap(), []);
    assert_eq!(provider.destroy(&id).await.unwrap_err().class, FaultClass::Gone);
}

async fn reaches(provider: &dyn Provider, place: &Place, vm: &str, source: &str) {
    let before = provider.addresses(&place.network).await.unwrap().len();
    let address = over(provider, &provider.allocate(&place.network).await.unwrap()).await.unwrap();
    assert_eq!(provider.addresses(&place.network).await.unwrap().len(), before + 1);
    let rules = [
        (
            PartKind::Forwarding,
            NewRule::Forwarding { address: address.clone(), port: 20_000, vm: vm.to_owned(), guest_port: 22 },
            RulesOf::Forwarding(address.clone()),
        ),
        (
            PartKind::Firewall,
            NewRule::Firewall {
                address: address.clone(),
                port: 20_000,
                sources: vec!["0.0.0.0/0".to_owned()],
            },
            RulesOf::Firewall(address.clone()),
        ),
        (
            PartKind::Egress,
            NewRule::Egress { network: place.network.clone(), source: source.to_owned() },
            RulesOf::Egress(place.network.clone()),
        ),
    ];
    for (kind, rule, of) in rules {
        let id = over(provider, &provider.open(&rule).await.unwrap()).await.unwrap();
        let found = provider.rules(&of).await.unwrap();
        assert_eq!(found.len(), 1, "{rule:?}");
        assert_eq!(found[0].id, id);
        match kind {
            PartKind::Egress => assert_eq!(found[0].sources, [format!("{source}/32")]),
            _ => assert_eq!((found[0].port, found[0].last_port), (20_000, 20_000)),
        }
        if kind == PartKind::Forwarding {
            assert_eq!(found[0].vm, vm);
        }
        assert_eq!(provider.open(&rule).await.unwrap_err().class, FaultClass::Transient, "it is taken");
        over(provider, &provider.close(kind, &id).await.unwrap()).await;
        assert_eq!(provider.rules(&of).await.unwrap(), []);
        assert_eq!(provider.close(kind, &id).await.unwrap_err().class, FaultClass::Gone);
    }
    over(provider, &provider.release(&address).await.unwrap()).await;
    assert_eq!(provider.addresses(&place.network).await.unwrap().len(), before);
}
