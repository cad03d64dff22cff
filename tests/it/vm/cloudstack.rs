//! Our client at a CloudStack: the suite of every provider, trust, faults, pages.

use std::time::Duration;

use harness::cloudstack::{Cloud, Fault, KEYS};
use server::{
    clock::Clock,
    domain::{
        desktop::{FaultClass, PowerOrder},
        provider::ProviderWish,
    },
    vm::{
        NewVm, Place, Progress, Provider,
        cloudstack::{CloudStack, Keys},
        place,
    },
};

use super::{conformance::conforms, site::wish};

fn keys() -> Keys {
    Keys { api_key: KEYS.0.to_owned(), secret_key: KEYS.1.to_owned() }
}

async fn cloud() -> (Cloud, CloudStack, Place) {
    let cloud = Cloud::start(Clock::system()).await.unwrap();
    let wish = wish(&cloud);
    let provider = CloudStack::new(&wish, keys(), Clock::system()).unwrap();
    let place = place(&wish, "standard", &provider.offers().await.unwrap()).unwrap();
    (cloud, provider, place)
}

#[tokio::test]
async fn cloudstack_does_what_every_provider_must() {
    let (cloud, provider, place) = cloud().await;
    assert!(place.isolated && place.closed_outwards && place.disk_gib == Some(20));
    conforms(&provider, &place).await;
    assert_eq!(cloud.left(), harness::cloudstack::Left::default());
}

#[tokio::test]
async fn a_provider_is_trusted_by_its_ca_or_its_fingerprint_and_never_blindly() {
    let (cloud, _, _) = cloud().await;
    let by = |ca_pem: &str, fingerprint: Option<&str>| {
        let fingerprint = fingerprint.map(|hex| hex.parse().unwrap());
        let wish = ProviderWish { ca_pem: ca_pem.to_owned(), fingerprint, ..wish(&cloud) };
        CloudStack::new(&wish, keys(), Clock::system()).unwrap()
    };
    let other = Cloud::start(Clock::system()).await.unwrap();
    assert!(by(&cloud.ca_pem, None).about().await.is_ok());
    assert!(by("", Some(&cloud.fingerprint)).about().await.is_ok());
    for stranger in [by("", None), by(&other.ca_pem, None), by("", Some(&other.fingerprint))] {
        let error = stranger.about().await.unwrap_err();
        assert_eq!(error.class, FaultClass::Transient, "{error}");
        assert!(error.reason.contains("ertificate"), "{error}");
    }
    assert_eq!(cloud.calls("listCapabilities"), 2, "a stranger hears nothing");
}

#[tokio::test]
async fn whoever_has_other_keys_or_another_time_is_not_let_in() {
    let (cloud, _, _) = cloud().await;
    let wrong = Keys { secret_key: "other".to_owned(), ..keys() };
    let provider = CloudStack::new(&wish(&cloud), wrong, Clock::system()).unwrap();
    assert_eq!(provider.about().await.unwrap_err().class, FaultClass::Authentication);
    let late = Clock::fixed(Clock::system().now() - 3600 * 1_000_000);
    let provider = CloudStack::new(&wish(&cloud), keys(), late).unwrap();
    assert_eq!(provider.about().await.unwrap_err().class, FaultClass::Authentication);
}

