//! The boot image at a provider: Lotse brings it there, waits for it, replaces it, and takes it away.

use harness::{cloudstack::Fault, server::Engine};
use server::{
    app::{
        desktops::{self, work},
        providers::{self, ProviderChange, keep_images},
    },
    blobs,
    db::images,
    domain::{
        desktop::DesktopState,
        desktop_stage::{StageState, StageWord},
        image::{FILE, ISO, Image},
        provider::ProviderWish,
        provider_image::{ImageState, ProviderImage},
    },
};
use wire::enrol::BlobRef;

use super::site::{Site, wish};

/// This server has a boot ISO with this content.
async fn build_iso(site: &Site, content: &str) -> String {
    let sha256 = blobs::hash(content.as_bytes());
    let blob = BlobRef { sha256: sha256.clone(), size_bytes: content.len() as u64 };
    let image = Image {
        id: 0,
        name: ISO.to_owned(),
        recipe: sha256.clone(),
        parts: [(FILE.to_owned(), blob)].into(),
        built_at: site.ctx.now(),
        version: String::new(),
    };
    let mut tx = site.ctx.db.write().await.unwrap();
    images::create(&mut tx, &image).await.unwrap();
    tx.commit().await.unwrap();
    sha256.to_string()
}

/// A provider whose boot image is Lotse's business.
async fn site(engine: Engine) -> Site {
    let site = Site::new(engine, 1).await;
    let own =
        ProviderChange { wish: ProviderWish { iso: String::new(), ..wish(&site.clouds[0]) }, keys: None };
    providers::update(&site.ctx, "cloud-0", &own, None).await.unwrap();
    site
}

async fn kept(site: &Site) -> Vec<ProviderImage> {
    let mut tx = site.ctx.db.read().await.unwrap();
    providers::view(&mut tx, "cloud-0").await.unwrap().images
}

/// Looks after images until one that holds this is where it shall be.
async fn until(site: &Site, sha256: &str, state: ImageState) -> ProviderImage {
    for _ in 0..400 {
        keep_images(&site.ctx).await.unwrap();
        let found = kept(site).await.into_iter().find(|image| image.sha256.as_str() == sha256);
        if let Some(image) = found.filter(|image| image.state == state) {
            return image;
        }
        site.clock.advance(5);
    }
    panic!("{:#?}", kept(site).await);
}

pub(super) async fn the_boot_image_is_registered_awaited_renewed_and_removed(engine: Engine) {
    let site = site(engine).await;
    let cloud = &site.clouds[0];
    let test = providers::test(&site.ctx, "cloud-0").await.unwrap();
    assert!(test.problems[0].contains("lotse image build installer iso"), "{test:?}");
    let first = build_iso(&site, "first").await;
    cloud.image_pace(0);
    site.order("desk").await;
    for _ in 0..4 {
        work(&site.ctx).await.unwrap();
        site.clock.advance(6);
    }
    // Waiting for it is a stage, and no fault.
    let there = cloud.images();
    assert_eq!(there.len(), 1);
    assert!(there[0].url.ends_with(&format!("/boot/iso/{first}.iso")), "{}", there[0].url);
    assert_eq!(there[0].checksum, format!("{{SHA-256}}{first}"));
    let mut tx = site.ctx.db.read().await.unwrap();
    let view = desktops::view(&site.ctx, &mut tx, "desk").await.unwrap();
    drop(tx);
    assert_eq!((view.stages[0].stage, view.stages[0].state), (StageWord::Image, StageState::Goes));
    assert_eq!(view.stages[0].percent, Some(0));
    assert!(view.record.desktop.reason.contains("on its way"), "{}", view.record.desktop.reason);
    assert_eq!(view.record.trials.len(), 1, "nobody gives up meanwhile");
    // However long it takes.
    site.clock.advance(2 * 3600);
    work(&site.ctx).await.unwrap();
    assert_eq!(site.state("desk").await, DesktopState::Creating);
    cloud.image_pace(10);
    site.until("desk", DesktopState::Ready).await;
    assert_eq!(cloud.machines()[0].iso.as_ref(), Some(&there[0].id));
    let mut tx = site.ctx.db.read().await.unwrap();
    let view = desktops::view(&site.ctx, &mut tx, "desk").await.unwrap();
    drop(tx);
    assert_eq!((view.stages[0].state, view.stages[1].state), (StageState::Done, StageState::Done));
    assert_eq!(view.stages[1].began_at, view.stages[0].ended_at);

    // Another installer: the old image stays as long as a machine has it in its drive.
    let second = build_iso(&site, "second").await;
    until(&site, &second, ImageState::Ready).await;
    for _ in 0..4 {
        site.clock.advance(61);
        keep_images(&site.ctx).await.unwrap();
    }
    assert_eq!(cloud.images().len(), 2);
    desktops::delete(&site.ctx, "desk", "test").await.unwrap();
    site.until("desk", DesktopState::Deleted).await;
    for _ in 0..4 {
        site.clock.advance(61);
        keep_images(&site.ctx).await.unwrap();
    }
    assert_eq!((cloud.images().len(), kept(&site).await.len()), (1, 1));
    assert!(cloud.images()[0].url.contains(&second));

    // Somebody takes it away there: it is brought again. A provider that is forgotten keeps nothing.
    providers::delete_pool(&site.ctx, "cloud").await.unwrap();
    providers::delete(&site.ctx, "cloud-0").await.unwrap();
    assert_eq!(cloud.calls("deleteIso"), 2);
}

pub(super) async fn an_image_that_the_provider_cannot_fetch_is_told_with_its_reason(engine: Engine) {
    let site = site(engine).await;
    let cloud = &site.clouds[0];
    let sha256 = build_iso(&site, "first").await;
    cloud.refuse_downloads(Some("Connection to lotse.example:8080 refused"));
    let failed = until(&site, &sha256, ImageState::Failed).await;
    assert_eq!(failed.said, "Connection to lotse.example:8080 refused");
    let test = providers::test(&site.ctx, "cloud-0").await.unwrap();
    assert!(!test.good && test.problems[0].contains("lotse.example:8080 refused"), "{test:?}");
    site.order("desk").await;
    let record = site.until("desk", DesktopState::Failed).await;
    assert!(record.desktop.reason.contains("refused"), "{}", record.desktop.reason);
    // It is tried again by itself, and the one that failed does not stay.
    cloud.refuse_downloads(None);
    site.clock.advance(601);
    let ready = until(&site, &sha256, ImageState::Ready).await;
    assert_ne!(ready.name, failed.name);
    assert_eq!(cloud.images().len(), 1);
    desktops::rebuild(&site.ctx, "desk", "test").await.unwrap();
    site.until("desk", DesktopState::Ready).await;
}

pub(super) async fn a_lost_answer_never_makes_two_images(engine: Engine) {
    let site = site(engine).await;
    let cloud = &site.clouds[0];
    let mut all = 0;
    for fault in [Fault::Lost, Fault::After(530), Fault::Silent, Fault::Before(533)] {
        cloud.next("registerIso", fault.clone());
        let sha256 = build_iso(&site, &format!("{fault:?}")).await;
        until(&site, &sha256, ImageState::Ready).await;
        all += 1;
        // Older ones go.
        for _ in 0..4 {
            site.clock.advance(61);
            keep_images(&site.ctx).await.unwrap();
        }
        assert_eq!((cloud.images().len(), kept(&site).await.len()), (1, 1), "{fault:?} ({all})");
    }
}
