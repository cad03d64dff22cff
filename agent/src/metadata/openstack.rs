//! OpenStack's metadata service (OpenStack Nova, "Metadata service").

use futures_util::future::BoxFuture;

use super::{Machine, Source, Tried};

const URL: &str = "http://169.254.169.254/openstack/latest/user_data";

/// OpenStack's metadata service.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenStack;

impl Source for OpenStack {
    fn name(&self) -> &'static str {
        "OpenStack"
    }

    fn look<'a>(&'a self, machine: Machine<'a>) -> BoxFuture<'a, Vec<Tried>> {
        Box::pin(async move { vec![Tried::url(machine.ask, URL.to_owned(), Vec::new()).await] })
    }
}
