//! Every distribution with every way to install it: the whole chain can be planned.

use wire::{JobId, step::StepKind};

use super::{
    PlanRequest, installation, plan,
    rendered::{client, images, job_scripts, machine, server},
};
use crate::{
    catalog::Catalog,
    domain::{
        client::{BaseMethod, ClientConfig, User},
        settings::Retracted,
    },
};

#[test]
fn every_distribution_installs_on_every_machine_by_every_method() {
    let catalog = Catalog::load(&job_scripts().join(".."), None).unwrap_or_else(|error| panic!("{error}"));
    for (distribution, _) in catalog.distributions() {
        for file in ["qemu-bios.json", "qemu-uefi-two-nics.json", "metal-uefi-nvme.json"] {
            for base in [BaseMethod::Image, BaseMethod::Debootstrap] {
                let user = User { name: "ann".to_owned(), has_password: true, ..User::default() };
                let config = ClientConfig {
                    distribution: distribution.to_owned(),
                    base,
                    users: vec![user],
                    ..ClientConfig::default()
                };
                let kinds = chain(&catalog, config, file);
                let has = |fits: fn(&StepKind) -> bool| kinds.iter().any(fits);
                let image = base == BaseMethod::Image;
                assert_eq!(has(|kind| matches!(kind, StepKind::Unpack { .. })), image);
                assert_eq!(has(|kind| matches!(kind, StepKind::Debootstrap { .. })), !image);
                assert!(has(|kind| matches!(kind, StepKind::BootLoader { .. })));
                assert!(has(|kind| matches!(kind, StepKind::Script { secrets, .. } if !secrets.is_empty())));
                assert!(matches!(kinds.last(), Some(StepKind::Reboot {})));
            }
        }
    }
}

/// All steps of the chain that installs such a machine.
fn chain(catalog: &Catalog, config: ClientConfig, file: &str) -> Vec<StepKind> {
    let layout = catalog.layout(&config.layout);
    let client = client(config, machine(file));
    let mut kinds = Vec::new();
    for entry in installation(&client) {
        let params = catalog.job_type(&entry.job_type).unwrap().params.check(&entry.params).unwrap();
        let request = PlanRequest {
            job: JobId(1),
            job_type: &entry.job_type,
            params: &params,
            client: &client,
            facts: client.facts.as_ref(),
            images: &images(catalog),
            server: &server(),
            layout,
            retracted: &Retracted::new(),
            sources: &[],
        };
        let planned =
            plan(&request, catalog).unwrap_or_else(|error| panic!("{} on {file}: {error}", entry.job_type));
        kinds.extend(planned.steps.into_iter().map(|step| step.kind));
    }
    kinds
}
