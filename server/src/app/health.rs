//! Looks at every part of the server, as its neighbours see it: over its own listeners, with a limit on how long each may take.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::net::UdpSocket;

use super::{
    Error,
    cache::{self, MirrorStatus},
};
use crate::{
    clock::{self, SECOND},
    context::Ctx,
    db::{health as rows, images},
    domain::{
        health::{self, Condition, Part},
        image,
        layout::size::human,
    },
    identity::tls,
};

/// A part that has not answered by then does not work.
const PATIENCE: Duration = Duration::from_secs(4);
/// A database that takes longer for a single row is slow.
const SLOW: Duration = Duration::from_millis(100);
/// Without an address given out for so long, machines probably do not come this way.
const QUIET: i64 = 7 * 86_400 * SECOND;

/// The server and its parts.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[schema(as = ServerHealth)]
pub struct Health {
    /// The condition of its worst part.
    pub condition: Condition,
    /// Version of the server.
    pub version: String,
    /// Its database, with version.
    pub database: String,
    /// Version of the database's schema.
    pub schema: i64,
    /// Versions of the agents, and how many clients have each.
    pub agents: Vec<AgentVersion>,
    /// Every part.
    pub parts: Vec<Part>,
}

/// How many clients have an agent of a version.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct AgentVersion {
    /// The version.
    pub version: String,
    /// How many clients.
    pub clients: i64,
}

impl Health {
    /// Which parts there are and how they are, without addresses, versions and reasons.
    #[must_use]
    pub fn without_details(mut self) -> Self {
        self.database.clear();
        self.agents.clear();
        for part in &mut self.parts {
            part.values.clear();
            part.said.clear();
            part.remedy.clear();
        }
        self
    }
}

/// Looks at everything.
///
/// # Errors
/// None of what is looked at; only a fault of the server itself.
pub async fn look(ctx: &Ctx) -> Result<Health, Error> {
    let (database, boot, tftp, (mirrors, clock), certificates, login_service) = tokio::join!(
        database(ctx),
        boot(ctx),
        tftp(ctx),
        mirrors(ctx),
        certificates(ctx),
        login_service(ctx)
    );
    let (known, database) = database;
    let mut parts = vec![database, room(ctx), boot, tftp];
    if let Some(known) = &known {
        parts.push(dhcp(known.dhcp_at, ctx.now()));
        parts.push(built(&known.images));
        parts.extend(health::agents(&known.agent, &known.agents));
    }
    parts.extend(mirrors);
    parts.push(clock);
    parts.extend(certificates);
    parts.extend(login_service);
    let known = known.unwrap_or_default();
    Ok(Health {
        condition: health::worst(&parts),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        database: known.engine,
        schema: known.schema,
        agents: known
            .agents
            .into_iter()
            .map(|(version, clients)| AgentVersion { version, clients })
            .collect(),
        parts,
    })
}

/// What the database knows about the other parts.
#[derive(Default)]
struct Known {
    engine: String,
    schema: i64,
    agents: Vec<(String, i64)>,
    dhcp_at: Option<i64>,
    images: Vec<String>,
    /// The version of the agent that this server has.
    agent: String,
}

async fn database(ctx: &Ctx) -> (Option<Known>, Part) {
    let asked = async {
        let mut tx = ctx.db.read().await?;
        let begun = Instant::now();
        let schema = rows::schema(&mut tx).await?;
        let took = begun.elapsed();
        let engine = rows::engine(&mut tx).await?;
        let size = rows::size(&mut tx).await?;
        let known = Known {
            engine: engine.clone(),
            schema,
            agents: rows::agent_versions(&mut tx).await?,
            dhcp_at: rows::last_lease(&mut tx).await?,
            agent: super::images::agent_version(&mut tx).await?,
            images: images::list(&mut tx).await?.into_iter().map(|image| image.name).collect(),
        };
        Ok::<_, Error>((known, engine, took, size))
    };
    let found = tokio::time::timeout(PATIENCE, asked).await;
    let Ok(Ok((known, engine, took, size))) = found else {
        let part = Part::new("database", Condition::Bad, "database-gone", "the database does not answer");
        return (None, part.remedy("look at the server's log, and at the database's own"));
    };
    let (ms, size) = (took.as_millis(), human(u64::try_from(size).unwrap_or(0)));
    let said = format!("{engine}, schema {}, {size}, answers in {ms} ms", known.schema);
    let slow = took > SLOW;
    let part = Part::new(
        "database",
        if slow { Condition::Warning } else { Condition::Good },
        if slow { "database-slow" } else { "database" },
        said,
    )
    .value("engine", engine)
    .value("schema", known.schema)
    .value("size", size)
    .value("ms", ms);
    let part = if slow {
        part.remedy("give the database a faster disk, or look for what else uses it")
    } else {
        part
    };
    (Some(known), part)
}

