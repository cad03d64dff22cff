//! Putting the server together: open everything, bind everything, then serve until told to stop.

use std::{
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::Path,
    time::Duration,
};

use anyhow::Context;
use axum::Router;
use axum_server::{Handle, tls_rustls::RustlsAcceptor};
use futures_util::future::BoxFuture;
use sd_notify::NotifyState;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower_http::{
    catch_panic::CatchPanicLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    trace::TraceLayer,
};

use crate::{
    app::{
        cache, images::Builds, job_scripts, login::Tries, overview::EndedJobs, providers::OpenProviders,
        second_factors, source_lists,
    },
    auth::{ldap::Directory, oidc::LoginService},
    blobs::Blobs,
    boot::{mirror::Mirrors, tftp},
    cache::{Cache, Declared, Setup},
    catalog::Catalog,
    clock::{Clock, SECOND},
    config::Config,
    consoles::Consoles,
    context::{Addresses, Ctx, Doors},
    db::{Db, accounts, people},
    domain::people::{Role, Source},
    http,
    identity::{ArchiveKey, Authority, tls, token::Token},
    metrics::Metrics,
    notices,
    pages::Pages,
    presence::Presence,
    reconcile,
};

/// Open requests may take this long to end when the server stops.
const GRACE: Duration = Duration::from_secs(10);
/// The first admin's link is valid this long.
const LINK_FOR: i64 = 24 * 3600 * SECOND;

/// A server whose listeners are bound, but which does not answer yet.
pub struct Server {
    ctx: Ctx,
    https: TcpListener,
    agents: TcpListener,
    boot: TcpListener,
    first_login: Option<String>,
}

