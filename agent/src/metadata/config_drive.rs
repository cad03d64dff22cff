//! The configuration drive of OpenStack, and of CloudStack where a network has no virtual router: a medium with the label `config-2`.
//!
//! Layout: OpenStack Nova, "Config drives" (`openstack/latest/user_data`); CloudStack, "User-data and metadata"
//! (`cloudstack/userdata/user_data.txt`).

use futures_util::future::BoxFuture;

use super::{Machine, Source, Tried, medium};

const LABEL: &str = "config-2";
const FILES: [&str; 3] =
    ["openstack/latest/user_data", "cloudstack/userdata/user_data.txt", "ec2/latest/user-data"];

/// OpenStack's and CloudStack's.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConfigDrive;

impl Source for ConfigDrive {
    fn name(&self) -> &'static str {
        "configuration drive"
    }

    fn look<'a>(&'a self, machine: Machine<'a>) -> BoxFuture<'a, Vec<Tried>> {
        Box::pin(async move { medium::look(machine.host, LABEL, &FILES) })
    }
}