fn room(ctx: &Ctx) -> Part {
    let path = ctx.config.data.display().to_string();
    match nix::sys::statvfs::statvfs(&ctx.config.data) {
        Ok(found) => {
            let block = found.fragment_size();
            let bytes = |blocks: u64| blocks.saturating_mul(block);
            health::room(bytes(found.blocks_available()), bytes(found.blocks()), &path)
        }
        Err(error) => Part::new("room", Condition::Bad, "room-unknown", format!("{path}: {error}"))
            .value("path", path)
            .value("why", error)
            .remedy("look whether the disk of the data directory is mounted"),
    }
}

/// The listener for firmware, over its own address.
async fn boot(ctx: &Ctx) -> Part {
    let url = &ctx.addresses.boot;
    let request = ctx.mirrors.client().get(format!("{url}/boot/trust?nonce=health")).timeout(PATIENCE);
    let name = "boot";
    match request.send().await {
        Ok(answer) if !answer.status().is_server_error() => {
            Part::new(name, Condition::Good, "boot", format!("{url} answers")).value("url", url)
        }
        Ok(answer) => boot_gone(url, &answer.status().to_string()),
        Err(error) => boot_gone(url, &reason(error)),
    }
}

fn boot_gone(url: &str, why: &str) -> Part {
    Part::new("boot", Condition::Bad, "boot-gone", format!("{url} does not answer: {why}"))
        .value("url", url)
        .value("why", why)
        .remedy("set `host` to a name or address by which this server reaches itself, and open the port in its firewall")
}

/// The reason of a failed request, without its address and in one line.
fn reason(error: reqwest::Error) -> String {
    format!("{:#}", anyhow::Error::from(error.without_url()))
}

/// Asks the TFTP server for a boot program, as firmware does (RFC 1350).
async fn tftp(ctx: &Ctx) -> Part {
    let Some(address) = ctx.config.listen_tftp else {
        return Part::new("tftp", Condition::Unknown, "tftp-off", "switched off")
            .remedy("machines that boot over the network need it: set `listen-tftp`");
    };
    match tokio::time::timeout(PATIENCE, ask_tftp(address)).await {
        Ok(Ok(())) => {
            Part::new("tftp", Condition::Good, "tftp", format!("{address} answers")).value("address", address)
        }
        other => {
            let why = match other {
                Ok(Err(error)) => error.to_string(),
                _ => "no answer".to_owned(),
            };
            Part::new("tftp", Condition::Bad, "tftp-gone", format!("{address} does not answer: {why}"))
                .value("address", address)
                .value("why", why)
                .remedy("look in the server's log; another TFTP server may have the port")
        }
    }
}

async fn ask_tftp(address: SocketAddr) -> std::io::Result<()> {
    let to = match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::from(([127, 0, 0, 1], v4.port())),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, v6.port()))
        }
        other => other,
    };
    let from = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(from).await?;
    // A read request for what nobody has: the answer is an error packet, and no transfer begins.
    socket.send_to(b"\x00\x01health-check\x00octet\x00", to).await?;
    let mut answer = [0; 600];
    socket.recv_from(&mut answer).await.map(drop)
}

fn dhcp(at: Option<i64>, now: i64) -> Part {
    match at {
        None => Part::new("dhcp", Condition::Unknown, "dhcp-never", "no machine was given an address yet")
            .remedy("let dnsmasq know this server: `lotse pxe dnsmasq` writes its configuration"),
        Some(at) if now - at > QUIET => {
            let said = format!("the last address was given on {}", clock::rfc3339(at));
            Part::new("dhcp", Condition::Warning, "dhcp-quiet", said)
                .value("at", clock::rfc3339(at))
                .remedy("look whether dnsmasq runs and calls `lotse pxe event`")
        }
        Some(at) => {
            let said = format!("the last address was given on {}", clock::rfc3339(at));
            Part::new("dhcp", Condition::Good, "dhcp", said).value("at", clock::rfc3339(at))
        }
    }
}

fn built(names: &[String]) -> Part {
    let missing: Vec<_> = [image::INSTALLER, image::LOADERS, image::AGENT]
        .into_iter()
        .filter(|name| !names.iter().any(|built| built == name))
        .collect();
    if missing.is_empty() {
        return Part::new("images", Condition::Good, "images-built", format!("{} are built", names.len()))
            .value("count", names.len());
    }
    let missing = missing.join(" ");
    Part::new("images", Condition::Warning, "images-missing", format!("not built yet: {missing}"))
        .value("missing", &missing)
        .remedy(format!("run on the server: `lotse image build {missing}`"))
}

/// Every mirror through the package cache, as clients reach it; and how far our clock is from theirs.
async fn mirrors(ctx: &Ctx) -> (Vec<Part>, Part) {
    let known = ctx.mirrors.list();
    if known.is_empty() {
        let part = Part::new("mirrors", Condition::Warning, "mirrors-none", "no mirror is known");
        let remedy = "set `mirrors = [\"debian=http://…/debian\"]` in the configuration";
        return (vec![part.remedy(remedy)], health::clock(None));
    }
    let asked = known.iter().map(|(name, _)| one_mirror(ctx, name));
    let parts = futures_util::future::join_all(asked).await;
    let ahead = known.iter().find_map(|(name, _)| cache::mirror(ctx, name)?.ahead_s);
    (parts, health::clock(ahead))
}