impl Server {
    /// Opens data directory, database, keys and catalogue, and binds the listeners.
    ///
    /// # Errors
    /// Anything of it fails; the error says what was attempted on which object.
    pub async fn bind(config: Config, clock: Clock) -> anyhow::Result<Self> {
        let now = clock.now();
        make_private(&config.data)?;
        let db = Db::open(&config.database, now).await?;
        let authority = Authority::open(&config.data, now)?;
        let blobs = Blobs::open(config.data.join("blobs"))?;
        let packages = Blobs::open(config.data.join("repositories"))?;
        let archive_key = ArchiveKey::new(&config.data);
        let catalog = Catalog::load(&config.share, config.site_scripts.as_deref())?;
        let mirrors = Mirrors::open(&config.mirrors, |name| catalog.names_mirror(name))
            .context("setting up the client for mirrors")?;
        let cache = open_cache(&config, &mirrors, &catalog, &clock)?;
        let bind = |address: SocketAddr| -> anyhow::Result<TcpListener> {
            let listener = TcpListener::bind(address).with_context(|| format!("listening on {address}"))?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        let (https, agents, boot) =
            (bind(config.listen_https)?, bind(config.listen_agents)?, bind(config.listen_boot)?);
        let host = if config.host.contains(':') { format!("[{}]", config.host) } else { config.host.clone() };
        let addresses = Addresses {
            https: format!("https://{host}:{}", https.local_addr()?.port()),
            agents: format!("https://{host}:{}", agents.local_addr()?.port()),
            boot: format!("http://{host}:{}", boot.local_addr()?.port()),
            ca: authority.fingerprint().to_string(),
            pid: std::process::id(),
        };
        let pages = Pages::load(&config.share)?;
        let (presence, tries) = (Presence::default(), Tries::default());
        let directory = config.ldap.clone().map(Directory::open).transpose()?;
        let login_service = config.oidc.clone().map(LoginService::open).transpose()?;
        let ctx = Ctx::new(Doors {
            config,
            addresses,
            db,
            clock,
            authority,
            archive_key,
            blobs,
            packages,
            publishing: tokio::sync::Mutex::default(),
            catalog,
            mirrors,
            cache,
            pages,
            ended: EndedJobs::default(),
            metrics: Metrics::new(now),
            builds: Builds::default(),
            tries,
            directory,
            login_service,
            providers: OpenProviders::default(),
            consoles: Consoles::default(),
            presence,
        });
        job_scripts::reload(&ctx).await?;
        second_factors::seal_all(&ctx).await?;
        cache::apply_settings(&ctx).await?;
        source_lists::reload(&ctx).await?;
        let first_login = first_run(&ctx).await?;
        Ok(Self { ctx, https, agents, boot, first_login })
    }

    /// The doors of the server.
    pub fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    /// The link with which the first admin logs in; only on the first run.
    pub fn first_login(&self) -> Option<&str> {
        self.first_login.as_deref()
    }

    /// Serves until `stop` fires, then lets open requests end.
    ///
    /// # Errors
    /// A listener or a background task fails.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let ctx = self.ctx;
        let names = certificate_names(&ctx.config.host);
        let open = tls::open(&ctx.authority, &names, ctx.now())?;
        let mutual = tls::agents(&ctx.authority, &names, ctx.now())?;
        let patience = ctx.config.patience;
        let handle = Handle::new();
        let mut tasks: JoinSet<anyhow::Result<()>> = JoinSet::new();

        let https = layered(
            &ctx,
            http::api::router(ctx.clone())
                .merge(http::metrics::router(ctx.clone()))
                .merge(http::agent::enrolment(ctx.clone()))
                .merge(http::pages::router(ctx.clone())),
        );
        let server = axum_server::from_tcp(self.https)?
            .acceptor(RustlsAcceptor::new(open).handshake_timeout(patience.handshake).acceptor(patience))
            .handle(handle.clone());
        let server = patience.bound(server);
        let https = https.into_make_service_with_connect_info::<SocketAddr>();
        tasks.spawn(async move { server.serve(https).await.context("serving HTTPS") });

        let agents = layered(&ctx, http::agent::router(ctx.clone()));
        let acceptor = RustlsAcceptor::new(mutual).handshake_timeout(patience.handshake).acceptor(patience);
        let server =
            axum_server::from_tcp(self.agents)?.acceptor(tls::PeerAcceptor(acceptor)).handle(handle.clone());
        let server = patience.bound(server);
        tasks.spawn(async move { server.serve(agents.into_make_service()).await.context("serving agents") });

        let boot = layered(&ctx, http::boot::router(ctx.clone()));
        // Firmware and package managers speak HTTP/1; telling versions apart would mean to wait for a silent peer's first bytes.
        let server = axum_server::from_tcp(self.boot)?.acceptor(patience).handle(handle.clone()).http1_only();
        let server = patience.bound(server);
        tasks.spawn(async move {
            server
                .serve(boot.into_make_service_with_connect_info::<SocketAddr>())
                .await
                .context("serving boot files")
        });

        if let Some(address) = ctx.config.listen_tftp {
            let (ctx, stop) = (ctx.clone(), stop.clone());
            tasks.spawn(async move {
                tftp::serve(ctx, address, stop).await.with_context(|| format!("serving TFTP on {address}"))
            });
        }
        for part in by_itself(&ctx, &stop) {
            tasks.spawn(async move {
                part.await;
                Ok(())
            });
        }
        write_addresses(&ctx)?;
        tracing::info!(
            https = ctx.addresses.https,
            agents = ctx.addresses.agents,
            boot = ctx.addresses.boot,
            "serving"
        );
        tell_systemd(&NotifyState::Ready);

        let result = tokio::select! {
            // First, because a part that ends because of it has not ended by itself.
            biased;
            () = stop.cancelled() => Ok(()),
            Some(ended) = tasks.join_next() => ended.context("a part of the server broke down")?.and_then(|()| anyhow::bail!("a part of the server ended by itself")),
        };
        tell_systemd(&NotifyState::Stopping);
        ctx.presence.close();
        stop.cancel();
        handle.graceful_shutdown(Some(GRACE));
        while let Some(ended) = tasks.join_next().await {
            ended.context("a part of the server broke down while stopping")??;
        }
        ctx.db.close().await;
        result
    }
}

