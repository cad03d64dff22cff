//! The open connection to each provider: its client, made once for each version of its record, and what it offered last. One whose machines
//! are hosted by a client has none.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{super::Error, host::QueuedHost};
use crate::{
    clock::SECOND,
    context::Ctx,
    db::providers::{self, ProviderRecord},
    domain::provider::ProviderKind,
    vm::{
        self, Offers, Provider,
        cloudstack::{CloudStack, Keys},
        kvm::Kvm,
    },
};

/// What a provider offers is asked again after so long.
const FRESH: i64 = 60 * SECOND;

/// All of them, by the provider's number.
#[derive(Default)]
pub struct OpenProviders(Mutex<HashMap<i64, Arc<Opened>>>);

/// One of them.
pub(crate) struct Opened {
    version: i64,
    pub(crate) provider: Box<dyn Provider>,
    offers: tokio::sync::Mutex<Option<(i64, Arc<Offers>)>>,
}

/// The open connection, shared by everybody who uses it.
pub(crate) type OpenProvider = Arc<Opened>;

/// For what the keys of a provider are sealed.
pub fn seal_purpose(name: &str) -> String {
    format!("provider {name}")
}

/// The connection to a provider.
///
/// # Errors
/// Its keys cannot be opened.
pub(crate) async fn open(ctx: &Ctx, record: &ProviderRecord) -> Result<OpenProvider, Error> {
    let known = || ctx.providers.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(opened) = known().get(&record.id).filter(|opened| opened.version == record.version) {
        return Ok(Arc::clone(opened));
    }
    let opened = |provider| {
        Arc::new(Opened { version: record.version, provider, offers: tokio::sync::Mutex::default() })
    };
    if record.wish.kind == ProviderKind::Kvm {
        // Nothing is open: it is the queue of a client. And what holds the server's doors is not kept behind one of them.
        let host = QueuedHost::new(ctx.clone(), &record.wish.host, record.wish.timeout_s);
        return Ok(opened(Box::new(Kvm::new(Box::new(host), record.wish.clone()))));
    }
    let sealed = {
        let mut tx = ctx.db.read().await?;
        providers::keys(&mut tx, record.id).await?
    };
    let gone = || Error::not_found(format!("provider {}", record.name));
    let text = ctx.authority.open_sealed(&seal_purpose(&record.name), &sealed.ok_or_else(gone)?);
    let text = text.map_err(|error| {
        Error::conflict(
            format!("the keys of provider {} cannot be opened: {error}", record.name),
            "they were sealed by another CA: give them again, `lotse provider change --keys`",
        )
    })?;
    let keys: Keys = serde_json::from_str(&text).map_err(|error| Error::Internal(error.into()))?;
    let provider = CloudStack::new(&record.wish, keys, ctx.clock.clone());
    let provider = provider.map_err(|reason| Error::invalid(reason, "change the provider's certificates"))?;
    let opened = opened(Box::new(provider));
    known().insert(record.id, Arc::clone(&opened));
    Ok(opened)
}

impl Opened {
    /// What it offers, as it said lately.
    ///
    /// # Errors
    /// It does not say.
    pub(crate) async fn offers(&self, now: i64) -> Result<Arc<Offers>, vm::Error> {
        let mut known = self.offers.lock().await;
        if let Some((at, offers)) = known.as_ref()
            && now - at < FRESH
        {
            return Ok(Arc::clone(offers));
        }
        let offers = Arc::new(self.provider.offers().await?);
        *known = Some((now, Arc::clone(&offers)));
        Ok(offers)
    }
}
