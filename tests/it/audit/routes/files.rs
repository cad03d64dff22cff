//! Changes of groups, layouts, job scripts and images.

use super::*;

pub(super) async fn about_groups_and_files(walk: &mut Walk<'_>) {
    let none = &json!({});
    let p = |method, route| (method, route);
    let member = &[("name", "room-9"), ("client", "lab-02")];
    let group = "group room-9";
    walk.step(
        p(Method::POST, "/api/v1/groups"),
        &[],
        &json!({ "name": "room-9" }),
        ("group.create", group, NEW),
    )
    .await;
    walk.step(
        p(Method::PUT, "/api/v1/groups/{name}/members/{client}"),
        member,
        none,
        ("group.join", "client lab-02", CHANGED),
    )
    .await;
    let order = json!({ "job_type": "script", "params": { "text": "false" } });
    walk.step(p(Method::POST, "/api/v1/groups/{name}/jobs"), member, &order, ("job.create", "job ", NEW))
        .await;
    walk.step(
        p(Method::DELETE, "/api/v1/groups/{name}/members/{client}"),
        member,
        none,
        ("group.leave", "client lab-02", CHANGED),
    )
    .await;
    walk.step(p(Method::DELETE, "/api/v1/groups/{name}"), member, none, ("group.delete", group, GONE)).await;
    let layouts = repository().join("job-scripts/layouts");
    let mut paths: Vec<_> = fs_err::read_dir(layouts).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let yaml = |at: usize| Value::from(fs_err::read_to_string(&paths[at]).unwrap());
    let layout = &[("name", "own")];
    walk.step(
        p(Method::PUT, "/api/v1/layouts/{name}"),
        layout,
        &yaml(0),
        ("layout.change", "layout own", NEW),
    )
    .await;
    walk.step(
        p(Method::PUT, "/api/v1/layouts/{name}"),
        layout,
        &yaml(1),
        ("layout.change", "layout own", CHANGED),
    )
    .await;
    walk.step(
        p(Method::DELETE, "/api/v1/layouts/{name}"),
        layout,
        none,
        ("layout.delete", "layout own", GONE),
    )
    .await;
    let file = Value::from("content");
    let blob = walk.step(p(Method::POST, "/api/v1/blobs"), &[], &file, ("file.store", "file ", NEW)).await;
    let image = json!({ "name": "own", "recipe": blobs::hash(b"r"), "parts": { "part": blob } });
    let image =
        walk.step(p(Method::POST, "/api/v1/images"), &[], &image, ("image.create", "image own", NEW)).await;
    let number = image["id"].to_string();
    walk.step(
        p(Method::DELETE, "/api/v1/images/{id}"),
        &[("id", &number)],
        none,
        ("image.delete", "image own", GONE),
    )
    .await;
}
