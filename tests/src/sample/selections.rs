//! Selections of packages of the sample's site, and a choice of packages that was previewed.

use anyhow::Result;
use server::{
    app::{jobs::JobOrder, selections},
    context::Ctx,
    domain::selection::Contents,
};
use wire::package_work::{ChangeKind, Transaction, TransactionChange};

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// Two selections; the offices have one of them, and differ from it.
pub(super) async fn fill(ctx: &Ctx) -> Result<()> {
    let writing = Contents {
        description: "Texts and tables".to_owned(),
        order: 10,
        install: texts(&["libreoffice-writer", "libreoffice-calc", "hunspell-de-de"]),
        remove: texts(&["bash"]),
        ..Contents::default()
    };
    selections::set(ctx, "writing", &writing, None, "admin").await?;
    let web = Contents { install: texts(&["firefox-esr"]), order: 20, ..Contents::default() };
    selections::set(ctx, "web", &web, None, "admin").await?;
    selections::set_group(ctx, "writing", "office", true, "admin").await?;
    Ok(())
}

/// What somebody has chosen for a client.
pub(super) fn choice() -> JobOrder {
    JobOrder {
        job_type: "package-change".to_owned(),
        params: serde_json::json!({ "packages": ["vlc"], "remove": ["gimp"], "hold": ["bash"], "preview": true }),
        ..JobOrder::default()
    }
}

/// What that would change.
pub(super) fn transaction() -> Transaction {
    let change =
        |package: &str, change: ChangeKind, from: &str, to: &str, is_dependency: bool| TransactionChange {
            package: package.to_owned(),
            architecture: "amd64".to_owned(),
            change,
            from: from.to_owned(),
            to: to.to_owned(),
            is_security: change == ChangeKind::Upgrade,
            is_dependency,
        };
    Transaction {
        changes: vec![
            change("gimp", ChangeKind::Remove, "2.10.34-1+deb12u2", "", false),
            change("gimp-plugin-registry", ChangeKind::Remove, "9.20200928", "", true),
            change("libavcodec59", ChangeKind::Upgrade, "7:5.1.6-0+deb12u1", "7:5.1.7-0+deb12u1", true),
            change("vlc", ChangeKind::Install, "", "3.0.21-0+deb12u1", false),
            change("vlc-bin", ChangeKind::Install, "", "3.0.21-0+deb12u1", true),
        ],
        download_bytes: 18_400_000,
        disk_bytes: -52_000_000,
    }
}
