//! A believable site in a server's database: forty clients in all stages, jobs in all states with output, a failed installation,
//! groups, layouts, images. For screenshots and for tests of pages, which want something to show.
//!
//! Invariant: what is stored went through the queue and the use cases, so nothing is here that could not come about. Nothing is random.

mod consoles;
pub mod desktops;
mod integration;
mod machines;
mod packages;
mod report;
mod rollouts;
mod selections;
mod sources;

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::json;
use server::{
    app::{groups, jobs as jobs_of_people, layouts, people},
    clock::{Clock, SECOND},
    config::Config,
    context::Ctx,
    db::{boot, clients, images, jobs},
    domain::{
        boot::BootEventKind,
        client::{ClientConfig, Stage, User},
        image::Image,
        job::{JobEvent, NewJob},
        people::Role,
    },
    presence::Seen,
    queue,
};
use wire::{
    AttemptId, ClientId, JobId, Mac, Sha256,
    enrol::{BlobRef, Realm},
    event::{EventKind, Outcome, Stream},
};

use self::{
    machines::{machine, partition},
    report::Report,
};
use crate::server::{Engine, TestServer};

/// Longer than anybody looks at the sample.
const LEASE_S: u32 = 24 * 3600;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// The agent's version on all machines.
const AGENT: &str = "0.1.0";

/// What tests want to name.
#[derive(Clone, Debug)]
pub struct Sample {
    /// An installed client with history, output, hardware and groups.
    pub installed: &'static str,
    /// A machine that waits for adoption.
    pub discovered: &'static str,
    /// A client whose installation runs.
    pub installing: &'static str,
    /// A client whose installation failed.
    pub failed: &'static str,
    /// An attempt that runs, of `installing`.
    pub running: AttemptId,
    /// A job that is held.
    pub held: JobId,
    /// A group with members.
    pub group: &'static str,
    /// A selection of packages from which clients differ.
    pub selection: &'static str,
    /// A preview of changes of packages of `installed`, which has an answer.
    pub preview: JobId,
    /// A layout of the site's own.
    pub layout: &'static str,
    /// A client that somebody else has installed.
    pub integrated: &'static str,
}

/// Starts a server that is filled with the sample.
///
/// # Errors
/// The server does not start, or refuses something of the sample.
pub async fn start(engine: Engine) -> Result<(TestServer, Sample)> {
    let server =
        TestServer::start_as(engine, Clock::system(), |config: &mut Config| config.lease_s = LEASE_S).await?;
    let sample = fill(&server.ctx).await?;
    let channel = json!({ "name": "mail", "kind": "mail", "to": ["admin@schule.example"], "language": "de" });
    server.send(Method::POST, "/api/v1/channels", &channel).await?.ok()?;
    let weekly = json!({ "name": "weekly", "report": "updates", "every": "weekly", "time_zone": "Europe/Berlin", "to": ["admin@schule.example"], "language": "de" });
    server.send(Method::POST, "/api/v1/report-mails", &weekly).await?.ok()?;
    let batch =
        json!({ "order": { "action": "join-group", "group": "spring" }, "clients": ["lab-01", "lab-02"] });
    server.send(Method::POST, "/api/v1/batches", &batch).await?.ok()?;
    // A job script that the site has changed.
    let path = "/api/v1/job-scripts/package-install";
    let mut files = server.get(path).await?.ok()?["files"].clone();
    if let Some(files) = files.as_object_mut() {
        files.retain(|path, _| !path.starts_with("expected/"));
    }
    let declared = files["job.yaml"].as_str().context("a job script has lost its declaration")?.to_owned();
    let step = "  - script: 30-clean.sh.tera\n    title: { en: Clean up, de: Aufräumen }\n    timeout: 5m\n";
    files["job.yaml"] = json!(format!("{declared}{step}"));
    files["30-clean.sh.tera"] = json!("apt-get clean\n");
    let version = json!({ "files": files, "comment": "the package cache stays small" });
    server.send(Method::POST, &format!("{path}/versions"), &version).await?.ok()?;
    Ok((server, sample))
}

