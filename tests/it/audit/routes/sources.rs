//! Changes of own repositories and source lists.

use harness::archive::Archive;

use super::*;

pub(super) async fn about_sources(walk: &mut Walk<'_>) {
    let none = &json!({});
    let p = |method, route| (method, route);
    let ours = &[("name", "ours")];
    let repository = "repository ours";
    let new = json!({ "name": "ours" });
    walk.step(p(Method::POST, "/api/v1/repositories"), &[], &new, ("repository.create", repository, NEW))
        .await;
    // Without data and without packing it is a text.
    let package = Archive::new().unwrap().package("tool", "1", 0).unwrap();
    let package = Value::from(String::from_utf8(package.content).unwrap());
    let route = "/api/v1/repositories/{name}/packages";
    let made =
        walk.step(p(Method::POST, route), ours, &package, ("repository.upload", repository, NEW)).await;
    walk.step(
        p(Method::POST, "/api/v1/repositories/{name}/promote"),
        ours,
        none,
        ("repository.promote", repository, NEW),
    )
    .await;
    let id = made["id"].to_string();
    let route = "/api/v1/repositories/{name}/packages/{id}";
    let which = &[("name", "ours"), ("id", id.as_str())];
    walk.step(p(Method::DELETE, route), which, none, ("repository.remove", repository, GONE)).await;
    // An archive that is not packed, of texts, is one.
    let mut files = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(2);
    files.append_data(&mut header, "etc/other.conf", &b"x\n"[..]).unwrap();
    let files = Value::from(String::from_utf8(files.into_inner().unwrap()).unwrap());
    let route = "/api/v1/repositories/{name}/builds?package=other&version=1&description=x";
    walk.step(p(Method::POST, route), ours, &files, ("repository.upload", repository, NEW)).await;
    let wish = json!({ "client": "lab-02", "packages": ["hello"] });
    let route = "/api/v1/repositories/{name}/takings";
    walk.step(p(Method::POST, route), ours, &wish, ("repository.take", repository, NEW)).await;
    let back = json!({ "suite": "testing", "number": 2 });
    let route = "/api/v1/repositories/{name}/roll-back";
    walk.step(p(Method::POST, route), ours, &back, ("repository.roll-back", repository, CHANGED)).await;
    let source = json!({ "uris": ["repository:ours"], "suites": ["testing"], "components": ["main"] });
    let list = json!({ "sources": [source], "description": "x" });
    let both = &[("name", "both")];
    let route = "/api/v1/source-lists/{name}";
    walk.step(p(Method::PUT, route), both, &list, ("source-list.change", "source list both", NEW)).await;
    walk.step(
        p(Method::POST, "/api/v1/groups"),
        &[],
        &json!({ "name": "room-8" }),
        ("group.create", "group room-8", NEW),
    )
    .await;
    let group = &[("name", "both"), ("group", "room-8")];
    let client = &[("name", "both"), ("client", "lab-02")];
    let route = "/api/v1/source-lists/{name}/groups/{group}";
    walk.step(p(Method::PUT, route), group, none, ("source-list.give", "group room-8", CHANGED)).await;
    walk.step(p(Method::DELETE, route), group, none, ("source-list.take", "group room-8", CHANGED)).await;
    let route = "/api/v1/source-lists/{name}/clients/{client}";
    walk.step(p(Method::PUT, route), client, none, ("source-list.give", "client lab-02", CHANGED)).await;
    walk.step(p(Method::DELETE, route), client, none, ("source-list.take", "client lab-02", CHANGED)).await;
    let route = "/api/v1/source-lists/{name}";
    walk.step(p(Method::DELETE, route), both, none, ("source-list.delete", "source list both", GONE)).await;
    let route = "/api/v1/repositories/{name}";
    walk.step(p(Method::DELETE, route), ours, none, ("repository.delete", repository, GONE)).await;
}
