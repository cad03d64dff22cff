//! Changes of selections of packages.

use super::*;

pub(super) async fn about_selections(walk: &mut Walk<'_>) {
    let none = &json!({});
    let p = |method, route| (method, route);
    let office = &[("name", "office"), ("group", "bureau")];
    let (contents, object) = (json!({ "contents": { "install": ["libreoffice"] } }), "selection office");
    walk.step(
        p(Method::PUT, "/api/v1/selections/{name}"),
        office,
        &contents,
        ("selection.create", object, NEW),
    )
    .await;
    let yaml = json!({ "yaml": "name: office\ninstall: [libreoffice, vlc]\n" });
    walk.step(
        p(Method::POST, "/api/v1/selection-imports"),
        &[],
        &yaml,
        ("selection.change", object, CHANGED),
    )
    .await;
    walk.send(Method::POST, "/api/v1/groups", "/api/v1/groups", &json!({ "name": "bureau" })).await;
    walk.seen = entries(walk.server).await.len();
    let of_group = "/api/v1/selections/{name}/groups/{group}";
    walk.step(p(Method::PUT, of_group), office, none, ("selection.attach", object, CHANGED)).await;
    walk.step(p(Method::DELETE, of_group), office, none, ("selection.detach", object, CHANGED)).await;
    walk.step(
        p(Method::POST, "/api/v1/clients/{name}/selections/{selection}"),
        &[("name", "pc-01"), ("selection", "office")],
        none,
        ("job.create", "job ", NEW),
    )
    .await;
    walk.step(
        p(Method::DELETE, "/api/v1/selections/{name}"),
        office,
        none,
        ("selection.delete", object, GONE),
    )
    .await;
}