/// What runs without being asked for, until `stop` fires.
fn by_itself(ctx: &Ctx, stop: &CancellationToken) -> [BoxFuture<'static, ()>; 6] {
    [
        Box::pin(reconcile::run(ctx.clone(), stop.clone())),
        Box::pin(notices::run(ctx.clone(), stop.clone())),
        Box::pin(reconcile::batches(ctx.clone(), stop.clone())),
        Box::pin(reconcile::rollouts(ctx.clone(), stop.clone())),
        Box::pin(reconcile::indices(ctx.clone(), stop.clone())),
        Box::pin(reconcile::desktops(ctx.clone(), stop.clone())),
    ]
}

/// Tells the service manager, if one waits to hear it (`sd_notify(3)`): who starts the unit gets a server that answers.
fn tell_systemd(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        tracing::warn!(error = &error as &dyn std::error::Error, "telling systemd");
    }
}

fn layered(ctx: &Ctx, router: Router) -> Router {
    router
        .layer(CatchPanicLayer::new())
        .layer(axum::middleware::from_fn(http::uniform))
        .layer(axum::middleware::from_fn_with_state(ctx.clone(), http::metrics::counted))
        .layer(TraceLayer::new_for_http().make_span_with(|request: &axum::extract::Request| {
            // The query of an address may carry a secret, so only the path is logged.
            let id =
                request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
            tracing::info_span!("request", method = %request.method(), path = request.uri().path(), id)
        }))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
}

fn make_private(data: &Path) -> anyhow::Result<()> {
    fs_err::create_dir_all(data)?;
    // The CA certificate and the addresses are for everybody on the machine; keys and database protect themselves.
    fs_err::set_permissions(data, std::fs::Permissions::from_mode(0o711))?;
    for private in ["keys", "blobs", "cache", "repositories"] {
        let path = data.join(private);
        fs_err::create_dir_all(&path)?;
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Its limit and whether it asks its mirrors are settings, which the database knows.
fn open_cache(config: &Config, mirrors: &Mirrors, catalog: &Catalog, clock: &Clock) -> anyhow::Result<Cache> {
    let declared = catalog.distributions().flat_map(|(_, distribution)| {
        distribution.sources.iter().map(|source| Declared {
            mirror: source.mirror.clone(),
            suite: source.suite.clone(),
            architecture: distribution.architecture.clone(),
            keyring: distribution.keyring.clone().into(),
        })
    });
    Cache::open(Setup {
        directory: &config.data.join("cache"),
        mirrors,
        declared: declared.collect(),
        keyrings: &config.cache_keyrings,
        limit: u64::MAX,
        clock: clock.clone(),
    })
}

fn certificate_names(host: &str) -> Vec<String> {
    let mut names = vec![host.to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.dedup();
    names
}

/// Makes the first admin when there is nobody yet, and gives the one-time link.
async fn first_run(ctx: &Ctx) -> anyhow::Result<Option<String>> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    if people::any_user(&mut tx).await? {
        return Ok(None);
    }
    let admin = accounts::create(&mut tx, "admin", "", Source::Local, None, &Role::Admin.into(), now).await?;
    let secret = Token::new();
    people::create_link(&mut tx, &secret.hash(), admin, now + LINK_FOR, now).await?;
    tx.commit().await?;
    // Behind the hash sign, so that no browser sends it and no log keeps it.
    Ok(Some(format!("{}/login#{}", ctx.addresses.https, secret.reveal())))
}

fn write_addresses(ctx: &Ctx) -> anyhow::Result<()> {
    let directory = ctx.config.data.join("run");
    fs_err::create_dir_all(&directory)?;
    let partial = directory.join("addresses.partial");
    fs_err::write(&partial, serde_json::to_vec_pretty(&ctx.addresses)?)?;
    fs_err::rename(&partial, directory.join("addresses.json"))?;
    Ok(())
}
