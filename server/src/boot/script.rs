//! What a boot program is told: the decision about a machine, rendered for iPXE or GRUB.

use std::path::Path;

use tera::Tera;
use wire::{Mac, Sha256};

use crate::{
    app::Error,
    clock::SECOND,
    context::Ctx,
    db::{
        clients, events,
        identities::{self, TokenUse},
        images, jobs,
    },
    domain::{
        boot::{BootDecision, BootState, decide},
        image,
    },
    identity::token::Token,
};

/// A machine that has to wait asks again after this long.
const RETRY_S: u32 = 10;
/// A token must be used within this time: from the script to the agent's first word.
const TOKEN_FOR: i64 = 30 * 60 * SECOND;

/// Which boot program asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// iPXE, over HTTP.
    Ipxe,
    /// GRUB, over TFTP.
    Grub,
}

impl Program {
    fn template(self, name: &str) -> String {
        match self {
            Self::Ipxe => format!("ipxe/{name}.ipxe.tera"),
            Self::Grub => format!("grub/{name}.cfg.tera"),
        }
    }
}

/// Decides what a machine boots and writes the script for it.
///
/// # Errors
/// The templates are missing, or the database refuses.
pub async fn render(ctx: &Ctx, mac: Mac, program: Program) -> Result<(BootDecision, String), Error> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    let client = clients::find_by_mac(&mut tx, mac).await?;
    let state = match &client {
        Some(client) => Some(BootState {
            stage: client.stage,
            installer_job: jobs::wants_installer(&mut tx, client.id).await?,
            alarm: client.alarm.is_some(),
        }),
        None => None,
    };
    let decision = decide(state);
    let mut context = tera::Context::new();
    context
        .insert("script_url", &format!("{}/boot/ipxe?mac={mac}&platform=${{platform}}", ctx.addresses.boot));
    context.insert("seconds", &RETRY_S);
    let name = match decision {
        BootDecision::LocalDisk => {
            context.insert("message", "starting the system on this machine's own disk");
            "local"
        }
        BootDecision::Installer | BootDecision::Discovery => {
            match images::find(&mut tx, image::INSTALLER).await? {
                None => {
                    context.insert(
                        "message",
                        "the server has no installer image yet; admin: run `lotse image build`",
                    );
                    "wait"
                }
                Some(image) => {
                    let mut command_line = command_line(ctx);
                    if let (BootDecision::Installer, Some(client)) = (decision, &client) {
                        let token = Token::new();
                        identities::create_token(
                            &mut tx,
                            &token.hash(),
                            client.id,
                            Some(mac),
                            TokenUse::Once,
                            now + TOKEN_FOR,
                            now,
                        )
                        .await?;
                        command_line.push_str(" lotse.token=");
                        command_line.push_str(token.reveal());
                    }
                    let part = |name: &str| {
                        let blob = image.parts.get(name).map(|blob| blob.sha256.clone());
                        blob.ok_or_else(|| {
                            Error::Internal(anyhow::anyhow!("the installer image has no part `{name}`"))
                        })
                    };
                    let (kernel, initramfs) = (part("vmlinuz")?, part("initramfs")?);
                    context.insert("message", "starting the installer");
                    context.insert("cmdline", &command_line);
                    context.insert("kernel_url", &blob_url(ctx, &kernel, mac, "kernel"));
                    context.insert("initramfs_url", &blob_url(ctx, &initramfs, mac, "initramfs"));
                    context.insert("kernel_path", &format!("blobs/{kernel}"));
                    context.insert("initramfs_path", &format!("blobs/{initramfs}"));
                    "installer"
                }
            }
        }
    };
    if let Some(client) = &client {
        let detail = format!("{decision:?}");
        events::add(&mut tx, "client.boot", Some(client.id), None, "boot", &detail, now).await?;
    }
    tx.commit().await?;
    ctx.presence.events_came();
    let path = ctx.config.share.join("pxe").join(program.template(name));
    Ok((decision, render_file(&path, &context)?))
}

/// The words that the installer's agent reads, without the token; the templates add which interface booted.
fn command_line(ctx: &Ctx) -> String {
    let addresses = &ctx.addresses;
    format!(
        "lotse.server={} lotse.agents={} lotse.boot={} lotse.ca={} {}",
        addresses.https, addresses.agents, addresses.boot, addresses.ca, ctx.config.installer_command_line,
    )
    .trim_end()
    .to_owned()
}

fn blob_url(ctx: &Ctx, sha256: &Sha256, mac: Mac, part: &str) -> String {
    format!("{}/boot/blobs/{sha256}?mac={mac}&part={part}", ctx.addresses.boot)
}

fn render_file(path: &Path, context: &tera::Context) -> Result<String, Error> {
    let attempt = |error: anyhow::Error| {
        Error::Internal(error.context(format!("rendering the boot script {}", path.display())))
    };
    let text = fs_err::read_to_string(path).map_err(|error| attempt(error.into()))?;
    let mut tera = Tera::default();
    // Boot scripts know neither HTML nor shell; every value in them is a URL, a hash or a checked word of our own.
    tera.autoescape_on(Vec::<&str>::new());
    tera.render_str(&text, context, false).map_err(|error| attempt(anyhow::Error::msg(error.to_string())))
}