/// Fills a new server.
///
/// # Errors
/// The server refuses something of it.
pub async fn fill(ctx: &Ctx) -> Result<Sample> {
    let site = Site { ctx, now: ctx.now() };
    site.images().await?;
    groups::create(ctx, "computer-lab", "Room 12, school", None, "admin").await?;
    groups::create(ctx, "office", "", None, "admin").await?;
    layouts::set(
        ctx,
        "lab-disk",
        &fs_err::read_to_string(ctx.config.share.join("job-scripts/layouts/whole-disk-home.yaml"))?,
        "admin",
    )
    .await?;
    let mut tx = ctx.db.write().await?;
    for (name, role) in [("command line", Role::Admin), ("monitoring", Role::Viewer)] {
        people::create_token(&mut tx, name, role, None, "admin", site.now - 20 * DAY).await?;
    }
    tx.commit().await?;
    for number in 1..=18 {
        site.installed(&format!("lab-{number:02}"), "computer-lab", number).await?;
    }
    for number in 1..=9 {
        site.installed(&format!("office-{number:02}"), "office", 20 + number).await?;
    }
    let (running, held) = site.work().await?;
    site.newcomers().await?;
    rollouts::fill(ctx).await?;
    selections::fill(ctx).await?;
    let preview = site.preview("lab-01").await?;
    sources::fill(ctx).await?;
    integration::fill(ctx, "office-09").await?;
    Ok(Sample {
        installed: "lab-01",
        discovered: "new-3f01",
        installing: "lab-19",
        failed: "lab-20",
        running,
        held,
        group: "computer-lab",
        selection: "writing",
        preview,
        layout: "lab-disk",
        integrated: "office-09",
    })
}

struct Site<'a> {
    ctx: &'a Ctx,
    now: i64,
}

fn mac(number: u8) -> Mac {
    Mac::from_bytes([0x3c, 0x52, 0x82, 0x1f, 0x40, number])
}

fn hash(number: usize) -> Result<Sha256> {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &number.to_be_bytes());
    hex::encode(digest.as_ref()).parse().context("making a hash")
}

const APT: &str = "Reading package lists...
Building dependency tree...
The following NEW packages will be installed:
  libgs10 libgs10-common gimp gimp-data
0 upgraded, 4 newly installed, 0 to remove and 0 not upgraded.
Get:1 bookworm/main amd64 gimp-data all 2.10.34-1+deb12u2 [8,112 kB]
Get:2 bookworm/main amd64 gimp amd64 2.10.34-1+deb12u2 [5,180 kB]
Setting up gimp-data (2.10.34-1+deb12u2) ...
Setting up gimp (2.10.34-1+deb12u2) ...";

