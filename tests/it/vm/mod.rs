//! Providers and desktops: the suite that every provider has to pass, a CloudStack that others' clients check, and what is left after
//! whatever goes wrong.

mod clients;
mod cloudstack;
mod compared;
mod conformance;
mod desktops;
mod faults;
mod images;
pub(crate) mod kvm;
mod site;

use harness::server::Engine;

/// Each test runs on both engines.
macro_rules! on_both_engines {
    ($($module:ident::$test:ident,)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$module::$test(super::Engine::Sqlite).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$module::$test(super::Engine::Postgres).await;
            })*
        }
    };
}

on_both_engines! {
    desktops::a_desktop_is_made_switched_made_anew_and_deleted,
    desktops::what_would_be_made_is_shown_first_and_each_way_to_it_has_its_port,
    desktops::the_next_provider_is_tried_and_the_trials_are_shown,
    desktops::desktops_share_an_address_and_the_last_one_gives_it_back,
    desktops::what_is_lost_or_unknown_at_a_provider_is_seen,
    desktops::a_provider_is_registered_tested_changed_and_removed,
    desktops::the_boot_image_leaves_the_drive_when_the_installation_needs_it_no_more,
    compared::what_differs_at_a_provider_is_named_both_ways,
    images::the_boot_image_is_registered_awaited_renewed_and_removed,
    images::an_image_that_the_provider_cannot_fetch_is_told_with_its_reason,
    images::a_lost_answer_never_makes_two_images,
    kvm::a_host_does_what_every_provider_must,
    kvm::a_host_is_registered_on_the_page,
    kvm::a_desktop_is_made_on_a_host_switched_and_deleted,
    kvm::what_does_not_fit_on_a_host_goes_to_the_next_provider,
    faults::an_answer_that_is_lost_never_makes_two_machines,
    faults::many_desktops_at_random_faults_leave_no_orphan_and_no_missing_record,
}
