//! What templates see of a client's source lists. Pure.

use serde_json::{Value, json};

use crate::{
    catalog::Distribution,
    domain::source_list::{NamedList, PackageSource, Place, cache_name},
};

/// `sources`: the lists, each with its paragraphs as apt reads them; `source_keys`: the key files that they name.
pub(super) fn views(
    lists: &[NamedList],
    distribution: Option<&Distribution>,
    boot_url: &str,
) -> (Vec<Value>, Vec<Value>) {
    let keyring = distribution.map(|distribution| distribution.keyring.as_str()).unwrap_or_default();
    let mut keys: Vec<Value> = Vec::new();
    let mut shown = Vec::new();
    for list in lists {
        let architecture = if list.wish.architecture.is_empty() {
            distribution.map(|distribution| distribution.architecture.as_str()).unwrap_or_default()
        } else {
            &list.wish.architecture
        };
        let mut paragraphs = Vec::new();
        for source in &list.wish.sources {
            let signed_by = match source.key_path() {
                Some(path) => {
                    let file = json!({ "path": path, "key": format!("{}\n", source.key.trim()) });
                    if !keys.contains(&file) {
                        keys.push(file);
                    }
                    path
                }
                None => keyring.to_owned(),
            };
            paragraphs.push(json!({
                "types": source.types, "uris": uris(source, boot_url), "suites": source.suites, "components": source.components,
                "architecture": architecture, "signed_by": signed_by, "enabled": source.enabled,
            }));
        }
        shown.push(json!({ "name": list.name, "sources": paragraphs }));
    }
    (shown, keys)
}

/// Where a client finds the archives of a source.
fn uris(source: &PackageSource, boot_url: &str) -> Vec<String> {
    let uri = |place| match place {
        Place::Url(url) if source.cached => format!("{boot_url}/mirror/{}", cache_name(url, &source.key)),
        Place::Url(url) => url.to_owned(),
        Place::Mirror(name) => format!("{boot_url}/mirror/{name}"),
        Place::Repository(name) => format!("{boot_url}/repository/{name}"),
    };
    source.places().map(uri).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::source_list::ListWish;

    #[test]
    fn each_kind_of_place_becomes_the_address_that_clients_reach() {
        let uris =
            ["https://packages.example/x", "mirror:debian", "repository:ours"].map(str::to_owned).to_vec();
        let mut source = PackageSource { uris, key: " KEY\n".to_owned(), ..PackageSource::default() };
        assert_eq!(
            super::uris(&source, "http://server:8080"),
            [
                "https://packages.example/x",
                "http://server:8080/mirror/debian",
                "http://server:8080/repository/ours"
            ]
        );
        source.cached = true;
        assert!(super::uris(&source, "http://server:8080")[0].starts_with("http://server:8080/mirror/x-"));
        let lists = ["a", "b"].map(|name| NamedList {
            name: name.to_owned(),
            wish: ListWish { sources: vec![source.clone()], ..ListWish::default() },
        });
        let (shown, keys) = views(&lists, None, "");
        assert_eq!((shown.len(), keys.len()), (2, 1), "a key that two lists name is one file");
        assert_eq!(keys[0]["key"], "KEY\n");
        assert_eq!(shown[0]["sources"][0]["signed_by"], keys[0]["path"]);
    }
}
