//! Changes of providers, pools and desktops.

use harness::cloudstack::{Cloud, KEYS};
use server::{clock::Clock, presence::Seen};

use super::*;

pub(super) async fn about_desktops(walk: &mut Walk<'_>) {
    let none = &json!({});
    let p = |method, route| (method, route);
    let north = &[("name", "north")];
    let cloudstack = Cloud::start(Clock::system()).await.unwrap();
    let wish = json!({ "endpoint": cloudstack.endpoint, "ca_pem": cloudstack.ca_pem, "zone": "north", "iso": "new", "enabled": false });
    let keys = json!({ "api_key": KEYS.0, "secret_key": KEYS.1 });
    let new = json!({ "name": "north", "wish": wish, "keys": keys });
    let provider = "provider north";
    walk.step(p(Method::POST, "/api/v1/providers"), &[], &new, ("provider.create", provider, NEW)).await;
    let route = "/api/v1/providers/{name}";
    let change = json!({ "wish": wish, "keys": keys });
    walk.step(p(Method::PUT, route), north, &change, ("provider.change", provider, CHANGED)).await;
    let test = "/api/v1/providers/{name}/test";
    walk.step(p(Method::POST, test), north, none, ("provider.test", provider, NEW)).await;
    let isos = "/api/v1/providers/{name}/isos";
    let image = json!({ "url": "http://192.0.2.1/boot.iso" });
    walk.step(p(Method::POST, isos), north, &image, ("provider.register-iso", provider, NEW)).await;
    let pool = "/api/v1/provider-pools/{name}";
    let members = json!([{ "provider": "north" }]);
    let cloud = &[("name", "cloud")];
    walk.step(p(Method::PUT, pool), cloud, &members, ("pool.set", "pool cloud", NEW)).await;

    let desktop = "desktop ann-desk";
    let named = &[("name", "ann-desk")];
    let new = json!({ "client": { "name": "ann-desk" }, "pool": "cloud" });
    walk.step(p(Method::POST, "/api/v1/desktops"), &[], &new, ("desktop.create", desktop, NEW)).await;
    // From here on nobody works on it.
    let ready = "UPDATE desktops SET state = 'ready', turn = turn + 1, taken_until = 9000000000000000";
    walk.server.meddle(ready).await.unwrap();
    // Its machine is on a host, which is heard.
    let host = "SELECT id, 'web', '52:54:00:00:99:01', 0 FROM clients WHERE name = 'ann-desk'";
    let hosted = format!("INSERT INTO hosted_machines (host_id, name, mac, told_at) {host}");
    walk.server.meddle(&hosted).await.unwrap();
    let mac = "INSERT INTO client_macs (mac, client_id) SELECT '52:54:00:00:99:01', id FROM clients WHERE name = 'ann-desk'";
    walk.server.meddle(mac).await.unwrap();
    let (boot_id, agent_version, at) = ("b".to_owned(), "0.1.0".to_owned(), walk.server.ctx.now());
    let client = {
        let mut tx = walk.server.ctx.db.read().await.unwrap();
        client_rows::find_by_name(&mut tx, "ann-desk").await.unwrap().unwrap().id
    };
    walk.server.ctx.presence.heard(client, Seen { boot_id, realm: Realm::System, agent_version, at });
    let route = "/api/v1/clients/{name}/console";
    walk.step(p(Method::POST, route), named, none, ("console.open", "client ann-desk", NEW)).await;
    let order = json!({ "order": "stop" });
    let route = "/api/v1/desktops/{name}/power";
    walk.step(p(Method::POST, route), named, &order, ("desktop.power", desktop, CHANGED)).await;
    let route = "/api/v1/desktops/{name}/rebuild";
    walk.step(p(Method::POST, route), named, none, ("desktop.rebuild", desktop, CHANGED)).await;
    let route = "/api/v1/desktops/{name}";
    walk.step(p(Method::DELETE, route), named, none, ("desktop.delete", desktop, GONE)).await;

    walk.step(p(Method::DELETE, pool), cloud, none, ("pool.delete", "pool cloud", GONE)).await;
    let route = "/api/v1/providers/{name}";
    walk.step(p(Method::DELETE, route), north, none, ("provider.delete", provider, GONE)).await;
    let all = entries(walk.server).await;
    assert!(!json!(all).to_string().contains(KEYS.1));
}