impl Site<'_> {
    async fn images(&self) -> Result<()> {
        let mut tx = self.ctx.db.write().await?;
        let metal = |distribution: &str, kernel: &str| (format!("{distribution}/{kernel}"), vec!["archive"]);
        let mut all = vec![
            ("installer".to_owned(), vec!["vmlinuz", "initramfs", "tools"]),
            ("agent".to_owned(), vec!["package"]),
        ];
        for (distribution, _) in self.ctx.catalog.distributions() {
            all.extend([metal(distribution, "virtual"), metal(distribution, "metal")]);
        }
        for (number, (name, parts)) in all.into_iter().enumerate() {
            let mut image = Image {
                id: 0,
                name,
                recipe: hash(number)?,
                parts: [].into(),
                built_at: self.now - 9 * DAY,
                version: String::new(),
            };
            if image.name == server::domain::image::AGENT {
                image.version = AGENT.to_owned();
            }
            for (at, part) in parts.into_iter().enumerate() {
                let blob = BlobRef { sha256: hash(100 + number * 10 + at)?, size_bytes: 180 << 20 };
                image.parts.insert(part.to_owned(), blob);
            }
            images::create(&mut tx, &image).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn client(&self, name: &str, stage: Stage, number: u8, at: i64) -> Result<ClientId> {
        let config = ClientConfig {
            layout: "lab-disk".to_owned(),
            domain: "schule.example".to_owned(),
            locale: "de_DE.UTF-8".to_owned(),
            keyboard: "de".to_owned(),
            timezone: "Europe/Berlin".to_owned(),
            users: vec![User { name: "pupil".to_owned(), full_name: "Pupil".to_owned(), ..User::default() }],
            ..ClientConfig::default()
        };
        let mut tx = self.ctx.db.write().await?;
        let id = clients::create(&mut tx, name, stage, &config, &[mac(number)], at).await?;
        tx.commit().await?;
        Ok(id)
    }

    fn heard(&self, client: ClientId, realm: Realm) {
        // Ahead of now, so that it counts as connected for as long as anybody looks.
        let seen = Seen {
            boot_id: format!("boot-{client}"),
            realm,
            agent_version: AGENT.to_owned(),
            at: self.now + HOUR,
        };
        self.ctx.presence.heard(client, seen);
    }

    async fn installed(&self, name: &str, group: &str, number: u8) -> Result<()> {
        let began = self.now - i64::from(number) * 7 * HOUR - DAY;
        let id = self.client(name, Stage::Installed, number, began).await?;
        let mut tx = self.ctx.db.write().await?;
        clients::set_facts(&mut tx, id, &machine(number, true, began)?, began).await?;
        clients::set_seen(&mut tx, id, &format!("boot-{id}"), Realm::System, AGENT, self.now - 3 * MINUTE)
            .await?;
        tx.commit().await?;
        groups::set_member(self.ctx, group, name, true, "admin").await?;
        // Some are switched off.
        if !number.is_multiple_of(5) {
            self.heard(id, Realm::System);
        }
        self.boots(number, began, "in the installed system").await?;
        let job = self.order(id, "package-install", began, None).await?;
        let report = Report::new(began).step("packages").says(Stream::Stdout, APT);
        match number {
            7 => {
                let said = "E: Unable to locate package gimp-plugins-extra";
                let report = report
                    .says(Stream::Stderr, said)
                    .failed("it ended with status 100: E: Unable to locate package gimp-plugins-extra");
                self.attempt(id, Realm::System, began, report).await?;
            }
            9 => self.cancel(job, began, "the wrong room").await?,
            11 => self.expire(job, began).await?,
            _ => {
                let report = report.done().ends(Outcome::Succeeded);
                let attempt = self.attempt(id, Realm::System, began, report).await?;
                packages::told(self.ctx, id, number, attempt).await?;
            }
        }
        if number == 12 {
            let mut tx = self.ctx.db.write().await?;
            let alarm = "two machines use the identity of this client: it was copied";
            clients::set_alarm(&mut tx, id, Some(alarm)).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn boots(&self, number: u8, at: i64, end: &str) -> Result<()> {
        let mut tx = self.ctx.db.write().await?;
        let way = [
            (BootEventKind::Dhcp, format!("10.20.0.{}", 50 + u16::from(number))),
            (BootEventKind::Tftp, "ipxe.efi".to_owned()),
            (BootEventKind::Script, "local disk".to_owned()),
            (BootEventKind::Connected, end.to_owned()),
        ];
        for (after, (kind, detail)) in way.into_iter().enumerate() {
            let at = at - 5 * MINUTE + i64::try_from(after).unwrap_or(0) * 9 * SECOND;
            boot::add(&mut tx, mac(number), kind, &detail, at).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn order(&self, client: ClientId, job_type: &str, at: i64, held: Option<&str>) -> Result<JobId> {
        let known = self.ctx.catalog.job_type(job_type).with_context(|| format!("job type {job_type}"))?;
        let params = match job_type {
            "package-install" => serde_json::json!({ "packages": ["gimp"], "refresh": false }),
            _ => serde_json::json!({}),
        };
        let job = NewJob {
            client,
            job_type: job_type.to_owned(),
            params,
            realm: known.realm,
            priority: known.priority,
            held: held.map(str::to_owned),
            not_before: None,
            expires_at: None,
            max_attempts: 1,
            retry_after_s: 60,
            created_by: "admin".to_owned(),
            needs: Vec::new(),
        };
        let mut tx = self.ctx.db.write().await?;
        let id = queue::enqueue(&mut tx, &job, at).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// An agent takes the client's next job and reports.
    async fn attempt(&self, client: ClientId, realm: Realm, at: i64, report: Report) -> Result<AttemptId> {
        let mut tx = self.ctx.db.write().await?;
        let boot = format!("boot-{client}");
        let (_, id) =
            queue::claim(&mut tx, client, realm, &boot, LEASE_S, at).await?.context("nothing to claim")?;
        let end = report.at;
        queue::report(&mut tx, client, id, &report.events, LEASE_S, end).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// What a choice of packages would change, as the client has answered.
    async fn preview(&self, name: &str) -> Result<JobId> {
        let mut tx = self.ctx.db.read().await?;
        let client = clients::find_by_name(&mut tx, name).await?.context("the client is gone")?.id;
        drop(tx);
        let job = jobs_of_people::create(self.ctx, client, &selections::choice(), "admin").await?;
        let (step, transaction) = ("packages".to_owned(), selections::transaction());
        let report = Report::new(self.ctx.now()).step("packages");
        let report = report.add(EventKind::Transaction { step, is_preview: true, transaction });
        let report = report.done().ends(Outcome::Succeeded);
        self.attempt(client, Realm::System, self.ctx.now(), report).await?;
        Ok(job)
    }

    async fn cancel(&self, id: JobId, at: i64, why: &str) -> Result<()> {
        let mut tx = self.ctx.db.write().await?;
        let job = jobs::find(&mut tx, id).await?.context("a job is gone")?;
        queue::cancel(&mut tx, &job, "admin", why, at).await?;
        Ok(tx.commit().await?)
    }

    async fn expire(&self, id: JobId, at: i64) -> Result<()> {
        let mut tx = self.ctx.db.write().await?;
        let job = jobs::find(&mut tx, id).await?.context("a job is gone")?;
        queue::transition(&mut tx, &job, JobEvent::Expire, "queue", "it was not begun in time", None, at)
            .await?;
        Ok(tx.commit().await?)
    }

    /// What is under way: an installation, one that failed, work that waits and work that is held.
    async fn work(&self) -> Result<(AttemptId, JobId)> {
        let began = self.now - 4 * MINUTE;
        let running = self.installing("lab-19", 19, began).await?;
        let report = Report::new(began)
            .step("unpack")
            .says(Stream::Agent, "unpacking debian-12/metal (180 MiB) to /target")
            .progress(62, "");
        let running = self.attempt(running, Realm::Installer, began, report).await?;

        let failed = self.installing("lab-20", 20, self.now - 2 * HOUR).await?;
        let report = Report::new(self.now - 2 * HOUR)
            .step("storage")
            .says(Stream::Agent, "looking for the disk of `system`")
            .failed("the disk /dev/nvme0n1 (SAMSUNG MZVL2512HCJQ-00BL7, serial S64KNX0R020) does not take writes: Input/output error");
        self.attempt(failed, Realm::Installer, self.now - 2 * HOUR, report).await?;

        let mut tx = self.ctx.db.write().await?;
        let held = clients::find_by_name(&mut tx, "office-02").await?.context("a client is gone")?.id;
        let waits = clients::find_by_name(&mut tx, "office-03").await?.context("a client is gone")?.id;
        drop(tx);
        let held = self
            .order(
                held,
                "package-upgrade",
                self.now - 3 * HOUR,
                Some("waits for somebody to accept it (admin asked for that)"),
            )
            .await?;
        self.order(waits, "package-upgrade", self.now - 50 * MINUTE, None).await?;
        Ok((running, held))
    }

    /// A client with the chain of an installation.
    async fn installing(&self, name: &str, number: u8, at: i64) -> Result<ClientId> {
        let id = self.client(name, Stage::Installing, number, at - HOUR).await?;
        let mut tx = self.ctx.db.write().await?;
        clients::set_facts(&mut tx, id, &machine(number, false, at)?, at).await?;
        clients::set_seen(&mut tx, id, &format!("boot-{id}"), Realm::Installer, AGENT, at).await?;
        tx.commit().await?;
        groups::set_member(self.ctx, "computer-lab", name, true, "admin").await?;
        self.heard(id, Realm::Installer);
        self.boots(number, at, "in the installer").await?;
        let mut needs = Vec::new();
        for (job_type, realm) in [
            ("storage", Realm::Installer),
            ("base-system", Realm::Installer),
            ("configure", Realm::Installer),
            ("reboot", Realm::Unknown),
        ] {
            let job = NewJob {
                client: id,
                job_type: job_type.to_owned(),
                params: serde_json::json!({}),
                realm: Some(realm).filter(|realm| *realm != Realm::Unknown),
                priority: 10,
                held: None,
                not_before: None,
                expires_at: None,
                max_attempts: 1,
                retry_after_s: 60,
                created_by: "admin".to_owned(),
                needs: needs.clone(),
            };
            let mut tx = self.ctx.db.write().await?;
            needs = vec![queue::enqueue(&mut tx, &job, at).await?];
            tx.commit().await?;
        }
        if name == "lab-19" {
            let done = Report::new(at - 3 * MINUTE)
                .step("storage")
                .says(Stream::Agent, "writing a partition table on /dev/nvme0n1\nmaking vfat on /dev/nvme0n1p1\nmaking ext4 on /dev/nvme0n1p3")
                .done()
                .ends(Outcome::Succeeded);
            self.attempt(id, Realm::Installer, at - 3 * MINUTE, done).await?;
        }
        Ok(id)
    }

    /// Machines that nobody has installed yet, or that are out of service.
    async fn newcomers(&self) -> Result<()> {
        for (name, number) in [("new-3f01", 41), ("new-3f02", 42), ("new-3f03", 43)] {
            let at = self.now - i64::from(number) * MINUTE;
            let id = self.client(name, Stage::Discovered, number, at).await?;
            let mut tx = self.ctx.db.write().await?;
            let mut facts = machine(number, false, at)?;
            // One of them had another system before.
            for disk in facts.disks.iter_mut().filter(|_| number == 42) {
                partition(disk, false);
            }
            clients::set_facts(&mut tx, id, &facts, at).await?;
            clients::set_announced_key(&mut tx, id, &hash(usize::from(number))?).await?;
            for (kind, detail) in [
                (BootEventKind::Dhcp, "10.20.0.91"),
                (BootEventKind::Script, "discovery"),
                (BootEventKind::Announced, "waits for an admin"),
            ] {
                boot::add(&mut tx, mac(number), kind, detail, at).await?;
            }
            tx.commit().await?;
        }
        for number in 44..=49 {
            self.client(
                &format!("library-{:02}", number - 43),
                Stage::Registered,
                number,
                self.now - 2 * DAY,
            )
            .await?;
        }
        for number in 50..=51 {
            let at = self.now - 90 * DAY;
            let id = self.client(&format!("old-{:02}", number - 49), Stage::Retired, number, at).await?;
            let mut tx = self.ctx.db.write().await?;
            clients::set_facts(&mut tx, id, &machine(number, true, at)?, at).await?;
            clients::set_seen(&mut tx, id, "boot-old", Realm::System, AGENT, self.now - 30 * DAY).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}