#[tokio::test]
async fn faults_are_told_apart_and_say_no_secret() {
    use FaultClass::{Ambiguous, Authentication, Caller, Capacity, Quota, Transient};
    let (cloud, provider, place) = cloud().await;
    for (at, (fault, changing, looking)) in [
        (Fault::Before(401), Authentication, Authentication),
        (Fault::Before(431), Caller, Caller),
        (Fault::Before(432), Authentication, Authentication),
        (Fault::Before(429), Transient, Transient),
        (Fault::Before(530), Ambiguous, Transient),
        (Fault::Before(533), Capacity, Capacity),
        (Fault::Before(535), Quota, Quota),
        (Fault::After(530), Ambiguous, Transient),
        (Fault::Silent, Ambiguous, Transient),
        (Fault::Lost, Ambiguous, Transient),
        (Fault::Hangs, Ambiguous, Transient),
        (Fault::Garbage, Ambiguous, Transient),
        (Fault::Page, Ambiguous, Transient),
    ]
    .into_iter()
    .enumerate()
    {
        cloud.next("deployVirtualMachine", fault.clone());
        let name = format!("desk-lotse-{at:012x}");
        let new =
            NewVm { name: &name, title: "desk", place: &place, user_data: "#lotse-v1\ntoken=hidden-token\n" };
        let error = provider.deploy(&new).await.unwrap_err();
        assert_eq!(error.class, changing, "{fault:?}: {error}");
        let said = format!("{error} {error:?}");
        assert!(
            !said.contains(KEYS.1) && !said.contains("hidden-token") && !said.contains("signature="),
            "{said}"
        );
        cloud.next("listVirtualMachines", fault.clone());
        let error = provider.vms(None).await.unwrap_err();
        assert_eq!(error.class, looking, "{fault:?}: {error}");
        if fault == Fault::Before(429) {
            assert_eq!(error.again_after_s, Some(2));
        }
    }
    cloud.next("listVirtualMachines", Fault::Slow(Duration::from_millis(50)));
    assert!(provider.vms(None).await.is_ok());
    cloud.next("startVirtualMachine", Fault::JobFails(533));
    let machine = &provider.vms(None).await.unwrap()[0];
    let job = provider.power(&machine.id, PowerOrder::Start).await.unwrap().job.unwrap();
    assert!(matches!(provider.job(&job).await.unwrap(), Progress::Failed(error) if error.class == Capacity));
}

#[tokio::test]
async fn a_list_is_read_to_its_last_page() {
    let (_cloud, provider, place) = cloud().await;
    for at in 0..205 {
        let name = format!("desk-lotse-{at:012x}");
        let new = NewVm { name: &name, title: "desk", place: &place, user_data: "#lotse-v1\n" };
        provider.deploy(&new).await.unwrap();
    }
    let found = provider.vms(None).await.unwrap();
    let ids: std::collections::BTreeSet<_> = found.iter().map(|vm| &vm.id).collect();
    assert_eq!((found.len(), ids.len()), (205, 205));
}

#[tokio::test]
async fn user_data_that_not_every_server_takes_is_refused_here() {
    let (cloud, provider, place) = cloud().await;
    let long = format!("#lotse-v1\n{}", "x".repeat(2048));
    let new = NewVm { name: "desk-lotse-000000000000", title: "desk", place: &place, user_data: &long };
    assert_eq!(provider.deploy(&new).await.unwrap_err().class, FaultClass::Caller);
    assert_eq!(cloud.calls("deployVirtualMachine"), 0);
}

#[tokio::test]
async fn a_console_is_an_address_at_the_provider_or_the_reason_why_there_is_none() {
    let (cloud, provider, place) = cloud().await;
    let new =
        NewVm { name: "desk-lotse-000000000000", title: "desk", place: &place, user_data: "#lotse-v1\n" };
    provider.deploy(&new).await.unwrap();
    let id = provider.vms(None).await.unwrap()[0].id.clone();
    let off = provider.console(&id).await.unwrap_err();
    assert!(off.class == FaultClass::Transient && off.reason.contains("must be running"), "{off}");
    let job = provider.power(&id, PowerOrder::Start).await.unwrap().job.unwrap();
    while provider.job(&job).await.unwrap() == Progress::Pending {}
    assert!(
        provider.console(&id).await.unwrap().starts_with("https://console.example/resource/noVNC/vnc.html?")
    );
    // As a server before 4.18 answers.
    cloud.next("createConsoleEndpoint", Fault::Before(432));
    let old = provider.console(&id).await.unwrap_err();
    assert!(old.class == FaultClass::Authentication && old.reason.contains("4.18"), "{old}");
    assert_eq!(provider.console("nobody").await.unwrap_err().class, FaultClass::Gone);
}