async fn one_mirror(ctx: &Ctx, name: &str) -> Part {
    let suite = ctx
        .catalog
        .distributions()
        .flat_map(|(_, distribution)| &distribution.sources)
        .find(|source| source.mirror == name)
        .map_or_else(|| "stable".to_owned(), |source| source.suite.clone());
    let url = format!("{}/mirror/{name}/dists/{suite}/InRelease", ctx.addresses.boot);
    let begun = Instant::now();
    let answer = ctx.mirrors.client().get(url).timeout(PATIENCE).send().await;
    let ms = begun.elapsed().as_millis();
    let status = cache::mirror(ctx, name);
    let part = |condition, finding: &str, said: String| {
        Part::new(format!("mirror {name}"), condition, finding, said).value("name", name)
    };
    if let Some(found) = status.as_ref().and_then(|status| fault(ctx, status, part)) {
        return found;
    }
    let why = match answer {
        Ok(answer) if answer.status().is_success() => {
            return part(Condition::Good, "mirror", format!("answers in {ms} ms")).value("ms", ms);
        }
        Ok(answer) => answer.status().to_string(),
        Err(error) => reason(error),
    };
    part(Condition::Bad, "mirror-gone", format!("cannot be reached: {why}")).value("why", why).remedy(
        "look at the network and proxy of the server's host, or name another mirror in `mirrors`; installations need it",
    )
}

/// What the package cache has against a mirror.
fn fault(ctx: &Ctx, mirror: &MirrorStatus, part: impl Fn(Condition, &str, String) -> Part) -> Option<Part> {
    if mirror.lacks_keyring {
        let said = "cannot be verified: no keyring is there, so nothing is passed on".to_owned();
        let remedy = "install the distribution's keyring on the server, or name one in `cache-keyrings`";
        return Some(part(Condition::Bad, "mirror-keyless", said).remedy(remedy));
    }
    if ctx.cache.is_offline() {
        let said = "is not asked: the package cache is offline".to_owned();
        let remedy = "`lotse setting set cache.offline off` when the mirror shall be asked again";
        return Some(part(Condition::Warning, "mirror-offline", said).remedy(remedy));
    }
    if let Some(why) = &mirror.down_why {
        let said = format!("{why}; clients get what lies in the package cache");
        let remedy = "look at the network and proxy of the server's host, or name another mirror in `mirrors`; installations need it";
        return Some(part(Condition::Bad, "mirror-down", said).value("why", why).remedy(remedy));
    }
    let unfit = mirror.unfit.as_ref()?;
    let said = format!("gives wrong files: {} {}; they are not passed on", unfit.path, unfit.why);
    let remedy = "try again in a few minutes: a mirror in the middle of an update looks the same; if it stays so, name another mirror in `mirrors`";
    Some(
        part(Condition::Bad, "mirror-unfit", said)
            .value("path", &unfit.path)
            .value("why", &unfit.why)
            .remedy(remedy),
    )
}

/// The login service, when there is one.
async fn login_service(ctx: &Ctx) -> Option<Part> {
    let service = ctx.login_service.as_ref()?;
    let (name, title, begun) = ("login service", service.title(), Instant::now());
    let why = match tokio::time::timeout(PATIENCE, service.look()).await {
        Ok(Ok(())) => {
            let ms = begun.elapsed().as_millis();
            let said = format!("{title} answers in {ms} ms");
            let part = Part::new(name, Condition::Good, "login-service", said);
            return Some(part.value("title", title).value("ms", ms));
        }
        Ok(Err(error)) => format!("{:#}", anyhow::Error::from(error)),
        Err(_) => "no answer".to_owned(),
    };
    let said = format!("{title} does not answer: {why}");
    let part =
        Part::new(name, Condition::Bad, "login-service-gone", said).value("title", title).value("why", why);
    Some(part.remedy(
        "look at `[oidc]` in the configuration, and at the network between this server and the login service",
    ))
}

/// The certificates that the server shows to whoever comes.
async fn certificates(ctx: &Ctx) -> Vec<Part> {
    let authority = ctx.addresses.https.trim_start_matches("https://").to_owned();
    let shown = tokio::time::timeout(PATIENCE, tls::certificates(&authority)).await;
    let gone = |why: String| {
        vec![
            Part::new("server certificate", Condition::Bad, "https-gone", format!("{authority}: {why}"))
                .value("address", &authority)
                .value("why", why)
                .remedy("set `host` to a name or address by which this server reaches itself"),
        ]
    };
    let chain = match shown {
        Ok(Ok(chain)) => chain,
        Ok(Err(error)) => return gone(format!("{error:#}")),
        Err(_) => return gone("no answer".to_owned()),
    };
    let names = ["server certificate", "CA certificate"];
    let ends = [chain.first(), chain.get(1..).and_then(<[_]>::last)];
    names
        .into_iter()
        .zip(ends)
        .filter_map(|(name, der)| {
            let (_, found) = x509_parser::parse_x509_certificate(der?).ok()?;
            let until = found.validity().not_after.timestamp() * SECOND;
            let days = (until - ctx.now()) / SECOND / 86_400;
            Some(health::certificate(name, days, &clock::rfc3339(until)))
        })
        .collect()
}
